//! What a native member sees and may do, each wall with a control that leaves it out.

use std::os::fd::AsFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::SocketAddr;

use dwell_spec::plan::init::{Op, Slot};
use dwell_sys::mount;

use crate::harness::{Start, by_descriptor, is_probe, path_fd};
use crate::samples::{scripted, volume_at};

#[test]
fn it_sees_its_own_processes_only() {
    // What ends between the listing and the look at it is none of this test's business: it once failed on that sentence.
    let count = "ls /proc 2>/dev/null | grep -c '^[0-9]'";
    let own: u32 = Start::script(count).run().text().trim().parse().expect("a number");
    assert!(own <= 3, "{own} processes");
    let mut control = Start::script(count);
    control.born_with.retain(|option| *option != "--pid");
    let all: u32 = control.run().text().trim().parse().expect("a number");
    assert!(all > 5, "control: {all} processes");
}

#[test]
fn proc_1_root_is_its_own_root() {
    let start = Start::script("ls /proc/1/root/");
    std::fs::write(start.image("marker"), "").expect("writes");
    assert!(start.run().text().contains("marker"));
}

#[test]
fn no_mount_of_the_host_is_left() {
    // No shell: without the pivot, a link of the host's with `..` in it (`/bin/bash -> ../usr/bin/bash`) leads into what is
    // stacked upon `/`, and the second machine's shell was not found.
    let mut container = scripted("");
    container.command = ["/bin/busybox", "cat", "/proc/self/mountinfo"].map(str::to_owned).to_vec();
    let own = std::fs::read_to_string("/proc/self/mountinfo").expect("reads");
    let root = *root_mounts(&own).last().expect("there is a root");
    let text = Start::of(&container).run().text().to_owned();
    assert!(!root_mounts(&text).contains(&root), "{text}");
    let point = |line: &str| line.split(' ').nth(4).unwrap_or_default().to_owned();
    let ours = ["/", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf"];
    let below = ["/proc", "/dev", "/sys"];
    let known = |path: &String| ours.contains(&path.as_str()) || below.iter().any(|top| path.starts_with(top));
    assert!(text.lines().map(point).all(|path| known(&path)), "{text}");
    assert!(text.lines().count() < 40, "{text}");
    let control = Start::of(&container).without(|op| *op == Op::PivotRoot);
    let seen = control.run();
    let roots = root_mounts(&seen.output);
    assert!(roots.contains(&root), "control: without the pivot the host's root {root} is still there: {seen:?}");
}

/// Devices of the mounts at `/`, of which only the topmost is seen.
fn root_mounts(mountinfo: &str) -> Vec<&str> {
    let fields = mountinfo.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    fields.filter(|fields| fields.get(4) == Some(&"/")).filter_map(|fields| fields.get(2).copied()).collect()
}

#[test]
fn no_descriptor_but_its_stdio() {
    let start = Start::script("ls /proc/self/fd");
    assert_eq!(start.run().text(), "0\n1\n2\n3\n", "3 is the listing's own");
}

#[test]
fn capabilities_are_the_default_set_and_inheritable_is_empty() {
    let script = "grep -E '^Cap|^NoNew|^Seccomp:' /proc/self/status";
    let text = Start::script(script).run().text().to_owned();
    let wanted = "CapInh:\t0000000000000000\nCapPrm:\t00000000a80425fb\nCapEff:\t00000000a80425fb\n\
        CapBnd:\t00000000a80425fb\nCapAmb:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\n";
    assert_eq!(text, wanted);
    let control = Start::script(script).without(|op| matches!(op, Op::SetCapabilities { .. }));
    assert!(!control.run().text().contains("CapBnd:\t00000000a80425fb"), "control");
    // The filter would need no_new_privs here, CAP_SYS_ADMIN being gone by then.
    let unfiltered = Start::script(script).without(|op| matches!(op, Op::Seccomp { .. }));
    let control = unfiltered.without(|op| matches!(op, Op::NoNewPrivileges));
    assert!(control.run().text().contains("NoNewPrivs:\t0"), "control");
}

#[test]
fn no_key_of_the_starter_is_possessed() {
    // Only this thread's credentials change, and what it starts inherits them.
    dwell_sys::keyring::new_session().expect("joins");
    dwell_sys::keyring::add_to_session(KEY, b"secret").expect("adds");
    let probe = || Start::probe("walls::probe_session_keyring");
    let unfiltered = || probe().without(|op| matches!(op, Op::Seccomp { .. }));
    assert!(unfiltered().run().text().contains("key: ENOKEY"));
    let bare = unfiltered().without(|op| *op == Op::NewSessionKeyring);
    assert!(bare.run().text().contains("key: found"), "control: without a keyring of its own it has the starter's");
    assert!(probe().run().text().contains("key: EPERM"), "and the filter closes keyctl altogether");
}

/// What the starter holds.
const KEY: &std::ffi::CStr = c"dwell-test-key";

/// Not a test: a member, when `Start::probe` runs this very program as one.
#[test]
fn probe_session_keyring() {
    if !is_probe() {
        return;
    }
    let found = dwell_sys::keyring::find_in_session(KEY).map_err(|errno| errno.raw_os_error());
    println!(
        "key: {}",
        match found {
            Ok(()) => "found",
            Err(126) => "ENOKEY",
            Err(1) => "EPERM",
            Err(_) => "another error",
        }
    );
}

#[test]
fn mount_and_new_user_namespaces_are_closed_by_the_filter() {
    let script =
        "busybox unshare -U true 2>/dev/null && echo made; mount -t tmpfs x /proc 2>/dev/null && echo mounted; true";
    assert_eq!(Start::script(script).run().text(), "");
    let control = Start::script(script).without(|op| matches!(op, Op::Seccomp { .. }));
    assert_eq!(control.run().text(), "made\n", "control; mount also needs a capability that it has not");
}

#[test]
fn abstract_sockets_of_the_host_are_out_of_reach() {
    let name = format!("dwell-test-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(name.as_bytes()).expect("makes");
    let _listener = std::os::unix::net::UnixListener::bind_addr(&address).expect("binds");
    let start = Start::script("cat /proc/net/unix");
    assert!(!start.run().text().contains(&name));
    let mut control = Start::script("cat /proc/net/unix");
    control.born_with.retain(|option| *option != "--net");
    assert!(control.run().text().contains(&name), "control");
}

#[test]
fn masked_paths_are_empty() {
    let masked = |path: &'static str| move |op: &Op| matches!(op, Op::Mask { path: each } if each == path);
    let script = "cat /proc/timer_list /proc/interrupts /proc/keys | head -c 1; ls /sys/firmware | head -n 1";
    assert_eq!(Start::script(script).run().text(), "");
    let control = Start::script("head -c 1 /proc/interrupts; ls /sys/firmware | head -n 1");
    let control = control.without(masked("/proc/interrupts"));
    assert!(!control.run().text().is_empty(), "control");
}

#[test]
fn switches_of_the_host_are_read_only() {
    let script = "for file in /proc/sys/kernel/domainname /proc/sysrq-trigger /sys/kernel/mm/ksm/run; do \
        [ -e $file ] && ( : >> $file ) 2>&1; done; true";
    let text = Start::script(script).run().text().to_owned();
    assert!(text.matches("Read-only file system").count() >= 2, "{text}");
    let script = "( : >> /proc/sys/kernel/domainname ) 2>&1 && echo open";
    let control = Start::script(script).without(|op| matches!(op, Op::ReadOnly { path } if path == "/proc/sys"));
    assert_eq!(control.run().text(), "open\n", "control");
}

#[test]
fn cgroups_are_read_only() {
    let text = Start::script("busybox mkdir /sys/fs/cgroup/x 2>&1").run().output;
    assert!(text.contains("Read-only file system"), "{text}");
}

#[test]
fn dev_holds_what_every_program_expects_and_it_works() {
    let text =
        Start::script("ls /dev; echo x >/dev/null; head -c 2 /dev/zero | busybox od -An -tx1; echo y >>/dev/stdout")
            .run()
            .text()
            .to_owned();
    let names = "core\nfd\nfull\nmqueue\nnull\nptmx\npts\nrandom\nshm\nstderr\nstdin\nstdout\ntermination-log\ntty\nurandom\nzero\n";
    assert_eq!(text, format!("{names} 00 00\ny\n"));
}

#[test]
fn a_device_node_outside_dev_opens_nothing() {
    // A volume is nodev whatever the device list says; the layer itself is the list's matter.
    let mut container = scripted("mknod /data/null c 1 3 && ( cat /data/null ) 2>&1; true");
    container.mounts = vec![volume_at("/data", false)];
    let text = Start::of(&container).run().text().to_owned();
    assert!(text.contains("Permission denied"), "{text}");
    let control = Start::script("mknod /null c 1 3 && cat /null && echo read");
    assert_eq!(control.run().text(), "read\n", "control");
}

#[test]
fn writes_stay_in_the_layer_and_a_read_only_root_takes_none() {
    let start = Start::script("echo x > /bin/new; echo y >> /bin/busybox.txt; ls /bin/new");
    assert_eq!(start.run().text(), "/bin/new\n");
    assert!(!start.image("bin/new").exists() && start.folder.0.join("upper/bin/new").exists());
    let mut container = scripted("( echo x > /bin/new ) 2>&1; touch /tmp/made && echo tmp");
    container.read_only_root = true;
    container.mounts = vec![volume_at("/tmp", false)];
    let start = Start::of(&container);
    assert!(!start.image("tmp").exists(), "the mount point is made in the layer");
    let text = start.run().text().to_owned();
    assert!(text.contains("Read-only file system") && text.ends_with("tmp\n"), "{text}");
    assert!(start.volume("made").exists());
}

#[test]
fn a_read_only_volume_is_read_only_in_the_kernel() {
    let mut container = scripted("( touch /data/x ) 2>&1 || true");
    container.mounts = vec![volume_at("/data", true)];
    assert!(Start::of(&container).run().text().contains("Read-only file system"));
    container.mounts = vec![volume_at("/data", false)];
    let control = Start::of(&container);
    assert_eq!(control.run().text(), "");
    assert!(control.volume("x").exists(), "control");
}

#[test]
fn a_program_by_descriptor_cannot_be_written_and_keeps_what_it_should() {
    let script = "( echo x > /proc/self/exe ) 2>&1; busybox ls /proc/self/fd; cat <&4";
    let start = |readonly: bool| {
        let mut start = Start::script("");
        start.plan.exec = by_descriptor(10, &["sh", "-c", script], &[12, 11]);
        start.plan.ops.retain(|op| !matches!(op, Op::Attach { mount, .. } if mount.0 > 0));
        start.plan.ops.retain(|op| !matches!(op, Op::AttachRoot { mount } if *mount != Slot(0)));
        let root = {
            let [image, layer] = ["image", ""].map(|part| path_fd(&start.folder.0.join(part)));
            mount::overlay(image.as_fd(), layer.as_fd()).expect("mounts")
        };
        let program = path_fd(&start.image("bin/busybox"));
        let program = if readonly { mount::clone_readonly(program.as_fd(), false).expect("clones") } else { program };
        std::fs::write(start.folder.0.join("kept"), "kept\n").expect("writes");
        let kept = std::fs::File::open(start.folder.0.join("kept")).expect("opens");
        let null = std::fs::File::open("/dev/null").expect("opens");
        let mut slots = vec![null.as_fd(); 13];
        (slots[0], slots[10], slots[11]) = (root.as_fd(), program.as_fd(), kept.as_fd());
        start.run_with(&slots).text().to_owned()
    };
    let text = start(true);
    assert!(text.contains("Read-only file system"), "{text}");
    assert!(text.ends_with("0\n1\n2\n3\n4\n5\nkept\n"), "5 is the listing's own: {text}");
    assert!(start(false).contains("Text file busy"), "control");
}

#[test]
fn it_leads_a_session_of_its_own() {
    // Fields 4 to 6 of stat: parent, process group, session; as numbers of the member's own namespace.
    let text =
        Start::script("busybox cut -d' ' -f1,5,6 /proc/self/stat; busybox cut -d' ' -f5,6 /proc/1/stat").run().output;
    assert!(text.ends_with("\n1 1\n"), "{text}");
}
