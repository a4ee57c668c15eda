//! What readers are shown is what is: phases that are final stay so, a Pod that is ready is so in all its containers, a
//! count of restarts is that of its runs, and nothing that has ended shows as running.

use dwell_spec::status::{Phase, to_v1_status};
use k8s_openapi::api::core::v1;

use super::World;
use super::book::{Kind, kind};
use crate::pod::status::{Around, pod_status};

impl World {
    pub fn check_what_is_shown(&mut self) {
        let around = Around { node: "n", host_ips: &[], sandbox: self.node.sandbox };
        let status = pod_status(&self.pod, &self.node.journal, &around);
        self.check_phase(status.phase(&self.pod));
        let shown = to_v1_status(&self.pod, &status, None, self.now as i64);
        let lists = [&shown.init_container_statuses, &shown.container_statuses, &shown.ephemeral_container_statuses];
        let all: Vec<&v1::ContainerStatus> = lists.into_iter().flatten().flatten().collect();
        assert_eq!(all.len(), self.book.members.len(), "a container is not shown");
        for (index, container) in all.iter().enumerate() {
            self.check_container(index, container);
        }
        let is_true = |kind: &str| {
            let mut conditions = shown.conditions.iter().flatten();
            conditions.any(|condition| condition.type_ == kind && condition.status == "True")
        };
        if is_true("Ready") {
            assert_eq!(shown.phase.as_deref(), Some("Running"), "ready, and not running");
            let counts = |index: usize| matches!(kind(&self.pod, index), Kind::Sidecar | Kind::Member);
            let mut those = all.iter().enumerate().filter(|(index, _)| counts(*index));
            assert!(those.all(|(_, one)| one.ready && one.started == Some(true)), "ready, but not all of it");
        }
        assert_eq!(is_true("Ready"), is_true("ContainersReady"), "there are no gates");
    }

    fn check_phase(&mut self, phase: Phase) {
        let is_final = matches!(phase, Phase::Succeeded | Phase::Failed);
        if let Some(over) = self.book.over {
            assert_eq!(phase, over, "a phase that was final");
        }
        if is_final {
            assert!(!self.book.anything_lives(&self.pod), "{phase:?}, and something of it lives");
            self.book.over = Some(phase);
        }
        assert!(is_final || !self.node.journal.finished, "finished, and {phase:?}");
    }

    fn check_container(&self, index: usize, shown: &v1::ContainerStatus) {
        let (name, state) = (&shown.name, shown.state.clone().unwrap_or_default());
        let runs = self.book.members[index].runs;
        assert_eq!(shown.restart_count, runs.saturating_sub(1) as i32, "restarts of {name}, which ran {runs} times");
        let states = [state.waiting.is_some(), state.running.is_some(), state.terminated.is_some()];
        assert_eq!(states.into_iter().filter(|is| *is).count(), 1, "{name} is in one state: {state:?}");
        if state.running.is_some() && self.pause.is_some() {
            let seq = self.node.journal.members[index].live_seq();
            let is_known = self.pause.iter().any(|pause| {
                let live = pause.live.iter().map(|process| process.seq);
                live.chain(pause.exits.iter().map(|exit| exit.seq)).any(|known| Some(known) == seq)
            });
            assert!(is_known, "{name} shows as running");
        }
        if matches!(kind(&self.pod, index), Kind::Sidecar | Kind::Member) && shown.ready {
            assert!(state.running.is_some() && shown.started == Some(true), "{name} is ready, and {state:?}");
            assert!(self.book.may_be_ready(&self.pod, index), "{name} shows as ready");
        }
    }
}
