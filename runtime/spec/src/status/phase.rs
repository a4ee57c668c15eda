//! The phase of a Pod, by the kubelet's `getPhase` (pkg/kubelet/kubelet_pods.go).
//!
//! Waiting init containers or members make it Pending, running ones Running; when all have stopped, the restart policy
//! decides. A sidecar counts as an init container until it runs, then as a member; how it ended counts for nothing. What
//! was added to the Pod only keeps it from being over while it runs. A container in back-off counts as stopped. What was
//! `ended` on purpose will not be restarted.

use super::{ContainerState, ContainerStatus, Phase, PodStatus, find};
use crate::pod::{Container, Pod, RestartRule};

impl PodStatus {
    /// The phase, by the kubelet's `getPhase`; never a final one while anything lives, whatever its containers show
    /// (`mergePodStatus`).
    #[must_use]
    pub fn phase(&self, pod: &Pod) -> Phase {
        let has_begun = |status: &ContainerStatus| status.is_running() || status.stopped_with().is_some();
        match self.phase_of_containers(pod) {
            Phase::Succeeded | Phase::Failed if self.lives => match self.containers.iter().any(has_begun) {
                true => Phase::Running,
                false => Phase::Pending,
            },
            phase => phase,
        }
    }

    fn phase_of_containers(&self, pod: &Pod) -> Phase {
        let init = InitCount::of(pod, &self.init_containers);
        let mut regular = Count::of(pod, &self.containers);
        let begun = regular.running + regular.stopped > 0;
        let beside = init.sidecars + self.ephemeral_containers.iter().filter(|added| added.is_running()).count();
        regular.running += beside;
        if init.failed_for_good > 0 {
            return if beside > 0 { Phase::Pending } else { Phase::Failed };
        }
        if self.ended && regular.running == 0 && (init.failed > 0 || init.pending > 0) {
            return Phase::Failed;
        }
        // A sidecar that is started again sets no Pod back that had begun.
        let pending = init.pending > 0 || init.sidecars_pending > 0 && !begun;
        if pending || regular.waiting > 0 || regular.unknown > 0 {
            return if self.ended && regular.running == 0 { Phase::Failed } else { Phase::Pending };
        }
        if regular.running > 0 {
            return Phase::Running;
        }
        match regular.phase_when_stopped(self.ended) {
            // A Pod that was ended for a reason of its own has not done what it was for.
            Phase::Succeeded if self.reason.is_some() => Phase::Failed,
            phase => phase,
        }
    }
}

/// How far the init containers are.
#[derive(Default)]
struct InitCount {
    pending: usize,
    failed: usize,
    /// Of the failed ones, those that are not tried again.
    failed_for_good: usize,
    /// Sidecars that run, and those that never did.
    sidecars: usize,
    sidecars_pending: usize,
}

impl InitCount {
    fn of(pod: &Pod, statuses: &[ContainerStatus]) -> Self {
        let mut count = Self::default();
        for container in &pod.init_containers {
            if container.is_sidecar() {
                count.add_sidecar(find(statuses, &container.name));
                continue;
            }
            let status = find(statuses, &container.name).filter(|status| !status.is_being_started());
            match status.and_then(ContainerStatus::stopped_with) {
                None => count.pending += 1,
                Some(0) => {}
                Some(code) => {
                    count.failed += 1;
                    count.failed_for_good += usize::from(!runs_again(pod, container, code));
                }
            }
        }
        count
    }

    fn add_sidecar(&mut self, status: Option<&ContainerStatus>) {
        match status {
            Some(status) if status.is_running() => self.sidecars += 1,
            Some(status) if status.stopped_with().is_some() => {}
            _ => self.sidecars_pending += 1,
        }
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
            count.add(find(statuses, &container.name), |code| runs_again(pod, container, code));
        }
        count
    }

    fn add(&mut self, status: Option<&ContainerStatus>, runs_again: impl Fn(i32) -> bool) {
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
                self.again += usize::from(code.is_none_or(runs_again));
            }
        }
    }

    fn phase_when_stopped(&self, ended: bool) -> Phase {
        match self.stopped {
            0 => Phase::Pending,
            // By a policy, or since somebody asked for a restart.
            _ if self.again > 0 && !ended => Phase::Running,
            stopped if stopped == self.succeeded => Phase::Succeeded,
            _ => Phase::Failed,
        }
    }
}

/// Whether a container that ended so is started again: by a rule of its own, else by the policy that holds for it.
fn runs_again(pod: &Pod, container: &Container, code: i32) -> bool {
    RestartRule::first(&container.restart_rules, code).is_some()
        || container.restart_policy.unwrap_or(pod.restart_policy).restarts_after(code)
}
