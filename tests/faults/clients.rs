//! The client that shows a Pod's output: killed, interrupted once, interrupted twice.

use std::process::{Child, Stdio};
use std::time::Instant;

use dwell_tests::node::{Node, Said, kill, wait_until};

use crate::{pod, shell_container};

/// Runs the Pod in the foreground and waits for its first line.
fn foreground(node: &Node, name: &str, grace_seconds: u32, script: &str) -> Child {
    let path = node
        .file(&format!("{name}.yaml"), &pod(name, "Never", grace_seconds, &[shell_container(node, "main", script)]));
    let mut command = node.command(&["run", path.to_str().unwrap()]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("start dwell");
    assert!(wait_until(|| node.dwell(&["logs", name]).out.contains("up")), "{name} did not come up");
    child
}

fn end_of(child: Child) -> Said {
    child.wait_with_output().expect("read what dwell says").into()
}

#[test]
fn a_killed_client_ends_nothing() {
    let node = Node::new();
    let mut client =
        foreground(&node, "goes-on", 5, "trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.05; done");
    client.kill().unwrap();
    client.wait().unwrap();
    node.wait_for_phase("goes-on", "Running");
    node.dwell(&["stop", "goes-on"]).ok();
    assert_eq!(node.dwell(&["logs", "goes-on"]).ok(), "up\nbye\n");
}

#[test]
fn one_interrupt_stops_in_order() {
    let node = Node::new();
    let client = foreground(&node, "polite", 60, "trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.05; done");
    kill(client.id() as i32, libc::SIGINT);
    let said = end_of(client);
    assert_eq!((said.code, said.out.as_str()), (0, "up\nbye\n"), "{said:#?}");
    assert!(said.err.contains("stopping"), "{said:#?}");
    assert_eq!(node.pod("polite")["status"]["phase"], "Succeeded");
}

#[test]
fn a_second_interrupt_kills_at_once() {
    let node = Node::new();
    let client = foreground(&node, "deaf", 600, "trap '' TERM; echo up; while :; do sleep 0.05; done");
    let (pid, began) = (client.id() as i32, Instant::now());
    kill(pid, libc::SIGINT);
    // Only once the first was understood does another one mean more.
    assert!(wait_until(
        || node.pod("deaf")["metadata"]["deletionTimestamp"].is_null() && began.elapsed().as_millis() > 300
    ));
    kill(pid, libc::SIGINT);
    let said = end_of(client);
    assert_eq!(said.code, 137, "{said:#?}");
    assert!(said.err.contains("killing"), "{said:#?}");
}
