//! Secrets: as files, as variables, of every type.

use crate::{Machine, inside, lines, page, run, start, with_guest};

#[test]
fn every_key_becomes_a_file() {
    let node = Machine::new();
    start(&node, "secret-volume", "door-pod");
    let script = "ls /etc/door; cat /etc/door/guest; echo; cat /etc/door/phrase; touch /etc/door/x 2>&1 || true";
    let said = inside(&node, "door-pod", "knocks", script);
    assert!(said.starts_with("guest\nphrase\nalice\nopen sesame") && said.contains("Read-only"), "{said}");
}

#[test]
fn keys_lie_where_they_are_put_with_their_permissions() {
    let node = Machine::new();
    assert_eq!(run(&node, "secret-items").ok(), "alice\nmy-people\nwhispered\n400\n440\n");
    node.dwell(&["rm", "door-items"]).ok();
    let args = "[read, /etc/door/my-people/my-guest, --, read, /etc/door/whispered]";
    let module = with_guest(&page(&node, "secret-items"), "looks", "files.wasm", args);
    assert_eq!(node.run(&module).ok(), "aliceopen sesame");
}

#[test]
fn keys_become_variables_of_both_kinds_of_member() {
    let node = Machine::new();
    let text = run(&node, "secret-variables").ok();
    let wanted = ["FRONT_GUEST=alice", "BACK_GUEST=bob", "PHRASE=open sesame"];
    wanted.iter().for_each(|line| assert!(lines(&text).contains(line), "no {line} in {text}"));
    node.dwell(&["rm", "variables"]).ok();
    let args = "[FRONT_GUEST, BACK_GUEST, PHRASE]";
    let module = with_guest(&page(&node, "secret-variables"), "shows", "env.wasm", args);
    assert_eq!(lines(&node.run(&module).ok()), wanted);
}

#[test]
fn a_key_with_a_dot_is_a_hidden_file() {
    let node = Machine::new();
    let text = run(&node, "secret-dotfile").ok();
    assert!(text.starts_with("0\n"), "`ls` alone shows nothing: {text}");
    assert!(lines(&text).contains(&".hidden-word") && text.ends_with("xyzzy"), "{text}");
}

#[test]
fn two_pods_differ_in_their_secret_alone() {
    let node = Machine::new();
    run(&node, "secret-two-stages").ok();
    for (pod, who) in [("real-client", "the-owner"), ("play-client", "a-tester")] {
        assert_eq!(node.dwell(&["logs", pod]).ok(), who);
    }
}

#[test]
fn secrets_of_every_type_are_kept() {
    let node = Machine::new();
    let expected = "basic/password sesame\nbasic/username alice\ncertificate/tls.crt not a certificate\n\
                    certificate/tls.key not its key\nshell/ssh-privatekey not a key\n{\"auths\":{}}alice\n";
    assert_eq!(run(&node, "secret-types").ok(), expected);
}

/// What Kubernetes' API server refuses too.
#[test]
fn a_secret_without_what_its_type_needs_is_refused() {
    let node = Machine::new();
    let said = node.run(&page(&node, "secret-types").replace("tls.key:", "tls.other:"));
    assert!(said.code == 125 && said.err.contains("tls.key"), "{said:#?}");
}
