//! What became of a Pod that ended: one exit status, and a sentence for each container that failed. Pure.
//!
//! The status is 0, or that of the container that failed first; 125 when the Pod failed and no container did. Times are in
//! whole seconds, as Kubernetes has them: of two that failed in the same one, the first in the manifest counts.

use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStatus, Pod, PodStatus};

use crate::failure::DWELL_FAILED;
use crate::output::sanitise::printable;

use super::summary::is_sidecar;

/// The end of a Pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Exit status for `dwell run`.
    pub status: u8,
    /// Why, one sentence each.
    pub sentences: Vec<String>,
}

/// Judges a Pod by its last status.
pub fn of(pod: &Pod) -> Outcome {
    let none = PodStatus::default();
    let status = pod.status.as_ref().unwrap_or(&none);
    let mut failed = failed_containers(status);
    // Sidecars end because the others have.
    failed.retain(|(container, _)| !is_sidecar(pod, container));
    let alone = status.container_statuses.iter().flatten().count() <= 1 && failed.len() <= 1;
    let mut sentences: Vec<String> = failed.iter().filter(|f| !alone || says_more(f.1)).map(sentence).collect();
    if is_failed(status) {
        sentences.extend(pod_sentence(status));
    }
    Outcome { status: exit_status(status, &failed), sentences }
}

/// A sentence for each container whose last run failed for a reason that its exit status does not tell, and that is
/// started again; with the run's id, by which it is told once.
pub fn retried(pod: &Pod) -> Vec<(String, String)> {
    let status = pod.status.iter();
    let all = status.flat_map(|s| s.init_container_statuses.iter().chain(&s.container_statuses).flatten());
    let told = all.filter_map(|container| {
        let ended = container.last_state.as_ref()?.terminated.as_ref()?;
        let id = ended.container_id.clone()?;
        (ended.exit_code != 0 && says_more(ended)).then(|| (id, sentence(&(container, ended))))
    });
    told.collect()
}

/// The end of one container, once it has ended: its exit status, and a sentence if there is more to say.
pub fn of_container(container: &ContainerStatus) -> Option<Outcome> {
    let ended = container.state.as_ref()?.terminated.as_ref()?;
    let failed = ended.exit_code != 0 && says_more(ended);
    let sentences = failed.then(|| sentence(&(container, ended))).into_iter().collect();
    Some(Outcome { status: u8::try_from(ended.exit_code).unwrap_or(DWELL_FAILED), sentences })
}

type Failed<'a> = (&'a ContainerStatus, &'a ContainerStateTerminated);

/// Containers whose last state is an end with another status than 0, the earliest first.
fn failed_containers(status: &PodStatus) -> Vec<Failed<'_>> {
    let all = status.init_container_statuses.iter().chain(&status.container_statuses).flatten();
    let mut failed: Vec<Failed<'_>> = all
        .filter_map(|container| Some((container, container.state.as_ref()?.terminated.as_ref()?)))
        .filter(|(_, ended)| ended.exit_code != 0)
        .collect();
    failed.sort_by_key(|(_, ended)| ended.finished_at.as_ref().map(|time| time.0));
    failed
}

