//! `ps`, `inspect`, `stop`, `kill`, `restart`, `rm`.

use dwell_tests::node::{Node, wait_until};
use serde_json::{Value, json};

use crate::{pod, script, shell};

const POLITE: &str = "trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.1; done";

/// One Pod that ended well, one that failed, one that runs with an address.
fn three(node: &Node) {
    node.run(&script(node, "done", "exit 0")).ok();
    assert_eq!(node.run(&script(node, "failed", "exit 3")).code, 3);
    node.start(&script(node, "runs", POLITE));
    node.wait_for_phase("runs", "Running");
    crate::wait_for_line(node, "runs", "up");
}

fn columns(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

#[test]
fn ps_shows_every_pod_in_each_format() {
    let node = Node::new();
    let empty = node.dwell(&["ps"]).ok();
    assert_eq!(columns(&empty), ["NAME", "READY", "STATUS", "RESTARTS", "AGE"]);
    assert_eq!(node.dwell(&["ps", "-o", "name"]).ok(), "");
    three(&node);
    let table = node.dwell(&["ps"]).ok();
    let rows: Vec<Vec<&str>> = table.lines().map(columns).collect();
    assert_eq!(rows[0], ["NAME", "READY", "STATUS", "RESTARTS", "AGE"]);
    let shown: Vec<&[&str]> = rows[1..].iter().map(|row| &row[..4]).collect();
    assert_eq!(
        shown,
        [["done", "0/1", "Completed", "0"], ["failed", "0/1", "Error", "0"], ["runs", "1/1", "Running", "0"]]
    );
    let wide = node.dwell(&["ps", "-o", "wide"]).ok();
    let pod = node.pod("runs");
    let ip = pod["status"]["podIP"].as_str().unwrap();
    let row = wide.lines().find(|line| line.contains("runs")).unwrap_or_default();
    assert!(columns(row)[0] == "default" && row.contains(ip), "{wide}");
    assert_eq!(node.dwell(&["ps", "-o", "name"]).ok(), "pod/done\npod/failed\npod/runs\n");
    let list: Value = serde_json::from_str(&node.dwell(&["ps", "-o", "json"]).ok()).unwrap();
    let names: Vec<&str> =
        list["items"].as_array().unwrap().iter().map(|item| item["metadata"]["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["done", "failed", "runs"]);
    assert!(list["kind"] == "List" || list["kind"] == "PodList", "{}", list["kind"]);
    let yaml = node.dwell(&["ps", "-o", "yaml"]).ok();
    assert!(yaml.starts_with("apiVersion: v1\n") && yaml.contains("name: runs\n"), "{yaml}");
}

#[test]
fn ps_tells_namespaces_apart() {
    let node = Node::new();
    for namespace in ["one", "two"] {
        let mut manifest: Value = serde_json::from_str(&script(&node, "same", "exit 0")).unwrap();
        manifest["metadata"]["namespace"] = json!(namespace);
        node.run(&manifest.to_string()).ok();
    }
    let table = node.dwell(&["ps"]).ok();
    assert!(table.starts_with("NAMESPACE") && table.lines().count() == 3, "{table}");
    assert_eq!(node.dwell(&["ps", "-n", "two", "-o", "name"]).ok(), "pod/same\n");
    let which = node.dwell(&["logs", "same"]);
    assert!(which.code == 125 && which.err.contains("one/same, two/same"), "{which:#?}");
    node.dwell(&["rm", "one/same"]).ok();
    node.dwell(&["rm", "-n", "two", "same"]).ok();
    assert_eq!(node.dwell(&["ps", "-o", "name"]).ok(), "");
}

#[test]
fn inspect_prints_one_or_several_as_yaml_or_json() {
    let node = Node::new();
    three(&node);
    let one = node.dwell(&["inspect", "failed"]).ok();
    assert!(one.contains("exitCode: 3") && one.contains("phase: Failed"), "{one}");
    let all = node.dwell(&["inspect", "--all"]).ok();
    assert_eq!(all.matches("\n---\n").count(), 2, "{all}");
    let both: Value = serde_json::from_str(&node.dwell(&["inspect", "-o", "json", "done", "failed"]).ok()).unwrap();
    assert_eq!(both.as_array().map(Vec::len), Some(2), "{both:#}");
}

#[test]
fn what_inspect_prints_runs_again() {
    let node = Node::new();
    node.run(&script(&node, "origin", "echo the same")).ok();
    let text = node.dwell(&["inspect", "origin"]).ok();
    let said = crate::with_input(&node, &["run", "--name", "copy", "-"], text.as_bytes());
    assert_eq!((said.out.as_str(), said.code), ("the same\n", 0), "{text}{said:#?}");
}

#[test]
fn stop_all_stops_what_runs_and_names_it() {
    let node = Node::new();
    three(&node);
    node.start(&script(&node, "also", POLITE));
    crate::wait_for_line(&node, "also", "up");
    assert_eq!(node.dwell(&["stop", "--all"]).ok(), "also\nruns\n");
    for name in ["also", "runs"] {
        assert_eq!(node.pod(name)["status"]["phase"], "Succeeded");
        assert!(node.dwell(&["logs", name]).ok().ends_with("bye\n"));
    }
    assert_eq!(node.dwell(&["stop", "--all"]).ok(), "");
    assert_eq!(node.dwell(&["stop", "runs"]).ok(), "runs\n", "a Pod that has ended is stopped already");
}

#[test]
fn a_stopped_pod_stays_stopped_whatever_its_policy() {
    let node = Node::new();
    let always = json!({"restartPolicy": "Always"});
    node.start(&pod("always", &[shell(&node, "main", POLITE)], always));
    crate::wait_for_line(&node, "always", "up");
    node.dwell(&["stop", "always"]).ok();
    node.kill_node();
    let pod = node.pod("always");
    assert_eq!(pod["status"]["containerStatuses"][0]["restartCount"], 0, "{pod:#}");
    assert!(["Succeeded", "Failed"].iter().any(|phase| pod["status"]["phase"] == *phase), "{pod:#}");
}

#[test]
fn kill_sends_the_signal_that_is_named_to_the_container_that_is_named() {
    let node = Node::new();
    let listens = "trap 'echo hup' HUP; trap 'echo usr1' USR1; echo up; while :; do sleep 0.1; done";
    node.start(&pod("signals", &[shell(&node, "a", listens), shell(&node, "b", listens)], json!({})));
    assert!(wait_until(|| node.dwell(&["logs", "--all-containers", "signals"]).out.matches("up").count() == 2));
    node.dwell(&["kill", "-s", "SIGHUP", "-c", "a", "signals"]).ok();
    assert!(wait_until(|| node.dwell(&["logs", "-c", "a", "signals"]).out == "up\nhup\n"));
    node.dwell(&["kill", "-s", "usr1", "signals"]).ok();
    assert!(wait_until(|| node.dwell(&["logs", "-c", "a", "signals"]).out == "up\nhup\nusr1\n"));
    assert!(wait_until(|| node.dwell(&["logs", "-c", "b", "signals"]).out == "up\nusr1\n"), "only a was meant");
    node.dwell(&["kill", "-s", "1", "-c", "b", "signals"]).ok();
    assert!(wait_until(|| node.dwell(&["logs", "-c", "b", "signals"]).out == "up\nusr1\nhup\n"));
    node.dwell(&["kill", "signals"]).ok();
    let pod = node.wait_for_phase("signals", "Failed");
    assert_eq!(pod["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"], 137, "{pod:#}");
    let again = node.dwell(&["kill", "signals"]);
    assert!(again.code == 125 && again.err.contains("signals"), "{again:#?}");
}

#[test]
fn a_killed_member_is_restarted_by_its_policy() {
    let node = Node::new();
    node.start(&pod("again", &[shell(&node, "main", "echo up; sleep 600")], json!({"restartPolicy": "Always"})));
    crate::wait_for_line(&node, "again", "up");
    node.dwell(&["kill", "again"]).ok();
    let pod = node.wait_for("again", "a restart", |pod| {
        let status = &pod["status"]["containerStatuses"][0];
        status["restartCount"] == 1 && status["state"]["running"].is_object()
    });
    assert_eq!(pod["status"]["containerStatuses"][0]["lastState"]["terminated"]["exitCode"], 137, "{pod:#}");
}

#[test]
fn restart_stops_in_order_and_starts_again_in_the_same_pod() {
    let node = Node::new();
    node.start(&script(&node, "same", POLITE));
    crate::wait_for_line(&node, "same", "up");
    let before = node.pod("same");
    assert_eq!(node.dwell(&["restart", "same"]).ok(), "same\n");
    let after = node.wait_for("same", "the next start", |pod| {
        let status = &pod["status"]["containerStatuses"][0];
        status["restartCount"] == 1 && status["state"]["running"].is_object()
    });
    assert_eq!(before["metadata"]["uid"], after["metadata"]["uid"]);
    assert_eq!(before["status"]["podIP"], after["status"]["podIP"], "the same Pod has another address");
    assert_eq!(node.dwell(&["logs", "--previous", "same"]).ok(), "up\nbye\n");
    crate::wait_for_line(&node, "same", "up");
}

/// It returned at once, while the Pod still looked ended, and a `rm` after it removed what had just been started.
#[test]
fn a_restart_is_done_when_it_says_so() {
    let node = Node::new();
    node.start(&script(&node, "same", "echo up; sleep 600"));
    node.dwell(&["stop", "-t", "0", "same"]).ok();
    for expected in 1..3 {
        assert_eq!(node.dwell(&["restart", "same"]).ok(), "same\n");
        let refused = node.dwell(&["rm", "same"]);
        assert!(refused.code == 125 && refused.err.contains("still runs"), "{refused:#?}");
        node.wait_for("same", "its next start", |pod| {
            let status = &pod["status"]["containerStatuses"][0];
            status["restartCount"] == expected && status["state"]["running"].is_object()
        });
    }
    // A stop that comes meanwhile wins, and the restart says so.
    node.start(&script(&node, "deaf", "trap '' TERM; echo up; while :; do sleep 1; done"));
    crate::wait_for_line(&node, "deaf", "up");
    let mut restart = node.command(&["restart", "deaf"]).stderr(std::process::Stdio::null()).spawn().expect("restart");
    node.wait_for("deaf", "the restart", |pod| pod["status"]["phase"] == "Running");
    std::thread::sleep(std::time::Duration::from_millis(300));
    node.dwell(&["stop", "-t", "0", "deaf"]).ok();
    assert_eq!(restart.wait().expect("it ends").code(), Some(125));
    assert_eq!(node.pod("deaf")["status"]["phase"], "Failed");
}

#[test]
fn rm_refuses_what_runs_and_f_stops_it_first() {
    let node = Node::new();
    three(&node);
    let refused = node.dwell(&["rm", "runs", "done"]);
    assert!(
        refused.code == 125 && refused.err.contains("still runs") && refused.err.contains("rm -f runs"),
        "{refused:#?}"
    );
    assert_eq!(node.dwell(&["ps", "-o", "name"]).ok(), "pod/done\npod/failed\npod/runs\n", "all or none");
    assert_eq!(node.dwell(&["rm", "--all"]).ok(), "done\nfailed\n");
    assert_eq!(node.dwell(&["rm", "-f", "runs"]).ok(), "runs\n");
    assert_eq!(node.dwell(&["ps", "-o", "name"]).ok(), "");
    let left: Vec<_> = std::fs::read_dir(node.state_dir().join("lib/pods")).unwrap().flatten().collect();
    assert!(left.is_empty(), "{left:?}");
}
