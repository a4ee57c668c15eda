//! From a Pod's journal to the object that readers see. Pure but for the clock of transition times.

use std::net::IpAddr;

use dwell_spec::pod::{Container, ImageRef, Pod};
use dwell_spec::status::{ContainerState, ContainerStatus, PodStatus, Terminated, WaitingReason, to_v1_status};
use k8s_openapi::api::core::v1;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::clock::now_ns;
use crate::supervise::journal::{Intent, Journal, Member, MemberState, Next, Termination};

/// What a Pod's status says of the node around it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Around<'a> {
    /// The state folder's id.
    pub node: &'a str,
    /// The host's addresses.
    pub host_ips: &'a [IpAddr],
    /// Whether the Pod's sandbox stands.
    pub sandbox: bool,
}

/// The object with its status of now.
pub(crate) fn object(before: &v1::Pod, pod: &Pod, journal: &Journal, around: &Around<'_>) -> v1::Pod {
    let mut object = before.clone();
    let status = pod_status(pod, journal, around);
    let mut shown = to_v1_status(pod, &status, before.status.as_ref(), now_ns() as i64);
    show_resources(before.spec.as_ref(), &mut shown);
    object.status = Some(shown);
    if let Intent::Remove(stopping) = journal.intent {
        let at = k8s_openapi::jiff::Timestamp::from_nanosecond(i128::from(stopping.kill_at_ns)).ok();
        object.metadata.deletion_timestamp = at.map(Time);
        object.metadata.deletion_grace_period_seconds = Some(i64::from(stopping.grace_seconds));
    }
    object
}

/// What each container may use: here it is what was asked for, since what a change asks for is done before it is answered.
fn show_resources(spec: Option<&v1::PodSpec>, status: &mut v1::PodStatus) {
    let Some(spec) = spec else { return };
    let lists = [
        (spec.init_containers.as_deref().unwrap_or_default(), &mut status.init_container_statuses),
        (&spec.containers[..], &mut status.container_statuses),
    ];
    for (containers, statuses) in lists {
        for (container, status) in containers.iter().zip(statuses.iter_mut().flatten()) {
            status.resources.clone_from(&container.resources);
            status.allocated_resources = container.resources.as_ref().and_then(|resources| resources.requests.clone());
        }
    }
}

/// The status before it is shaped as Kubernetes has it.
pub(super) fn pod_status(pod: &Pod, journal: &Journal, around: &Around<'_>) -> PodStatus {
    let of = |containers: &[Container], is: fn(&&Member) -> bool| -> Vec<ContainerStatus> {
        let members = journal.members.iter().filter(is);
        containers
            .iter()
            .zip(members)
            .map(|(container, member)| container_status(pod, container, member, journal, around))
            .collect()
    };
    let host_ips = around.host_ips.to_vec();
    PodStatus {
        sandbox_ready: around.sandbox,
        ended: journal.finished || has_stopped(journal),
        lives: lives(journal),
        restarting_all: matches!(journal.intent, Intent::RestartAll(_)),
        pod_ips: if pod.host_network { host_ips.clone() } else { pod_ips(journal) },
        host_ips,
        start_time_ns: Some(journal.created_ns as i64),
        reason: journal.reason.as_ref().map(|(reason, _)| reason.clone()),
        message: journal.reason.as_ref().map(|(_, message)| message.clone()),
        init_containers: of(&pod.init_containers, |member| member.init),
        containers: of(&pod.containers, |member| !member.init && !member.added),
        ephemeral_containers: of(&pod.ephemeral_containers, |member| member.added),
        said: journal.said.clone(),
    }
}

/// Whether a stop was asked for and nothing lives any more: an init container, or a member that is just being born,
/// keeps the Pod from having ended.
fn has_stopped(journal: &Journal) -> bool {
    matches!(journal.intent, Intent::Stop(_) | Intent::Remove(_)) && !lives(journal)
}

fn lives(journal: &Journal) -> bool {
    journal.members.iter().any(|member| member.live_seq().is_some())
}

fn pod_ips(journal: &Journal) -> Vec<IpAddr> {
    let network = journal.sandbox.as_ref().and_then(|sandbox| sandbox.network.as_ref());
    network.map_or_else(Vec::new, |network| {
        std::iter::once(IpAddr::V4(network.v4)).chain(network.v6.map(IpAddr::V6)).collect()
    })
}

