//! What a container says of its end, what it is asked to end by, and what follows its exit status.

use std::os::unix::fs::symlink;

use dwell_tests::node::{Node, wait_until};
use serde_json::Value;

use crate::{before_containers, guest, native, shell};

/// How the first container ended.
fn end(status: &Value) -> &Value {
    &status["status"]["containerStatuses"][0]["state"]["terminated"]
}

/// The Pod with these lines of its container.
fn with(node: &Node, script: &str, lines: &str) -> String {
    shell(node, "end", "Never", script) + lines
}

/// A Pod of one guest that works with files.
fn files(args: &str, lines: &str) -> String {
    "apiVersion: v1\nkind: Pod\nmetadata: {name: end}\nspec:\n  restartPolicy: Never\n  containers:\n".to_owned()
        + &guest("main", "files.wasm", args, lines)
}

#[test]
fn last_words_are_the_message_of_either_kind() {
    let node = Node::new();
    let native = "printf 'all\\twell: ä\\n' > /dev/termination-log";
    for (manifest, words) in [
        (with(&node, native, ""), "all\twell: ä\n"),
        (with(&node, "echo bye > /var/end; exit 3", "    terminationMessagePath: /var/end\n"), "bye\n"),
        (with(&node, "echo user > /dev/termination-log", "    securityContext: {runAsUser: 1234}\n"), "user\n"),
        (files("[write, /dev/termination-log, wasm]", ""), "wasm\n"),
        (
            files("[write, /a/end, wasm, --, append, /a/end, more]", "    terminationMessagePath: /a/end\n"),
            "wasm\nmore\n",
        ),
        (files("[write, /dev/termination-log, said, --, read, /none]", ""), "said\n"),
    ] {
        node.start(&manifest);
        let ended = node.wait_for("end", "an end", |pod| end(pod).is_object());
        assert_eq!(end(&ended)["message"], words, "{:#}", ended["status"]);
        node.dwell(&["rm", "end"]).ok();
    }
}

/// A directory of its own holds the file, and a guest that was given nothing else can do nothing else in it.
#[test]
fn a_guest_can_write_its_last_words_and_nothing_beside_them() {
    let node = Node::new();
    for (verb, control) in [
        ("[write, /dev/other, x]", "[write, /dev/termination-log, x]"),
        ("[remove, /dev/termination-log]", "[read, /dev/termination-log]"),
        ("[move, /dev/termination-log, /dev/x]", "[size, /dev/termination-log]"),
        ("[make, /dev/sub]", "[list, /dev]"),
    ] {
        node.start(&files(verb, ""));
        assert_eq!(node.wait_for_phase("end", "Failed")["status"]["phase"], "Failed", "{verb}");
        node.dwell(&["rm", "end"]).ok();
        node.start(&files(control, ""));
        node.wait_for_phase("end", "Succeeded");
        node.dwell(&["rm", "end"]).ok();
    }
}

#[test]
fn the_end_of_the_log_speaks_for_who_failed_in_silence() {
    let node = Node::new();
    let from_log = "    terminationMessagePolicy: FallbackToLogsOnError\n";
    let many = "seq 1 100; echo oops >&2; exit 3";
    let last_80 = (22..=100).map(|n| format!("{n}\n")).collect::<String>() + "oops\n";
    for (script, lines, message) in [
        (many, from_log, Some(last_80.as_str())),
        (many, "", None),
        ("echo said; exit 0", from_log, None),
        ("echo logged; echo own > /dev/termination-log; exit 3", from_log, Some("own\n")),
    ] {
        node.start(&with(&node, script, lines));
        let ended = node.wait_for("end", "an end", |pod| end(pod).is_object());
        assert_eq!(end(&ended)["message"].as_str(), message, "{:#}", ended["status"]);
        node.dwell(&["rm", "end"]).ok();
    }
    node.start(&files("[read, /none]", from_log));
    let ended = node.wait_for_phase("end", "Failed");
    let message = end(&ended)["message"].as_str().unwrap_or_default();
    assert!(message.contains("read /none"), "{:#}", ended["status"]);
}

/// The file is the member's to fill: with more than a message may have, with a hole, or in a volume that another member
/// plays tricks in.
#[test]
fn last_words_are_bounded_and_nothing_stands_in_for_them() {
    let node = Node::new();
    let secret = node.files().join("secret");
    std::fs::write(&secret, "a secret of the host\n").unwrap();
    node.start(&with(
        &node,
        "yes 0123456789 | head -c 100000 > /dev/termination-log; truncate -s 64G /dev/termination-log",
        "",
    ));
    let ended = node.wait_for("end", "an end", |pod| end(pod).is_object());
    assert_eq!(end(&ended)["message"].as_str().map(str::len), Some(4096), "{:#}", ended["status"]);
    node.dwell(&["rm", "end"]).ok();

    let volume = node.files().join("volume");
    std::fs::create_dir(&volume).unwrap();
    symlink(&secret, volume.join("end")).unwrap();
    let lines = "    terminationMessagePath: /v/end\n    volumeMounts: [{name: v, mountPath: /v}]\n";
    let host = format!("  volumes: [{{name: v, hostPath: {{path: {}}}}}]\n", volume.display());
    node.start(&before_containers(&with(&node, "echo mine > /v/end", lines), &host));
    let ended = node.wait_for("end", "an end", |pod| end(pod).is_object());
    assert!(!ended["status"].to_string().contains("a secret"), "{:#}", ended["status"]);
    assert_eq!(std::fs::read_to_string(&secret).unwrap(), "a secret of the host\n");
}

