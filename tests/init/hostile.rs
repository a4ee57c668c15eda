//! Images that try to lead set-up out of their root, named after the holes of the field.

use std::os::unix::fs::symlink;
use std::path::Path;

use dwell_spec::plan::init::Op;

use crate::harness::Start;
use crate::samples::{scripted, volume_at};

/// A folder of the host that no start may change.
fn bait(start: &Start) -> std::path::PathBuf {
    let bait = start.folder.0.join("host");
    std::fs::create_dir(&bait).expect("makes");
    bait
}

fn untouched(bait: &Path) -> bool {
    std::fs::read_dir(bait).expect("reads").next().is_none()
}

#[test]
fn cve_2026_41579_dev_proc_or_sys_as_a_link_is_refused() {
    for (name, op) in [("dev", "MountTmpfs"), ("proc", "MountProc"), ("sys", "MountSysfs")] {
        for up in ["", "../../../../../.."] {
            let start = Start::script("echo never");
            let bait = bait(&start);
            symlink(format!("{up}{}", bait.display()), start.image(name)).expect("links");
            let outcome = start.run();
            assert_eq!((outcome.status, outcome.output.as_str()), (125, ""), "{name}");
            assert_eq!((outcome.failure().op.as_str(), outcome.failure().errno), (op, 40), "{name}");
            assert!(outcome.failure().message.contains("symbolic link"), "{outcome:?}");
            assert!(untouched(&bait), "{name}");
        }
    }
}

#[test]
fn a_linked_volume_target_ends_beneath_the_root() {
    let container = {
        let mut container = scripted("touch /data/made");
        container.mounts = vec![volume_at("/data", false)];
        container
    };
    for up in ["", "../../../../../.."] {
        let start = Start::of(&container);
        let bait = bait(&start);
        symlink(format!("{up}{}", bait.display()), start.image("data")).expect("links");
        assert_eq!(start.run().status, 0, "the link is followed inside the root");
        assert!(untouched(&bait) && start.volume("made").exists());
    }
}

#[test]
fn linked_etc_and_pod_files_end_beneath_the_root() {
    let start = Start::script("cat /etc/hosts");
    let bait = bait(&start);
    symlink(&bait, start.image("etc")).expect("links");
    assert_eq!(start.run().text(), "the Pod's hosts\n");
    assert!(untouched(&bait));
    let start = Start::script("cat /etc/resolv.conf");
    std::fs::create_dir(start.image("etc")).expect("makes");
    symlink("../run/stub.conf", start.image("etc/resolv.conf")).expect("links");
    assert_eq!(start.run().text(), "the Pod's resolv.conf\n", "a dangling link as images of distributions have it");
}

#[test]
fn cve_2024_21626_a_working_directory_through_a_descriptor_is_refused() {
    for path in ["/proc/self/fd/0", "/proc/self/fd/5", "/proc/1/cwd", "/proc/self/root"] {
        let mut container = scripted("pwd");
        container.working_dir = Some(path.to_owned());
        let outcome = Start::of(&container).run();
        assert_eq!(outcome.status, 125, "{path}: {outcome:?}");
        assert_eq!(outcome.failure().op, "ChangeDirectory", "{path}");
    }
    let start = Start::of(&{
        let mut container = scripted("pwd");
        container.working_dir = Some("/work".to_owned());
        container
    });
    symlink("/proc/self/fd/5", start.image("work")).expect("links");
    assert_eq!(start.run().failure().op, "ChangeDirectory");
}

#[test]
fn cve_2025_31133_a_null_that_is_no_null_covers_nothing() {
    for fake in ["/etc/passwd", "/proc/sysrq-trigger"] {
        let mut start = Start::script("echo never");
        for op in &mut start.plan.ops {
            if matches!(op, Op::MakeDevice { path, .. } if path == "/dev/null") {
                *op = Op::MakeSymlink { path: "/dev/null".to_owned(), to: fake.to_owned() };
            }
        }
        let outcome = start.run();
        assert_eq!((outcome.status, outcome.failure().op.as_str()), (125, "Mask"), "{fake}");
    }
    let mut start = Start::script("echo never");
    for op in &mut start.plan.ops {
        if let Op::MakeDevice { path, device, .. } = op
            && path == "/dev/null"
        {
            device.minor = 5;
        }
    }
    assert_eq!(start.run().failure().op, "Mask", "another device is not null either");
}

#[test]
fn cve_2025_52565_the_console_is_the_terminal_by_descriptor() {
    let mut container = scripted("echo never");
    container.tty = true;
    let mut start = Start::of(&container);
    let console = start.plan.ops.iter().position(|op| matches!(op, Op::BindConsole { .. })).expect("binds");
    let planted = Op::MakeSymlink { path: "/dev/console".to_owned(), to: "/proc/sysrq-trigger".to_owned() };
    start.plan.ops.insert(console, planted);
    let outcome = start.run();
    assert_eq!((outcome.status, outcome.failure().op.as_str(), outcome.failure().errno), (125, "BindConsole", 17));
}

#[test]
fn cve_2025_52881_a_fake_proc_is_not_taken_for_one() {
    let start = Start::script("echo never").without(|op| matches!(op, Op::MountProc { .. }));
    std::fs::create_dir_all(start.image("proc/sys")).expect("makes");
    std::fs::write(start.image("proc/kcore"), "").expect("writes");
    let outcome = start.run();
    assert_eq!((outcome.status, outcome.failure().op.as_str(), outcome.failure().errno), (125, "Mask", 18));
}

#[test]
fn cve_2026_55686_a_working_directory_link_makes_and_chowns_nothing_outside() {
    let mut container = scripted("pwd");
    container.working_dir = Some("/work/new".to_owned());
    let start = Start::of(&container);
    let bait = bait(&start);
    symlink(&bait, start.image("work")).expect("links");
    let outcome = start.run();
    assert_eq!(outcome.status, 0, "{outcome:?}");
    assert!(untouched(&bait));
}

#[test]
fn a_file_where_a_directory_belongs_is_an_error_that_names_it() {
    let mut container = scripted("echo never");
    container.mounts = vec![volume_at("/data", false)];
    let start = Start::of(&container);
    std::fs::write(start.image("data"), "").expect("writes");
    let report = start.run().failure();
    assert_eq!((report.op.as_str(), report.path.as_str(), report.errno), ("Attach", "/data", 20));
}