fn exit_status(status: &PodStatus, failed: &[Failed<'_>]) -> u8 {
    match (is_failed(status), failed.first()) {
        (false, _) if status.phase.as_deref() == Some("Succeeded") => 0,
        (_, Some((_, ended))) => u8::try_from(ended.exit_code).unwrap_or(DWELL_FAILED),
        (true, None) => DWELL_FAILED,
        (false, None) => 0,
    }
}

fn is_failed(status: &PodStatus) -> bool {
    status.phase.as_deref() == Some("Failed")
}

/// Whether there is more to say than the exit status tells.
fn says_more(ended: &ContainerStateTerminated) -> bool {
    let reason = ended.reason.as_deref().unwrap_or_default();
    ended.message.as_deref().is_some_and(|m| !m.trim().is_empty()) || !matches!(reason, "" | "Error" | "Completed")
}

fn sentence((container, ended): &Failed<'_>) -> String {
    let how = match ended.signal.filter(|signal| *signal != 0) {
        Some(signal) => format!("was ended by signal {signal}"),
        None => format!("ended with status {}", ended.exit_code),
    };
    let reason = ended.reason.as_deref().filter(|reason| !matches!(*reason, "" | "Error"));
    let why: Vec<&str> = reason.into_iter().chain(ended.message.as_deref().map(str::trim)).collect();
    let why = if why.is_empty() { String::new() } else { format!(": {}", why.join(": ")) };
    // Further lines are indented: what they say comes from the member, and must not look like a line of ours.
    printable(&format!("container {} {how}{why}", container.name)).replace('\n', "\n    ")
}

fn pod_sentence(status: &PodStatus) -> Option<String> {
    let words: Vec<&str> = [status.reason.as_deref(), status.message.as_deref()].into_iter().flatten().collect();
    (!words.is_empty()).then(|| printable(&format!("the Pod failed: {}", words.join(": "))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(status: &str) -> Outcome {
        let json = format!(r#"{{"apiVersion":"v1","kind":"Pod","metadata":{{"name":"x"}},"status":{status}}}"#);
        of(&serde_json::from_str(&json).unwrap())
    }

    fn ended(name: &str, terminated: &str) -> String {
        format!(
            r#"{{"name":"{name}","image":"","imageID":"","ready":false,"restartCount":0,"state":{{"terminated":{{{terminated}}}}}}}"#
        )
    }

    #[test]
    fn success_is_zero_and_silent() {
        let done = ended("a", r#""exitCode":0,"reason":"Completed""#);
        let end = outcome(&format!(r#"{{"phase":"Succeeded","containerStatuses":[{done}]}}"#));
        assert_eq!(end, Outcome { status: 0, sentences: vec![] });
    }

    #[test]
    fn the_first_to_fail_decides() {
        let late = ended("a", r#""exitCode":143,"signal":15,"finishedAt":"2026-01-01T00:00:09Z""#);
        let early = ended("b", r#""exitCode":7,"reason":"Error","finishedAt":"2026-01-01T00:00:01Z""#);
        let end = outcome(&format!(r#"{{"phase":"Failed","containerStatuses":[{late},{early}]}}"#));
        assert_eq!(end.status, 7);
        assert_eq!(end.sentences, ["container b ended with status 7", "container a was ended by signal 15"]);
    }

    #[test]
    fn one_container_with_a_plain_status_needs_no_sentence() {
        let plain = ended("a", r#""exitCode":3,"reason":"Error""#);
        assert_eq!(
            outcome(&format!(r#"{{"phase":"Failed","containerStatuses":[{plain}]}}"#)),
            Outcome { status: 3, sentences: vec![] }
        );
        let trap = ended("a", r#""exitCode":134,"reason":"Trap","message":"unreachable \u001b[2J""#);
        let end = outcome(&format!(r#"{{"phase":"Failed","containerStatuses":[{trap}]}}"#));
        assert_eq!(end.sentences, ["container a ended with status 134: Trap: unreachable \\u{1b}[2J"]);
    }

    #[test]
    fn a_pod_that_fails_by_itself_is_dwells_failure() {
        let end = outcome(r#"{"phase":"Failed","reason":"SandboxFailed","message":"no address left"}"#);
        assert_eq!(end.status, 125);
        assert_eq!(end.sentences, ["the Pod failed: SandboxFailed: no address left"]);
    }

    #[test]
    fn an_exit_status_that_is_none_is_dwells_failure() {
        let odd = ended("a", r#""exitCode":-1"#);
        assert_eq!(outcome(&format!(r#"{{"phase":"Failed","containerStatuses":[{odd}]}}"#)).status, 125);
    }
}
