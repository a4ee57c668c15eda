//! A Pod that is well, one change at a time, and what is said about it.

use serde_json::{Value as Json, json};

use super::*;
use crate::capabilities;
use crate::plan::samples;
use crate::pod::{EnvValue, FileKey, Groups, MemberKind, PodField, SeccompChoice, UserRef, VolumeGroup};

mod huge_pages;
mod life;
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

/// The first container as it is started.
fn started(pod: &Pod) -> crate::pod::Container {
    crate::plan::resolved(pod, &pod.containers[0], &samples::host(), &Default::default(), crate::facts::PodIp::UNKNOWN)
        .unwrap()
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
        container(json!({"volumeDevices": [{"name": "v", "devicePath": "/d"}]})),
        "spec.containers[0].volumeDevices",
        "refused: a claim is a folder here",
    );
}

#[test]
fn users_of_its_own_go_with_nothing_else_of_the_host() {
    for field in ["hostNetwork", "hostPID", "hostIPC"] {
        refused(json!({"spec": {"hostUsers": false, field: true}}), &format!("spec.{field}"), "`hostUsers` is false");
    }
    let unmasked = |own: bool| {
        let mut pod = container(json!({"securityContext": {"procMount": "Unmasked"}}));
        pod["spec"]["hostUsers"] = json!(!own);
        pod
    };
    let field = "spec.containers[0].securityContext.procMount";
    refused(unmasked(false), field, "`hostUsers` must be false");
    refused(container(json!({"securityContext": {"procMount": "Open"}})), field, "Unmasked");
    let pod = accepted(json!({"spec": {"hostUsers": false}}));
    assert!(!pod.host_users && accepted(json!({"spec": {}})).host_users);
}

#[test]
fn containers_that_are_added() {
    let volumes = json!([{"name": "v", "emptyDir": {}}]);
    let with = |added: Json| json!({"spec": {"volumes": volumes, "ephemeralContainers": [added]}});
    let added = |more: Json| {
        let mut added = json!({"name": "d", "image": "rootfs:/t"});
        more.as_object().unwrap().iter().for_each(|(key, value)| added[key] = value.clone());
        with(added)
    };
    let at = "spec.ephemeralContainers[0]";
    let pod = accepted(added(json!({"targetContainerName": "a", "tty": true, "ports": []})));
    assert_eq!(pod.ephemeral_containers[0].target.as_deref(), Some("a"));
    assert!(!pod.is_alone(&pod.ephemeral_containers[0]) && pod.is_alone(&pod.containers[0]));
    refused(added(json!({"targetContainerName": "b"})), &format!("{at}.targetContainerName"), "Not found: \"b\"");
    refused(added(json!({"name": "a"})), &format!("{at}.name"), "Duplicate value");
    refused(added(json!({"image": ""})), &format!("{at}.image"), "Required");
    for (field, value) in [
        ("ports", json!([{"containerPort": 1}])),
        ("livenessProbe", json!({"exec": {"command": ["x"]}})),
        ("lifecycle", json!({"preStop": {"sleep": {"seconds": 1}}})),
        ("resources", json!({"limits": {"cpu": 1}})),
        ("restartPolicy", json!("Always")),
    ] {
        refused(added(json!({field: value})), &format!("{at}.{field}"), "what is added to a running Pod");
    }
    let mount = json!({"name": "v", "mountPath": "/v", "subPath": "x"});
    refused(added(json!({"volumeMounts": [mount]})), &format!("{at}.volumeMounts[0].subPath"), "mounts whole volumes");
}

#[test]
fn conditions_that_others_set() {
    let gates = |kind: &str| json!({"spec": {"readinessGates": [{"conditionType": kind}]}});
    assert_eq!(accepted(gates("a.b/c")).readiness_gates, ["a.b/c"]);
    refused(gates("a b"), "spec.readinessGates[0].conditionType", "name part must consist");
    let said = |kind: &str, status: &str| {
        let condition = serde_json::from_value(json!({"type": kind, "status": status})).unwrap();
        crate::manifest::check_conditions(&[condition]).map_err(|problems| problems[0].to_string())
    };
    assert_eq!(said("a.b/c", "Unknown"), Ok(()));
    assert!(said("Ready", "True").unwrap_err().contains("status.conditions[0].type: Forbidden"));
    assert!(said("a.b/c", "yes").unwrap_err().contains("supported values"));
}

