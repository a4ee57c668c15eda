//! Limits and requests of memory and processors, of containers and of Pods, and the classes that follow from them.

use dwell_tests::node::{Node, wait_until};
use serde_json::Value;

use crate::{Machine, page, prints, start, status, with_guest};

#[test]
fn a_container_below_its_limit_of_memory_goes_on() {
    let node = Machine::new();
    start(&node, "memory-within", "modest");
    prints(&node, "modest", "eats", "had enough\n");
    let pod = node.pod("modest");
    assert_eq!(status(&pod, "eats")["restartCount"], 0, "{pod:#}");
    let stats = node.dwell(&["stats", "modest", "--no-stream"]);
    assert!(stats.code == 0 && stats.out.contains("96"), "{stats:#?}");
}

/// Ended by the kernel, begun again, and ended again.
#[track_caller]
fn is_ended_for_its_memory(node: &Node, manifest: &str) {
    node.start(manifest);
    let ended = |pod: &Value| {
        let last = &status(pod, "eats")["lastState"]["terminated"];
        last["reason"] == "OOMKilled" && last["exitCode"] == 137
    };
    let pod = node.wait_for("greedy", "it was ended for its memory", ended);
    assert!(
        status(&pod, "eats")["restartCount"].as_u64() >= Some(1)
            || status(&pod, "eats")["state"]["waiting"].is_object()
    );
}

#[test]
fn a_container_beyond_its_limit_of_memory_is_ended_and_begins_again() {
    let node = Machine::new();
    is_ended_for_its_memory(&node, &page(&node, "memory-beyond"));
}

#[test]
fn a_module_beyond_its_limit_of_memory_is_ended_and_begins_again() {
    let node = Machine::new();
    is_ended_for_its_memory(&node, &with_guest(&page(&node, "memory-beyond"), "eats", "eat.wasm", "['1000']"));
}

/// Asked of the kernel: how often the container was held back, and its quota beside its period.
#[test]
fn a_container_gets_no_more_of_the_processors_than_its_limit() {
    let node = Machine::new();
    let pod = start(&node, "cpu", "busy");
    let uid = pod["metadata"]["uid"].as_str().unwrap().to_owned();
    assert!(wait_until(|| held_back(&uid) > 0), "nothing holds it back");
    assert_eq!(pod["status"]["qosClass"], "Burstable", "{pod:#}");
}

/// The largest number of times that a group of this Pod was held back, in whichever hierarchy has the processors.
fn held_back(uid: &str) -> u64 {
    let groups =
        std::process::Command::new("find").args(["/sys/fs/cgroup", "-path"]).arg(format!("*{uid}*/cpu.stat")).output();
    let paths = String::from_utf8(groups.expect("find is there").stdout).unwrap_or_default();
    let texts = paths.lines().filter_map(|path| std::fs::read_to_string(path).ok());
    let number = |text: String| text.lines().find_map(|line| line.strip_prefix("nr_throttled ")?.parse().ok());
    texts.filter_map(number).max().unwrap_or(0)
}

#[test]
fn a_pods_limit_is_shared_by_its_containers() {
    let node = Machine::new();
    node.start(&page(&node, "pod-resources"));
    let ended = |pod: &Value| status(pod, "free")["state"]["terminated"]["reason"] == "OOMKilled";
    let pod = node.wait_for("shares", "the one without a limit reaches the Pod's", ended);
    let end = status(&pod, "free")["state"]["terminated"].clone();
    assert!(end["message"].as_str().is_some_and(|why| why.contains(&(96 << 20).to_string())), "{end:#}");
    assert!(status(&pod, "bounded")["state"]["running"].is_object(), "the other one lives: {pod:#}");
    assert_eq!(pod["status"]["qosClass"], "Burstable", "{pod:#}");
}

#[test]
fn the_class_follows_from_limits_and_requests() {
    let node = Machine::new();
    for (page, pod, class) in [
        ("qos-guaranteed", "of-the-first-class", "Guaranteed"),
        ("qos-burstable", "of-the-second-class", "Burstable"),
        ("qos-best-effort", "of-the-third-class", "BestEffort"),
        ("qos-two-containers", "of-two-minds", "Burstable"),
    ] {
        let pod = start(&node, page, pod);
        assert_eq!(pod["status"]["qosClass"], class, "{pod:#}");
    }
}

#[test]
fn a_module_is_in_the_class_that_its_limits_make() {
    let node = Machine::new();
    let module = with_guest(&page(&node, "qos-guaranteed"), "rests", "sleep.wasm", "['600']");
    node.start(&module);
    let pod = node.wait_for_phase("of-the-first-class", "Running");
    assert_eq!(pod["status"]["qosClass"], "Guaranteed", "{pod:#}");
}

/// As its policy says: more of the processors at once, more memory by a new start.
#[test]
fn a_running_container_gets_more_as_its_policy_says() {
    let node = Machine::new();
    start(&node, "resize", "grows");
    let set = |amounts: &str| {
        node.dwell(&["set", "resources", "grows", "-c", "grows", "--limits", amounts, "--requests", amounts]).ok()
    };
    let begun = |restarts: u64, amounts: [&str; 2]| {
        node.wait_for("grows", "its new share", |pod| {
            let grows = status(pod, "grows");
            let limits = &pod["spec"]["containers"][0]["resources"]["limits"];
            let is = [&limits["cpu"], &limits["memory"]].map(|limit| limit.as_str().unwrap_or_default());
            grows["restartCount"] == restarts && grows["state"]["running"].is_object() && is == amounts
        })
    };
    set("cpu=800m,memory=64Mi");
    begun(0, ["800m", "64Mi"]);
    set("cpu=800m,memory=96Mi");
    let pod = begun(1, ["800m", "96Mi"]);
    assert_eq!(pod["status"]["qosClass"], "Guaranteed", "{pod:#}");
}

/// Of both together, as the page has it: the two may use 16 MiB.
#[test]
fn a_pod_that_writes_more_than_its_containers_may_is_evicted() {
    let node = Machine::new();
    node.start(&page(&node, "ephemeral-storage"));
    let pod = node.wait_for_phase("frontend", "Failed");
    assert_eq!(pod["status"]["reason"], "Evicted", "{pod:#}");
    let why = "Pod ephemeral local storage usage exceeds the total limit of containers 16Mi.";
    assert!(pod["status"]["message"].as_str().is_some_and(|words| words.contains(why)), "{pod:#}");
    let modest = Machine::new();
    let less = page(&modest, "ephemeral-storage").replace("count=24", "count=1");
    modest.start(&less);
    modest.wait_for_phase("frontend", "Running");
    std::thread::sleep(std::time::Duration::from_secs(4));
    assert_eq!(modest.pod("frontend")["status"]["phase"], "Running", "control: it has room enough");
}
