//! A Pod that is well, one change at a time, and what is said about it.

use serde_json::{Value as Json, json};

use super::*;
use crate::pod::{MemberKind, UserRef};

mod parts;

/// A Pod that is well, with changes merged in.
fn pod(change: Json) -> v1::Pod {
    let mut json = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"},
        "spec": {"containers": [{"name": "a", "image": "rootfs:/r"}]}});
    merge(&mut json, change);
    serde_json::from_value(json).unwrap()
}

fn merge(into: &mut Json, change: Json) {
    match (into, change) {
        (Json::Object(into), Json::Object(change)) => {
            change.into_iter().for_each(|(key, value)| merge(into.entry(key).or_insert(Json::Null), value));
        }
        (Json::Array(into), Json::Array(change)) if into.len() == change.len() => {
            into.iter_mut().zip(change).for_each(|(into, change)| merge(into, change));
        }
        (into, change) => *into = change,
    }
}

fn problems(change: Json) -> Vec<String> {
    match Pod::try_from(&pod(change)) {
        Ok(_) => vec![],
        Err(problems) => problems.iter().map(Problem::to_string).collect(),
    }
}

fn container(change: Json) -> Json {
    json!({"spec": {"containers": [change]}})
}

/// One problem, at this path, with these words in it.
#[track_caller]
fn refused(change: Json, path: &str, words: &str) {
    let found = problems(change);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with(&format!("{path}: ")) && found[0].contains(words), "{found:?}");
}

#[track_caller]
fn accepted(change: Json) -> Pod {
    Pod::try_from(&pod(change)).unwrap_or_else(|problems| panic!("{problems:?}"))
}

#[test]
fn defaults() {
    let pod = accepted(json!({}));
    assert_eq!(pod.namespace, "default");
    assert_eq!(pod.hostname, "p");
    assert_eq!(pod.restart_policy, RestartPolicy::Always);
    assert_eq!(pod.termination_grace_period_seconds, 30);
    let long = format!("{}.{}", "a".repeat(61), "b".repeat(60));
    let pod = accepted(json!({"metadata": {"name": long}}));
    assert_eq!(pod.hostname, format!("{}.b", "a".repeat(61)));
    let dotted = format!("{}.{}", "a".repeat(62), "b".repeat(60));
    assert_eq!(accepted(json!({"metadata": {"name": dotted}})).hostname, "a".repeat(62));
}

#[test]
fn names() {
    refused(json!({"metadata": {"name": "P"}}), "metadata.name", "RFC 1123 subdomain");
    refused(json!({"metadata": {"name": ""}}), "metadata.name", "name or generateName is required");
    refused(json!({"metadata": {"namespace": "a.b"}}), "metadata.namespace", "RFC 1123 label");
    refused(json!({"metadata": {"labels": {"a": "b c"}}}), "metadata.labels[a]", "a valid label must be");
    refused(json!({"metadata": {"annotations": {"a b": ""}}}), "metadata.annotations", "name part must consist");
    refused(container(json!({"name": "A"})), "spec.containers[0].name", "RFC 1123 label");
    refused(json!({"spec": {"hostname": "a.b"}}), "spec.hostname", "RFC 1123 label");
    let twice = json!({"spec": {"initContainers": [{"name": "a", "image": "wasm:/m"}]}});
    refused(twice, "spec.containers[0].name", "Duplicate value: \"a\"");
    refused(json!({"spec": {"containers": []}}), "spec.containers", "Required value");
    refused(json!({"spec": {"restartPolicy": "never"}}), "spec.restartPolicy", "supported values");
    refused(
        json!({"spec": {"terminationGracePeriodSeconds": -1}}),
        "spec.terminationGracePeriodSeconds",
        "greater than",
    );
    refused(json!({"spec": {"os": {"name": "windows"}}}), "spec.os.name", "linux");
}

#[test]
fn nothing_that_is_not_honoured_slips_through_the_types() {
    refused(
        container(json!({"livenessProbe": {"tcpSocket": {"port": 1}}})),
        "spec.containers[0].livenessProbe",
        "not yet",
    );
    refused(json!({"spec": {"hostPID": true}}), "spec.hostPID", "not yet");
}

#[test]
fn images() {
    refused(container(json!({"image": "nginx:1.27"})), "spec.containers[0].image", "images from registries");
    refused(container(json!({"image": ""})), "spec.containers[0].image", "Required value");
    refused(container(json!({"image": "wasm:"})), "spec.containers[0].image", "followed by no path");
    refused(container(json!({"imagePullPolicy": "Sometimes"})), "spec.containers[0].imagePullPolicy", "supported");
    accepted(container(json!({"imagePullPolicy": "Always"})));
}

