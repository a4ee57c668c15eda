//! Containers by their names: what is added beside one, what is run in it, what changes about it; and a Pod's gates.

use serde_json::{Value, json};

use super::{KINDS, idle};
use crate::bench::{shared, status};
use crate::verdicts::patch;

/// In its target's pid namespace the first process is the target, else its own.
pub fn what_is_added_sees_the_processes_of_its_target() {
    let bench = shared();
    bench.start(&bench.pod("added", &KINDS.map(|kind| idle(&bench, kind, kind, &json!({}))), &json!({})));
    bench.node.wait_for_phase("added", "Running");
    let image = bench.image("native");
    let first = |more: &[&str]| {
        let script = "tr '\\0' ' ' < /proc/1/cmdline";
        let said =
            bench.node.dwell(&[&["debug", "added", "--image", &image], more, &["--", "sh", "-c", script]].concat());
        said.ok()
    };
    assert!(first(&["--target", "native"]).starts_with("sh -c trap"));
    assert!(first(&["--target", "wasm"]).starts_with("dwell-worker"));
    let own = first(&[]);
    assert!(own.starts_with("tr "), "control: {own}");
    bench.remove("added");
}

/// Two of each kind, told apart by their names and by what their images hold.
pub fn a_container_is_found_by_its_name_and_is_its_image() {
    let bench = shared();
    let second = bench.node.files().join("second");
    let copied =
        std::process::Command::new("cp").arg("-a").arg(bench.node.files().join("rootfs")).arg(&second).status();
    assert!(copied.expect("run cp").success());
    std::fs::write(second.join("name"), "second\n").expect("write into it");
    let show = "cat /name 2>/dev/null || echo first";
    let mut other = bench.shell("native-b", show, &json!({}));
    other["image"] = json!(format!("rootfs:{}", second.display()));
    let all = [
        bench.shell("native-a", show, &json!({})),
        other,
        bench.container("wasm-a", "hello.wasm", &json!({})),
        bench.container("wasm-b", "env.wasm", &json!({"args": ["HOSTNAME"]})),
    ];
    bench.start(&bench.pod("named", &all, &json!({})));
    bench.node.wait_for_phase("named", "Succeeded");
    let said = ["native-a", "native-b", "wasm-a", "wasm-b"].map(|name| bench.log("named", name));
    assert_eq!(said, ["first\n", "second\n", "hello from WebAssembly\n", "HOSTNAME=named\n"]);
    let nobody = bench.node.dwell(&["logs", "-c", "native-c", "named"]);
    assert!(nobody.code != 0 && nobody.err.contains("native-c"), "control: {nobody:#?}");
    bench.remove("named");
}

pub fn a_gate_is_opened_by_whoever_says_so() {
    let bench = shared();
    for kind in KINDS {
        let name = format!("gated-{kind}");
        let gate = json!({"readinessGates": [{"conditionType": "example.com/fed"}]});
        bench.start(&bench.pod(&name, &[idle(&bench, kind, "main", &json!({}))], &gate));
        let is = |pod: &Value, of: &str, value: &str| {
            let all = pod["status"]["conditions"].as_array().into_iter().flatten();
            all.into_iter().any(|one| one["type"] == of && one["status"] == value)
        };
        let pod = bench.node.wait_for(&name, "its containers", |pod| is(pod, "ContainersReady", "True"));
        assert!(is(&pod, "Ready", "False"), "{pod:#}");
        let body = json!({"status": {"conditions": [{"type": "example.com/fed", "status": "True"}]}});
        let answer = patch(&bench, &format!("{name}/status"), &body);
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        bench.node.wait_for(&name, "readiness", |pod| is(pod, "Ready", "True"));
        bench.remove(&name);
        bench.start(&bench.pod(&name, &[idle(&bench, kind, "main", &json!({}))], &json!({})));
        bench.node.wait_for(&name, "readiness without a gate", |pod| is(pod, "Ready", "True"));
        bench.remove(&name);
    }
}

/// Each pair gets other limits of its processors; it begins anew where that is what its policy says of them.
pub fn a_change_of_resources_restarts_whom_it_should() {
    let bench = shared();
    let policies = [
        ("restarts", json!([{"resourceName": "cpu", "restartPolicy": "RestartContainer"}])),
        ("stays", json!([{"resourceName": "cpu", "restartPolicy": "NotRequired"}])),
        ("other", json!([{"resourceName": "memory", "restartPolicy": "RestartContainer"}])),
    ];
    let member = |kind: &str, (name, policy): &(&str, Value)| {
        let amounts = json!({"limits": {"cpu": "200m", "memory": "64Mi"}});
        idle(&bench, kind, &format!("{kind}-{name}"), &json!({"resources": amounts, "resizePolicy": policy}))
    };
    let all: Vec<Value> = KINDS.iter().flat_map(|kind| policies.iter().map(|policy| member(kind, policy))).collect();
    bench.start(&bench.pod("resized", &all, &json!({"restartPolicy": "Always"})));
    bench.node.wait_for_phase("resized", "Running");
    let amounts = json!({"cpu": "300m", "memory": "64Mi"});
    let change = |one: &Value| json!({"name": one["name"], "resources": {"limits": amounts, "requests": amounts}});
    let body = json!({"spec": {"containers": all.iter().map(change).collect::<Vec<_>>()}});
    let answer = patch(&bench, "resized/resize", &body);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let count = |pod: &Value, name: &str| status(pod, name)["restartCount"].as_i64().unwrap_or(0);
    let pod = bench.node.wait_for("resized", "those that begin anew", |pod| {
        let done = |name: String| status(pod, &name)["allocatedResources"]["cpu"] == "300m";
        let names = KINDS.iter().flat_map(|kind| policies.iter().map(move |(name, _)| format!("{kind}-{name}")));
        names.into_iter().all(done) && KINDS.iter().all(|kind| count(pod, &format!("{kind}-restarts")) > 0)
    });
    for kind in KINDS {
        assert_eq!(
            (count(&pod, &format!("{kind}-stays")), count(&pod, &format!("{kind}-other"))),
            (0, 0),
            "{:#}",
            pod["status"]
        );
    }
    bench.remove("resized");
}
