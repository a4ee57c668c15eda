//! `PodStatus` as Kubernetes shapes it.
//!
//! Times are cut to seconds, as Kubernetes does. A condition keeps its `lastTransitionTime` while its status stays the
//! same, so the caller hands in what it showed last.

use std::net::IpAddr;

use k8s_openapi::api::core::v1;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

use super::{ContainerState, ContainerStatus, Phase, PodStatus, Terminated, find, qos_class};
use crate::pod::{Container, Pod};

/// Bytes of the messages of all containers that ended.
const MESSAGES: usize = 12 * 1024;

impl ContainerStatus {
    fn completed(&self) -> bool {
        matches!(&self.state, ContainerState::Terminated(end) if end.exit_code == 0)
    }
}

/// What the API and `-o yaml` show. `previous` is what was shown last (for transition times), `now_ns` is in
/// nanoseconds since 1970.
#[must_use]
pub fn to_v1_status(pod: &Pod, status: &PodStatus, previous: Option<&v1::PodStatus>, now_ns: i64) -> v1::PodStatus {
    let phase = status.phase(pod);
    let mut conditions = conditions(pod, status, phase);
    for condition in &mut conditions {
        condition.last_transition_time = Some(transition_time(condition, previous, now_ns));
    }
    let mut shown = v1::PodStatus {
        phase: Some(phase.as_str().to_owned()),
        conditions: Some(conditions),
        reason: status.reason.clone(),
        message: status.message.clone(),
        host_ip: status.host_ips.first().map(IpAddr::to_string),
        host_ips: addresses(&status.host_ips, |ip| v1::HostIP { ip }),
        pod_ip: status.pod_ips.first().map(IpAddr::to_string),
        pod_ips: addresses(&status.pod_ips, |ip| v1::PodIP { ip }),
        start_time: status.start_time_ns.and_then(time),
        qos_class: Some(qos_class(pod).to_owned()),
        init_container_statuses: container_statuses(&pod.init_containers, &status.init_containers, List::Init),
        container_statuses: container_statuses(&pod.containers, &status.containers, List::Regular),
        ephemeral_container_statuses: container_statuses(
            &pod.ephemeral_containers,
            &status.ephemeral_containers,
            List::Ephemeral,
        ),
        ..v1::PodStatus::default()
    };
    share_out_messages(&mut shown);
    shown
}

/// All containers' last messages together have `MESSAGES`, each an equal part (status_manager.go, normalizeStatus).
fn share_out_messages(status: &mut v1::PodStatus) {
    let lists =
        [&mut status.init_container_statuses, &mut status.container_statuses, &mut status.ephemeral_container_statuses];
    let containers: Vec<_> = lists.into_iter().flatten().flatten().collect();
    let share = MESSAGES / containers.len().max(1);
    for container in containers {
        for state in [&mut container.state, &mut container.last_state].into_iter().flatten() {
            if let Some(message) = state.terminated.as_mut().and_then(|end| end.message.as_mut()) {
                message.truncate(message.floor_char_boundary(share));
            }
        }
    }
}

fn addresses<T>(ips: &[IpAddr], wrap: impl Fn(String) -> T) -> Option<Vec<T>> {
    (!ips.is_empty()).then(|| ips.iter().map(|ip| wrap(ip.to_string())).collect())
}

/// 0 is no time.
fn time(ns: i64) -> Option<Time> {
    if ns == 0 {
        return None;
    }
    Timestamp::from_second(ns.div_euclid(1_000_000_000)).ok().map(Time)
}

fn transition_time(condition: &v1::PodCondition, previous: Option<&v1::PodStatus>, now_ns: i64) -> Time {
    previous
        .and_then(|status| status.conditions.as_ref())
        .and_then(|conditions| conditions.iter().find(|old| old.type_ == condition.type_))
        .filter(|old| old.status == condition.status)
        .and_then(|old| old.last_transition_time.clone())
        .or_else(|| time(now_ns))
        .unwrap_or(Time(Timestamp::UNIX_EPOCH))
}

fn conditions(pod: &Pod, status: &PodStatus, phase: Phase) -> Vec<v1::PodCondition> {
    let initialized = initialized(pod, status, phase);
    let ready = containers_ready(pod, status, phase);
    let mut conditions = vec![
        condition("PodReadyToStartContainers", &verdict(status.sandbox_ready)),
        condition("Initialized", &initialized),
        condition("Ready", gates_closed(pod, status).as_ref().filter(|_| ready.status).unwrap_or(&ready)),
        condition("ContainersReady", &ready),
        condition("PodScheduled", &verdict(true)),
    ];
    conditions.extend(status.restarting_all.then(|| condition("AllContainersRestarting", &verdict(true))));
    let evicted = status.reason.as_deref() == Some("Evicted");
    conditions.extend(evicted.then(|| {
        let message = status.message.clone();
        condition("DisruptionTarget", &Verdict { status: true, reason: Some("TerminationByKubelet"), message })
    }));
    conditions.extend(status.said.iter().map(|said| v1::PodCondition {
        type_: said.kind.clone(),
        status: said.status.clone(),
        reason: said.reason.clone(),
        message: said.message.clone(),
        ..v1::PodCondition::default()
    }));
    conditions
}

/// Which readiness gates keep a Pod from being ready whose containers are (GeneratePodReadyCondition).
fn gates_closed(pod: &Pod, status: &PodStatus) -> Option<Verdict> {
    let closed = |gate: &String| match status.said.iter().find(|said| said.kind == *gate) {
        None => Some(format!("corresponding condition of pod readiness gate {gate:?} does not exist.")),
        Some(said) if said.status == "True" => None,
        Some(said) => Some(format!("the status of pod readiness gate {gate:?} is not \"True\", but {}", said.status)),
    };
    let why: Vec<_> = pod.readiness_gates.iter().filter_map(closed).collect();
    let message = Some(why.join(", "));
    (!why.is_empty()).then_some(Verdict { status: false, reason: Some("ReadinessGatesNotReady"), message })
}

