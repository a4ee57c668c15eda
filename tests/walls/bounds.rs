//! What members take: memory, processors, processes, and what the Pod says of their end.

use dwell_tests::node::{Node, wait_until};
use serde_json::Value;

use crate::manifest::{Manifest, native, wasm};
use crate::member::Member;

fn ending(node: &Node, pod: &str) -> Value {
    node.pod(pod)["status"]["containerStatuses"][0]["state"]["terminated"].clone()
}

fn limits(text: &str) -> String {
    format!("resources: {{limits: {{{text}}}}}")
}

#[test]
fn eating_memory_ends_the_eater_and_the_pod_says_so() {
    let node = Node::new();
    let guest = |name: &str, wanted: &str, limit: &str| {
        node.run(&Manifest::new(name).with(wasm("main", "eat.wasm", &[wanted], &[&limits(limit)])).text())
    };
    let said = guest("eats", "512", "memory: 64Mi");
    assert_eq!(said.code, 137, "{said:#?}");
    let end = ending(&node, "eats");
    assert_eq!(end["reason"], "OOMKilled", "{end:#}");
    let eater = |name: &str, limit: &str| {
        let script = "head -c 100000000 /dev/zero | tail | wc -c";
        node.run(&Manifest::new(name).with(native(&node, "main", script, &[&limits(limit)])).text())
    };
    let said = eater("native", "memory: 32Mi");
    assert!(said.code != 0 || said.out.trim() != "100000000", "{said:#?}");
    assert_eq!(guest("less", "16", "memory: 64Mi").ok().lines().last(), Some("has 16 MiB"), "control: less");
    assert_eq!(
        guest("more", "100", "memory: 300Mi").ok().lines().last(),
        Some("has 100 MiB"),
        "control: a higher limit"
    );
    assert_eq!(eater("native-more", "memory: 300Mi").ok().trim(), "100000000", "control: a higher limit");
}

#[test]
fn an_eater_leaves_its_sibling_alone() {
    let node = Node::new();
    let eater = wasm("eater", "eat.wasm", &["512"], &[&limits("memory: 64Mi")]);
    let holds = "mkfifo /f; (head -c 40000000 /dev/zero; exec sleep 600) > /f & exec tail /f";
    let quiet = native(&node, "quiet", holds, &[&limits("memory: 64Mi")]);
    node.start(&Manifest::new("pair").with(eater).with(quiet).text());
    let state = |pod: &Value, name: &str| {
        let all = pod["status"]["containerStatuses"].as_array().cloned().unwrap_or_default();
        all.into_iter().find(|one| one["name"] == name).map_or(Value::Null, |one| one["state"].clone())
    };
    let pod =
        node.wait_for("pair", "the eater's end", |pod| state(pod, "eater")["terminated"]["reason"] == "OOMKilled");
    assert!(state(&pod, "quiet")["running"].is_object(), "{pod:#}");
    Member::of(&node, "pair", "quiet", "tail");
    node.dwell(&["exec", "-c", "quiet", "pair", "--", "sh", "-c", "head -c 60000000 /dev/zero | tail | wc -c"]);
    node.wait_for("pair", "control: an eater in its own group ends it", |pod| {
        state(pod, "quiet")["terminated"]["reason"] == "OOMKilled"
    });
}

/// How often the group was held back.
fn throttled(member: &Member) -> u64 {
    let text = std::fs::read_to_string(member.cgroup("cpu").join("cpu.stat")).expect("reads");
    let line = text.lines().find_map(|line| line.strip_prefix("nr_throttled ")).expect("a quota's line");
    line.parse().expect("a number")
}

#[test]
fn a_spinning_guest_is_held_back_and_can_always_be_stopped() {
    let node = Node::new();
    let pod =
        |name: &str, limit: &str| Manifest::new(name).with(wasm("main", "spin.wasm", &[], &[&limits(limit)])).text();
    node.start(&pod("bounded", "cpu: 100m"));
    let bounded = Member::of(&node, "bounded", "main", "dwell-worker");
    assert!(wait_until(|| throttled(&bounded) > 2), "it was never held back");
    node.start(&pod("free", "memory: 64Mi"));
    let free = Member::of(&node, "free", "main", "dwell-worker");
    assert_eq!(throttled(&free), 0, "control: without a limit nobody is");
    node.dwell(&["stop", "-t", "30", "bounded"]).ok();
    assert_eq!(ending(&node, "bounded")["exitCode"], 143, "{:#}", ending(&node, "bounded"));
    node.dwell(&["kill", "-s", "KILL", "free"]).ok();
    node.wait_for_phase("free", "Failed");
    let end = ending(&node, "free");
    assert_eq!((&end["exitCode"], &end["reason"]), (&Value::from(137), &Value::from("Error")), "{end:#}");
}

#[test]
fn a_fork_bomb_meets_its_limit() {
    let node = Node::new();
    let script = "i=0; while [ $i -lt 60 ]; do sleep 600 & i=$((i+1)); done 2>/dev/null; echo all; exec sleep 600";
    let pod = |name: &str, limit: &str| {
        let pod = Manifest::new(name).annotation("dwell.dev/pids-limit", limit);
        pod.with(native(&node, "main", script, &[])).text()
    };
    node.run(&pod("bomb", "20"));
    let said = node.dwell(&["logs", "bomb"]).ok();
    assert!(!said.contains("all"), "{said}");
    node.start(&pod("enough", "100"));
    assert_eq!(node.printed("enough", "main", "all\n"), "all\n", "control");
    let member = Member::of(&node, "enough", "main", "sleep");
    let count = || std::fs::read_to_string(member.cgroup("pids").join("pids.current")).expect("reads");
    assert_eq!(count().trim(), "61");
    let default = std::fs::read_to_string(member.cgroup("pids").join("pids.max")).expect("reads");
    assert_eq!(default.trim(), "100");
    node.start(&Manifest::new("plain").with(native(&node, "main", "exec sleep 600", &[])).text());
    let member = Member::of(&node, "plain", "main", "sleep");
    let limit = std::fs::read_to_string(member.cgroup("pids").join("pids.max")).expect("reads");
    assert_eq!(limit.trim(), "4096", "nobody is without a limit");
}

#[test]
fn a_bad_end_of_a_guest_is_explained() {
    let node = Node::new();
    let said = node.run(&Manifest::new("trap").with(wasm("main", "trap.wasm", &[], &[])).text());
    let end = ending(&node, "trap");
    assert_eq!((said.code, &end["reason"]), (134, &Value::from("Trap")), "{end:#}");
    assert!(end["message"].as_str().is_some_and(|message| message.contains("unreachable")), "{end:#}");
    node.run(&Manifest::new("fine").with(wasm("main", "exit.wasm", &["0"], &[])).text()).ok();
    let end = ending(&node, "fine");
    assert_eq!((&end["reason"], &end["message"]), (&Value::from("Completed"), &Value::Null), "control: {end:#}");
}
