//! The phase of a Pod, by the kubelet's `getPhase` (pkg/kubelet/kubelet_pods.go).
//!
//! Waiting init containers or members make it Pending, running ones Running; when all have stopped, the restart policy
//! decides. A container in back-off counts as stopped. What was `ended` on purpose will not be restarted.

use super::{ContainerState, ContainerStatus, Phase, PodStatus, find};
use crate::pod::{Pod, RestartPolicy};

impl PodStatus {
    /// The phase, by the kubelet's `getPhase`.
    #[must_use]
    pub fn phase(&self, pod: &Pod) -> Phase {
        let init = InitCount::of(pod, &self.init_containers);
        let regular = Count::of(pod, &self.containers);
        let policy = pod.restart_policy;
        if init.failed > 0 && policy == RestartPolicy::Never {
            return Phase::Failed;
        }
        if self.ended && regular.running == 0 && (init.failed > 0 || init.pending > 0) {
            return Phase::Failed;
        }
        if init.pending > 0 || regular.waiting > 0 || regular.unknown > 0 {
            return if self.ended && regular.running == 0 { Phase::Failed } else { Phase::Pending };
        }
        if regular.running > 0 {
            return Phase::Running;
        }
        regular.phase_when_stopped(policy, self.ended)
    }
}

/// How far the init containers are.
struct InitCount {
    pending: usize,
    failed: usize,
}

impl InitCount {
    fn of(pod: &Pod, statuses: &[ContainerStatus]) -> Self {
        let mut count = Self { pending: 0, failed: 0 };
        for container in &pod.init_containers {
            let status = find(statuses, &container.name).filter(|status| !status.is_being_started());
            match status.and_then(ContainerStatus::stopped_with) {
                None => count.pending += 1,
                Some(0) => {}
                Some(_) => count.failed += 1,
            }
        }
        count
    }
}

/// What the regular containers do.
#[derive(Default)]
struct Count {
    unknown: usize,
    running: usize,
    waiting: usize,
    stopped: usize,
    /// Of the stopped ones, those that will run again.
    again: usize,
    succeeded: usize,
}

impl Count {
    fn of(pod: &Pod, statuses: &[ContainerStatus]) -> Self {
        let mut count = Self::default();
        for container in &pod.containers {
            count.add(find(statuses, &container.name));
        }
        count
    }

    fn add(&mut self, status: Option<&ContainerStatus>) {
        let Some(status) = status else {
            self.unknown += 1;
            return;
        };
        match (&status.state, status.stopped_with()) {
            (ContainerState::Running { .. }, _) => self.running += 1,
            (ContainerState::Waiting { .. }, None) => self.waiting += 1,
            // In back-off a container counts as stopped, but never as succeeded: it will run again.
            (ContainerState::Waiting { .. }, Some(_)) => {
                self.stopped += 1;
                self.again += 1;
            }
            (ContainerState::Terminated(_), code) => {
                self.stopped += 1;
                self.succeeded += usize::from(code == Some(0));
            }
        }
    }

    fn phase_when_stopped(&self, policy: RestartPolicy, ended: bool) -> Phase {
        let succeeded = self.stopped == self.succeeded;
        match policy {
            _ if self.stopped == 0 => Phase::Pending,
            // Whatever the policy: somebody asked for a restart.
            _ if self.again > 0 && !ended => Phase::Running,
            RestartPolicy::Always if !ended => Phase::Running,
            _ if succeeded => Phase::Succeeded,
            RestartPolicy::OnFailure if !ended => Phase::Running,
            _ => Phase::Failed,
        }
    }
}
