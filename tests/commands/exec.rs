//! `dwell exec` without a terminal.

use dwell_tests::guest;
use dwell_tests::node::Node;
use serde_json::json;

use crate::{pod, shell, with_input};

/// A Pod with two native members.
fn running(node: &Node) {
    let mut a = shell(node, "a", "echo mine >/tmp/file; echo up; sleep 600");
    a["env"] = json!([{"name": "OWN", "value": "variable"}]);
    a["workingDir"] = json!("/tmp");
    node.start(&pod("host", &[a, shell(node, "b", "echo ready; sleep 600")], json!({})));
    crate::wait_for_line(node, "host", "up");
    crate::wait_for_line(node, "host", "ready");
}

#[test]
fn it_runs_in_the_container_that_is_named_as_its_member_does() {
    let node = Node::new();
    running(&node);
    let said = node.dwell(&[
        "exec",
        "-c",
        "a",
        "host",
        "--",
        "sh",
        "-c",
        "cat /tmp/file; echo $OWN; pwd; hostname; id -u; echo e >&2; exit 5",
    ]);
    assert_eq!((said.out.as_str(), said.err.as_str(), said.code), ("mine\nvariable\n/tmp\nhost\n0\n", "e\n", 5));
    let other = node.dwell(&["exec", "-c", "b", "host", "--", "cat", "/tmp/file"]);
    assert_eq!(other.code, 1, "b sees a's files: {other:#?}");
    let which = node.dwell(&["exec", "host", "--", "true"]);
    assert!(which.code == 125 && which.err.contains("a, b") && which.err.contains("-c"), "{which:#?}");
}

#[test]
fn it_stands_inside_the_members_walls() {
    let node = Node::new();
    running(&node);
    let exec = |script: &str| node.dwell(&["exec", "-c", "a", "host", "--", "sh", "-c", script]).out;
    assert_eq!(
        exec("grep -E '^(CapEff|NoNewPrivs|Seccomp):' /proc/self/status"),
        exec("grep -E '^(CapEff|NoNewPrivs|Seccomp):' /proc/1/status")
    );
    for kind in ["mnt", "pid", "net", "ipc", "uts", "cgroup"] {
        let link = |of: &str| exec(&format!("readlink /proc/{of}/ns/{kind}"));
        assert!(link("1").starts_with(kind), "{}", link("1"));
        assert_eq!(link("self"), link("1"));
    }
    assert_eq!(exec("cat /proc/self/cgroup"), exec("cat /proc/1/cgroup"));
}

#[test]
fn a_user_is_a_number_or_a_name_of_the_image() {
    let node = Node::new();
    running(&node);
    let exec =
        |user: &str| node.dwell(&["exec", "-c", "a", "-u", user, "host", "--", "sh", "-c", "echo $(id -u) $(id -g)"]);
    assert_eq!(exec("user").ok(), "1000 1000\n");
    assert_eq!(exec("1234:2345").ok(), "1234 2345\n");
    let unknown = exec("stranger");
    assert!(unknown.code == 125 && unknown.err.contains("stranger"), "{unknown:#?}");
}

#[test]
fn much_goes_in_and_out_at_the_same_time() {
    let node = Node::new();
    running(&node);
    let input: Vec<u8> = (0..8_000_000u32).map(|n| b'a' + (n % 23) as u8).collect();
    let said = with_input(&node, &["exec", "-i", "-c", "a", "host", "--", "cat"], &input);
    assert_eq!(said.code, 0, "{}", said.err);
    assert!(said.out.as_bytes() == input, "{} of {} bytes came back", said.out.len(), input.len());
}

#[test]
fn without_i_there_is_no_input_and_with_it_its_end_is_seen() {
    let node = Node::new();
    running(&node);
    assert_eq!(with_input(&node, &["exec", "-c", "a", "host", "--", "cat"], b"words\n").ok(), "");
    let said = with_input(&node, &["exec", "-i", "-c", "a", "host", "--", "sh", "-c", "cat; echo end"], b"words\n");
    assert_eq!(said.ok(), "words\nend\n");
    // A program that does not read what it is sent ends all the same.
    let said = with_input(&node, &["exec", "-i", "-c", "a", "host", "--", "true"], &vec![b'x'; 3_000_000]);
    assert_eq!(said.code, 0, "{said:#?}");
}

#[test]
fn statuses_are_a_shells() {
    let node = Node::new();
    running(&node);
    let exec = |program: &[&str]| node.dwell(&[&["exec", "-c", "a", "host", "--"], program].concat());
    let missing = exec(&["/no/such"]);
    assert!(missing.code == 127 && missing.err.contains("/no/such"), "{missing:#?}");
    let refused = exec(&["/etc/passwd"]);
    assert!(refused.code == 126 && refused.err.contains("/etc/passwd"), "{refused:#?}");
    assert_eq!(exec(&["sh", "-c", "kill -TERM $$"]).code, 143);
    assert_eq!(exec(&["sh", "-c", "kill -KILL $$"]).code, 137);
    assert_eq!(exec(&["sh", "-c", "exit 255"]).code, 255);
}

#[test]
fn a_wasm_member_has_no_programs_to_execute() {
    let node = Node::new();
    let sleeper = guest::path("sleep.wasm");
    let container = json!({"name": "main", "image": format!("wasm:{}", sleeper.display())});
    node.start(&pod("sleeper", &[container], json!({})));
    crate::wait_for_line(&node, "sleeper", "sleeping");
    let said = node.dwell(&["exec", "sleeper", "--", "sh"]);
    assert!(said.code == 125 && said.err.contains("only another module can run"), "{said:#?}");
}

#[test]
fn what_cannot_be_entered_is_said_plainly() {
    let node = Node::new();
    running(&node);
    node.dwell(&["stop", "host"]).ok();
    let ended = node.dwell(&["exec", "-c", "a", "host", "--", "true"]);
    assert!(ended.code == 125 && ended.err.contains("not running"), "{ended:#?}");
    let nobody = node.dwell(&["exec", "hots", "--", "true"]);
    assert!(nobody.code == 125 && nobody.err.contains("did you mean host?"), "{nobody:#?}");
}

#[test]
fn the_end_of_the_member_is_the_end_of_what_runs_beside_it() {
    let node = Node::new();
    running(&node);
    let child = node
        .command(&["exec", "-c", "a", "host", "--", "sh", "-c", "echo in; sleep 600"])
        .stdout(std::process::Stdio::piped())
        .spawn();
    let mut child = child.unwrap();
    let mut word = [0; 3];
    std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut word).unwrap();
    node.dwell(&["kill", "-c", "a", "host"]).ok();
    assert_eq!(child.wait().unwrap().code(), Some(137));
}
