//! What a Pod as a whole may use, and whom the kernel ends first.

use dwell_tests::node::Node;
use serde_json::Value;

use crate::{before_containers, guest, native};

/// A Pod of these containers with further lines of its spec.
fn pod(name: &str, spec: &str, containers: &str) -> String {
    let head = format!("apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  restartPolicy: Never\n");
    before_containers(&format!("{head}  terminationGracePeriodSeconds: 1\n  containers:\n{containers}"), spec)
}

fn ended(pod: &Value, container: &str) -> Value {
    let all = pod["status"]["containerStatuses"].as_array().into_iter().flatten();
    let found = all.into_iter().find(|status| status["name"] == container);
    found.map(|status| status["state"]["terminated"].clone()).unwrap_or_default()
}

#[test]
fn a_pods_limit_bounds_members_of_both_kinds_that_have_none() {
    let node = Node::new();
    let eaters = [
        ("native", native(&node, "eater", "a=x; while :; do a=$a$a; done", "")),
        ("wasm", guest("eater", "eat.wasm", "['1000']", "")),
    ];
    for (name, eater) in eaters {
        let other = native(&node, "other", "exec sleep 600", "");
        node.start(&pod(name, "  resources: {limits: {memory: 48Mi}}\n", &(eater + &other)));
        let pod = node.wait_for(name, "the eater's end", |pod| ended(pod, "eater").is_object());
        let end = ended(&pod, "eater");
        assert_eq!((end["reason"].as_str(), end["exitCode"].as_i64()), (Some("OOMKilled"), Some(137)), "{pod:#}");
        assert!(end["message"].as_str().is_some_and(|why| why.contains("its limit of 50331648 bytes")), "{end:#}");
        assert_eq!(ended(&pod, "other"), Value::Null, "the other one lives");
        assert_eq!(pod["status"]["qosClass"], "Burstable");
    }
}

#[test]
fn limits_of_the_pod_are_what_its_members_read() {
    let node = Node::new();
    let env = "    env:\n    - {name: MEMORY, valueFrom: {resourceFieldRef: {resource: limits.memory}}}\n    \
               - {name: CPU, valueFrom: {resourceFieldRef: {resource: limits.cpu, divisor: 1m}}}\n";
    let main = native(&node, "main", "echo $MEMORY $CPU", env);
    let run = node.run(&pod("own", "  resources: {limits: {memory: 48Mi, cpu: 250m}}\n", &main));
    assert_eq!(run.ok(), format!("{} 250\n", 48 << 20));
    assert_eq!(node.pod("own")["status"]["qosClass"], "Guaranteed");
}

/// Root of many a machine may not lower a score; it stays what it was then.
fn may_lower() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let set = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap_or_default();
    u64::from_str_radix(set.trim(), 16).is_ok_and(|set| set & 1 << 24 != 0)
}

#[test]
fn the_kernel_knows_whom_to_end_first() {
    let node = Node::new();
    let own = std::fs::read_to_string("/proc/self/oom_score_adj").unwrap();
    let guaranteed = if may_lower() { "-997" } else { own.trim() };
    let requests = "    resources: {requests: {memory: 1Mi}}\n";
    let limits = "    resources: {limits: {memory: 64Mi, cpu: 1}}\n";
    for (name, resources, score) in [("best", "", "1000"), ("some", requests, "999"), ("all", limits, guaranteed)] {
        let main = native(&node, "main", "cat /proc/self/oom_score_adj; exec sleep 600", resources);
        let module = guest("module", "sleep.wasm", "['600']", resources);
        node.start(&pod(name, "", &(main + &module)));
        node.wait_for_phase(name, "Running");
        assert_eq!(node.printed(name, "main", "\n").trim(), score, "{name}");
        let exec = node.dwell(&["exec", name, "-c", "main", "--", "cat", "/proc/self/oom_score_adj"]);
        assert_eq!(exec.ok().trim(), score, "{name}: an exec");
        let root = format!("rootfs:{}", dwell_tests::rootfs::busybox(&node.files()).display());
        let look = ["debug", name, "--image", &root, "--target", "module", "--", "cat", "/proc/1/oom_score_adj"];
        assert_eq!(node.dwell(&look).ok().trim(), score, "{name}: the module");
        let title = format!("pause default/{name}");
        let uid = node.pod(name)["metadata"]["uid"].as_str().unwrap_or("none").to_owned();
        let of_pod =
            |pid: i32| std::fs::read_to_string(format!("/proc/{pid}/cgroup")).is_ok_and(|text| text.contains(&uid));
        let all = dwell_tests::world::Process::all().into_iter();
        let pause = all.filter(|one| one.command == title).find(|one| of_pod(one.pid)).expect("its pause");
        let protected = std::fs::read_to_string(format!("/proc/{}/oom_score_adj", pause.pid)).unwrap();
        assert_eq!(protected.trim(), if may_lower() { "-998" } else { own.trim() }, "{name}: pause goes last");
    }
}
