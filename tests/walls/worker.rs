//! A Wasm member as the host sees it: what would hold it if its guest had broken out of WebAssembly.

use dwell_tests::node::{Node, wait_until};

use crate::manifest::{Manifest, native, wasm};
use crate::member::{Member, field};
use crate::probe::host_script;

fn spinning(node: &Node, more: &[&str]) -> Member {
    let pod = Manifest::new("guest")
        .spec("volumes: [{name: v, emptyDir: {}}]")
        .with(wasm("main", "spin.wasm", &[], more))
        .with(native(node, "native", "exec sleep 600", &[]));
    node.start(&pod.text());
    let member = Member::of(node, "guest", "main", "dwell-worker");
    assert!(wait_until(|| member.status("Seccomp") == "2"), "the worker raised no filter");
    member
}

#[test]
fn its_process_holds_no_right_at_all() {
    let node = Node::new();
    let guest = spinning(&node, &[]);
    for key in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(guest.status(key), "0000000000000000", "{key}");
    }
    assert_eq!((guest.status("NoNewPrivs").as_str(), guest.status("Seccomp").as_str()), ("1", "2"));
    for task in std::fs::read_dir(guest.path("task")).expect("it lives").flatten() {
        let status = std::fs::read_to_string(task.path().join("status")).expect("reads");
        assert_eq!((field(&status, "Seccomp"), field(&status, "CapEff")), ("2".to_owned(), "0".repeat(16)));
    }
    let sibling = Member::of(&node, "guest", "native", "sleep");
    assert_ne!(sibling.status("CapEff"), "0000000000000000", "control: a native member has some");
    let own = std::fs::read_to_string("/proc/self/status").expect("reads");
    assert_eq!(field(&own, "Seccomp"), "0", "control: who tests has no filter");
}

#[test]
fn it_runs_as_the_user_that_was_asked_for() {
    let node = Node::new();
    let guest = spinning(&node, &["securityContext: {runAsUser: 1234, runAsGroup: 2345}"]);
    assert_eq!(guest.status("Uid"), "1234\t1234\t1234\t1234");
    assert_eq!((guest.status("Gid"), guest.status("Groups")), ("2345\t2345\t2345\t2345".to_owned(), "2345".to_owned()));
    let sibling = Member::of(&node, "guest", "native", "sleep");
    assert_eq!(sibling.status("Uid"), "0\t0\t0\t0", "control: nobody asked for it");
}

#[test]
fn its_root_is_empty_sealed_and_never_executable() {
    let node = Node::new();
    let mounts = "volumeMounts: [{name: v, mountPath: /data}, {name: v, mountPath: /fixed, readOnly: true}]";
    let guest = spinning(&node, &[mounts]);
    let info = guest.proc("mountinfo");
    let mut mounts: Vec<(String, Vec<String>)> = info
        .lines()
        .map(|line| line.split(' ').collect::<Vec<_>>())
        .map(|fields| (fields[4].to_owned(), fields[5].split(',').map(str::to_owned).collect()))
        .collect();
    mounts.sort();
    let points: Vec<&str> = mounts.iter().map(|(point, _)| point.as_str()).collect();
    assert_eq!(points, ["/", "/0", "/1", "/2/termination-log", "/module"], "{info}");
    for (point, options) in &mounts {
        let has = |option: &str| options.iter().any(|one| one == option);
        assert_eq!(has("ro"), !["/0", "/2/termination-log"].contains(&point.as_str()), "{point} {options:?}");
        assert!(point == "/module" || has("noexec"), "{point} {options:?}");
        assert!(point == "/module" || (has("nosuid") && has("nodev")), "{point} {options:?}");
    }
    let entries = std::fs::read_dir(guest.path("root")).expect("the host's root may look");
    let mut names: Vec<_> = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    assert_eq!(names, ["0", "1", "2", "module"]);
    let sibling = Member::of(&node, "guest", "native", "sleep");
    assert!(sibling.proc("mountinfo").lines().count() > 10, "control: a native member has more");
    assert!(sibling.path("root/bin/busybox").exists(), "control");
}

#[test]
fn it_has_its_own_bounded_group_and_opens_no_device() {
    let node = Node::new();
    let guest = spinning(&node, &["resources: {limits: {memory: 64Mi, cpu: 500m}}"]);
    let sibling = Member::of(&node, "guest", "native", "sleep");
    let read = |member: &Member, controller: &str, v1: &str, v2: &str| {
        let group = member.cgroup(controller);
        let text = std::fs::read_to_string(group.join(v1)).or_else(|_| std::fs::read_to_string(group.join(v2)));
        text.unwrap_or_default().trim().to_owned()
    };
    assert_eq!(read(&guest, "memory", "memory.limit_in_bytes", "memory.max"), "67108864");
    assert_ne!(read(&sibling, "memory", "memory.limit_in_bytes", "memory.max"), "67108864", "control");
    assert_ne!(guest.cgroup("memory"), sibling.cgroup("memory"));
    if guest.cgroup("devices").join("devices.list").exists() {
        assert_eq!(read(&guest, "devices", "devices.list", ""), "");
        assert!(!read(&sibling, "devices", "devices.list", "").is_empty(), "control: a native member opens some");
    }
}

#[test]
fn nothing_of_the_nodes_environment_is_in_it() {
    let node = Node::new();
    let guest = spinning(&node, &["env: [{name: GIVEN, value: '7659'}]"]);
    assert_eq!(guest.proc("environ"), "", "what the guest sees travels in the plan, not in the process");
    assert_eq!(guest.proc("cmdline").trim_end_matches('\0'), "dwell-worker");
    let sibling = Member::of(&node, "guest", "native", "sleep");
    assert!(sibling.proc("environ").contains("HOSTNAME=guest"), "control");
    assert!(!host_script("env").is_empty(), "control: who tests has an environment");
}
