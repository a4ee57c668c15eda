//! Phases, classes, and the status as Kubernetes shapes it.

use super::*;
use crate::pod::{ImageRef, RestartPolicy};

fn container(name: &str) -> Container {
    Container::plain(name, ImageRef::Wasm("/a.wasm".into()))
}

fn pod(policy: RestartPolicy, init: &[&str], containers: &[&str]) -> Pod {
    Pod {
        restart_policy: policy,
        init_containers: init.iter().map(|n| container(n)).collect(),
        containers: containers.iter().map(|n| container(n)).collect(),
        ..Pod::plain("p")
    }
}

fn end(code: i32) -> Terminated {
    Terminated {
        exit_code: code,
        signal: None,
        reason: if code == 0 { TerminatedReason::Completed } else { TerminatedReason::Error },
        message: String::new(),
        started_at_ns: 1_000_000_000,
        finished_at_ns: 2_500_000_000,
        id: Some("c0".into()),
    }
}

fn ended(status: &mut ContainerStatus, code: i32) {
    status.state = ContainerState::Terminated(end(code));
}

fn runs(status: &mut ContainerStatus) {
    status.state = ContainerState::Running { started_at_ns: 3_000_000_000 };
    status.ready = true;
    status.started = true;
}

fn backs_off(status: &mut ContainerStatus, code: i32) {
    status.last_state = Some(end(code));
    status.state = ContainerState::Waiting { reason: WaitingReason::CrashLoopBackOff, message: String::new() };
}

type Step = fn(&mut ContainerStatus);
/// Policy, what the init containers and the members do, whether it is over, and what it is then.
type Row<'a> = (RestartPolicy, &'a [Step], &'a [Step], bool, Phase);

fn phase(policy: RestartPolicy, init: &[Step], containers: &[Step], over: bool) -> Phase {
    let names = ["a", "b", "c"];
    let pod = pod(policy, &names[..init.len()], &["x", "y", "z"][..containers.len()]);
    let mut status = PodStatus::accepted(&pod, 0);
    status.ended = over;
    init.iter().zip(&mut status.init_containers).for_each(|(step, s)| step(s));
    containers.iter().zip(&mut status.containers).for_each(|(step, s)| step(s));
    status.phase(&pod)
}

#[test]
fn phases_are_the_kubelets() {
    use Phase::*;
    use RestartPolicy::*;
    let (ok, bad, run, wait, back): (Step, Step, Step, Step, Step) =
        (|s| ended(s, 0), |s| ended(s, 1), runs, |_| {}, |s| backs_off(s, 1));
    let rows: &[Row<'_>] = &[
        (Never, &[], &[wait], false, Pending),
        (Never, &[], &[run, wait], false, Pending),
        (Never, &[], &[run, ok], false, Running),
        (Never, &[], &[ok, ok], false, Succeeded),
        (Never, &[], &[ok, bad], false, Failed),
        (OnFailure, &[], &[ok, bad], false, Running),
        (OnFailure, &[], &[ok, ok], false, Succeeded),
        (Always, &[], &[ok, ok], false, Running),
        (Always, &[], &[back], false, Running),
        (Always, &[], &[ok, bad], true, Failed),
        (Always, &[], &[ok, ok], true, Succeeded),
        (Never, &[bad], &[wait], false, Failed),
        (OnFailure, &[bad], &[wait], false, Pending),
        (Always, &[back], &[wait], false, Pending),
        (Always, &[run], &[wait], false, Pending),
        (Always, &[ok], &[run], false, Running),
        (Always, &[bad], &[wait], true, Failed),
        (Always, &[], &[wait], true, Failed),
    ];
    for (n, (policy, init, containers, over, expected)) in rows.iter().enumerate() {
        assert_eq!(phase(*policy, init, containers, *over), *expected, "row {n}");
    }
}

