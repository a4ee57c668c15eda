//! What Ctrl-C and its kin do to `dwell run` and its Pod.

use std::io::Read;
use std::process::{Child, Stdio};

use dwell_tests::node::{Node, kill, wait_until};
use serde_json::json;

use crate::{pod, script, shell};

/// A foreground run whose members have said that they are up.
fn running(node: &Node, name: &str, manifest: &str) -> Child {
    let path = node.file(&format!("{name}.yaml"), manifest);
    let mut command = node.command(&["run", path.to_str().unwrap()]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    assert!(wait_until(|| node.dwell(&["logs", "--all-containers", name]).out.contains("up")));
    child
}

/// Standard output, standard error, exit status.
fn ended(mut child: Child) -> (String, String, i32) {
    let (mut out, mut err) = (String::new(), String::new());
    child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    (out, err, child.wait().unwrap().code().unwrap_or(-1))
}

const POLITE: &str = "trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.1; done";
const DEAF: &str = "trap '' TERM; echo up; while :; do sleep 0.1; done";

#[test]
fn each_signal_once_asks_for_an_ordered_stop_and_shows_what_members_say_to_it() {
    let node = Node::new();
    for (name, signal) in [("interrupted", libc::SIGINT), ("terminated", libc::SIGTERM), ("hung-up", libc::SIGHUP)] {
        let child = running(&node, name, &script(&node, name, POLITE));
        kill(child.id() as i32, signal);
        let (out, err, code) = ended(child);
        assert_eq!((out.as_str(), code), ("up\nbye\n", 0), "{name}: {err}");
        assert!(err.contains(&format!("stopping {name}")), "{err}");
    }
}

#[test]
fn twice_it_kills_at_once() {
    let node = Node::new();
    // Ten minutes of patience: only the second signal can end this in time.
    let manifest = pod("deaf", &[shell(&node, "main", DEAF)], json!({"terminationGracePeriodSeconds": 600}));
    let mut child = running(&node, "deaf", &manifest);
    kill(child.id() as i32, libc::SIGINT);
    // The first is taken once its words are there; two at once would be one.
    let mut words = [0; 8];
    child.stderr.as_mut().unwrap().read_exact(&mut words).unwrap();
    assert_eq!(&words, b"stopping");
    kill(child.id() as i32, libc::SIGINT);
    let (out, err, code) = ended(child);
    assert_eq!((out.as_str(), code), ("up\n", 137), "{err}");
    assert!(err.starts_with(" deaf (Ctrl-C again kills at once)\nkilling deaf\n"), "{err}");
}

#[test]
fn a_signal_to_a_wasm_member_ends_it_with_143() {
    let node = Node::new();
    let sleeper = dwell_tests::guest::path("sleep.wasm");
    let manifest =
        pod("sleeper", &[json!({"name": "main", "image": format!("wasm:{}", sleeper.display())})], json!({}));
    let path = node.file("sleeper.yaml", &manifest);
    let child =
        node.command(&["run", path.to_str().unwrap()]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    assert!(wait_until(|| node.dwell(&["logs", "sleeper"]).out.contains("sleeping")));
    kill(child.id() as i32, libc::SIGINT);
    let (out, err, code) = ended(child);
    assert_eq!((out.as_str(), code), ("sleeping\n", 143), "{err}");
}

#[test]
fn several_pods_are_all_stopped() {
    let node = Node::new();
    let paths = ["one", "two"].map(|name| node.file(&format!("{name}.yaml"), &script(&node, name, POLITE)));
    let args = ["run", paths[0].to_str().unwrap(), paths[1].to_str().unwrap()];
    let child = node.command(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    assert!(wait_until(|| ["one", "two"].iter().all(|name| node.dwell(&["logs", name]).out == "up\n")));
    kill(child.id() as i32, libc::SIGINT);
    let (out, err, code) = ended(child);
    assert!(code == 0 && out.matches("| bye").count() == 2, "{out}{err}");
}

/// Whether the process catches SIGINT.
fn catches_interrupts(pid: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let caught = status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("SigCgt:")?.trim(), 16).ok());
    caught.is_some_and(|caught| caught & 1 << (libc::SIGINT - 1) != 0)
}

/// The client died of it, and the Pod whose creation was on its way ran on. Here the node is held up meanwhile.
#[test]
fn a_signal_that_comes_before_the_pod_stops_it_all_the_same() {
    let node = Node::new();
    node.start(&script(&node, "other", "exec sleep 600"));
    let manifest = node.file("early.yaml", &script(&node, "early", POLITE));
    let pid = node.node_pid().expect("a node");
    kill(pid, libc::SIGSTOP);
    let mut command = node.command(&["run", manifest.to_str().unwrap()]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let caught = wait_until(|| catches_interrupts(child.id()));
    kill(child.id() as i32, libc::SIGINT);
    kill(pid, libc::SIGCONT);
    assert!(caught, "it does not listen");
    let said = child.wait_with_output().unwrap();
    assert!(String::from_utf8_lossy(&said.stderr).contains("stopping early"), "{said:?}");
    let phase = node.pod("early")["status"]["phase"].clone();
    assert!(phase == "Succeeded" || phase == "Failed", "{phase}");
}

#[test]
fn a_killed_client_leaves_the_pod_running() {
    let node = Node::new();
    let child = running(&node, "stays", &script(&node, "stays", POLITE));
    kill(child.id() as i32, libc::SIGKILL);
    ended(child);
    node.wait_for_phase("stays", "Running");
    node.dwell(&["stop", "stays"]).ok();
    assert_eq!(node.dwell(&["logs", "stays"]).ok(), "up\nbye\n");
}

#[test]
fn a_signal_while_an_init_container_runs_ends_the_pod_before_the_members() {
    let node = Node::new();
    let init = json!({"initContainers": [shell(&node, "first", POLITE)]});
    let child = running(&node, "early", &pod("early", &[shell(&node, "main", "echo never")], init));
    kill(child.id() as i32, libc::SIGINT);
    let (out, err, _) = ended(child);
    assert!(!out.contains("never"), "{out}{err}");
    assert!(out.contains("bye"), "{out}{err}");
}