fn container_status(
    pod: &Pod,
    container: &Container,
    member: &Member,
    journal: &Journal,
    around: &Around<'_>,
) -> ContainerStatus {
    let id = |starts: u32| (starts > 0).then(|| container_id(around.node, pod, member, starts));
    let (state, last_state) = match &member.state {
        MemberState::Terminated(end) if will_restart(pod, member, journal, end) => {
            let message = format!(
                "back-off {}s restarting failed container={} pod={}_{}",
                member.backoff.delay_seconds(),
                member.name,
                pod.name,
                pod.namespace
            );
            let waiting = ContainerState::Waiting { reason: WaitingReason::CrashLoopBackOff, message };
            (waiting, Some(terminated(end, id(member.starts))))
        }
        // It starts again, as soon as all have ended or at once: the Pod must not look as if it were over.
        MemberState::Terminated(end) if starts_anew(pod, member, journal, end) => {
            (being_made(pod, ""), Some(terminated(end, id(member.starts))))
        }
        MemberState::Terminated(end) => {
            let before = member.before.as_ref().map(|end| terminated(end, id(member.starts.saturating_sub(1))));
            (ContainerState::Terminated(terminated(end, id(member.starts))), before)
        }
        // Also while its postStart hook runs, as the kubelet does.
        MemberState::Running { .. } if member.health.post_start_due => {
            (being_made(pod, ""), last(member, id(member.starts.saturating_sub(1))))
        }
        MemberState::Running { started_ns, .. } => (
            ContainerState::Running { started_at_ns: *started_ns as i64 },
            last(member, id(member.starts.saturating_sub(1))),
        ),
        MemberState::Starting { .. } => (being_made(pod, ""), last(member, id(member.starts.saturating_sub(1)))),
        MemberState::Waiting { .. } if was_never_started(member, journal) => {
            (ContainerState::Terminated(never_started()), last(member, id(member.starts)))
        }
        MemberState::Waiting { message, .. } => (being_made(pod, message), last(member, id(member.starts))),
    };
    let running = matches!(state, ContainerState::Running { .. });
    let completed_init =
        member.init && !member.is_sidecar() && matches!(&state, ContainerState::Terminated(end) if end.exit_code == 0);
    ContainerStatus {
        name: member.name.clone(),
        id: id(member.starts),
        image_id: image_id(&container.image),
        state,
        last_state,
        restart_count: member.starts.saturating_sub(1),
        ready: running && member.health.ready || completed_init,
        started: running && member.health.started,
    }
}

/// Whether it is started again after a while.
pub(super) fn will_restart(pod: &Pod, member: &Member, journal: &Journal, end: &Termination) -> bool {
    let has_passed = member.init && !member.is_sidecar() && end.exit_code == 0;
    let policy_says = !has_passed && member.follows(end, pod.restart_policy) != Next::Rest;
    // The first restart is immediate, and one after a long run: no back-off to speak of.
    policy_says
        && member.backoff.ready_at(end.finished_ns) > end.finished_ns
        && !journal.finished
        && journal.intent == Intent::Run
}

/// Whether it is started without waiting, whatever its exit status says.
fn starts_anew(pod: &Pod, member: &Member, journal: &Journal, end: &Termination) -> bool {
    let ended_for_it = end.unhealthy || end.replaced;
    let begins = ended_for_it && member.follows(end, pod.restart_policy) != Next::Rest && !journal.finished;
    // An init container that has done its work has done it until all have ended: members may run yet.
    let has_passed = member.init && !member.is_sidecar() && end.exit_code == 0;
    let begins_with_all = journal.intent.begins_again() && !member.added && !has_passed;
    begins_with_all || begins && journal.intent == Intent::Run
}

/// Whether its Pod was ended before it could begin, although its turn had come. Source: the kubelet's `TerminatePod`.
fn was_never_started(member: &Member, journal: &Journal) -> bool {
    let has_passed = |one: &Member| matches!(&one.state, MemberState::Terminated(end) if end.exit_code == 0);
    let mut before = journal.members.iter().filter(|one| one.init && !one.is_sidecar());
    if member.added {
        return journal.finished || has_stopped(journal);
    }
    journal.finished && !member.init && before.all(has_passed)
}

fn never_started() -> Terminated {
    Terminated {
        exit_code: 137,
        signal: None,
        reason: "ContainerStatusUnknown".into(),
        message: "The container could not be located when the pod was terminated".into(),
        started_at_ns: 0,
        finished_at_ns: 0,
        id: None,
    }
}

fn last(member: &Member, id: Option<String>) -> Option<Terminated> {
    member.last.as_ref().map(|end| terminated(end, id))
}

fn terminated(end: &Termination, id: Option<String>) -> Terminated {
    Terminated {
        exit_code: end.exit_code,
        signal: end.signal,
        reason: end.reason.as_str().into(),
        message: end.message.clone(),
        started_at_ns: end.started_ns as i64,
        finished_at_ns: end.finished_ns as i64,
        id,
    }
}

/// One word for all that were not begun, whichever of them is next. Source: the kubelet's `convertToAPIContainerStatuses`.
fn being_made(pod: &Pod, message: &str) -> ContainerState {
    let reason = match pod.init_containers.is_empty() {
        true => WaitingReason::ContainerCreating,
        false => WaitingReason::PodInitializing,
    };
    ContainerState::Waiting { reason, message: message.to_owned() }
}

fn image_id(image: &ImageRef) -> String {
    match image {
        ImageRef::Rootfs(path) => format!("rootfs:{path}"),
        ImageRef::Wasm(path) => format!("wasm:{path}"),
    }
}

/// 64 hexadecimal digits, as other runtimes have them; the same for the same start of the same container.
fn container_id(node: &str, pod: &Pod, member: &Member, starts: u32) -> String {
    use sha2::{Digest, Sha256};
    let text = format!("{node}/{}/{}/{}/{starts}", pod.namespace, pod.name, member.name);
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}
