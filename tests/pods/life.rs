//! Rules of a Pod's life that the other subjects do not meet by the way: init containers that fail or run once more, stops
//! that are asked for twice, removals, and conditions from the beginning to the end.
//!
//! The table of all rules, and of where each is kept with real processes, is `runtime/node/src/pod/tests/rules.txt`.

use std::process::Stdio;

use dwell_tests::node::{Node, kill, wait_until};
use serde_json::Value;

use crate::supervision::{is_compiling, pause_of};
use crate::{before_containers, guest, native, shell};

const MOUNT: &str = "    volumeMounts: [{name: v, mountPath: /v}]\n";

/// A Pod of one shell after one init container, both with a folder of the host at `/v`.
fn after_init(node: &Node, policy: &str, script: &str, init: &str) -> String {
    let folder = node.files().join("v");
    std::fs::create_dir(&folder).expect("make the volume");
    let volume = format!("  volumes: [{{name: v, hostPath: {{path: {}}}}}]\n", folder.display());
    let inits = format!("  initContainers:\n{}", native(node, "init", init, MOUNT));
    before_containers(&(shell(node, "life", policy, script) + MOUNT), &(volume + &inits))
}

/// What a container of the Pod wrote into `/v`.
fn written(node: &Node, name: &str) -> String {
    std::fs::read_to_string(node.files().join("v").join(name)).unwrap_or_default()
}

fn write(node: &Node, name: &str) {
    std::fs::write(node.files().join("v").join(name), "").expect("write into the volume");
}

/// `STATUS REASON` of one of its conditions.
fn condition(pod: &Value, kind: &str) -> String {
    let mut all = pod["status"]["conditions"].as_array().into_iter().flatten();
    let found = all.find(|one| one["type"] == kind).unwrap_or(&Value::Null);
    let word = |key: &str| found[key].as_str().unwrap_or("-").to_owned();
    format!("{} {}", word("status"), word("reason"))
}

#[test]
fn an_init_container_is_tried_again_until_it_succeeds() {
    let node = Node::new();
    let init = "echo try >> /v/tries; test $(wc -l < /v/tries) -ge 2";
    let said = node.run(&after_init(&node, "OnFailure", "wc -l < /v/tries", init));
    assert_eq!((said.code, said.out.as_str()), (0, "main | 2\n"), "{said:#?}");
    let status = &node.pod("life")["status"];
    assert_eq!(status["initContainerStatuses"][0]["restartCount"], 1, "{status:#}");
    assert_eq!(status["containerStatuses"][0]["restartCount"], 0, "{status:#}");
}

/// A module that was still being compiled when pause died began in the fresh sandbox before the init container had run.
#[test]
fn a_fresh_sandbox_begins_with_the_init_containers() {
    let node = Node::new();
    let init = "echo run >> /v/runs; test $(wc -l < /v/runs) -lt 2 || until [ -e /v/go ]; do sleep 0.05; done";
    let compiled = guest("compiled", "net.wasm", "[]", "");
    node.start(&(after_init(&node, "Always", "exec sleep 600", init) + &compiled));
    let running = |pod: &Value, list: &str, at: usize| pod["status"][list][at]["state"]["running"].is_object();
    node.wait_for("life", "the first member while the second is compiled", |pod| {
        running(pod, "containerStatuses", 0) && !running(pod, "containerStatuses", 1)
    });
    kill(pause_of("default/life", &node), libc::SIGKILL);
    assert!(wait_until(|| written(&node, "runs").lines().count() == 2), "the init container runs again");
    assert!(wait_until(|| !is_compiling(&node)), "the module is compiled");
    // What would be born has its time.
    std::thread::sleep(std::time::Duration::from_millis(500));
    let pod = node.pod("life");
    assert!(running(&pod, "initContainerStatuses", 0), "{:#}", pod["status"]);
    for container in pod["status"]["containerStatuses"].as_array().expect("two containers") {
        assert!(container["state"]["running"].is_null(), "nobody overtakes it: {container:#}");
        assert_eq!(container["restartCount"], 0, "{container:#}");
    }
    write(&node, "go");
    node.wait_for("life", "the members", |pod| running(pod, "containerStatuses", 0));
}

