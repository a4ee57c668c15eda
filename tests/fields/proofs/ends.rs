//! How members are ended: a deadline, a grace, the signal. What has no grace left is ended at once, whoever still waits
//! is not; which of them it is, is seen by order.

use std::process::Stdio;

use serde_json::{Value, json};

use super::asked::{begun, comes};
use super::recorder::{Answers, BAD};
use super::{KINDS, idle};
use crate::bench::{Bench, shared, status};

/// A member that takes long to end, unless its grace is over: its hook does.
fn slow(bench: &Bench, kind: &str, name: &str, more: &Value) -> Value {
    let mut container = idle(bench, kind, name, more);
    let program = if kind == "native" { "sleep" } else { "sleep.wasm" };
    container["lifecycle"] = json!({"preStop": {"exec": {"command": [program, "600"]}}});
    container
}

fn ended(pod: &Value, name: &str) -> bool {
    status(pod, name)["state"]["terminated"].is_object()
}

pub fn a_pod_has_a_deadline() {
    let bench = shared();
    for kind in KINDS {
        let name = format!("deadline-{kind}");
        bench.start(&bench.pod(&name, &[idle(&bench, kind, "main", &json!({}))], &json!({"activeDeadlineSeconds": 1})));
        let pod = bench.node.wait_for_phase(&name, "Failed");
        assert_eq!(pod["status"]["reason"], "DeadlineExceeded", "{pod:#}");
        bench.remove(&name);
        let lives = if kind == "native" {
            bench.shell("main", "sleep 2", &json!({}))
        } else {
            bench.container("main", "sleep.wasm", &json!({"args": ["2"]}))
        };
        bench.start(&bench.pod(&name, &[lives], &json!({})));
        bench.node.wait_for_phase(&name, "Succeeded");
        bench.remove(&name);
    }
}

/// Two Pods are stopped at once: the one with little time is over while the other's members still have theirs.
pub fn a_pod_gives_its_members_a_grace() {
    let bench = shared();
    let start = |name: &str, grace: u32| {
        let members = KINDS.map(|kind| slow(&bench, kind, kind, &json!({})));
        bench.start(&bench.pod(name, &members, &json!({"terminationGracePeriodSeconds": grace})));
        bench.node.wait_for_phase(name, "Running");
    };
    start("grace-long", 600);
    start("grace-short", 1);
    let mut stops = ["grace-long", "grace-short"]
        .map(|name| bench.node.command(&["stop", name]).stdout(Stdio::null()).spawn().expect("start dwell"));
    bench.node.wait_for("grace-short", "its end", |pod| KINDS.iter().all(|kind| ended(pod, kind)));
    let pod = bench.node.pod("grace-long");
    assert!(!KINDS.iter().any(|kind| ended(&pod, kind)), "{:#}", pod["status"]);
    ["grace-long", "grace-short"].iter().for_each(|name| bench.remove(name));
    stops.iter_mut().for_each(|stop| drop(stop.wait()));
}

pub fn the_signal_is_the_one_that_was_asked_for() {
    let bench = shared();
    let script = "trap 'echo usr1; exit 0' USR1; trap 'echo term; exit 0' TERM; echo up; while :; do sleep 0.05; done";
    for (name, lifecycle, said) in [
        ("signal-own", json!({"lifecycle": {"stopSignal": "SIGUSR1"}}), "up\nusr1\n"),
        ("signal-usual", json!({}), "up\nterm\n"),
    ] {
        let spec = json!({"os": {"name": "linux"}, "terminationGracePeriodSeconds": 30});
        bench.start(&bench.pod(name, &[bench.shell("main", script, &lifecycle)], &spec));
        bench.node.printed(name, "main", "up\n");
        bench.node.dwell(&["stop", name]).ok();
        assert_eq!(bench.log(name, "main"), said);
        bench.remove(name);
    }
}

fn bad(_: usize) -> Option<&'static str> {
    Some(BAD)
}

/// Of two members that fail alike, the one whose probe gives it little time is over while the other has the Pod's.
pub fn a_probe_gives_a_grace_of_its_own() {
    let bench = shared();
    for probe in ["livenessProbe", "startupProbe"] {
        let name = format!("grace-of-{}", probe.to_lowercase());
        let asked = |port: u16, more: Value| {
            let mut of = json!({"httpGet": {"port": port}, "periodSeconds": 1, "failureThreshold": 1});
            crate::merge::merge(&mut of, &more);
            json!({probe: of})
        };
        let members: Vec<Value> = KINDS
            .iter()
            .flat_map(|kind| {
                let short = asked(9000, json!({"terminationGracePeriodSeconds": 1}));
                [
                    slow(&bench, kind, &format!("{kind}-short"), &short),
                    slow(&bench, kind, &format!("{kind}-long"), &asked(9001, json!({}))),
                ]
            })
            .collect();
        let recorder = begun(&bench, &name, &members, &[(9000, bad as Answers), (9001, bad)]);
        comes(&bench, &name, "the end of those with little time", || {
            let pod = bench.node.pod(&name);
            recorder.count(9001) >= KINDS.len() && KINDS.iter().all(|kind| ended(&pod, &format!("{kind}-short")))
        });
        let pod = bench.node.pod(&name);
        assert!(!KINDS.iter().any(|kind| ended(&pod, &format!("{kind}-long"))), "{probe}: {:#}", pod["status"]);
        bench.remove(&name);
    }
}
