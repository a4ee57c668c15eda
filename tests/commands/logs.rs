//! `dwell logs`: every option, across restarts and rotation.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use dwell_tests::node::Node;
use serde_json::json;

use crate::{pod, script, shell};

#[test]
fn follow_shows_what_comes_and_ends_with_the_pod() {
    let node = Node::new();
    let waits = "echo first; until [ -e /v/go ]; do sleep 0.05; done; echo second; echo torn >&2; printf end";
    let shared = node.files().join("shared");
    std::fs::create_dir(&shared).unwrap();
    let mut container = shell(&node, "main", waits);
    container["volumeMounts"] = json!([{"name": "v", "mountPath": "/v"}]);
    node.start(&pod("live", &[container], json!({"volumes": [{"name": "v", "hostPath": {"path": shared}}]})));
    let mut child =
        node.command(&["logs", "-f", "live"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    lines.read_line(&mut line).unwrap();
    assert_eq!(line, "first\n");
    std::fs::write(shared.join("go"), "").unwrap();
    std::io::Read::read_to_string(&mut lines, &mut line).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((line.as_str(), String::from_utf8_lossy(&output.stderr).as_ref()), ("first\nsecond\nend", "torn\n"));
    assert!(output.status.success());
}

#[test]
fn follow_goes_on_through_a_restart() {
    let node = Node::new();
    let count =
        "n=$(cat /v/n 2>/dev/null || echo 0); n=$((n+1)); echo $n >/v/n; echo start $n; sleep 0.3; [ $n -ge 2 ]";
    let mut container = shell(&node, "main", count);
    container["volumeMounts"] = json!([{"name": "v", "mountPath": "/v"}]);
    let more = json!({"restartPolicy": "OnFailure", "volumes": [{"name": "v", "emptyDir": {}}]});
    node.start(&pod("twice", &[container], more));
    let out = node.dwell(&["logs", "-f", "twice"]).ok();
    assert_eq!(out, "start 1\nstart 2\n");
    assert_eq!(node.dwell(&["logs", "twice"]).ok(), "start 2\n");
    assert_eq!(node.dwell(&["logs", "-p", "twice"]).ok(), "start 1\n");
}

#[test]
fn previous_without_one_says_so() {
    let node = Node::new();
    node.run(&script(&node, "once", "echo x")).ok();
    let said = node.dwell(&["logs", "--previous", "once"]);
    assert!(said.out.is_empty(), "{said:#?}");
    assert!(said.code == 125 && said.err.contains("earlier start"), "{said:#?}");
}

#[test]
fn containers_are_chosen_or_all_shown() {
    let node = Node::new();
    let init = json!({"initContainers": [shell(&node, "first", "echo from first")]});
    let containers = [shell(&node, "a", "echo from a"), shell(&node, "b", "echo from b")];
    node.run(&pod("pair", &containers, init)).ok();
    for name in ["first", "a", "b"] {
        assert_eq!(node.dwell(&["logs", "-c", name, "pair"]).ok(), format!("from {name}\n"));
    }
    let which = node.dwell(&["logs", "pair"]);
    assert!(which.code == 125 && which.err.contains("first, a, b") && which.err.contains("-c"), "{which:#?}");
    let wrong = node.dwell(&["logs", "-c", "frist", "pair"]);
    assert!(wrong.code == 125 && wrong.err.contains("did you mean first?"), "{wrong:#?}");
    let all = node.dwell(&["logs", "--all-containers", "pair"]).ok();
    for line in ["first | from first", "a     | from a", "b     | from b"] {
        assert!(all.lines().any(|found| found == line), "{all}");
    }
    assert_eq!(node.dwell(&["logs", "--prefix", "-c", "a", "pair"]).ok(), "a | from a\n");
}

#[test]
fn times_are_shown_and_cut_by() {
    let node = Node::new();
    node.run(&script(&node, "timed", "echo old; sleep 1.2; echo new")).ok();
    let stamped = node.dwell(&["logs", "-t", "timed"]).ok();
    let times: Vec<&str> = stamped.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(times.len() == 2 && times.iter().all(|time| time.len() >= 20 && time.ends_with('Z')), "{stamped}");
    assert_eq!(node.dwell(&["logs", "--since", times[1], "timed"]).ok(), "new\n");
    assert_eq!(node.dwell(&["logs", "--since", times[0], "timed"]).ok(), "old\nnew\n");
    assert_eq!(node.dwell(&["logs", "--since", "1h", "timed"]).ok(), "old\nnew\n");
    std::thread::sleep(std::time::Duration::from_millis(1100));
    assert_eq!(node.dwell(&["logs", "--since", "1s", "timed"]).ok(), "");
}

#[test]
fn the_tail_is_counted_in_lines() {
    let node = Node::new();
    node.run(&script(&node, "tail", "for i in 1 2 3 4 5; do echo $i; done; printf 'torn'")).ok();
    assert_eq!(node.dwell(&["logs", "--tail", "2", "tail"]).ok(), "5\ntorn");
    assert_eq!(node.dwell(&["logs", "--tail", "0", "tail"]).ok(), "");
    assert_eq!(node.dwell(&["logs", "--tail", "99", "tail"]).ok(), "1\n2\n3\n4\n5\ntorn");
}

/// Lines of a thousand bytes, each with its number.
fn talkative(lines: u32) -> String {
    format!("awk 'BEGIN {{ s = sprintf(\"%990s\", \"x\"); for (i = 1; i <= {lines}; i++) print i, s }}'")
}

fn numbers(out: &str) -> Vec<u32> {
    out.lines().map(|line| line.split(' ').next().unwrap_or_default().parse().expect("a number a line")).collect()
}

#[test]
fn rotation_loses_and_doubles_nothing_within_the_limit() {
    let node = Node::new();
    let lines = 25_000;
    let path = node.file("pod.yaml", &script(&node, "talkative", &talkative(lines)));
    let followed = node.dwell(&["run", path.to_str().unwrap()]).ok();
    assert!(numbers(&followed).into_iter().eq(1..=lines), "what run showed is not 1…{lines}");
    let files = log_files(&node, "talkative");
    assert!(files.len() >= 3, "it did not rotate: {files:?}");
    assert!(numbers(&node.dwell(&["logs", "talkative"]).ok()).into_iter().eq(1..=lines), "the log is not 1…{lines}");
    // A tail that reaches back over two files.
    assert!(
        numbers(&node.dwell(&["logs", "--tail", "15000", "talkative"]).ok()).into_iter().eq(lines - 14_999..=lines)
    );
}

#[test]
fn beyond_the_limit_the_oldest_goes_and_the_newest_stays() {
    let node = Node::new();
    let lines = 70_000;
    node.start(&script(&node, "flood", &talkative(lines)));
    node.wait_for_phase("flood", "Succeeded");
    let kept = numbers(&node.dwell(&["logs", "flood"]).ok());
    assert_eq!(kept.last(), Some(&lines));
    assert!(kept.windows(2).all(|pair| pair[1] == pair[0] + 1), "a gap in the middle");
    let bytes: u64 = log_files(&node, "flood").iter().sum();
    assert!(kept.len() > 20_000 && bytes <= 70 << 20, "{} lines kept in {bytes} bytes", kept.len());
}

/// Sizes of the files that hold something.
fn log_files(node: &Node, name: &str) -> Vec<u64> {
    let pod = node.pod(name);
    let folder = node.state_dir().join("lib/pods").join(pod["metadata"]["uid"].as_str().unwrap()).join("logs/main");
    let entries = std::fs::read_dir(folder).unwrap().flatten();
    entries.map(|entry| entry.metadata().unwrap().len()).filter(|size| *size > 0).collect()
}

#[test]
fn logs_need_no_node() {
    let node = Node::new();
    node.run(&script(&node, "over", "echo kept")).ok();
    node.kill_node();
    assert_eq!(node.dwell(&["logs", "over"]).ok(), "kept\n");
    assert_eq!(node.dwell(&["ps", "-o", "name"]).ok(), "pod/over\n");
    assert_eq!(node.node_pid(), None, "a node was started to read what is on disk");
}
