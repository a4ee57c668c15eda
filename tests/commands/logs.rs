//! `dwell logs`: every option, across restarts and rotation.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use dwell_tests::node::{Node, wait_until};
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
    let number = |line: &str| line.split(' ').next().and_then(|word| word.parse().ok());
    out.lines().map(|line| number(line).unwrap_or_else(|| panic!("no numbered line: {line}"))).collect()
}

/// That these are the numbers from `first` to `last`, or where they are not.
fn in_order(out: &str, first: u32, last: u32) {
    let found = numbers(out);
    let wrong = found.iter().zip(first..).find(|(found, expected)| *found != expected);
    assert_eq!(wrong, None, "where the order breaks, and what belongs there");
    assert_eq!((found.len(), found.last()), ((last - first + 1) as usize, Some(&last)));
}

#[test]
fn rotation_loses_and_doubles_nothing_within_the_limit() {
    let node = Node::new();
    let lines = 25_000;
    let path = node.file("pod.yaml", &script(&node, "talkative", &talkative(lines)));
    let followed = node.dwell(&["run", path.to_str().unwrap()]).ok();
    in_order(&followed, 1, lines);
    let files = log_files(&node, "talkative");
    assert!(files.len() >= 3, "it did not rotate: {files:?}");
    in_order(&node.dwell(&["logs", "talkative"]).ok(), 1, lines);
    // A tail that reaches back over two files.
    in_order(&node.dwell(&["logs", "--tail", "15000", "talkative"]).ok(), lines - 14_999, lines);
}

#[test]
fn beyond_the_limit_the_oldest_goes_and_the_newest_stays() {
    let node = Node::new();
    let lines = 70_000;
    node.start(&script(&node, "flood", &talkative(lines)));
    node.wait_for_phase("flood", "Succeeded");
    let kept = numbers(&node.dwell(&["logs", "flood"]).ok());
    assert_eq!(kept.last(), Some(&lines));
    let gap = kept.windows(2).find(|pair| pair[1] != pair[0] + 1);
    assert_eq!(gap, None, "of {:?} to {:?}, {} lines", kept.first(), kept.last(), kept.len());
    let bytes: u64 = log_files(&node, "flood").iter().sum();
    assert!(kept.len() > 20_000 && bytes <= 70 << 20, "{} lines kept in {bytes} bytes", kept.len());
}

/// A file that could not be opened once was never asked for again: what came after the next one's end was dropped until
/// another node came.
#[test]
fn a_next_file_that_cannot_be_opened_is_tried_again() {
    let node = Node::new();
    let commands = format!(
        "until [ -e /go ]; do sleep 0.1; done; {0}; touch /half; until [ -e /on ]; do sleep 0.1; done; {0}",
        talkative(12_000)
    );
    node.start(&script(&node, "twice", &commands));
    node.wait_for_phase("twice", "Running");
    let in_the_way = log_folder(&node, "twice").join("0.2.log");
    std::fs::create_dir(&in_the_way).unwrap();
    node.dwell(&["exec", "twice", "--", "touch", "/go"]).ok();
    assert!(wait_until(|| node.dwell(&["exec", "twice", "--", "ls", "/half"]).code == 0));
    assert!(wait_until(|| log_files(&node, "twice").len() == 2), "the second file is begun");
    std::fs::remove_dir(&in_the_way).unwrap();
    assert!(wait_until(|| in_the_way.is_file()), "it is not tried again");
    node.dwell(&["exec", "twice", "--", "touch", "/on"]).ok();
    node.wait_for_phase("twice", "Succeeded");
    let shown = numbers(&node.dwell(&["logs", "twice"]).ok());
    assert!(shown.into_iter().eq((1..=12_000).chain(1..=12_000)));
}

fn log_folder(node: &Node, name: &str) -> std::path::PathBuf {
    let pod = node.pod(name);
    node.state_dir().join("lib/pods").join(pod["metadata"]["uid"].as_str().unwrap()).join("logs/main")
}

/// Sizes of the files that hold something.
fn log_files(node: &Node, name: &str) -> Vec<u64> {
    let entries = std::fs::read_dir(log_folder(node, name)).unwrap().flatten();
    let files = entries.map(|entry| entry.metadata().unwrap()).filter(|found| found.is_file() && found.len() > 0);
    files.map(|file| file.len()).collect()
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