/// It would be made in the host's `/dev`.
#[test]
fn nothing_is_made_in_a_volume_at_dev() {
    let node = Node::new();
    let volume = node.files().join("volume");
    std::fs::create_dir(&volume).unwrap();
    let lines = "    volumeMounts: [{name: v, mountPath: /dev}]\n";
    let host = format!("  volumes: [{{name: v, hostPath: {{path: {}}}}}]\n", volume.display());
    node.start(&before_containers(&with(&node, "ls -A /dev", lines), &host));
    node.wait_for_phase("end", "Succeeded");
    assert_eq!(std::fs::read_dir(&volume).unwrap().count(), 0);
}

#[test]
fn a_stop_signal_of_its_own_is_the_one_that_is_sent() {
    let node = Node::new();
    let script = "trap 'echo usr1; exit 0' USR1; trap 'echo term' TERM; echo up; while :; do sleep 0.05; done";
    let pod = with(&node, script, "    lifecycle: {stopSignal: SIGUSR1}\n");
    node.start(&before_containers(&pod, "  os: {name: linux}\n"));
    assert!(wait_until(|| node.dwell(&["logs", "end"]).out.contains("up")));
    assert_eq!(node.pod("end")["status"]["containerStatuses"][0]["stopSignal"], "SIGUSR1");
    node.dwell(&["stop", "end"]).ok();
    assert_eq!(node.dwell(&["logs", "end"]).ok(), "up\nusr1\n");
}

/// Counts its starts, and ends with each of these statuses in turn.
fn counted(statuses: &str) -> String {
    format!("n=$(cat /v/n 2>/dev/null || echo 0); n=$((n+1)); echo $n > /v/n; set -- {statuses}; eval exit \\${{$n}}")
}

/// A Pod of these containers, with a volume.
fn in_a_volume(containers: &str) -> String {
    "apiVersion: v1\nkind: Pod\nmetadata: {name: end}\nspec:\n  restartPolicy: Never\n  \
     volumes: [{name: v, emptyDir: {}}]\n  containers:\n"
        .to_owned()
        + containers
}

#[test]
fn a_rule_starts_again_what_the_policy_would_not() {
    let node = Node::new();
    let rule = "    volumeMounts: [{name: v, mountPath: /v}]\n    restartPolicy: Never\n    restartPolicyRules:\n    - \
                {action: Restart, exitCodes: {operator: In, values: [5]}}\n";
    node.start(&in_a_volume(&native(&node, "main", &counted("5 6"), rule)));
    let ended = node.wait_for_phase("end", "Failed");
    assert_eq!(end(&ended)["exitCode"], 6, "{:#}", ended["status"]);
    assert_eq!(ended["status"]["containerStatuses"][0]["restartCount"], 1);
}

/// The other members are killed, the volume and the address stay, init containers run again.
#[test]
fn a_rule_has_the_whole_pod_begin_again_in_its_place() {
    let node = Node::new();
    let mount = "    volumeMounts: [{name: v, mountPath: /v}]\n";
    let rule = format!(
        "{mount}    restartPolicy: Never\n    restartPolicyRules:\n    - \
         {{action: RestartAllContainers, exitCodes: {{operator: In, values: [42]}}}}\n"
    );
    let waits = "until [ -e /v/sibling ]; do sleep 0.05; done; rm /v/sibling; ";
    let main = native(&node, "main", &(waits.to_owned() + &counted("42 0")), &rule);
    // It ends in its second run only, and hears no SIGTERM.
    let stays = "trap '' TERM; grep [.].*end /etc/hosts >> /v/addresses; touch /v/sibling; \
                 while [ $(wc -l < /v/addresses) -lt 2 ]; do sleep 0.05; done; sort -u /v/addresses | wc -l";
    let sibling = native(&node, "sibling", stays, mount);
    let wasm = guest("wasm", "sleep.wasm", "['1']", "");
    let init = native(&node, "init", "echo init >> /v/inits; wc -l < /v/inits", mount);
    let init = format!("  initContainers:\n{init}");
    node.start(&before_containers(&in_a_volume(&(main + &sibling + &wasm)), &init));
    let ended = node.wait_for_phase("end", "Succeeded");
    let counts = |list: &str| -> Vec<i64> {
        ended["status"][list].as_array().unwrap().iter().map(|one| one["restartCount"].as_i64().unwrap()).collect()
    };
    // The guest may not have been compiled yet when all began again.
    assert_eq!((counts("initContainerStatuses"), &counts("containerStatuses")[..2]), (vec![1], &[1, 1][..]));
    assert_eq!(node.dwell(&["logs", "-c", "init", "end"]).ok(), "2\n", "the volume stayed");
    assert_eq!(node.dwell(&["logs", "-c", "sibling", "end"]).ok(), "1\n", "the address stayed");
}
