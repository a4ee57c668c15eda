//! Probes, hooks, how long a Pod may be active, and what follows a container's end.

use super::*;
use crate::pod::{Action, Container, HttpGet, LastWords, Question, RestartAction, RestartRule, Timing};

fn probed(probe: Json) -> Container {
    let ports = json!([{"name": "web", "containerPort": 8080}]);
    accepted(container(json!({"ports": ports, "readinessProbe": probe}))).containers.remove(0)
}

#[test]
fn a_probe_has_the_api_servers_defaults() {
    let probe = probed(json!({"httpGet": {"path": "up?x=1", "port": "web"}})).probes.readiness.unwrap();
    let get = HttpGet { secure: false, host: None, port: 8080, path: "/up?x=1".into(), headers: Vec::new() };
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

#[test]
fn a_stop_signal_is_a_name_for_a_pod_whose_system_is_known() {
    let with = |signal: &str, rest: Json| {
        let mut change = container(json!({"lifecycle": {"stopSignal": signal}}));
        merge(&mut change, json!({"spec": rest}));
        change
    };
    let linux = || json!({"os": {"name": "linux"}});
    for name in ["SIGUSR1", "SIGRTMIN+3", "SIGRTMAX"] {
        assert_eq!(accepted(with(name, linux())).containers[0].stop_signal.as_deref(), Some(name));
    }
    let path = "spec.containers[0].lifecycle.stopSignal";
    for name in ["USR1", "sigusr1", "10", "", "SIGNOTHING", "SIGRTMIN+31"] {
        refused(with(name, linux()), path, "must be the name of a signal");
    }
    refused(with("SIGUSR1", json!({})), path, "without spec.os.name");
}

#[test]
fn last_words_have_the_api_servers_defaults() {
    let words = |container_fields: Json| accepted(container(container_fields)).containers.remove(0).last_words;
    assert_eq!(words(json!({})), LastWords { path: "/dev/termination-log".into(), from_log: false });
    assert_eq!(words(json!({"terminationMessagePath": "", "terminationMessagePolicy": "File"})), LastWords::default());
    let asked = json!({"terminationMessagePath": "/a//b/", "terminationMessagePolicy": "FallbackToLogsOnError"});
    assert_eq!(words(asked), LastWords { path: "/a/b".into(), from_log: true });
    let path = "spec.containers[0].terminationMessagePath";
    refused(container(json!({"terminationMessagePath": "b"})), path, "must be an absolute path");
    let unknown = json!({"terminationMessagePolicy": "Log"});
    refused(container(unknown), "spec.containers[0].terminationMessagePolicy", "supported values");
}

#[test]
fn restart_rules_are_lists_of_statuses() {
    let rule = |action: &str, operator: &str, values: Json| json!({"action": action, "exitCodes": {"operator": operator, "values": values}});
    let with = |rules: Json| container(json!({"restartPolicy": "Never", "restartPolicyRules": rules}));
    let both = json!([rule("Restart", "In", json!([3, 4])), rule("RestartAllContainers", "NotIn", json!([0]))]);
    let expected = [
        RestartRule { action: RestartAction::Container, listed: true, statuses: vec![3, 4] },
        RestartRule { action: RestartAction::All, listed: false, statuses: vec![0] },
    ];
    let rules = accepted(with(both)).containers.remove(0).restart_rules;
    assert_eq!(rules, expected);
    for (status, action) in [(3, Some(RestartAction::Container)), (5, Some(RestartAction::All)), (0, None)] {
        assert_eq!(RestartRule::first(&rules, status), action);
    }
    let path = "spec.containers[0].restartPolicyRules";
    for (rules, place, words) in [
        (json!([rule("Stop", "In", json!([1]))]), "[0].action", "supported values"),
        (json!([rule("Restart", "Is", json!([1]))]), "[0].exitCodes.operator", "supported values"),
        (json!([rule("Restart", "In", json!([1, 2, 1]))]), "[0].exitCodes.values[2]", "Duplicate value"),
        (json!([rule("Restart", "In", json!((0..256).collect::<Vec<_>>()))]), "[0].exitCodes.values", "at most 255"),
        (json!([{"action": "Restart"}]), "[0].exitCodes", "must be specified"),
        (json!(vec![rule("Restart", "In", json!([1])); 21]), "", "at most 20"),
    ] {
        refused(with(rules), &format!("{path}{place}"), words);
    }
    let without = container(json!({"restartPolicyRules": [rule("Restart", "In", json!([1]))]}));
    refused(without, "spec.containers[0].restartPolicy", "must specify restartPolicy");
}
