//! The command line, claim by claim, as a user meets it: what is printed where, with which exit status.
//!
//! Each module is one group of commands; each test has a node of its own, or needs none.

mod copies;
mod documents;
mod exec;
mod install;
mod lists;
mod logs;
mod refusals;
mod run;
mod short_forms;
mod signals;
mod statuses;
mod terminal;
mod up;
mod watching;

use std::process::Stdio;

use dwell_tests::node::{Node, Said};
use serde_json::{Value, json};

/// A native container that runs a shell script.
pub fn shell(node: &Node, name: &str, script: &str) -> Value {
    json!({"name": name, "image": image(node), "command": ["sh", "-c", script]})
}

/// The image of the tests' root file system.
pub fn image(node: &Node) -> String {
    format!("rootfs:{}", dwell_tests::rootfs::busybox(&node.files()).display())
}

/// A manifest (JSON is YAML) whose Pod never restarts; `more` is added to its spec.
pub fn pod(name: &str, containers: &[Value], more: Value) -> String {
    let mut spec = json!({"restartPolicy": "Never", "terminationGracePeriodSeconds": 5, "containers": containers});
    for (key, value) in more.as_object().into_iter().flatten() {
        spec[key] = value.clone();
    }
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}).to_string()
}

/// A Pod of one container that runs a shell script.
pub fn script(node: &Node, name: &str, script: &str) -> String {
    pod(name, &[shell(node, "main", script)], json!({}))
}

/// Runs a command with this on its standard input.
#[track_caller]
pub fn with_input(node: &Node, args: &[&str], input: &[u8]) -> Said {
    use std::io::Write;
    let mut command = node.command(args);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("start dwell");
    let (mut stdin, input) = (child.stdin.take().expect("a pipe"), input.to_vec());
    // Whoever does not read its input closes it: no failure of ours.
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let pid = child.id() as i32;
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || drop(sender.send(child.wait_with_output())));
    let output = receiver.recv_timeout(dwell_tests::node::patience()).unwrap_or_else(|_| {
        dwell_tests::node::kill(pid, libc::SIGKILL);
        receiver.recv().expect("it ends when it is killed")
    });
    drop(writer);
    output.expect("read what dwell says").into()
}

/// Waits until the container's log holds this line.
#[track_caller]
pub fn wait_for_line(node: &Node, pod: &str, line: &str) {
    let said = || node.dwell(&["logs", "--all-containers", pod]);
    let there = |text: &str| text.lines().any(|found| found == line || found.ends_with(&format!("| {line}")));
    assert!(dwell_tests::node::wait_until(|| there(&said().out)), "no {line:?}: {:#?}", said());
}

/// The text between two others, for names that dwell made up.
pub fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}
