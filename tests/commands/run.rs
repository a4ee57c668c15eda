//! `dwell run`: files, standard input, prefixes, `-d`, `--rm`, `--name`, `--replace`.

use dwell_tests::node::Node;
use serde_json::json;

use crate::{pod, script, shell, with_input};

#[test]
fn a_manifest_comes_from_a_file_or_from_standard_input() {
    let node = Node::new();
    let text = script(&node, "said", "echo it runs");
    assert_eq!(node.run(&text).ok(), "it runs\n");
    let said = with_input(&node, &["run", "--name", "again", "-"], text.as_bytes());
    assert_eq!((said.code, said.out.as_str()), (0, "it runs\n"), "{said:#?}");
}

#[test]
fn several_files_run_together_and_lines_say_whose_they_are() {
    let node = Node::new();
    let one = node.file("one.yaml", &script(&node, "one", "echo from the first"));
    let other = node.file("other.yaml", &script(&node, "other", "echo from the second; exit 4"));
    let said = node.dwell(&["run", one.to_str().unwrap(), other.to_str().unwrap()]);
    assert_eq!(said.code, 4, "{said:#?}");
    for (name, text) in [("one/main", "from the first"), ("other/main", "from the second")] {
        assert!(
            said.out.lines().any(|line| line.starts_with(name) && line.ends_with(&format!("| {text}"))),
            "{said:#?}"
        );
    }
}

#[test]
fn two_documents_in_one_file_are_two_pods() {
    let node = Node::new();
    let text = format!("{}\n---\n{}\n", script(&node, "one", "echo a"), script(&node, "two", "echo b"));
    let said = node.run(&text);
    assert!(said.code == 0 && said.out.contains("| a\n") && said.out.contains("| b\n"), "{said:#?}");
    assert_eq!(node.dwell(&["ps", "-o", "name"]).ok(), "pod/one\npod/two\n");
}

#[test]
fn if_one_of_several_cannot_be_run_none_is() {
    let node = Node::new();
    let good = node.file("good.yaml", &script(&node, "good", "echo never"));
    let bad = node.file("bad.yaml", "kind: Pod\n");
    let said = node.dwell(&["run", good.to_str().unwrap(), bad.to_str().unwrap()]);
    assert!(said.code == 125 && said.out.is_empty(), "{said:#?}");
    node.run(&script(&node, "taken", "true")).ok();
    let taken = node.file("taken.yaml", &script(&node, "taken", "echo never"));
    let said = node.dwell(&["run", good.to_str().unwrap(), taken.to_str().unwrap()]);
    assert!(said.code == 125 && said.err.contains("taken exists already"), "{said:#?}");
    assert!(
        dwell_tests::node::wait_until(|| node.dwell(&["ps", "-o", "name"]).ok() == "pod/taken\n"),
        "the other was left behind"
    );
}

#[test]
fn prefixes_are_there_when_asked_for() {
    let node = Node::new();
    let single = node.file("single.yaml", &script(&node, "single", "printf 'a\\n\\nb'; printf 'e\\n' >&2"));
    let run =
        |when: &str, path: &std::path::Path| node.dwell(&["run", "--rm", "--prefix", when, path.to_str().unwrap()]);
    let said = run("auto", &single);
    assert_eq!((said.out.as_str(), said.err.as_str()), ("a\n\nb", "e\n"), "{said:#?}");
    assert_eq!(run("never", &single).out, "a\n\nb");
    let said = run("always", &single);
    assert_eq!((said.out.trim_end(), said.err.as_str()), ("main | a\nmain | \nmain | b", "main | e\n"), "{said:#?}");
    let pair = [shell(&node, "a", "echo x"), shell(&node, "long", "sleep 0.5; echo y")];
    let pair = node.file("pair.yaml", &pod("pair", &pair, json!({})));
    assert_eq!(run("auto", &pair).out, "a    | x\nlong | y\n");
    assert_eq!(run("never", &pair).out, "x\ny\n");
}

#[test]
fn output_is_the_same_byte_for_byte_whatever_the_bytes_are() {
    let node = Node::new();
    let bytes = r"i=0; while [ $i -lt 256 ]; do printf \\$(printf %03o $i); i=$((i+1)); done; head -c 300000 /dev/zero";
    let path = node.file("bytes.yaml", &script(&node, "bytes", bytes));
    let output = node.command(&["run", path.to_str().unwrap()]).output().unwrap();
    let mut expected: Vec<u8> = (0..=255).collect();
    expected.resize(300_256, 0);
    assert!(output.stdout == expected, "{} bytes came", output.stdout.len());
}

#[test]
fn standard_error_goes_to_standard_error() {
    let node = Node::new();
    let said = node.run(&script(&node, "both", "echo out; echo err >&2"));
    assert_eq!((said.out.as_str(), said.err.as_str()), ("out\n", "err\n"));
}

#[test]
fn detached_it_prints_its_name_and_leaves_the_pod_running() {
    let node = Node::new();
    assert_eq!(node.start(&script(&node, "left", "sleep 600")), "left");
    node.wait_for_phase("left", "Running");
    let path = node.file("other.yaml", &script(&node, "other", "sleep 600"));
    let said = node.dwell(&["run", "--rm", "-d", path.to_str().unwrap()]);
    assert!(said.code != 0 && said.err.contains("--rm"), "{said:#?}");
}