#[test]
fn a_new_pod_has_nothing_added() {
    let text = "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  containers: [{name: a, image: 'wasm:/m'}]\n";
    let added = format!("{text}  ephemeralContainers: [{{name: d, image: 'wasm:/m'}}]\n");
    let refused = crate::manifest::parse_manifests(&added, "x").unwrap_err().to_string();
    assert!(refused.contains("spec.ephemeralContainers: Forbidden: cannot be set on create"), "{refused}");
    assert!(refused.contains("dwell debug POD"), "{refused}");
    crate::manifest::parse_manifests(&format!("{text}  ephemeralContainers: []\n"), "x").unwrap();
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
    let container_a = started(&pod);
    let text = |(name, value): &(String, EnvValue)| match value {
        EnvValue::Text(value) => format!("{name}={value}"),
        other => format!("{name}: {other:?}"),
    };
    assert_eq!(container_a.env.iter().map(text).collect::<Vec<_>>(), ["A=$(B)", "B=b2", "C=$(B)b$(B)", "E="]);
    assert_eq!(container_a.command, ["sh", "$(B)b$(B)"]);
    assert_eq!(container_a.args, ["$(X) b2"]);
    refused(container(json!({"env": [{"name": "A=B"}]})), "spec.containers[0].env[0].name", "printable ASCII");
    refused(container(json!({"env": [{"value": "x"}]})), "spec.containers[0].env[0].name", "Required");
    refused(container(json!({"args": ["a\u{0}"]})), "spec.containers[0].args[0]", "NUL");
}