/// Told to stop, it would end with 7 after a while; it is not given that while.
#[test]
fn a_second_stop_shortens_the_patience_of_the_first() {
    let node = Node::new();
    let slow = "trap 'echo told; sleep 30; exit 7' TERM; echo up; while :; do sleep 0.05; done";
    node.start(&shell(&node, "life", "Never", slow));
    node.printed("life", "main", "up\n");
    let patient = node.command(&["stop", "-t", "600", "life"]).stdout(Stdio::null()).spawn();
    let mut patient = patient.expect("start dwell");
    node.printed("life", "main", "told\n");
    node.dwell(&["stop", "-t", "0", "life"]).ok();
    assert!(patient.wait().expect("its end").success(), "the first one hears of it too");
    let status = node.pod("life")["status"].clone();
    assert_eq!(status["containerStatuses"][0]["state"]["terminated"]["exitCode"], 137, "{status:#}");
}

#[test]
fn a_removed_pod_is_shown_until_nothing_of_it_lives() {
    let node = Node::new();
    let script = "trap 'until [ -e /v/go ]; do sleep 0.05; done; exit 0' TERM; echo up; while :; do sleep 0.05; done";
    let pod = after_init(&node, "Always", script, "true").replace("Seconds: 5", "Seconds: 600");
    node.start(&pod);
    node.printed("life", "main", "up\n");
    let removing = node.command(&["rm", "-f", "-t", "600", "life"]).stdout(Stdio::null()).spawn();
    let mut removing = removing.expect("start dwell");
    let pod = node.wait_for("life", "its removal", |pod| pod["metadata"]["deletionTimestamp"].is_string());
    assert_eq!(pod["metadata"]["deletionGracePeriodSeconds"], 600, "{:#}", pod["metadata"]);
    assert_eq!(pod["status"]["phase"], "Running", "it lives: {:#}", pod["status"]);
    assert!(node.dwell(&["ps"]).ok().contains("Terminating"));
    write(&node, "go");
    assert!(removing.wait().expect("its end").success());
    assert_ne!(node.dwell(&["inspect", "life"]).code, 0, "nothing is left of it");
}

#[test]
fn the_conditions_of_a_pod_from_its_beginning_to_its_end() {
    let node = Node::new();
    let until = |file: &str| format!("until [ -e /v/{file} ]; do sleep 0.05; done");
    node.start(&after_init(&node, "Never", &until("end"), &until("go")));
    let kinds = ["PodScheduled", "PodReadyToStartContainers", "Initialized", "ContainersReady", "Ready"];
    let of = |pod: &Value| kinds.map(|kind| condition(pod, kind));
    let first = node.wait_for("life", "its init container", |pod| {
        pod["status"]["initContainerStatuses"][0]["state"]["running"].is_object()
    });
    let (yes, late, unready) = ("True -", "False ContainersNotInitialized", "False ContainersNotReady");
    assert_eq!(of(&first), [yes, yes, late, unready, unready]);
    assert_eq!(first["status"]["containerStatuses"][0]["state"]["waiting"]["reason"], "PodInitializing");
    write(&node, "go");
    let runs = node.wait_for_phase("life", "Running");
    assert_eq!(of(&runs), [yes; 5]);
    write(&node, "end");
    node.wait_for_phase("life", "Succeeded");
    let over = node.wait_for("life", "its end", |pod| condition(pod, "PodReadyToStartContainers") == "False -");
    let completed = |status: &str| format!("{status} PodCompleted");
    assert_eq!(of(&over)[2..], [completed("True"), completed("False"), completed("False")]);
}
