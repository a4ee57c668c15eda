//! What a Pod is waiting for, in words for the progress line. Pure.

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};

use super::records::{is_finished, shown};

/// `None` when a container runs, or the Pod has ended: then its output speaks.
pub fn what(pod: &Pod) -> Option<String> {
    let status = pod.status.clone().unwrap_or_default();
    let all = || status.init_container_statuses.iter().chain(&status.container_statuses).flatten();
    let runs = |c: &ContainerStatus| c.state.as_ref().is_some_and(|state| state.running.is_some());
    if is_finished(pod) || all().any(runs) {
        return None;
    }
    let waiting = all().filter_map(|c| Some((c, c.state.as_ref()?.waiting.as_ref()?)));
    let told = waiting.clone().find_map(|(_, waiting)| waiting.message.clone().filter(|m| !m.is_empty()));
    let reason = || waiting.clone().find_map(|(c, w)| Some(format!("{}: {}", c.name, w.reason.as_ref()?)));
    Some(told.or_else(reason).unwrap_or_else(|| format!("starting {}", shown(pod))))
}
