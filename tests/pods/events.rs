//! What happened to Pods (`dwell events`): one event of each rule, also after the node was replaced.

use dwell_tests::node::{Node, wait_until};
use serde_json::{Value, json};

use crate::{before_containers, native, shell};

/// `REASON MESSAGE` of every event of a Pod, the oldest first.
fn told(node: &Node, pod: &str) -> Vec<String> {
    let events: Value = serde_json::from_str(&node.dwell(&["events", pod, "-o", "json"]).ok()).expect("a list");
    let text = |event: &Value, key: &str| event[key].as_str().unwrap_or_default().to_owned();
    let all = events.as_array().into_iter().flatten();
    all.map(|event| format!("{} {}", text(event, "reason"), text(event, "message"))).collect()
}

fn wait_for(node: &Node, pod: &str, words: &str) {
    let is_told = || told(node, pod).iter().any(|event| event.contains(words));
    assert!(wait_until(is_told), "{words:?} is not among {:#?}", told(node, pod));
}

#[test]
fn a_plain_life_is_told_in_order_and_a_new_node_tells_on() {
    let node = Node::new();
    node.start(&shell(&node, "plain", "Always", "exec sleep 600").replace("Seconds: 5", "Seconds: 0"));
    node.wait_for_phase("plain", "Running");
    let life = told(&node, "plain");
    let words: Vec<&str> = life.iter().map(|event| event.split(' ').next().unwrap_or_default()).collect();
    assert_eq!(words, ["Scheduled", "Created", "Started"], "{life:#?}");
    assert!(life[0].starts_with("Scheduled Successfully assigned default/plain to "));
    assert_eq!(life[2], "Started Started container main");
    assert!(node.kill_node(), "there is a node");
    assert_eq!(told(&node, "plain"), life);
    node.dwell(&["kill", "plain"]).ok();
    node.wait_for("plain", "its first restart, at once", |pod| {
        let status = &pod["status"]["containerStatuses"][0];
        status["restartCount"] == 1 && status["state"]["running"].is_object()
    });
    node.dwell(&["kill", "plain"]).ok();
    wait_for(&node, "plain", "Back-off restarting failed container main in pod plain_default(");
    let root = format!("rootfs:{}", dwell_tests::rootfs::busybox(&node.files()).display());
    node.dwell(&["debug", "plain", "-q", "-c", "d", "--image", &root, "--", "true"]).ok();
    wait_for(&node, "plain", "Started container d");
    node.dwell(&["stop", "plain"]).ok();
    let table = node.dwell(&["events", "plain"]).ok();
    let first = table.lines().next().unwrap_or_default();
    assert_eq!(first.split_whitespace().collect::<Vec<_>>(), ["LAST", "SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"]);
    assert!(table.contains("pod/plain") && table.contains("Warning"), "{table}");
    let none = node.dwell(&["events", "plian"]);
    assert!(none.code == 125 && none.err.contains("did you mean plain?"), "{none:#?}");
}

#[test]
fn what_goes_wrong_is_told() {
    let node = Node::new();
    let probe = json!({"exec": {"command": ["false"]}, "periodSeconds": 1, "failureThreshold": 1});
    let probed = format!("    livenessProbe: {probe}\n    readinessProbe: {probe}\n");
    let life = json!({"postStart": {"exec": {"command": ["sh", "-c", "exit 7"]}}});
    let stops = json!({"preStop": {"exec": {"command": ["sh", "-c", "exit 8"]}}});
    let pod = |name: &str, spec: &str, container: &str| {
        let head =
            format!("apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  restartPolicy: OnFailure\n");
        node.start(&before_containers(
            &format!("{head}  terminationGracePeriodSeconds: 2\n  containers:\n{container}"),
            spec,
        ));
    };
    pod("probed", "", &native(&node, "main", "exec sleep 600", &probed));
    pod("hooked", "", &native(&node, "main", "exec sleep 600", &format!("    lifecycle: {life}\n")));
    pod("stops", "", &native(&node, "main", "exec sleep 600", &format!("    lifecycle: {stops}\n")));
    pod("late", "  activeDeadlineSeconds: 1\n", &native(&node, "main", "exec sleep 600", ""));
    let lost = "  - {name: main, image: 'rootfs:/no/such/folder', command: ['true']}\n";
    pod("lost", "", lost);
    node.wait_for_phase("stops", "Running");
    node.dwell(&["stop", "stops"]).ok();
    for (pod, words) in [
        ("probed", "Unhealthy Liveness probe failed: exit status 1"),
        ("probed", "Unhealthy Readiness probe failed: exit status 1"),
        ("probed", "Killing Container main failed liveness probe"),
        ("hooked", "FailedPostStartHook PostStartHook failed: exit status 7"),
        ("stops", "FailedPreStopHook PreStopHook failed: exit status 8"),
        ("stops", "Killing Stopping container main"),
        ("late", "DeadlineExceeded Pod was active on the node longer than the specified deadline"),
        ("lost", "Failed Error: open the image /no/such/folder"),
    ] {
        wait_for(&node, pod, words);
    }
}
