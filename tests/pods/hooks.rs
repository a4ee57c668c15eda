//! Lifecycle hooks: after the start, before the stop.

use std::time::Duration;

use dwell_tests::node::{Node, wait_until};

use crate::{shell, wasm};

fn pod(node: &Node, policy: &str, script: &str, lifecycle: &str) -> String {
    shell(node, "hooked", policy, script) + &format!("    lifecycle: {{{lifecycle}}}\n")
}

#[test]
fn a_container_runs_once_its_poststart_hook_is_through() {
    let node = Node::new();
    let hook = "postStart: {exec: {command: [sh, -c, 'while ! test -e /go; do sleep 0.1; done; touch /done']}}";
    node.start(&pod(&node, "Never", "touch /began; exec sleep 600", hook));
    let state = || node.pod("hooked")["status"]["containerStatuses"][0]["state"].clone();
    assert!(wait_until(|| node.dwell(&["exec", "hooked", "--", "test", "-e", "/began"]).code == 0), "the program runs");
    assert_eq!(state()["waiting"]["reason"], "ContainerCreating", "{:#}", state());
    assert_eq!(node.pod("hooked")["status"]["phase"], "Pending");
    node.dwell(&["exec", "hooked", "--", "touch", "/go"]).ok();
    assert!(wait_until(|| state()["running"].is_object()), "{:#}", state());
    node.dwell(&["exec", "hooked", "--", "test", "-e", "/done"]).ok();
}

#[test]
fn a_failed_poststart_hook_ends_its_container_and_says_why() {
    let node = Node::new();
    let hook = "postStart: {exec: {command: [sh, -c, 'echo no luck >&2; exit 4']}}";
    node.start(&pod(&node, "Never", "exec sleep 600", hook));
    let status = node.wait_for_phase("hooked", "Failed")["status"].clone();
    let end = &status["containerStatuses"][0]["state"]["terminated"];
    let message = end["message"].as_str().unwrap_or_default();
    assert!(message.starts_with("its postStart hook failed: exit status 4: no luck"), "{status:#}");
}

#[test]
fn a_prestop_hook_comes_before_the_signal() {
    let node = Node::new();
    let script = "trap 'cat /told; echo signalled; exit 0' TERM; while :; do sleep 0.05; done";
    let hook = "preStop: {exec: {command: [sh, -c, 'echo hook > /told; sleep 0.5; echo over >> /told']}}";
    node.start(&pod(&node, "Never", script, hook));
    node.wait_for_phase("hooked", "Running");
    node.dwell(&["stop", "hooked"]).ok();
    assert_eq!(node.dwell(&["logs", "hooked"]).ok(), "hook\nover\nsignalled\n");
}

/// The hook's time is the grace period's; whoever it leaves none still has two seconds.
#[test]
fn a_prestop_hook_that_takes_all_the_time_leaves_two_seconds() {
    let node = Node::new();
    let script = "trap 'sleep 0.5; echo ended well; exit 0' TERM; while :; do sleep 0.05; done";
    node.start(&pod(&node, "Never", script, "preStop: {exec: {command: [sleep, '600']}}"));
    node.wait_for_phase("hooked", "Running");
    node.dwell(&["stop", "-t", "1", "hooked"]).ok();
    assert_eq!(node.dwell(&["logs", "hooked"]).ok(), "ended well\n");
    let status = node.pod("hooked")["status"].clone();
    assert_eq!(status["containerStatuses"][0]["state"]["terminated"]["exitCode"], 0, "{status:#}");
}

/// A grace of 0 kills, and leaves no time for a hook.
#[test]
fn a_stop_without_grace_runs_no_hook() {
    let node = Node::new();
    let hook = "preStop: {exec: {command: [sh, -c, 'echo never > /proc/1/fd/1; sleep 600']}}";
    node.start(&pod(&node, "Never", "exec sleep 600", hook));
    node.wait_for_phase("hooked", "Running");
    let begun = std::time::Instant::now();
    node.dwell(&["stop", "-t", "0", "hooked"]).ok();
    assert!(begun.elapsed() < Duration::from_secs(60), "it did not wait for the hook");
    assert_eq!(node.dwell(&["logs", "hooked"]).ok(), "");
}

#[test]
fn a_hook_of_a_wasm_member_asks_its_own_server() {
    let node = Node::new();
    let life = "    readinessProbe: {httpGet: {path: /, port: 8080}, periodSeconds: 1}\n    \
                lifecycle: {preStop: {httpGet: {path: '/print?text=farewell', port: 8080}}}\n";
    node.start(&wasm::pod("web", "http.wasm", "[]", life));
    let ready = || node.pod("web")["status"]["containerStatuses"][0]["ready"] == true;
    assert!(wait_until(ready), "{:#}", node.pod("web")["status"]);
    assert!(!node.dwell(&["logs", "web"]).out.contains("farewell"), "control: nobody has asked for it");
    node.dwell(&["stop", "-t", "5", "web"]).ok();
    assert!(node.dwell(&["logs", "web"]).out.contains("farewell"), "the hook came before the end");
}