/// Status, and for `False` the reason and message.
struct Verdict {
    status: bool,
    reason: Option<&'static str>,
    message: Option<String>,
}

fn verdict(status: bool) -> Verdict {
    Verdict { status, reason: None, message: None }
}

fn condition(type_: &str, verdict: &Verdict) -> v1::PodCondition {
    v1::PodCondition {
        type_: type_.to_owned(),
        status: if verdict.status { "True" } else { "False" }.to_owned(),
        reason: verdict.reason.map(str::to_owned),
        message: verdict.message.clone(),
        ..v1::PodCondition::default()
    }
}

fn initialized(pod: &Pod, status: &PodStatus, phase: Phase) -> Verdict {
    if phase == Phase::Succeeded {
        return Verdict { status: true, reason: Some("PodCompleted"), message: None };
    }
    // Once a member has begun they were all initialized, whatever becomes of a sidecar.
    if status.containers.iter().any(|container| container.is_running() || container.stopped_with().is_some()) {
        return verdict(true);
    }
    let (sidecars, inits): (Vec<_>, Vec<_>) = pod.init_containers.iter().partition(|one| one.is_sidecar());
    let mut incomplete = names_without(inits, &status.init_containers, ContainerStatus::completed);
    incomplete.extend(names_without(sidecars, &status.init_containers, |container| container.started));
    if incomplete.is_empty() {
        return verdict(true);
    }
    let message = format!("containers with incomplete status: [{}]", incomplete.join(" "));
    Verdict { status: false, reason: Some("ContainersNotInitialized"), message: Some(message) }
}

fn containers_ready(pod: &Pod, status: &PodStatus, phase: Phase) -> Verdict {
    match phase {
        Phase::Succeeded => {
            return Verdict { status: false, reason: Some("PodCompleted"), message: None };
        }
        Phase::Failed => {
            return Verdict { status: false, reason: Some("PodFailed"), message: None };
        }
        _ => {}
    }
    let mut unready = names_without(pod.sidecars(), &status.init_containers, |container| container.ready);
    unready.extend(names_without(&pod.containers, &status.containers, |container| container.ready));
    if unready.is_empty() {
        return verdict(true);
    }
    let message = format!("containers with unready status: [{}]", unready.join(" "));
    Verdict { status: false, reason: Some("ContainersNotReady"), message: Some(message) }
}

fn names_without<'a>(
    of: impl IntoIterator<Item = &'a Container>,
    statuses: &[ContainerStatus],
    has: impl Fn(&ContainerStatus) -> bool,
) -> Vec<&'a str> {
    of.into_iter().filter(|c| !find(statuses, &c.name).is_some_and(&has)).map(|c| c.name.as_str()).collect()
}

/// Which of a Pod's lists a container stands in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum List {
    Init,
    Regular,
    Ephemeral,
}

fn container_statuses(of: &[Container], statuses: &[ContainerStatus], list: List) -> Option<Vec<v1::ContainerStatus>> {
    let shown: Vec<_> = of.iter().filter_map(|c| Some(container_status(c, find(statuses, &c.name)?, list))).collect();
    (!shown.is_empty()).then_some(shown)
}

fn container_status(container: &Container, status: &ContainerStatus, list: List) -> v1::ContainerStatus {
    let passes = list == List::Init && !container.is_sidecar();
    // What was added is neither: nobody waits for it (prober_manager.go passes it by).
    let added = list == List::Ephemeral;
    v1::ContainerStatus {
        name: container.name.clone(),
        image: container.image.to_string(),
        image_id: status.image_id.clone(),
        container_id: status.id.as_deref().map(container_id),
        state: Some(state(&status.state)),
        last_state: Some(status.last_state.as_ref().map(ended).unwrap_or_default()),
        restart_count: i32::try_from(status.restart_count).unwrap_or(i32::MAX),
        // An init container is ready when it has done its work, and never `started` (prober_manager.go).
        ready: !added && if passes { status.completed() } else { status.ready && status.is_running() },
        stop_signal: container.stop_signal.clone(),
        started: (!added).then_some(!passes && status.started && status.is_running()),
        ..v1::ContainerStatus::default()
    }
}

fn container_id(id: &str) -> String {
    format!("dwell://{id}")
}

fn state(state: &ContainerState) -> v1::ContainerState {
    match state {
        ContainerState::Waiting { reason, message } => v1::ContainerState {
            waiting: Some(v1::ContainerStateWaiting {
                reason: Some(reason.as_str().to_owned()),
                message: some_text(message),
            }),
            ..v1::ContainerState::default()
        },
        ContainerState::Running { started_at_ns } => v1::ContainerState {
            running: Some(v1::ContainerStateRunning { started_at: time(*started_at_ns) }),
            ..v1::ContainerState::default()
        },
        ContainerState::Terminated(end) => ended(end),
    }
}

fn ended(end: &Terminated) -> v1::ContainerState {
    let terminated = v1::ContainerStateTerminated {
        container_id: end.id.as_deref().map(container_id),
        exit_code: end.exit_code,
        signal: end.signal,
        reason: Some(end.reason.as_str().to_owned()),
        message: some_text(&end.message),
        started_at: time(end.started_at_ns),
        finished_at: time(end.finished_at_ns),
    };
    v1::ContainerState { terminated: Some(terminated), ..v1::ContainerState::default() }
}

fn some_text(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}
