//! Liveness, readiness and startup probes.

use std::os::unix::fs::PermissionsExt;

use dwell_tests::node::{Node, wait_until};
use serde_json::Value;

use crate::{Machine, inside, page, start, status};

/// Just enough of HTTP/2 and gRPC for one question: settings; once the question is there, that it is understood, SERVING
/// while `/tmp/well` is there, and the status 0.
const HEALTH: &str = r#"#!/bin/sh
printf '\0\0\0\4\0\0\0\0\0'
head -c 60 >/dev/null
printf '\0\0\1\1\4\0\0\0\1\210'
if [ -e /tmp/well ]; then status='\1'; else status='\2'; fi
printf '\0\0\7\0\0\0\0\0\1\0\0\0\0\2\10'$status
printf '\0\0\17\1\5\0\0\0\1\0\13grpc-status\0010'
exec cat >/dev/null
"#;

/// Waits until the container began again because its probe failed, and says with what words.
#[track_caller]
fn restarted(node: &Node, pod: &str, container: &str, words: &str) -> Value {
    let again = |pod: &Value| status(pod, container)["restartCount"].as_u64() >= Some(1);
    let pod_object = node.wait_for(pod, "a restart", again);
    let events = || node.dwell(&["events", pod]).out;
    let killing = format!("Container {container} failed liveness probe, will be restarted");
    assert!(wait_until(|| events().contains(&killing)), "{}", events());
    assert!(events().contains("Liveness probe failed") && events().contains(words), "{}", events());
    pod_object
}

#[test]
fn a_container_whose_command_fails_begins_again() {
    let node = Machine::new();
    start(&node, "probe-exec", "alive-exec");
    let pod = restarted(&node, "alive-exec", "alive", "can't open '/tmp/alive'");
    assert_eq!(pod["status"]["phase"], "Running", "{pod:#}");
    let last = &status(&pod, "alive")["lastState"]["terminated"];
    assert_eq!(last["exitCode"], 137, "it ignored the signal, and its grace was over: {pod:#}");
}

#[test]
fn a_server_that_answers_with_500_begins_again() {
    let node = Machine::new();
    start(&node, "probe-http", "alive-http");
    assert_eq!(inside(&node, "alive-http", "alive", "cat /tmp/asker"), "the-kubelet\n");
    restarted(&node, "alive-http", "alive", "HTTP probe failed with statuscode: 500");
}

#[test]
fn a_port_that_is_open_is_ready_and_alive() {
    let node = Machine::new();
    node.start(&page(&node, "probe-tcp"));
    let is_ready = |pod: &Value| status(pod, "opens")["ready"] == true;
    node.wait_for("opens", "it takes traffic", is_ready);
    assert_eq!(status(&node.pod("opens"), "opens")["restartCount"], 0);
}

/// The page lets the reader try another port.
#[test]
fn a_port_that_nobody_opens_is_neither() {
    let node = Machine::new();
    node.start(&page(&node, "probe-tcp").replace("        port: 8080\n", "        port: 8081\n"));
    let pod = restarted(&node, "opens", "opens", "refused");
    assert_eq!(status(&pod, "opens")["ready"], false, "{pod:#}");
}

#[test]
fn a_module_that_serves_is_asked_in_the_same_way() {
    let node = Machine::new();
    let shell = page(&node, "probe-tcp");
    let command = "    command: [sh, -c, 'exec nc -ll -p 8080 -e cat']\n";
    assert!(shell.contains(command));
    let root = dwell_tests::rootfs::busybox(&node.files()).display().to_string();
    let module = format!("wasm:{}", dwell_tests::guest::path("http.wasm").display());
    node.start(&shell.replace(command, "").replace(&format!("rootfs:{root}"), &module));
    node.wait_for("opens", "it takes traffic", |pod| status(pod, "opens")["ready"] == true);
}

#[test]
fn a_slow_start_has_its_time() {
    let node = Machine::new();
    node.start(&page(&node, "probe-startup"));
    node.wait_for("slow", "it runs", |pod| status(pod, "slow")["state"]["running"].is_object());
    let pod = node.wait_for("slow", "it has started", |pod| status(pod, "slow")["started"] == true);
    assert_eq!(status(&pod, "slow")["restartCount"], 0, "its liveness probe alone allows no failure: {pod:#}");
    let events = node.dwell(&["events", "slow"]).ok();
    assert!(events.contains("Startup probe failed"), "control: it was asked before it had started: {events}");
}

#[test]
fn a_server_that_speaks_grpc_is_asked_for_its_health() {
    let node = Machine::new();
    let manifest = page(&node, "probe-grpc");
    let root = dwell_tests::rootfs::busybox(&node.files());
    let program = root.join("bin/health");
    std::fs::write(&program, HEALTH).unwrap();
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
    std::fs::write(root.join("tmp/well"), "").unwrap();
    node.start(&manifest);
    node.wait_for_phase("speaks-grpc", "Running");
    inside(&node, "speaks-grpc", "store", "sleep 4");
    let pod = node.pod("speaks-grpc");
    assert_eq!(status(&pod, "store")["restartCount"], 0, "{:#?}", node.dwell(&["events", "speaks-grpc"]));
    inside(&node, "speaks-grpc", "store", "rm /tmp/well");
    restarted(&node, "speaks-grpc", "store", "service unhealthy (responded with \"NOT_SERVING\")");
}

#[test]
fn a_member_takes_no_traffic_until_it_is_ready() {
    let node = Machine::new();
    start(&node, "probe-readiness", "ready-later");
    let told = || node.dwell(&["events", "ready-later"]).out.contains("Readiness probe failed");
    assert!(wait_until(told), "{:#?}", node.dwell(&["events", "ready-later"]));
    assert_eq!(status(&node.pod("ready-later"), "later")["ready"], false);
    inside(&node, "ready-later", "later", "touch /tmp/ready");
    let pod = node.wait_for("ready-later", "it takes traffic", |pod| status(pod, "later")["ready"] == true);
    assert_eq!(status(&pod, "later")["restartCount"], 0, "{pod:#}");
}
