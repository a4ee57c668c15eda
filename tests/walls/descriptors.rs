//! Open descriptors, and the executables that members are started from.

use std::fs::File;
use std::path::Path;
use std::process::Command;

use dwell_tests::node::Node;
use rustix::fs::{SealFlags, StatVfsMountFlags, fcntl_get_seals, fstatvfs};

use crate::manifest::{Manifest, native, shell, wasm};
use crate::member::Member;
use crate::probe::{self, host_script};

#[test]
fn a_native_member_holds_its_three_streams_and_nothing_else() {
    let node = Node::new();
    let path = node.file("pod.yaml", &shell(&node, "few", "ls /proc/self/fd; exec sleep 600"));
    let dwell = node.command(&["run", "-d", path.to_str().expect("a path")]);
    // Whoever starts the node may have forgotten to close something, the host's root say (CVE-2024-21626).
    let leaky = |program: &Command| {
        let mut shell = Command::new("sh");
        shell.args(["-c", "exec 9</ 8</etc/passwd; exec \"$@\"", "sh"]).arg(program.get_program());
        shell.args(program.get_args()).output().expect("runs")
    };
    assert!(leaky(&dwell).status.success());
    let member = Member::of(&node, "few", "main", "sleep");
    assert_eq!(node.printed("few", "main", "3\n"), "0\n1\n2\n3\n", "3 is the listing's own");
    let numbers: Vec<i32> = member.descriptors().into_iter().map(|(number, _)| number).collect();
    assert_eq!(numbers, [0, 1, 2]);
    let beside = node.dwell(&["exec", "few", "--", "ls", "/proc/self/fd"]).ok();
    assert_eq!(beside, "0\n1\n2\n3\n");
    let mut listing = Command::new("ls");
    listing.arg("/proc/self/fd");
    let control = String::from_utf8_lossy(&leaky(&listing).stdout).into_owned();
    assert!(control.contains('8') && control.contains('9'), "control: {control}");
}

#[test]
fn a_wasm_member_holds_its_streams_its_grants_and_no_path_of_the_host() {
    let node = Node::new();
    let mounts = "volumeMounts: [{name: v, mountPath: /data}, {name: v, mountPath: /again, readOnly: true}]";
    let pod =
        Manifest::new("few").spec("volumes: [{name: v, emptyDir: {}}]").with(wasm("main", "spin.wasm", &[], &[mounts]));
    node.start(&pod.text());
    let member = Member::of(&node, "few", "main", "dwell-worker");
    walled(&member);
    let known = ["pipe:", "socket:", "anon_inode:", "/module", "/0", "/1", "/2", "/dev/null", "/null"];
    let links = member.descriptors();
    let unknown: Vec<_> = links.iter().filter(|(_, link)| !known.iter().any(|known| link.starts_with(known))).collect();
    // The report is a file of the node's that the worker writes its last words into; the Pod's hosts it reads. Neither can be
    // named from here.
    let unknown: Vec<_> =
        unknown.iter().filter(|(_, link)| !["report", "/hosts"].iter().any(|known| link.ends_with(known))).collect();
    assert!(unknown.is_empty(), "{links:?}");
    // The third holds the file for its last words, and nothing else.
    let grants: Vec<_> = links.iter().filter(|(_, link)| ["/0", "/1", "/2"].contains(&link.as_str())).collect();
    assert_eq!(grants.len(), 3, "control: the grants are seen: {links:?}");
}

/// Until the worker's last wall stands.
fn walled(member: &Member) {
    assert!(dwell_tests::node::wait_until(|| member.status("Seccomp") == "2"), "the worker raised no filter");
}