#[test]
fn env_is_expanded_in_order() {
    let pod = accepted(container(json!({
        "env": [{"name": "A", "value": "$(B)"}, {"name": "B", "value": "b"}, {"name": "C", "value": "$(A)$(B)$$(B)"},
            {"name": "B", "value": "b2"}, {"name": "E"}],
        "command": ["sh", "$(C)"], "args": ["$(X) $(B)$(E)"]})));
    let env: Vec<_> = pod.containers[0].env.iter().map(|(n, v)| format!("{n}={v}")).collect();
    assert_eq!(env, ["A=$(B)", "B=b2", "C=$(B)b$(B)", "E="]);
    assert_eq!(pod.containers[0].command, ["sh", "$(B)b$(B)"]);
    assert_eq!(pod.containers[0].args, ["$(X) b2"]);
    refused(container(json!({"env": [{"name": "A=B"}]})), "spec.containers[0].env[0].name", "printable ASCII");
    refused(container(json!({"env": [{"value": "x"}]})), "spec.containers[0].env[0].name", "Required");
    refused(container(json!({"args": ["a\u{0}"]})), "spec.containers[0].args[0]", "NUL");
}

#[test]
fn doubling_variables_are_bounded() {
    let mut env = vec![json!({"name": "V0", "value": "0123456789"})];
    env.extend((1..40).map(|n| json!({"name": format!("V{n}"), "value": format!("$(V{0})$(V{0})", n - 1)})));
    assert!(problems(container(json!({"env": env}))).iter().all(|p| p.contains("Too long")));
    let words = vec!["$(A)"; 200];
    let many = json!({"env": [{"name": "A", "value": "x".repeat(100_000)}], "args": words});
    refused(container(many), "spec.containers[0].args[82]", "the Pod's environment and arguments");
}

#[test]
fn users() {
    let both = json!({"spec": {"securityContext": {"runAsUser": 1000, "runAsGroup": 7},
        "containers": [{"securityContext": {"runAsUser": 0, "readOnlyRootFilesystem": true}}]}});
    let container = &accepted(both).containers[0];
    assert_eq!((container.user.clone(), container.group), (Some(UserRef::Id(0)), Some(7)));
    assert!(container.read_only_root);
    for bad in [-1, 1 << 31] {
        refused(
            json!({"spec": {"securityContext": {"runAsUser": bad}}}),
            "spec.securityContext.runAsUser",
            "between 0 and",
        );
    }
    let named = json!({"metadata": {"annotations": {"dwell.dev/user.a": "www:adm"}}});
    assert_eq!(accepted(named).containers[0].user, Some(UserRef::Name("www:adm".into())));
}

#[test]
fn annotations() {
    let with = |key: &str, value: &str| json!({"metadata": {"annotations": {key: value}}});
    let pids = |key: &str| accepted(with(key, "64")).containers[0].resources.pids_limit;
    assert_eq!((pids("dwell.dev/pids-limit"), pids("dwell.dev/pids-limit.a")), (Some(64), Some(64)));
    let at = |key: &str| format!("metadata.annotations[{key}]");
    refused(with("dwell.dev/pids-limit", "0"), &at("dwell.dev/pids-limit"), "between 1 and");
    refused(with("dwell.dev/pids-limits", "1"), &at("dwell.dev/pids-limits"), "unknown annotation");
    refused(with("dwell.dev/pids-limit.b", "1"), &at("dwell.dev/pids-limit.b"), "no such container");
    refused(with("dwell.dev/user.a", ""), &at("dwell.dev/user.a"), "user:group");
    let kind = |key: &str, value: &str, program: &str| {
        let mut json = with(key, value);
        merge(&mut json, container(json!({"command": [program]})));
        accepted(json).containers[0].kind_hint
    };
    let wasm = Some(MemberKind::Wasm);
    assert_eq!(kind("run.oci.handler", "wasm", "/bin/x"), wasm);
    assert_eq!(kind("run.oci.handler", "krun", "/x.wasm"), None);
    assert_eq!(kind("run.oci.handler", "wasm-smart", "/x.wasm"), wasm);
    assert_eq!(kind("run.oci.handler", "wasm-smart", "/x"), None);
    assert_eq!(kind("module.wasm.image/variant", "compat", "/x"), wasm);
    assert_eq!(kind("module.wasm.image/variant", "compat-smart", "/x"), None);
}
