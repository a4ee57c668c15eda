//! What the process may do: capabilities, no_new_privs, the filter, keyrings.

use dwell_tests::node::Node;

use crate::manifest::{Manifest, native, shell};
use crate::member::{Member, field};
use crate::probe::{self, host, host_script};

/// containerd's fourteen, by their numbers in capabilities(7): CHOWN, DAC_OVERRIDE, FOWNER, FSETID, KILL, SETGID,
/// SETUID, SETPCAP, NET_BIND_SERVICE, NET_RAW, SYS_CHROOT, MKNOD, AUDIT_WRITE, SETFCAP.
const FOURTEEN: [u32; 14] = [0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 27, 29, 31];

const STATUS: &str = "cat /proc/self/status";

fn set(status: &str, key: &str) -> u64 {
    u64::from_str_radix(&field(status, key), 16).expect("a mask")
}

#[test]
fn capabilities_are_exactly_the_fourteen_and_none_is_inherited() {
    let node = Node::new();
    let fourteen = FOURTEEN.iter().fold(0, |mask, number| mask | 1 << number);
    let status = node.run(&shell(&node, "root", STATUS)).ok();
    for (key, wanted) in
        [("CapPrm", fourteen), ("CapEff", fourteen), ("CapBnd", fourteen), ("CapInh", 0), ("CapAmb", 0)]
    {
        assert_eq!(set(&status, key), wanted, "{key}");
    }
    let user = native(&node, "main", STATUS, &["securityContext: {runAsUser: 1000}"]);
    let status = node.run(&Manifest::new("user").with(user).text()).ok();
    for key in ["CapPrm", "CapEff", "CapInh", "CapAmb"] {
        assert_eq!(set(&status, key), 0, "{key} of a user");
    }
    assert_eq!(field(&status, "Uid"), "1000\t1000\t1000\t1000");
    let host = host_script(STATUS);
    assert!(set(&host, "CapEff") & !fourteen != 0, "control: who tests has more");
}

#[test]
fn an_exec_has_no_more_than_the_member() {
    let node = Node::new();
    let marker = "CapInh CapPrm CapEff CapBnd CapAmb NoNewPrivs Seccomp Uid Gid";
    let script = format!("{STATUS}; exec sleep 600");
    let user = native(&node, "main", &script, &["securityContext: {runAsUser: 1000, runAsGroup: 1000}"]);
    node.start(&Manifest::new("user").with(user).text());
    let member = Member::of(&node, "user", "main", "sleep");
    let beside = node.dwell(&["exec", "user", "--", "cat", "/proc/self/status"]).ok();
    for key in marker.split(' ') {
        assert_eq!(field(&beside, key), member.status(key), "{key}");
    }
    let entered = member.inside(STATUS);
    assert_ne!(field(&entered, "CapEff"), member.status("CapEff"), "control: entering is not what takes them away");
}

#[test]
fn a_setuid_program_makes_nobody_root() {
    let node = Node::new();
    let program = probe::install(&node);
    let chmod = host(&["chmod", "4755", program.to_str().expect("a path")]);
    assert_eq!(chmod, "");
    let user = native(
        &node,
        "main",
        "grep NoNewPrivs /proc/self/status; probe euid; exec sleep 600",
        &["securityContext: {runAsUser: 1000}"],
    );
    node.start(&Manifest::new("user").with(user).text());
    let member = Member::of(&node, "user", "main", "sleep");
    assert_eq!(node.printed("user", "main", "euid 1000\n"), "NoNewPrivs:\t1\neuid 1000\n");
    let control = member.inside_as("probe euid", &["-S", "1000", "-G", "1000"]);
    assert_eq!(control, "euid 0\n", "control: without no_new_privs the bit works here");
}

#[test]
fn calls_that_are_not_for_members_are_refused() {
    let node = Node::new();
    let program = probe::install(&node);
    let script = "grep Seccomp: /proc/self/status; probe calls; probe families";
    let said = node.run(&shell(&node, "filtered", script)).ok();
    assert!(said.starts_with("Seccomp:\t2\n"), "{said}");
    let open = |said: &str| -> Vec<String> {
        let refused = |line: &&str| !line.contains("errno 1 ") && !line.contains("errno 38 ");
        said.lines().filter(|line| !line.starts_with("Seccomp")).filter(refused).map(str::to_owned).collect()
    };
    assert_eq!(open(&said), Vec::<String>::new());
    let program = program.to_str().expect("a path");
    let host = host(&[program, "calls"]) + &host(&[program, "families"]);
    assert_eq!(open(&host).len(), said.lines().count() - 1, "control: {host}");
}

#[test]
fn keys_of_the_starter_are_not_the_members() {
    let node = Node::new();
    let program = probe::install(&node);
    let program = program.to_str().expect("a path");
    let path = node.file(
        "pod.yaml",
        &shell(&node, "keyless", "probe find-key walls-7660; cat /proc/keys; echo over; exec sleep 600"),
    );
    // The node is started from a session that holds a key, and so is all that it starts.
    let dwell = node.command(&["run", "-d", path.to_str().expect("a path")]);
    let mut line = vec![program, "join-key", "walls-7660"];
    line.extend(std::iter::once(dwell.get_program()).chain(dwell.get_args()).map(|word| word.to_str().expect("text")));
    host(&line);
    let member = Member::of(&node, "keyless", "main", "sleep");
    let refused = "key: errno 1 Operation not permitted\n";
    assert_eq!(node.printed("keyless", "main", "over\n"), refused.to_owned() + "over\n");
    let control = host(&[program, "join-key", "walls-7660", program, "find-key", "walls-7660"]);
    assert_eq!(control, "key: ok\n", "control");
    let control = member.inside("cat /proc/keys; probe find-key walls-7660");
    assert!(control.starts_with("key: errno 126"), "control: masked for everybody, but the call is open: {control}");
}
