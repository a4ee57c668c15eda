//! Probes, hooks, and how long a Pod may be active.

use super::*;
use crate::pod::{Action, Container, HttpGet, Question, Timing};

fn probed(probe: Json) -> Container {
    let ports = json!([{"name": "web", "containerPort": 8080}]);
    accepted(container(json!({"ports": ports, "readinessProbe": probe}))).containers.remove(0)
}

#[test]
fn a_probe_has_the_api_servers_defaults() {
    let probe = probed(json!({"httpGet": {"path": "up?x=1", "port": "web"}})).probes.readiness.unwrap();
    let get = HttpGet { host: None, port: 8080, path: "/up?x=1".into(), headers: Vec::new() };
    assert_eq!(probe.action, Action::Ask(Question::Http(get)));
    let usual = Timing {
        initial_delay_seconds: 0,
        period_seconds: 10,
        timeout_seconds: 1,
        success_threshold: 1,
        failure_threshold: 3,
    };
    assert_eq!((probe.timing, probe.grace_seconds), (usual, None));
    let grpc = probed(json!({"grpc": {"port": 9000, "service": "s"}, "periodSeconds": 2})).probes.readiness.unwrap();
    assert_eq!(grpc.action, Action::Ask(Question::Grpc { port: 9000, service: "s".into() }));
    assert_eq!(grpc.timing.period_seconds, 2);
}

#[test]
fn what_a_probe_may_not_say() {
    let exec = || json!({"command": ["true"]});
    for (field, probe, path, words) in [
        ("livenessProbe", json!({}), "", "must specify a handler type"),
        ("livenessProbe", json!({"exec": exec(), "tcpSocket": {"port": 1}}), ".tcpSocket", "more than 1 handler type"),
        ("livenessProbe", json!({"exec": {}}), ".exec.command", "Required value"),
        ("livenessProbe", json!({"exec": exec(), "successThreshold": 2}), ".successThreshold", "must be 1"),
        ("livenessProbe", json!({"exec": exec(), "periodSeconds": -1}), ".periodSeconds", "greater than or equal to 0"),
        ("startupProbe", json!({"tcpSocket": {"port": 0}}), ".tcpSocket.port", "between 1 and 65535"),
        ("startupProbe", json!({"tcpSocket": {"port": "nobody"}}), ".tcpSocket.port", "no port of this name"),
        ("startupProbe", json!({"httpGet": {"port": 1, "scheme": "FTP"}}), ".httpGet.scheme", "supported values"),
        ("startupProbe", json!({"httpGet": {"port": 1, "scheme": "HTTPS"}}), ".httpGet.scheme", "not yet"),
        ("startupProbe", json!({"httpGet": {"port": 1, "path": "/a b"}}), ".httpGet.path", "spaces"),
        (
            "readinessProbe",
            json!({"exec": exec(), "terminationGracePeriodSeconds": 3}),
            ".terminationGracePeriodSeconds",
            "must not be set for readinessProbes",
        ),
        (
            "livenessProbe",
            json!({"exec": exec(), "terminationGracePeriodSeconds": 0}),
            ".terminationGracePeriodSeconds",
            "must be greater than 0",
        ),
        (
            "livenessProbe",
            json!({"httpGet": {"port": 1, "httpHeaders": [{"name": "a b", "value": ""}]}}),
            ".httpGet.httpHeaders[0].name",
            "valid HTTP header",
        ),
    ] {
        refused(container(json!({field: probe})), &format!("spec.containers[0].{field}{path}"), words);
    }
}

#[test]
fn hooks_are_one_action_each() {
    let hooks = |hooks: Json| container(json!({"lifecycle": hooks}));
    let both = json!({"postStart": {"exec": {"command": ["a", "b"]}}, "preStop": {"sleep": {"seconds": 0}}});
    let checked = accepted(hooks(both)).containers.remove(0).hooks;
    assert_eq!(checked.post_start, Some(Action::Exec(vec!["a".into(), "b".into()])));
    assert_eq!(checked.pre_stop, Some(Action::Sleep { seconds: 0 }));
    let path = "spec.containers[0].lifecycle";
    refused(hooks(json!({"preStop": {}})), &format!("{path}.preStop"), "must specify a handler type");
    let negative = json!({"preStop": {"sleep": {"seconds": -1}}});
    refused(hooks(negative), &format!("{path}.preStop.sleep.seconds"), "must be non-negative");
    let long = json!({"preStop": {"sleep": {"seconds": 31}}});
    refused(hooks(long), &format!("{path}.preStop.sleep.seconds"), "less than terminationGracePeriodSeconds (30)");
}

#[test]
fn only_sidecars_among_init_containers_have_them() {
    let with = |policy: Json| {
        let probe = json!({"exec": {"command": ["true"]}});
        let init = json!({"name": "i", "image": "rootfs:/r", "restartPolicy": policy, "startupProbe": probe});
        json!({"spec": {"initContainers": [init]}})
    };
    accepted(with(json!("Always")));
    refused(with(Json::Null), "spec.initContainers[0].startupProbe", "without restartPolicy=Always");
}

#[test]
fn a_deadline_is_positive() {
    let with = |seconds: i64| json!({"spec": {"activeDeadlineSeconds": seconds}});
    assert_eq!(accepted(with(7)).active_deadline_seconds, Some(7));
    refused(with(0), "spec.activeDeadlineSeconds", "between 1 and 2147483647");
}
