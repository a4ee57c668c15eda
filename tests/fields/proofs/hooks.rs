//! Hooks that wait, and sidecars: members that begin in their turn and live on.

use std::process::Stdio;

use serde_json::{Value, json};

use super::asked::{begun_with, comes};
use super::recorder::{Answers, GOOD};
use super::{KINDS, PROBES, idle};
use crate::bench::{shared, status};

/// Whoever waits after its start has not started when another has lived and ended, although its program runs; whoever waits
/// before its end lives when another has ended.
pub fn a_hook_waits() {
    let bench = shared();
    let hook = |name: &str, seconds: u32| json!({"lifecycle": {name: {"sleep": {"seconds": seconds}}}});
    let state = |pod: &Value, name: &str, which: &str| status(pod, name)["state"][which].is_object();
    for kind in KINDS {
        let name = format!("hook-begins-{kind}");
        let waits = match kind {
            "native" => bench.shell("waits", "echo up; exec sleep 600", &hook("postStart", 600)),
            _ => idle(&bench, kind, "waits", &hook("postStart", 600)),
        };
        // Hooks hold back whoever comes later in the list.
        let all = [idle(&bench, kind, "plain", &json!({})), bench.shell("short", "sleep 1", &json!({})), waits];
        bench.start(&bench.pod(&name, &all, &json!({"terminationGracePeriodSeconds": 700})));
        let pod = bench.node.wait_for(&name, "the others", |pod| {
            let others = state(pod, "short", "terminated") && state(pod, "plain", "running");
            others && !bench.log(&name, "waits").is_empty()
        });
        assert!(state(&pod, "waits", "waiting"), "{kind}: {:#}", pod["status"]);
        bench.remove(&name);
    }
    let ends: Vec<_> = KINDS
        .iter()
        .flat_map(|kind| {
            let waits = idle(&bench, kind, &format!("{kind}-waits"), &hook("preStop", 30));
            [waits, idle(&bench, kind, &format!("{kind}-plain"), &json!({}))]
        })
        .collect();
    bench.start(&bench.pod("hook-ends", &ends, &json!({"terminationGracePeriodSeconds": 60})));
    bench.node.wait_for_phase("hook-ends", "Running");
    let mut stop = bench.node.command(&["stop", "hook-ends"]).stdout(Stdio::null()).spawn().expect("start dwell");
    let pod = bench.node.wait_for("hook-ends", "the others' end", |pod| {
        KINDS.iter().all(|kind| state(pod, &format!("{kind}-plain"), "terminated"))
    });
    for kind in KINDS {
        assert!(state(&pod, &format!("{kind}-waits"), "running"), "{kind}: {:#}", pod["status"]);
    }
    bench.remove("hook-ends");
    let _ = stop.wait();
}

/// The member begins and ends while it lives; as an init container that is no sidecar it is waited for.
pub fn a_wasm_sidecar_lives_beside_the_members() {
    let bench = shared();
    let pod = |name: &str, more: &Value| {
        let sidecar = idle(&bench, "wasm", "first", more);
        bench.pod(name, &[bench.shell("main", "echo began", &json!({}))], &json!({"initContainers": [sidecar]}))
    };
    bench.start(&pod("sidecar", &json!({"restartPolicy": "Always"})));
    bench.node.wait_for_phase("sidecar", "Succeeded");
    assert_eq!(bench.log("sidecar", "main"), "began\n");
    bench.remove("sidecar");
    bench.start(&pod("no-sidecar", &json!({})));
    let waits =
        bench.node.wait_for("no-sidecar", "the first", |pod| status(pod, "first")["state"]["running"].is_object());
    assert!(status(&waits, "main")["state"]["waiting"].is_object(), "control: {waits:#}");
    bench.remove("no-sidecar");
}

fn good(_: usize) -> Option<&'static str> {
    Some(GOOD)
}

/// All three ask a sidecar; an init container that runs to its end may have none.
pub fn a_sidecar_is_asked_as_a_member_is() {
    let bench = shared();
    let port = |kind: &str, number: usize| if kind == "native" { 9000 } else { 9010 } + number as u16;
    let sidecar = |kind: &str, more: &Value| {
        let mut container = idle(&bench, kind, kind, more);
        for (number, probe) in PROBES.iter().enumerate() {
            container[*probe] = json!({"httpGet": {"port": port(kind, number)}, "periodSeconds": 1});
        }
        container
    };
    let always = json!({"restartPolicy": "Always"});
    let ports: Vec<(u16, Answers)> =
        KINDS.iter().flat_map(|kind| (0..3).map(move |number| (port(kind, number), good as Answers))).collect();
    let spec = json!({"initContainers": KINDS.map(|kind| sidecar(kind, &always))});
    let recorder = begun_with(&bench, "asked-sidecars", &[idle(&bench, "native", "main", &json!({}))], &spec, &ports);
    comes(&bench, "asked-sidecars", "a question", || ports.iter().all(|(port, _)| recorder.count(*port) > 0));
    bench.node.wait_for("asked-sidecars", "all to be ready", |pod| {
        KINDS.iter().all(|kind| status(pod, kind)["ready"] == true)
    });
    bench.remove("asked-sidecars");
    for kind in KINDS {
        let spec = json!({"initContainers": [sidecar(kind, &json!({}))]});
        let said =
            bench.node.run(&bench.pod("asked-init", &[idle(&bench, "native", "main", &json!({}))], &spec).to_string());
        assert!(said.code == 125 && said.err.contains("spec.initContainers[0].livenessProbe"), "control: {said:#?}");
    }
}
