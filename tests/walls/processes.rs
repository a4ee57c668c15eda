//! Other processes: unseen, and what is seen of the keeper leads nowhere.

use dwell_tests::node::{Node, kill};
use serde_json::Value;

use crate::manifest::{Manifest, native, shell};
use crate::member::Member;
use crate::probe::host_script;

/// Command lines of all that is seen, one a line.
const COMMANDS: &str = "for each in /proc/[0-9]*/cmdline; do tr '\\0' ' ' < $each 2>/dev/null; echo; done";

fn pair(node: &Node, name: &str, script: &str, shared: bool) -> String {
    Manifest::new(name)
        .spec(&format!("shareProcessNamespace: {shared}"))
        .with(native(node, "main", script, &[]))
        .with(native(node, "other", "exec sleep 7654", &[]))
        .text()
}

#[test]
fn a_member_sees_and_signals_only_its_own_processes() {
    let node = Node::new();
    // It gives the other time to start.
    let script = format!("sleep 1; {COMMANDS}; ls /proc | grep -c '^[0-9]'; kill -TERM -1");
    let run = |name: &str, shared: bool| {
        node.start(&pair(&node, name, &script, shared));
        let state = |pod: &Value, container: &str| {
            let all = pod["status"]["containerStatuses"].as_array().cloned().unwrap_or_default();
            all.into_iter().find(|one| one["name"] == container).map_or(Value::Null, |one| one["state"].clone())
        };
        let pod = node.wait_for(name, "its end", |pod| {
            let ended = |container: &str| state(pod, container)["terminated"].is_object();
            ended("main") && (!shared || ended("other"))
        });
        (node.dwell(&["logs", "-c", "main", name]).ok(), state(&pod, "other")["running"].is_object())
    };
    let (seen, alive) = run("apart", false);
    assert!(!seen.contains("sleep 7654") && !seen.contains("pause default"), "{seen}");
    let count: u32 = seen.lines().last().expect("a count").parse().expect("a number");
    assert!(count <= 4, "{seen}");
    assert!(alive, "kill -1 reached the other member");
    let (seen, alive) = run("together", true);
    assert!(seen.contains("sleep 7654") && seen.contains("pause default/together") && !alive, "control: {seen}");
}

#[test]
fn sharing_processes_shares_them_with_no_other_pod_and_not_with_the_host() {
    let node = Node::new();
    node.start(&shell(&node, "neighbour", "exec sleep 7655"));
    Member::of(&node, "neighbour", "main", "sleep");
    node.start(&pair(&node, "together", &format!("{COMMANDS}; echo over; exec sleep 7656"), true));
    Member::of(&node, "together", "main", "sleep");
    let seen = node.printed("together", "main", "over\n");
    assert!(seen.contains("pause default/together") && !seen.contains("sleep 7655"), "{seen}");
    let host = host_script(COMMANDS);
    assert!(host.contains("sleep 7655") && host.contains("sleep 7656"), "control: {host}");
}

#[test]
fn the_keeper_shows_a_member_nothing_and_takes_no_signal_from_it() {
    let node = Node::new();
    let script = "ls /proc/1/root/ /proc/1/cwd/; cat /proc/1/fd/3 /proc/1/environ /proc/1/maps; readlink /proc/1/fd/3; \
        echo x > /proc/1/mem; head -c 1 /proc/1/exe > /dev/null; \
        kill -9 1; kill -TERM 1; kill -STOP 1; echo the end";
    node.start(&pair(&node, "together", &format!("({script}) 2>&1; exec sleep 7657"), true));
    Member::of(&node, "together", "main", "sleep");
    let said = node.printed("together", "main", "the end\n");
    // Root, working directory, a descriptor, environment, maps, memory, executable.
    assert_eq!(said.matches("ermission denied").count(), 7, "{said}");
    assert_eq!(said.lines().count(), 8, "{said}");
    let pause = Member::pause(&node, "together");
    assert!(pause.status("State").starts_with('S'), "it was stopped or worse");
    let root = std::fs::read_dir(pause.path("root")).expect("control: the host's root may look");
    assert_eq!(root.count(), 0, "and sees that there is nothing");
    kill(pause.pid, libc::SIGKILL);
    node.wait_for_phase("together", "Failed");
}

#[test]
fn proc_1_root_is_the_members_own_root() {
    let node = Node::new();
    let marker = node.file("marker", "of the host");
    let script = format!("ls -d /proc/1/root{0} /proc/1/cwd{0} 2>&1; ls /proc/1/root/bin/busybox", marker.display());
    let said = node.run(&shell(&node, "own", &script)).ok();
    assert_eq!(said.matches("No such file").count(), 2, "{said}");
    assert!(said.ends_with("/proc/1/root/bin/busybox\n"), "{said}");
    let host = host_script(&format!("ls -d /proc/$$/root{}", marker.display()));
    assert!(!host.contains("No such file"), "control: {host}");
}

#[test]
fn the_environment_of_whoever_started_it_does_not_come_along() {
    let node = Node::new();
    let path = node.file("pod.yaml", &shell(&node, "clean", "tr '\\0' '\\n' < /proc/1/environ; env"));
    let mut command = node.command(&["run", path.to_str().expect("a path")]);
    let output = command.env("WALLS_SECRET", "7658").output().expect("dwell runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("HOSTNAME=clean") && !said.contains("7658"), "{said}");
    let node_environment = std::fs::read(format!("/proc/{}/environ", node.node_pid().expect("a node"))).expect("reads");
    assert!(String::from_utf8_lossy(&node_environment).contains("7658"), "control: the node was started with it");
}
