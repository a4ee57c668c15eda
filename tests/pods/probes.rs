//! Probes of both kinds of member: what they ask, what their answers change, and when they are silent.

use std::time::Duration;

use dwell_tests::node::{Node, wait_until};
use serde_json::{Value, json};

use crate::{before_containers, shell, wasm};

const EACH_SECOND: &str = "periodSeconds: 1, failureThreshold: 1";
const VOLUME: &str = "  volumes: [{name: v, emptyDir: {}}]\n";
const MOUNT: &str = "    volumeMounts: [{name: v, mountPath: /v}]\n";

/// A Pod `probed` of one shell with a volume at `/v`, and these lines of it.
fn pod(node: &Node, policy: &str, script: &str, lines: &str) -> String {
    before_containers(&shell(node, "probed", policy, script), VOLUME) + MOUNT + lines
}

fn container(node: &Node, name: &str) -> Value {
    node.pod(name)["status"]["containerStatuses"][0].clone()
}

fn condition(node: &Node, name: &str, of: &str) -> Value {
    let conditions = node.pod(name)["status"]["conditions"].as_array().cloned().unwrap_or_default();
    conditions.into_iter().find(|condition| condition["type"] == of).map_or(Value::Null, |c| c["status"].clone())
}

fn in_member(node: &Node, script: &str) {
    node.dwell(&["exec", "probed", "--", "sh", "-c", script]).ok();
}

#[test]
fn a_readiness_probe_says_when_a_pod_takes_traffic_and_restarts_nothing() {
    let node = Node::new();
    let probe = format!("    readinessProbe: {{exec: {{command: [cat, /v/ready]}}, {EACH_SECOND}}}\n");
    node.start(&pod(&node, "Always", "exec sleep 600", &probe));
    let ready = || container(&node, "probed")["ready"] == true;
    assert!(wait_until(|| container(&node, "probed")["started"] == true));
    assert!(!ready(), "nobody has made the file");
    assert_eq!(condition(&node, "probed", "Ready"), "False");
    in_member(&node, "touch /v/ready");
    assert!(wait_until(ready));
    assert_eq!(condition(&node, "probed", "Ready"), "True");
    in_member(&node, "rm /v/ready");
    assert!(wait_until(|| !ready()));
    assert_eq!(container(&node, "probed")["restartCount"], 0);
    in_member(&node, "touch /v/ready");
    assert!(wait_until(ready));
    node.kill_node();
    node.dwell(&["ps"]).ok();
    assert!(ready(), "a new node goes on where the one before stopped");
}

/// `OnFailure`, and the program ends with 0 when it is told to: it is started again all the same.
#[test]
fn a_failed_liveness_probe_starts_a_member_again_whatever_its_status() {
    let node = Node::new();
    let script = "trap 'exit 0' TERM; touch /v/up; httpd -p 8080 -h /v; while :; do sleep 0.1; done";
    let ports = "    ports: [{name: web, containerPort: 8080}]\n";
    let probe = "    livenessProbe: {httpGet: {path: up, port: web}, periodSeconds: 1, timeoutSeconds: 5}\n";
    node.start(&pod(&node, "OnFailure", script, &format!("{ports}{probe}")));
    assert!(wait_until(|| container(&node, "probed")["ready"] == true));
    std::thread::sleep(Duration::from_millis(4500));
    let status = container(&node, "probed");
    assert_eq!(status["restartCount"], 0, "control: while it answers it lives: {status:#}");
    in_member(&node, "rm /v/up");
    assert!(wait_until(|| container(&node, "probed")["restartCount"] == 1), "{:#}", container(&node, "probed"));
    let status = container(&node, "probed");
    let last = &status["lastState"]["terminated"];
    assert_eq!(last["exitCode"], 0, "{status:#}");
    assert_eq!(
        last["message"], "its liveness probe failed 3 times: HTTP probe failed with statuscode: 404",
        "{status:#}"
    );
}

