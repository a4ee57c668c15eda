//! Input and output: standard input, exec, logs, prefixes.

use std::io::Write;
use std::process::{Output, Stdio};

use dwell_tests::node::{Node, wait_until};

use crate::shell;

/// What a command comes to that is sent this, and then the end of its input.
fn sent(node: &Node, args: &[&str], input: &[u8]) -> Output {
    let mut command = node.command(args);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("start dwell");
    child.stdin.take().expect("a pipe").write_all(input).expect("it reads");
    child.wait_with_output().expect("it ends")
}

#[test]
fn standard_input_reaches_the_container_that_asks_for_it() {
    let node = Node::new();
    let manifest = shell(&node, "reader", "Never", "cat; echo done") + "    stdin: true\n    stdinOnce: true\n";
    let path = node.file("reader.yaml", &manifest);
    let output = sent(&node, &["run", path.to_str().unwrap()], b"hello\nworld\n");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "hello\nworld\ndone\n", "{output:?}");
}

#[test]
fn exec_runs_beside_the_member_and_gives_its_status() {
    let node = Node::new();
    node.start(&shell(&node, "host", "Never", "echo secret > /tmp/file; echo ready; sleep 600"));
    assert!(wait_until(|| node.dwell(&["logs", "host"]).out.contains("ready")));
    let said = node.dwell(&["exec", "host", "--", "sh", "-c", "cat /tmp/file; echo wrong >&2; exit 5"]);
    assert_eq!((said.out.as_str(), said.code), ("secret\n", 5), "{said:#?}");
    assert!(said.err.contains("wrong"), "{said:#?}");
    let missing = node.dwell(&["exec", "host", "--", "/no/such"]);
    assert_eq!(missing.code, 127, "{missing:#?}");
}

#[test]
fn exec_reads_standard_input() {
    let node = Node::new();
    node.start(&shell(&node, "host", "Never", "sleep 600"));
    node.wait_for_phase("host", "Running");
    let output = sent(&node, &["exec", "-i", "host", "--", "wc", "-c"], &[b'x'; 100_000]);
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "100000");
}

#[test]
fn logs_are_kept_after_the_end_and_can_be_cut() {
    let node = Node::new();
    node.run(&shell(&node, "talker", "Never", "for i in 1 2 3 4 5; do echo line $i; done")).ok();
    assert_eq!(node.dwell(&["logs", "talker"]).ok(), "line 1\nline 2\nline 3\nline 4\nline 5\n");
    assert_eq!(node.dwell(&["logs", "--tail", "2", "talker"]).ok(), "line 4\nline 5\n");
    let stamped = node.dwell(&["logs", "-t", "--tail", "1", "talker"]).ok();
    assert!(stamped.contains('T') && stamped.ends_with("Z line 5\n"), "{stamped}");
}

#[test]
fn two_containers_are_told_apart_by_a_prefix() {
    let node = Node::new();
    let root = dwell_tests::rootfs::busybox(&node.files());
    let manifest = format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: pair}}\nspec:\n  restartPolicy: Never\n  containers:\n  - name: a\n    \
         image: rootfs:{0}\n    command: [echo, from a]\n  - name: bb\n    image: rootfs:{0}\n    command: [echo, from bb]\n",
        root.display()
    );
    let out = node.run(&manifest).ok();
    let lines: Vec<&str> = out.lines().collect();
    assert!(lines.iter().any(|line| line.starts_with("a ") && line.ends_with("from a")), "{out}");
    assert!(lines.iter().any(|line| line.starts_with("bb") && line.ends_with("from bb")), "{out}");
}

/// The second waited for ever, and nobody said why.
#[test]
fn who_is_not_sent_the_input_is_named() {
    let node = Node::new();
    let second = crate::native(&node, "second", "echo here", "    stdin: true\n");
    let manifest = shell(&node, "two", "Never", "cat") + "    stdin: true\n" + &second;
    let path = node.file("two.yaml", &manifest);
    let output = sent(&node, &["run", path.to_str().unwrap()], b"hello\n");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(out.contains("hello") && out.contains("here"), "{out}");
    assert!(err.contains("not to second of two"), "{err}");
}

/// It printed none, thousands, or did not end: the files were rotated away while it counted their lines.
#[test]
fn the_last_line_of_a_flood_is_one_line() {
    const LINE: &str = "0123456789012345678901234567890123456789";
    let node = Node::new();
    node.start(&shell(&node, "flood", "Never", &format!("exec yes {LINE}")));
    node.wait_for_phase("flood", "Running");
    for _ in 0..5 {
        std::thread::sleep(std::time::Duration::from_millis(300));
        // As far as it was written just then.
        let last = node.dwell(&["logs", "flood", "--tail", "1"]).ok();
        assert!(!last.is_empty() && format!("{LINE}\n").starts_with(&last), "{} bytes", last.len());
    }
}
