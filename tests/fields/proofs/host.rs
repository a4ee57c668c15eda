//! Namespaces of a guest's process. The guest itself has no way to name them; the kernel is asked from outside.

use dwell_tests::node::wait_until;
use dwell_tests::world::Process;
use serde_json::{Value, json};

use super::idle;
use crate::bench::{Bench, shared};

/// The process of the Pod's only guest, once it is there.
#[track_caller]
fn worker(bench: &Bench, name: &str) -> i32 {
    let uid = bench.node.pod(name)["metadata"]["uid"].as_str().unwrap_or("none").to_owned();
    let of_pod =
        |pid: i32| std::fs::read_to_string(format!("/proc/{pid}/cgroup")).is_ok_and(|text| text.contains(&uid));
    let find = || Process::all().into_iter().find(|one| one.command.starts_with("dwell-worker") && of_pod(one.pid));
    assert!(wait_until(|| find().is_some()), "{name} has no guest");
    find().expect("it was there").pid
}

fn namespaces(pid: i32) -> Vec<String> {
    let of = |name: &&str| std::fs::read_link(format!("/proc/{pid}/ns/{name}")).expect("a namespace");
    ["net", "pid", "ipc"].iter().map(|name| of(name).display().to_string()).collect()
}

pub fn a_wasm_member_is_in_the_hosts_namespaces() {
    let bench = shared();
    let own = namespaces(std::process::id() as i32);
    for (number, field) in ["hostNetwork", "hostPID", "hostIPC", "none"].iter().enumerate() {
        let spec: Value = if number < 3 { json!({*field: true}) } else { json!({}) };
        let name = format!("host-{}", field.to_lowercase());
        bench.start(&bench.pod(&name, &[idle(&bench, "wasm", "main", &json!({}))], &spec));
        bench.node.wait_for_phase(&name, "Running");
        let found = namespaces(worker(&bench, &name));
        let shared: Vec<bool> = found.iter().zip(&own).map(|(found, own)| found == own).collect();
        assert_eq!(shared, [number == 0, number == 1, number == 2], "{field}: {found:?}");
        bench.remove(&name);
    }
}
