//! What `ps` shows of a Pod, computed from its status as kubectl does.
//! Source: `kubernetes/kubernetes:pkg/printers/internalversion/printers.go` (`printPod`) and
//! `apimachinery/pkg/util/duration` (`HumanDuration`). Pure; the clock is an argument.

use k8s_openapi::api::core::v1::{
    Container, ContainerState, ContainerStateTerminated, ContainerStatus, Pod, PodStatus,
};
use k8s_openapi::jiff::Timestamp;

use super::records::is_finished;

/// The columns of one Pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// `1/2`: members and sidecars that are ready, and all of them.
    pub ready: String,
    /// One word, or `Init:0/1` and the like.
    pub status: String,
    /// `3 (5m ago)`
    pub restarts: String,
    /// Since creation.
    pub age: String,
}

/// Sums up one Pod.
pub fn of(pod: &Pod, now: Timestamp) -> Summary {
    let none = PodStatus::default();
    let status = pod.status.as_ref().unwrap_or(&none);
    let total = pod.spec.as_ref().map_or(0, |spec| spec.containers.len()) + sidecars(pod).count();
    let regular = || status.container_statuses.iter().flatten();
    let inits = || status.init_container_statuses.iter().flatten();
    let beside = || inits().filter(|status| is_sidecar(pod, status));
    let ready = regular().chain(beside()).filter(|c| c.ready && is_running(c)).count();
    let init = initializing(pod, status);
    let counted: Vec<&ContainerStatus> = match init {
        Some(_) => inits().collect(),
        None => regular().chain(beside()).collect(),
    };
    Summary {
        ready: format!("{ready}/{total}"),
        status: word(pod, status, init),
        restarts: restarts(&counted, now),
        age: pod.metadata.creation_timestamp.as_ref().map_or("<unknown>".into(), |t| since(t.0, now)),
    }
}

fn word(pod: &Pod, status: &PodStatus, init: Option<String>) -> String {
    if pod.metadata.deletion_timestamp.is_some() && !is_finished(pod) {
        return "Terminating".into();
    }
    let phase = status.reason.clone().or_else(|| status.phase.clone()).unwrap_or_else(|| "Unknown".into());
    init.unwrap_or_else(|| regular(status, phase))
}

/// `Init:…` while an init container has not succeeded.
fn initializing(pod: &Pod, status: &PodStatus) -> Option<String> {
    let total = pod.spec.as_ref().map_or(0, |spec| spec.init_containers.iter().flatten().count());
    let statuses = status.init_container_statuses.iter().flatten();
    let mut not_done = statuses.enumerate().filter(|(_, one)| !(is_sidecar(pod, one) && one.started == Some(true)));
    let word = not_done.find_map(|(at, container)| init_word(container, at, total));
    // A sidecar that is started again sets no Pod back.
    word.filter(|_| !has_condition(status, "Initialized"))
}

/// Init containers that live beside the members.
fn sidecars(pod: &Pod) -> impl Iterator<Item = &Container> {
    let inits = pod.spec.iter().flat_map(|spec| spec.init_containers.iter().flatten());
    inits.filter(|container| container.restart_policy.as_deref() == Some("Always"))
}

/// Whether the status of an init container is a sidecar's.
pub fn is_sidecar(pod: &Pod, status: &ContainerStatus) -> bool {
    sidecars(pod).any(|container| container.name == status.name)
}

/// `None` if this one is done.
fn init_word(container: &ContainerStatus, at: usize, total: usize) -> Option<String> {
    let state = container.state.clone().unwrap_or_default();
    match (state.terminated, state.waiting.and_then(|w| w.reason)) {
        (Some(ended), _) if ended.exit_code == 0 => None,
        (Some(ended), _) => Some(format!("Init:{}", ending(&ended))),
        (None, Some(reason)) if !reason.is_empty() && reason != "PodInitializing" => Some(format!("Init:{reason}")),
        _ => Some(format!("Init:{at}/{total}")),
    }
}

/// The first container that says something decides; a Pod of which some ended well and some run is `Running` or
/// `NotReady`.
fn regular(status: &PodStatus, phase: String) -> String {
    let states = || status.container_statuses.iter().flatten().filter_map(|c| c.state.as_ref());
    let reason = states().find_map(state_word).unwrap_or(phase);
    let some_run = status.container_statuses.iter().flatten().any(|c| c.ready && is_running(c));
    match reason == "Completed" && some_run {
        true if has_condition(status, "Ready") => "Running".into(),
        true => "NotReady".into(),
        false => reason,
    }
}

fn state_word(state: &ContainerState) -> Option<String> {
    let waiting = state.waiting.as_ref().and_then(|w| w.reason.clone()).filter(|reason| !reason.is_empty());
    waiting.or_else(|| state.terminated.as_ref().map(ending))
}

fn ending(ended: &ContainerStateTerminated) -> String {
    match (ended.reason.as_deref().unwrap_or_default(), ended.signal.unwrap_or(0)) {
        ("", 0) => format!("ExitCode:{}", ended.exit_code),
        ("", signal) => format!("Signal:{signal}"),
        (reason, _) => reason.to_owned(),
    }
}

fn is_running(container: &ContainerStatus) -> bool {
    container.state.as_ref().is_some_and(|state| state.running.is_some())
}

fn has_condition(status: &PodStatus, name: &str) -> bool {
    status.conditions.iter().flatten().any(|c| c.type_ == name && c.status == "True")
}

fn restarts(containers: &[&ContainerStatus], now: Timestamp) -> String {
    let count: i32 = containers.iter().map(|c| c.restart_count).sum();
    let ended = containers.iter().filter_map(|c| c.last_state.as_ref()?.terminated.as_ref()?.finished_at.as_ref());
    match ended.map(|time| time.0).max() {
        Some(last) if count > 0 => format!("{count} ({} ago)", since(last, now)),
        _ => count.to_string(),
    }
}

