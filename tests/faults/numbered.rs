//! Members of both kinds write numbered lines while the node is killed over and over; what ends while there is no node;
//! what the next one does.

use dwell_tests::inventory::Scope;
use dwell_tests::node::{Node, wait_until};
use serde_json::Value;

use crate::random::Random;
use crate::{pod, shell_container, wasm_container};

/// Lines of each counting member: within a container's log limit, 50 MB with their time stamps.
const LINES: usize = 300_000;
const KILLS: usize = 100;
/// A little CPU, so that writing at full speed takes as long as the kills.
const SLOWLY: &str = "    resources: {limits: {cpu: 10m}}\n";

fn counters(node: &Node, name: &str, limits: &str) -> String {
    let native = shell_container(node, "native", &format!("seq 1 {LINES}; exit 4")) + limits;
    let wasm = wasm_container("wasm", "counter.wasm", &format!("'{LINES}'")) + limits;
    pod(name, "Never", 5, &[native, wasm])
}

#[track_caller]
fn assert_numbered(node: &Node, pod: &str, container: &str) {
    let log = node.dwell(&["logs", "-c", container, pod]).ok();
    let mut expected = 0;
    for line in log.lines() {
        expected += 1;
        assert_eq!(line, expected.to_string(), "line {expected} of {pod}/{container}");
    }
    assert_eq!(expected, LINES, "lines of {pod}/{container}");
}

#[test]
fn no_line_is_lost_or_doubled_while_the_node_is_killed() {
    let (node, mut random) = (Node::new(), Random::new("numbered lines"));
    node.start(&counters(&node, "slow", SLOWLY));
    // Without a Pod that runs, no command needs a node, and a fast machine has counted to the end before the last kill.
    node.start(&pod("stays", "Never", 0, &[shell_container(&node, "main", "sleep 600")]));
    for round in 0..KILLS {
        if round % 10 == 0 {
            node.start(&counters(&node, &format!("fast-{round}"), ""));
        }
        random.pause(30);
        assert!(node.kill_node(), "there was no node to kill in round {round}");
        random.pause(30);
        // The next command finds the Pods and starts the next node.
        let shown = node.dwell(&["ps"]).ok();
        assert!(shown.contains("slow"), "{shown}");
    }
    let finished = node.wait_for_phase("slow", "Failed");
    let log = || std::fs::read_to_string(node.state_dir().join("lib/node.log")).unwrap_or_default();
    assert_eq!(exit_codes(&finished), [4, 0], "{finished:#}\n{}", log());
    for name in std::iter::once("slow".to_owned()).chain((0..KILLS).step_by(10).map(|round| format!("fast-{round}"))) {
        let finished = node.wait_for_phase(&name, "Failed");
        assert_eq!(exit_codes(&finished), [4, 0], "{finished:#}\n{}", log());
        assert_numbered(&node, &name, "native");
        assert_numbered(&node, &name, "wasm");
    }
}

fn exit_codes(pod: &Value) -> Vec<i64> {
    let statuses = pod["status"]["containerStatuses"].as_array().expect("statuses");
    statuses.iter().map(|status| status["state"]["terminated"]["exitCode"].as_i64().unwrap_or(-1)).collect()
}

#[test]
fn what_ends_while_there_is_no_node_is_known_to_the_next_one() {
    let node = Node::new();
    let gate = node.files().join("gate");
    std::fs::create_dir(&gate).unwrap();
    let scope = Scope::host(&node.state_dir()).without_files();
    let before = scope.take();
    let script = "echo $$ > /gate/pid; while [ ! -e /gate/open ]; do sleep 0.02; done; echo through; exit 7";
    let waiting = |name: &str, policy: &str| {
        let container = shell_container(&node, "main", script) + "    volumeMounts: [{name: gate, mountPath: /gate}]\n";
        pod(name, policy, 5, &[container])
            + &format!("  volumes: [{{name: gate, hostPath: {{path: {}}}}}]\n", gate.display())
    };
    node.start(&waiting("once", "Never"));
    node.start(&waiting("again", "Always"));
    node.start(&pod(
        "stays",
        "Always",
        5,
        &[shell_container(&node, "main", "trap 'exit 3' TERM; echo up; while :; do sleep 0.05; done")],
    ));
    for name in ["once", "again", "stays"] {
        node.wait_for_phase(name, "Running");
    }
    assert!(wait_until(|| node.dwell(&["logs", "stays"]).out.contains("up")));
    assert!(node.kill_node());
    std::fs::write(gate.join("open"), "").unwrap();
    // Long enough for both to have ended; if not, the test asks less and still passes.
    std::thread::sleep(std::time::Duration::from_millis(500));

    let once = node.wait_for_phase("once", "Failed");
    assert_eq!(exit_codes(&once), [7], "{once:#}");
    let again = node.wait_for("again", "a restart", |pod| {
        pod["status"]["containerStatuses"][0]["restartCount"].as_u64() >= Some(1)
    });
    let status = &again["status"]["containerStatuses"][0];
    let ends = [&status["lastState"]["terminated"]["exitCode"], &status["state"]["terminated"]["exitCode"]];
    assert!(ends.iter().any(|code| **code == 7), "{again:#}");
    assert_eq!(node.dwell(&["logs", "once"]).ok(), "through\n");
    node.dwell(&["stop", "stays", "again"]).ok();
    assert_eq!(exit_codes(&node.pod("stays")), [3]);
    node.end();
    let left = scope.differences(&before);
    assert!(left.is_empty(), "{left:#?}");
}