#[test]
fn the_executables_of_dwell_cannot_be_written_through_a_member() {
    let node = Node::new();
    let pod = Manifest::new("both").spec("shareProcessNamespace: true");
    let pod = pod.with(wasm("guest", "spin.wasm", &[], &[])).with(native(&node, "main", "exec sleep 600", &[]));
    node.start(&pod.text());
    let program = probe::install(&node);
    let worker = Member::of(&node, "both", "guest", "dwell-worker");
    walled(&worker);
    let pause = Member::pause(&node, "both");
    let held = |path: &Path| {
        let exe = File::open(path).expect("the host's root may read it");
        let sealed = fcntl_get_seals(&exe).is_ok_and(|seals| seals.contains(SealFlags::WRITE));
        sealed || fstatvfs(&exe).expect("a mount").f_flag.contains(StatVfsMountFlags::RDONLY)
    };
    // Busy now, it could be written once nothing runs it, were it not sealed or on a read-only mount.
    for process in [&worker, &pause] {
        assert!(held(&process.path("exe")), "{}", process.path("exe").display());
        let said = host_script(&format!("{} append {}", program.display(), process.path("exe").display()));
        assert!(said.contains("errno"), "{said}");
    }
    assert!(!held(&dwell_tests::node::binary()), "control: the same file by its own path is neither");
    let seen =
        node.dwell(&["exec", "-c", "main", "both", "--", "sh", "-c", "head -c 1 /proc/[0-9]*/exe | wc -c; true"]);
    assert!(seen.err.contains("Permission denied"), "the worker's and pause's are not even read: {seen:#?}");
    let own = node.dwell(&["exec", "-c", "main", "both", "--", "sh", "-c", "head -c 1 /proc/$$/exe | wc -c"]);
    assert_eq!(own.ok(), "1\n", "control: its own it reads");
}

/// CVE-2019-5736: what a program is executed from is kept open and written to once it has ended.
#[test]
fn what_init_was_executed_from_cannot_be_overwritten() {
    let node = Node::new();
    let root = dwell_tests::rootfs::busybox(&node.files());
    let trap = root.join("bin/trap");
    std::fs::write(&trap, "#!/proc/self/exe\n").expect("writes");
    host_script(&format!("chmod 755 {}", trap.display()));
    let binary = dwell_tests::node::binary();
    let identity = || host_script(&format!("stat -c '%s %Y %i' {}; cksum < {0}", binary.display()));
    let before = identity();
    // Whatever turns up that is not busybox is kept open and, when it has ended, opened again for writing. In a shell
    // of its own, since one whose `exec` finds nothing to open ends.
    let hunt = "while [ ! -e /tmp/stop ]; do for each in /proc/[0-9]*; do case $(readlink $each/exe) in \
        /bin/busybox|'') ;; *) (exec 9<$each/exe && echo caught && sleep 0.3 && (echo x > /proc/self/fd/9) 2>&1);; \
        esac; done; done 2>/dev/null; echo done; exec sleep 600";
    node.start(&shell(&node, "hunter", hunt));
    Member::of(&node, "hunter", "main", "sh");
    // It is a matter of moments, so as often as it takes to be caught.
    for _ in 0..300 {
        let said = node.dwell(&["exec", "hunter", "--", "/bin/trap"]);
        assert_ne!(said.code, 0, "{said:#?}");
        if node.dwell(&["logs", "hunter"]).out.contains("caught") {
            break;
        }
    }
    node.dwell(&["exec", "hunter", "--", "touch", "/tmp/stop"]).ok();
    Member::of(&node, "hunter", "main", "sleep");
    let said = node.printed("hunter", "main", "done\n");
    assert_eq!(identity(), before, "the executable changed: {said}");
    assert_eq!(node.dwell(&["exec", "hunter", "--", "echo", "well"]).ok(), "well\n", "and the next start works");
    let caught = said.matches("caught").count();
    let refused = ["Permission denied", "not permitted", "busy", "Read-only"];
    let refused: usize = refused.iter().map(|word| said.matches(word).count()).sum();
    assert_eq!(caught, refused, "{said}");
    assert!(caught > 0, "control: it can be held open, and only writing is refused");
}