#[test]
fn a_startup_probe_holds_the_others_back_and_ends_a_pod_that_never_starts() {
    let node = Node::new();
    let startup =
        "    startupProbe: {exec: {command: [test, -e, /v/started]}, periodSeconds: 1, failureThreshold: 60}\n";
    let liveness = "    livenessProbe: {exec: {command: [touch, /v/asked]}, periodSeconds: 1}\n";
    node.start(&pod(&node, "Never", "exec sleep 600", &format!("{startup}{liveness}")));
    node.wait_for_phase("probed", "Running");
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!(container(&node, "probed")["started"], false);
    in_member(&node, "test ! -e /v/asked; touch /v/started");
    assert!(wait_until(|| container(&node, "probed")["started"] == true));
    assert!(wait_until(|| node.dwell(&["exec", "probed", "--", "test", "-e", "/v/asked"]).code == 0));

    let other = Node::new();
    let startup = "    startupProbe: {exec: {command: [sh, -c, 'echo not yet; exit 3']}, periodSeconds: 1, failureThreshold: 2, \
                   terminationGracePeriodSeconds: 1}\n";
    other.start(&pod(&other, "Never", "trap '' TERM; while :; do sleep 0.1; done", startup));
    let status = other.wait_for_phase("probed", "Failed")["status"].clone();
    let end = &status["containerStatuses"][0]["state"]["terminated"];
    let message = end["message"].as_str().unwrap_or_default();
    assert!(message.starts_with("its startup probe failed 2 times: exit status 3: not yet"), "{status:#}");
    assert_eq!(end["exitCode"], 137, "it ignored the signal, and its grace was over");
}

#[test]
fn a_slow_answer_is_a_bad_one_and_its_program_is_ended() {
    let node = Node::new();
    let probe = "    livenessProbe: {exec: {command: [sleep, '777']}, periodSeconds: 1, failureThreshold: 1}\n";
    node.start(&pod(&node, "Never", "exec sleep 600", probe));
    let status = node.wait_for_phase("probed", "Failed")["status"].clone();
    let end = &status["containerStatuses"][0]["state"]["terminated"];
    assert_eq!(end["message"], "its liveness probe failed: no answer within 1 s", "{status:#}");
}

#[test]
fn servers_of_both_kinds_are_asked_over_http_and_tcp() {
    let node = Node::new();
    let ready = |action: &str| format!("    readinessProbe: {{{action}, {EACH_SECOND}}}\n");
    let web = wasm::pod("web", "http.wasm", "[]", &ready("httpGet: {path: /, port: 8080}"));
    let open = ready("tcpSocket: {port: 7000}");
    let shut = ready("tcpSocket: {port: 7001}");
    let native = |name: &str| shell(&node, name, "Never", "exec httpd -f -p 7000 -h /bin");
    for pod in [web, native("open") + &open, native("shut") + &shut] {
        node.start(&pod);
    }
    for name in ["web", "open"] {
        assert!(wait_until(|| condition(&node, name, "Ready") == "True"), "{:#}", node.pod(name)["status"]);
    }
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!(condition(&node, "shut", "Ready"), "False", "control: nobody listens there");
    assert_eq!(container(&node, "shut")["started"], true);
}

#[test]
fn a_sidecar_is_waited_for_until_its_startup_probe_succeeds() {
    let node = Node::new();
    let probe = "    startupProbe: {exec: {command: [test, -e, /v/up]}, periodSeconds: 1}\n    restartPolicy: Always\n";
    let script = "sleep 1.5; touch /v/up; exec sleep 600";
    let sidecar = crate::native(&node, "proxy", script, &format!("{probe}{MOUNT}"));
    let main = shell(&node, "probed", "Never", "cat /v/up && echo it was up");
    let pod = before_containers(&main, &format!("{VOLUME}  initContainers:\n{sidecar}")) + MOUNT;
    let said = node.run(&pod);
    assert!(said.code == 0 && said.out.contains("it was up"), "{said:#?}");
}

#[test]
fn a_readiness_gate_is_opened_by_whoever_says_so_and_stays_so_through_a_new_node() {
    let node = Node::new();
    let pod = crate::shell(&node, "gated", "Always", "exec sleep 600");
    node.start(&crate::before_containers(&pod, "  readinessGates: [{conditionType: example.com/fed}]\n"));
    let condition = |kind: &str, status: &str| {
        let is = |one: &Value| one["type"] == kind && one["status"] == status;
        let kind = format!("{kind}={status}");
        node.wait_for("gated", &kind, |pod| {
            pod["status"]["conditions"].as_array().is_some_and(|all| all.iter().any(is))
        });
    };
    condition("ContainersReady", "True");
    condition("Ready", "False");
    let say = |kind: &str, status: &str| {
        crate::patch(&node, "gated/status", &json!({"status": {"conditions": [{"type": kind, "status": status}]}}))
    };
    assert!(say("Ready", "True").starts_with("HTTP/1.1 422"), "that is the node's own to say");
    assert!(say("example.com/fed", "maybe").starts_with("HTTP/1.1 422"));
    assert!(say("example.com/fed", "True").starts_with("HTTP/1.1 200"));
    condition("Ready", "True");
    assert!(node.kill_node(), "there is a node");
    node.dwell(&["exec", "gated", "--", "true"]).ok();
    condition("example.com/fed", "True");
    condition("Ready", "True");
    assert!(say("example.com/fed", "False").starts_with("HTTP/1.1 200"));
    condition("Ready", "False");
}