/// A sidecar whose hook runs does not show as running: the Pod was `Failed`, and lived.
#[test]
fn no_phase_is_final_while_anything_lives() {
    let pod = pod(RestartPolicy::Never, &[], &["x"]);
    let mut status = PodStatus { lives: true, ..PodStatus::accepted(&pod, 0) };
    assert_eq!(status.phase(&pod), Phase::Pending);
    ended(&mut status.containers[0], 1);
    assert_eq!(status.phase(&pod), Phase::Running);
    status.lives = false;
    assert_eq!(status.phase(&pod), Phase::Failed);
}

#[test]
fn qos_follows_requests_and_limits() {
    let mut pod = pod(RestartPolicy::Never, &[], &["x"]);
    assert_eq!(qos_class(&pod), "BestEffort");
    pod.containers[0].resources.memory_limit = Some(1);
    assert_eq!(qos_class(&pod), "Burstable");
    pod.containers[0].resources.cpu_limit_millis = Some(1);
    assert_eq!(qos_class(&pod), "Guaranteed");
    pod.containers[0].resources.cpu_request_millis = Some(0);
    assert_eq!(qos_class(&pod), "Burstable");
}

#[cfg(feature = "manifest")]
mod shaped {
    use super::*;
    use crate::pod::{RestartAction, RestartRule};

    fn condition<'a>(
        status: &'a k8s_openapi::api::core::v1::PodStatus,
        name: &str,
    ) -> &'a k8s_openapi::api::core::v1::PodCondition {
        status.conditions.as_ref().unwrap().iter().find(|c| c.type_ == name).unwrap()
    }

    #[test]
    fn conditions_name_who_is_late_and_keep_their_time() {
        let pod = pod(RestartPolicy::Always, &["i"], &["x", "y"]);
        let mut status = PodStatus::accepted(&pod, 0);
        let first = to_v1_status(&pod, &status, None, 10_000_000_000);
        let ready = condition(&first, "Ready");
        assert_eq!(ready.message.as_deref(), Some("containers with unready status: [x y]"));
        assert_eq!(condition(&first, "Initialized").status, "False");
        assert_eq!(condition(&first, "PodReadyToStartContainers").status, "False");

        status.sandbox_ready = true;
        status.pod_ips = vec!["10.88.0.2".parse().unwrap(), "fd00::2".parse().unwrap()];
        ended(&mut status.init_containers[0], 0);
        status.containers.iter_mut().for_each(runs);
        let second = to_v1_status(&pod, &status, Some(&first), 20_000_000_000);
        let json = serde_json::to_value(&second).unwrap();
        assert_eq!(json["phase"], "Running");
        assert_eq!(json["podIPs"][1]["ip"], "fd00::2");
        assert_eq!(json["containerStatuses"][0]["image"], "wasm:/a.wasm");
        assert_eq!(json["initContainerStatuses"][0]["ready"], true);
        assert_eq!(json["initContainerStatuses"][0]["state"]["terminated"]["containerID"], "dwell://c0");
        assert_eq!(json["initContainerStatuses"][0]["state"]["terminated"]["finishedAt"], "1970-01-01T00:00:02Z");
        let at = |status, name| serde_json::to_value(condition(status, name)).unwrap()["lastTransitionTime"].clone();
        assert_eq!(at(&second, "Ready"), "1970-01-01T00:00:20Z");
        assert_eq!(at(&second, "PodScheduled"), "1970-01-01T00:00:10Z");
    }

    #[test]
    fn last_messages_share_their_room_and_stay_text() {
        let pod = pod(RestartPolicy::Never, &["i"], &["x", "y", "z"]);
        let mut status = PodStatus { restarting_all: true, ..PodStatus::accepted(&pod, 0) };
        let long = |status: &mut ContainerStatus| {
            ended(status, 1);
            let ContainerState::Terminated(end) = &mut status.state else { unreachable!() };
            end.message = "ä".repeat(4096);
        };
        long(&mut status.init_containers[0]);
        long(&mut status.containers[1]);
        let shown = to_v1_status(&pod, &status, None, 0);
        let json = serde_json::to_value(&shown).unwrap();
        for list in ["initContainerStatuses", "containerStatuses"] {
            let message = |n: usize| json[list][n]["state"]["terminated"]["message"].as_str().unwrap_or_default().len();
            assert_eq!((0..3).map(message).sum::<usize>(), 3072, "{list}");
        }
        assert_eq!(condition(&shown, "AllContainersRestarting").status, "True");
    }

    #[test]
    fn a_rule_decides_the_phase_before_the_policy() {
        let mut pod = pod(RestartPolicy::Never, &["i"], &["x"]);
        let mut status = PodStatus::accepted(&pod, 0);
        ended(&mut status.init_containers[0], 3);
        assert_eq!(status.phase(&pod), Phase::Failed);
        let rule = RestartRule { action: RestartAction::Container, listed: true, statuses: vec![3] };
        pod.init_containers[0].restart_rules = vec![rule.clone()];
        assert_eq!(status.phase(&pod), Phase::Pending);
        ended(&mut status.init_containers[0], 0);
        ended(&mut status.containers[0], 3);
        assert_eq!(status.phase(&pod), Phase::Failed);
        pod.containers[0].restart_rules = vec![rule];
        assert_eq!(status.phase(&pod), Phase::Running);
    }

    #[test]
    fn a_finished_pod_is_not_ready_but_initialized() {
        let pod = pod(RestartPolicy::Never, &[], &["x"]);
        let mut status = PodStatus::accepted(&pod, 0);
        ended(&mut status.containers[0], 0);
        let shown = to_v1_status(&pod, &status, None, 0);
        assert_eq!(condition(&shown, "Ready").reason.as_deref(), Some("PodCompleted"));
        assert_eq!(condition(&shown, "Initialized").status, "True");
        assert_eq!(shown.phase.as_deref(), Some("Succeeded"));
    }
}