#[test]
fn values_from_the_pod_and_its_resources() {
    let from = |source: Json| container(json!({"env": [{"name": "A", "valueFrom": source}]}));
    let field = |path: &str| from(json!({"fieldRef": {"fieldPath": path}}));
    let value = |change: Json| accepted(change).containers[0].env[0].1.clone();
    assert_eq!(value(field("status.podIP")), EnvValue::Field(PodField::PodIp));
    assert_eq!(value(field("metadata.labels['a/b']")), EnvValue::Field(PodField::Label("a/b".into())));
    let at = "spec.containers[0].env[0].valueFrom";
    refused(field("status.phase"), &format!("{at}.fieldRef.fieldPath"), "\"status.podIP\"");
    refused(field(""), &format!("{at}.fieldRef.fieldPath"), "Required");
    refused(field("metadata.labels['a b']"), &format!("{at}.fieldRef.fieldPath"), "name part");
    refused(from(json!({})), at, "must specify one of");
    let key = |key: &str| from(json!({"configMapKeyRef": {"name": "c", "key": key}}));
    assert!(matches!(value(key("k")), EnvValue::Key(key) if !key.from.secret && key.key == "k"));
    refused(key("a b"), &format!("{at}.configMapKeyRef.key"), "a valid config key");
    refused(key(""), &format!("{at}.configMapKeyRef.key"), "Required");
    let file = json!({"fileKeyRef": {"volumeName": "v", "path": "p", "key": "k"}});
    refused(from(file), &format!("{at}.fileKeyRef.volumeName"), "Not found");
    let file = |key: &str, path: &str, source: Json| {
        let env = json!([{"name": "A", "valueFrom": {"fileKeyRef": {"volumeName": "v", "path": path, "key": key}}}]);
        let mut changed = container(json!({"env": env}));
        changed["spec"]["volumes"] = json!([{"name": "v"}]);
        merge(&mut changed["spec"]["volumes"][0], source);
        changed
    };
    let empty = || json!({"emptyDir": {}});
    let wanted = FileKey { volume: "v".into(), path: "a/b".into(), key: "K".into(), optional: false };
    assert_eq!(value(file("K", "a//b", empty())), EnvValue::File(wanted));
    refused(file("K", "../b", empty()), &format!("{at}.fileKeyRef.path"), "must not contain '..'");
    refused(file("K", "", empty()), &format!("{at}.fileKeyRef.path"), "Required");
    refused(file("K=", "b", empty()), &format!("{at}.fileKeyRef.key"), "Invalid value");
    refused(file(&"K".repeat(129), "b", empty()), &format!("{at}.fileKeyRef.key"), "128");
    refused(file("K", "b", json!({"hostPath": {"path": "/x"}})), &format!("{at}.fileKeyRef.volumeName"), "emptyDir");
    let both = json!({"fieldRef": {"fieldPath": "metadata.uid"}, "secretKeyRef": {"name": "s", "key": "k"}});
    refused(from(both), at, "more than one field");
    let divided =
        |resource: &str, divisor: &str| from(json!({"resourceFieldRef": {"resource": resource, "divisor": divisor}}));
    let amount = |change: Json| match value(change) {
        EnvValue::Resource(resource) => resource.divisor,
        other => panic!("{other:?}"),
    };
    assert_eq!((amount(divided("limits.cpu", "0")), amount(divided("limits.cpu", "1m"))), (1000, 1));
    assert_eq!(amount(divided("requests.memory", "1Mi")), 1 << 20);
    refused(divided("limits.cpu", "2"), &format!("{at}.resourceFieldRef.divisor"), "1m, 1");
    refused(divided("limits.disk", "1"), &format!("{at}.resourceFieldRef.resource"), "supported values");
    let both = json!({"env": [{"name": "A", "value": "x", "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}}]});
    refused(container(both), at, "may not be specified when `value` is not empty");
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
fn rights_of_a_container() {
    let with = |security: Json| container(json!({"securityContext": security}));
    let rights = |change: Json| accepted(change).containers[0].rights.clone();
    assert_eq!(rights(json!({})).capabilities, capabilities::DEFAULT);
    let changed = rights(with(json!({"capabilities": {"add": ["NET_ADMIN"], "drop": ["ALL"]}})));
    assert_eq!(capabilities::names(changed.capabilities), ["NET_ADMIN"]);
    assert!(rights(with(json!({"allowPrivilegeEscalation": true}))).may_gain_privileges);
    let at = "spec.containers[0].securityContext";
    let mistyped = with(json!({"capabilities": {"add": ["NET_ADMON"]}}));
    refused(mistyped, &format!("{at}.capabilities.add[0]"), "not a capability of Linux");
    let contradiction = json!({"allowPrivilegeEscalation": false, "capabilities": {"add": ["CAP_SYS_ADMIN"]}});
    refused(with(contradiction), at, "cannot set `allowPrivilegeEscalation` to false");
    let profile = |change: Json| with(json!({"seccompProfile": change}));
    assert_eq!(rights(profile(json!({"type": "Unconfined"}))).seccomp, SeccompChoice::Unconfined);
    refused(profile(json!({"type": "Off"})), &format!("{at}.seccompProfile.type"), "\"RuntimeDefault\"");
    refused(profile(json!({"type": "Localhost"})), &format!("{at}.seccompProfile.localhostProfile"), "must be set");
    let file = json!({"type": "Localhost", "localhostProfile": "a.json"});
    assert_eq!(rights(profile(file)).seccomp, SeccompChoice::File("a.json".into()));
    let out = json!({"type": "Localhost", "localhostProfile": "/a.json"});
    refused(profile(out), &format!("{at}.seccompProfile.localhostProfile"), "must be a relative path");
    let wasm = json!({"image": "wasm:/m", "securityContext": {"capabilities": {"add": ["NET_ADMIN"]}}});
    refused(container(wasm), &format!("{at}.capabilities.add"), "no use for capabilities");
}

#[test]
fn containers_inherit_from_the_pod() {
    let both = json!({"spec": {"securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "Unconfined"},
        "supplementalGroups": [5, 6], "supplementalGroupsPolicy": "Strict"},
        "containers": [{"securityContext": {"runAsNonRoot": false}}]}});
    let container = &accepted(both).containers[0];
    assert!(!container.rights.must_not_be_root && container.rights.seccomp == SeccompChoice::Unconfined);
    assert_eq!(container.groups, Groups { more: vec![5, 6], strict: true });
    refused(
        json!({"spec": {"securityContext": {"supplementalGroups": [-1]}}}),
        "spec.securityContext.supplementalGroups[0]",
        "between 0 and",
    );
}

#[test]
fn the_group_of_the_volumes_is_among_the_members() {
    let with = |context: Json| json!({"spec": {"securityContext": context}});
    let pod = accepted(with(json!({"fsGroup": 7, "supplementalGroups": [5], "fsGroupChangePolicy": "OnRootMismatch"})));
    assert_eq!(pod.volume_group, Some(VolumeGroup { gid: 7, on_root_mismatch: true }));
    assert_eq!(pod.containers[0].groups.more, [5, 7]);
    assert_eq!(accepted(with(json!({"fsGroup": 5, "supplementalGroups": [5]}))).containers[0].groups.more, [5]);
    assert_eq!(accepted(with(json!({"fsGroupChangePolicy": "Always"}))).volume_group, None);
    let at = "spec.securityContext.fsGroup";
    refused(with(json!({"fsGroup": -1})), at, "between 0 and");
    refused(
        with(json!({"fsGroup": 1, "fsGroupChangePolicy": "Never"})),
        &format!("{at}ChangePolicy"),
        "OnRootMismatch",
    );
}

#[test]
fn what_the_pod_is_called_and_what_it_looks_up() {
    let pod = accepted(json!({"spec": {"subdomain": "web", "setHostnameAsFQDN": true}}));
    let full = "p.web.default.svc.cluster.local";
    assert_eq!((pod.hostname.as_str(), pod.own_names), (full, vec![full.to_owned(), "p".to_owned()]));
    let pod = accepted(json!({"spec": {"subdomain": "web", "hostname": "h"}}));
    assert_eq!(pod.hostname, "h");
    assert_eq!(accepted(json!({"spec": {"hostnameOverride": "a.b"}})).hostname, "a.b");
    refused(json!({"spec": {"hostnameOverride": "a.b", "hostNetwork": true}}), "spec.hostnameOverride", "hostNetwork");
    let long = json!({"spec": {"subdomain": "s".repeat(60), "setHostnameAsFQDN": true}});
    refused(long, "spec.setHostnameAsFQDN", "at most 64 bytes");
    let alias = |ip: &str, name: &str| json!({"spec": {"hostAliases": [{"ip": ip, "hostnames": [name]}]}});
    assert_eq!(accepted(alias("::1", "db")).host_aliases[0].names, ["db"]);
    refused(alias("1.2.3", "db"), "spec.hostAliases[0].ip", "valid IP address");
    refused(alias("1.2.3.4", "d_b"), "spec.hostAliases[0].hostnames[0]", "RFC 1123");
    let none = |config: Json| json!({"spec": {"dnsPolicy": "None", "dnsConfig": config}});
    assert!(!accepted(none(json!({"nameservers": ["9.9.9.9"]}))).dns.from_host);
    refused(none(json!({})), "spec.dnsConfig.nameservers", "at least one DNS nameserver");
    let four = none(json!({"nameservers": ["1.1.1.1", "1.1.1.2", "1.1.1.3", "1.1.1.4"]}));
    refused(four, "spec.dnsConfig.nameservers", "at most 3");
    let forged = json!({"nameservers": ["1.1.1.1"], "options": [{"name": "a b"}]});
    refused(none(forged), "spec.dnsConfig.options[0]", "white space");
    refused(none(json!({"nameservers": ["1.1.1.1"], "searches": ["a b"]})), "spec.dnsConfig.searches[0]", "RFC 1123");
    refused(json!({"spec": {"dnsPolicy": "Cluster"}}), "spec.dnsPolicy", "supported values");
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