fn since(time: Timestamp, now: Timestamp) -> String {
    human_duration(now.as_second().saturating_sub(time.as_second()))
}

/// Seconds as kubectl shows them: at most two units, the larger ones coarse.
pub fn human_duration(seconds: i64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    match seconds {
        i64::MIN..=-2 => "<invalid>".into(),
        -1..=0 => "0s".into(),
        _ if minutes < 2 => format!("{seconds}s"),
        _ if minutes < 10 => two(minutes, 'm', seconds % 60, 's'),
        _ if hours < 3 => format!("{minutes}m"),
        _ if hours < 8 => two(hours, 'h', minutes % 60, 'm'),
        _ if hours < 48 => format!("{hours}h"),
        _ if days < 8 => two(days, 'd', hours % 24, 'h'),
        _ if days < 2 * 365 => format!("{days}d"),
        _ if days < 8 * 365 => two(days / 365, 'y', days % 365, 'd'),
        _ => format!("{}y", days / 365),
    }
}

fn two(large: i64, large_unit: char, small: i64, small_unit: char) -> String {
    match small {
        0 => format!("{large}{large_unit}"),
        _ => format!("{large}{large_unit}{small}{small_unit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-01-01T01:00:00Z";

    /// A Pod with two containers and one init container, of this status (JSON).
    fn summary(status: &str) -> Summary {
        let json = format!(
            r#"{{"apiVersion":"v1","kind":"Pod","metadata":{{"name":"x","creationTimestamp":"2026-01-01T00:55:00Z"}},
            "spec":{{"initContainers":[{{"name":"i"}}],"containers":[{{"name":"a"}},{{"name":"b"}}]}},"status":{status}}}"#
        );
        of(&serde_json::from_str(&json).unwrap(), NOW.parse().unwrap())
    }

    fn container(name: &str, ready: bool, restarts: u32, state: &str) -> String {
        format!(
            r#"{{"name":"{name}","image":"","imageID":"","ready":{ready},"restartCount":{restarts},"state":{{{state}}}}}"#
        )
    }

    fn status_of(init: &str, a: &str, b: &str) -> Summary {
        let init = container("i", false, 0, init);
        let (a, b) = (container("a", a.contains("running"), 0, a), container("b", b.contains("running"), 0, b));
        summary(&format!(r#"{{"phase":"Running","initContainerStatuses":[{init}],"containerStatuses":[{a},{b}]}}"#))
    }

    const DONE: &str = r#""terminated":{"exitCode":0,"reason":"Completed"}"#;
    const RUNS: &str = r#""running":{}"#;

    #[test]
    fn phases_and_reasons() {
        assert_eq!(summary("{}").status, "Unknown");
        assert_eq!(summary(r#"{"phase":"Pending"}"#).status, "Pending");
        let failed = summary(r#"{"phase":"Failed","reason":"DeadlineExceeded"}"#);
        assert_eq!((failed.status.as_str(), failed.ready.as_str()), ("DeadlineExceeded", "0/2"));
    }

    #[test]
    fn init_containers_come_first() {
        let waits = r#""waiting":{"reason":"PodInitializing"}"#;
        assert_eq!(status_of(RUNS, waits, waits).status, "Init:0/1");
        assert_eq!(
            status_of(r#""waiting":{"reason":"CrashLoopBackOff"}"#, waits, waits).status,
            "Init:CrashLoopBackOff"
        );
        assert_eq!(status_of(r#""terminated":{"exitCode":3}"#, waits, waits).status, "Init:ExitCode:3");
        assert_eq!(status_of(r#""terminated":{"exitCode":1,"reason":"Error"}"#, waits, waits).status, "Init:Error");
    }

    #[test]
    fn containers_decide_after_that() {
        let running = status_of(DONE, RUNS, RUNS);
        assert_eq!((running.status.as_str(), running.ready.as_str(), running.age.as_str()), ("Running", "2/2", "5m"));
        assert_eq!(status_of(DONE, DONE, DONE).status, "Completed");
        assert_eq!(status_of(DONE, DONE, RUNS).status, "NotReady");
        assert_eq!(status_of(DONE, r#""terminated":{"exitCode":137,"reason":"OOMKilled"}"#, RUNS).status, "OOMKilled");
        assert_eq!(status_of(DONE, RUNS, r#""waiting":{"reason":"CrashLoopBackOff"}"#).status, "CrashLoopBackOff");
        assert_eq!(status_of(DONE, r#""terminated":{"exitCode":143,"signal":15}"#, RUNS).status, "Signal:15");
    }

    #[test]
    fn restarts_tell_when_the_last_one_was() {
        let last = r#""running":{}},"lastState":{"terminated":{"exitCode":1,"finishedAt":"2026-01-01T00:59:00Z"}"#;
        let a = container("a", true, 3, last);
        assert_eq!(summary(&format!(r#"{{"phase":"Running","containerStatuses":[{a}]}}"#)).restarts, "3 (60s ago)");
        assert_eq!(status_of(DONE, RUNS, RUNS).restarts, "0");
    }

    #[test]
    fn durations_are_kubectls() {
        let table = [
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (125, "2m5s"),
            (601, "10m"),
            (10_799, "179m"),
            (10_800, "3h"),
            (11_000, "3h3m"),
            (30_000, "8h"),
            (172_800, "2d"),
            (180_000, "2d2h"),
            (700_000, "8d"),
            (-5, "<invalid>"),
            (86_400 * 365 * 2, "2y"),
            (86_400 * 365 * 9, "9y"),
        ];
        for (seconds, shown) in table {
            assert_eq!(human_duration(seconds), shown, "{seconds}");
        }
    }
}