#[test]
fn what_was_added_counts_for_nothing_and_is_shown_apart() {
    let mut pod = pod(RestartPolicy::Never, &[], &["x"]);
    pod.ephemeral_containers = vec![container("d")];
    let mut status = PodStatus::accepted(&pod, 0);
    status.ephemeral_containers = vec![ContainerStatus::waiting("d", WaitingReason::ContainerCreating)];
    runs(&mut status.containers[0]);
    ended(&mut status.ephemeral_containers[0], 7);
    assert_eq!(status.phase(&pod), Phase::Running);
    runs(&mut status.ephemeral_containers[0]);
    ended(&mut status.containers[0], 0);
    assert_eq!(status.phase(&pod), Phase::Running, "it is not over yet");
    let shown = to_v1_status(&pod, &status, None, 0).ephemeral_container_statuses.unwrap();
    assert_eq!((shown.len(), shown[0].ready, shown[0].started), (1, false, None));
    assert!(shown[0].state.as_ref().unwrap().running.is_some());
    ended(&mut status.ephemeral_containers[0], 7);
    assert_eq!(status.phase(&pod), Phase::Succeeded);
}

#[test]
fn a_pod_is_ready_when_its_gates_are_open_too() {
    let mut pod = pod(RestartPolicy::Always, &[], &["x"]);
    pod.readiness_gates = vec!["a.b/c".into()];
    let mut status = PodStatus::accepted(&pod, 0);
    runs(&mut status.containers[0]);
    let ready = |status: &PodStatus, kind: &str| {
        let all = to_v1_status(&pod, status, None, 0).conditions.unwrap();
        let found = all.into_iter().find(|one| one.type_ == kind).unwrap();
        (found.status, found.message.unwrap_or_default())
    };
    assert_eq!(ready(&status, "ContainersReady").0, "True");
    let missing = "corresponding condition of pod readiness gate \"a.b/c\" does not exist.";
    assert_eq!(ready(&status, "Ready"), ("False".into(), missing.into()));
    let said = SaidCondition { kind: "a.b/c".into(), status: "False".into(), reason: None, message: None };
    status.said = vec![said];
    let closed = "the status of pod readiness gate \"a.b/c\" is not \"True\", but False";
    assert_eq!(ready(&status, "Ready"), ("False".into(), closed.into()));
    status.said[0].status = "True".into();
    assert_eq!(ready(&status, "Ready"), ("True".into(), String::new()));
    assert_eq!(ready(&status, "a.b/c").0, "True");
}