#[test]
fn rm_removes_record_and_logs_at_the_end_whatever_the_end() {
    let node = Node::new();
    for (name, end) in [("good", "exit 0"), ("bad", "exit 3")] {
        let path = node.file("pod.yaml", &script(&node, name, &format!("echo {name}; {end}")));
        let said = node.dwell(&["run", "--rm", path.to_str().unwrap()]);
        assert_eq!(said.out, format!("{name}\n"));
    }
    assert_eq!(node.dwell(&["ps", "-o", "name"]).ok(), "");
    let left: Vec<_> = std::fs::read_dir(node.state_dir().join("lib/pods")).into_iter().flatten().flatten().collect();
    assert!(left.is_empty(), "{left:?}");
    // The control: without it, the record stays.
    node.run(&script(&node, "stays", "true")).ok();
    assert_eq!(node.dwell(&["ps", "-o", "name"]).ok(), "pod/stays\n");
}

#[test]
fn name_renames_one_pod_and_refuses_two() {
    let node = Node::new();
    let path = node.file("pod.yaml", &script(&node, "written", "hostname"));
    let said = node.dwell(&["run", "--name", "typed", path.to_str().unwrap()]);
    assert_eq!(said.ok(), "typed\n");
    let said = node.dwell(&["run", "--name", "one", path.to_str().unwrap(), path.to_str().unwrap()]);
    assert!(said.code == 125 && said.err.contains("--name"), "{said:#?}");
}

#[test]
fn replace_removes_the_one_that_is_there() {
    let node = Node::new();
    node.start(&script(&node, "same", "trap 'exit 0' TERM; sleep 600 & wait"));
    let before = node.wait_for_phase("same", "Running")["metadata"]["uid"].clone();
    let path = node.file("pod.yaml", &script(&node, "same", "echo the new one"));
    let refused = node.dwell(&["run", path.to_str().unwrap()]);
    assert!(refused.code == 125 && refused.err.contains("--replace"), "{refused:#?}");
    assert_eq!(node.dwell(&["run", "--replace", path.to_str().unwrap()]).ok(), "the new one\n");
    assert_ne!(node.pod("same")["metadata"]["uid"], before);
}

#[test]
fn restarts_go_on_in_the_same_output() {
    let node = Node::new();
    let count = "n=$(cat /v/n 2>/dev/null || echo 0); n=$((n+1)); echo $n >/v/n; echo start $n; [ $n -ge 2 ]";
    let mut container = shell(&node, "main", count);
    container["volumeMounts"] = json!([{"name": "v", "mountPath": "/v"}]);
    let more = json!({"restartPolicy": "OnFailure", "volumes": [{"name": "v", "emptyDir": {}}]});
    assert_eq!(node.run(&pod("retries", &[container], more)).ok(), "start 1\nstart 2\n");
    assert_eq!(node.dwell(&["logs", "--previous", "retries"]).ok(), "start 1\n");
}

#[test]
fn a_reader_that_leaves_ends_the_run_and_stops_the_pod() {
    let node = Node::new();
    let path = node.file("pod.yaml", &script(&node, "talks", "while :; do echo line; done"));
    let mut child =
        node.command(&["run", path.to_str().unwrap()]).stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut first = [0; 5];
    std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut first).unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(141));
    node.wait_for("talks", "its end", |pod| pod["status"]["phase"] == "Failed");
}

#[test]
fn a_restart_by_somebody_else_is_followed() {
    let node = Node::new();
    let path =
        node.file("pod.yaml", &script(&node, "goes-on", "trap 'exit 5' TERM; echo up; while :; do sleep 0.1; done"));
    let mut child = node.command(&["run", path.to_str().unwrap()]);
    let child = child.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    crate::wait_for_line(&node, "goes-on", "up");
    node.dwell(&["restart", "goes-on"]).ok();
    node.wait_for("goes-on", "its next start", |pod| pod["status"]["containerStatuses"][0]["restartCount"] == 1);
    crate::wait_for_line(&node, "goes-on", "up");
    node.dwell(&["stop", "goes-on"]).ok();
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "up\nup\n");
    assert_eq!(output.status.code(), Some(5));
}

/// Off a terminal nothing was said at all, and on one only that there is a back-off.
#[test]
fn why_a_container_does_not_start_is_said_when_it_happens() {
    let node = Node::new();
    let container = json!({"name": "main", "image": "rootfs:/no/such/image", "command": ["sh"]});
    let path = node.file("pod.yaml", &pod("waits", &[container], json!({"restartPolicy": "Always"})));
    let mut child = node.command(&["run", path.to_str().unwrap()]);
    let mut child = child.stderr(std::process::Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stderr.as_mut().unwrap()), &mut line).unwrap();
    assert!(line.starts_with("dwell: container main ") && line.contains("/no/such/image"), "{line}");
    dwell_tests::node::kill(child.id() as i32, libc::SIGINT);
    assert_eq!(child.wait().unwrap().code(), Some(125));
}

#[test]
fn one_name_twice_in_one_command_is_refused_before_anything_starts() {
    let node = Node::new();
    let path = node.file("pod.yaml", &script(&node, "twin", "echo ran"));
    let path = path.to_str().unwrap();
    let said = node.dwell(&["run", path, path]);
    assert!(said.code == 125 && said.out.is_empty() && said.err.contains("twin is there twice"), "{said:#?}");
    assert_eq!(node.dwell(&["ps", "-o", "name"]).ok(), "");
}
