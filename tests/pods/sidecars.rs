//! Sidecars: init containers with `restartPolicy: Always`, of both kinds, in their turn and to their end.

use dwell_tests::node::{Node, wait_until};

use crate::{before_containers, guest, shell};

/// A Pod of one shell with these init containers, and a volume `v` that all have at `/v`.
fn pod(node: &Node, name: &str, policy: &str, script: &str, inits: &[String]) -> String {
    let head = format!("  volumes: [{{name: v, emptyDir: {{}}}}]\n  initContainers:\n{}", inits.concat());
    before_containers(&shell(node, name, policy, script), &head) + MOUNT
}

const MOUNT: &str = "    volumeMounts: [{name: v, mountPath: /v}]\n";
const SIDECAR: &str = "    restartPolicy: Always\n";

fn native(node: &Node, name: &str, script: &str, more: &str) -> String {
    crate::native(node, name, script, &format!("{more}{MOUNT}"))
}

#[test]
fn a_sidecar_has_its_turn_and_ends_after_the_members_without_failing_the_pod() {
    let node = Node::new();
    let log = "trap 'cat /v/lines; echo last; exit 3' TERM; echo up > /v/up; while :; do sleep 0.02; done";
    let inits = [native(&node, "collector", log, SIDECAR), native(&node, "prepare", "cat /v/up > /v/first", "")];
    let script = "cat /v/first; echo from the member > /v/lines; sleep 0.2; echo again >> /v/lines";
    let said = node.run(&pod(&node, "logs", "Never", script, &inits));
    assert_eq!((said.code, said.err.as_str()), (0, ""), "{said:#?}");
    assert!(said.out.contains("main      | up") || said.out.contains("up\n"), "{said:#?}");
    let collected = node.dwell(&["logs", "logs", "-c", "collector"]).ok();
    assert!(collected.starts_with("from the member\n") && collected.ends_with("again\nlast\n"), "{collected}");
    let status = &node.pod("logs")["status"];
    assert_eq!(status["phase"], "Succeeded", "{status:#}");
    assert_eq!(status["initContainerStatuses"][0]["state"]["terminated"]["exitCode"], 3, "{status:#}");
}

#[test]
fn a_wasm_sidecar_counts_as_ready_and_is_started_again_whatever_the_policy() {
    let node = Node::new();
    let sleeps = |name: &str, seconds: &str| guest(name, "sleep.wasm", &format!("['{seconds}']"), SIDECAR);
    let inits = [sleeps("stays", "600"), sleeps("ends", "1")];
    node.start(&pod(&node, "beside", "Never", "exec sleep 600", &inits));
    let status = || node.pod("beside")["status"].clone();
    let restarts = || status()["initContainerStatuses"][1]["restartCount"].as_u64().unwrap_or(0);
    assert!(wait_until(|| restarts() > 0), "{:#}", status());
    assert_eq!(status()["phase"], "Running");
    assert_eq!(status()["initContainerStatuses"][0]["ready"], true, "{:#}", status());
    assert!(wait_until(|| node.dwell(&["ps"]).out.contains("/3")), "{}", node.dwell(&["ps"]).out);
    let initialized = status()["conditions"]
        .as_array()
        .unwrap()
        .iter()
        .any(|condition| condition["type"] == "Initialized" && condition["status"] == "True");
    assert!(initialized, "a sidecar that is started again sets no Pod back: {:#}", status());
    node.dwell(&["stop", "-t", "1", "beside"]).ok();
    assert_eq!(node.pod("beside")["status"]["phase"], "Failed");
}

#[test]
fn sidecars_stop_last_and_the_last_one_first() {
    let node = Node::new();
    let told = |name: &str| {
        format!("trap 'echo {name} >> /v/order; exit 0' TERM; touch /v/{name}; while :; do sleep 0.02; done")
    };
    let inits = [native(&node, "one", &told("one"), SIDECAR), native(&node, "two", &told("two"), SIDECAR)];
    let script = "trap 'sleep 0.3; echo main >> /v/order; exit 0' TERM; touch /v/main; while :; do sleep 0.02; done";
    let keeper = native(&node, "zero", "trap 'cat /v/order; exit 0' TERM; while :; do sleep 0.02; done", SIDECAR);
    let inits = [vec![keeper], inits.to_vec()].concat();
    node.start(&pod(&node, "order", "Always", script, &inits));
    node.wait_for_phase("order", "Running");
    let up = || node.dwell(&["exec", "order", "-c", "main", "--", "ls", "/v"]).out;
    assert!(wait_until(|| ["main", "one", "two"].iter().all(|name| up().contains(name))), "{}", up());
    node.dwell(&["stop", "order"]).ok();
    assert!(wait_until(|| !node.dwell(&["logs", "order", "-c", "zero"]).out.is_empty()));
    assert_eq!(node.dwell(&["logs", "order", "-c", "zero"]).ok(), "main\ntwo\none\n");
}

#[test]
fn a_new_node_goes_on_with_sidecars_where_the_old_one_was() {
    let node = Node::new();
    let wait = "until [ -e /v/go ]; do sleep 0.02; done";
    let inits = [native(&node, "side", "touch /v/side; exec sleep 600", SIDECAR), native(&node, "waits", wait, "")];
    node.start(&pod(&node, "goes-on", "Never", "ls /v", &inits));
    assert!(wait_until(|| node.pod("goes-on")["status"]["initContainerStatuses"][1]["state"]["running"].is_object()));
    node.kill_node();
    node.dwell(&["exec", "goes-on", "-c", "side", "--", "touch", "/v/go"]).ok();
    node.wait_for_phase("goes-on", "Succeeded");
    assert_eq!(node.dwell(&["logs", "goes-on", "-c", "main"]).ok(), "go\nside\n");
    assert_eq!(node.pod("goes-on")["status"]["initContainerStatuses"][0]["restartCount"], 0);
}

#[test]
fn a_member_may_have_a_policy_of_its_own() {
    let node = Node::new();
    let script = "test -e /v/there || { touch /v/there; exit 4; }; echo second";
    let manifest = pod(&node, "own", "Never", script, &[native(&node, "first", "true", "")]);
    let said = node.run(&(manifest + "    restartPolicy: OnFailure\n"));
    assert!(said.code == 0 && said.out.contains("second"), "{said:#?}");
    let wrong =
        pod(&node, "wrong", "Never", "true", &[native(&node, "first", "true", "    restartPolicy: Sometimes\n")]);
    let said = node.run(&wrong);
    assert!(said.code == 125 && said.err.contains("spec.initContainers[0].restartPolicy"), "{said:#?}");
}
