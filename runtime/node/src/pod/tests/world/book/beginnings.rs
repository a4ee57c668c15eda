//! The rules of beginnings: who may begin, after whom, after what end of its own, and how soon; and who is not forgotten.

use dwell_spec::pod::{Pod, ProbeKind, RestartPolicy};

use super::{Book, End, Kind, Known, Run, container, is_restarted, kind};
use crate::pod::tests::notation::SECOND;
use crate::pod::tests::world::World;
use crate::pod::tests::world::node::Purpose;
use crate::pod::tests::world::pause::Pause;
use crate::supervise::decide::Decision;

/// Seconds from an end to the next start, restart by restart.
const WAITS: [u64; 7] = [0, 10, 20, 40, 80, 160, 300];
/// Who ran longer since its last restart has never failed.
const FORGOTTEN: u64 = 600 * SECOND;

impl Known {
    /// When it may begin again.
    fn due_ns(&self) -> u64 {
        let Some(last_ns) = self.last_ns else { return 0 };
        let waits = if self.is_forgotten(last_ns) { 0 } else { WAITS[self.in_a_row.min(WAITS.len() - 1)] };
        last_ns + waits * SECOND
    }

    fn is_forgotten(&self, last_ns: u64) -> bool {
        last_ns.saturating_sub(self.restarted_ns) > FORGOTTEN
    }

    fn begins(&mut self, now: u64) {
        if let Some(last_ns) = self.last_ns {
            self.in_a_row = if self.is_forgotten(last_ns) { 1 } else { self.in_a_row + 1 };
            self.restarted_ns = now;
        }
        self.runs += 1;
        self.ran = true;
    }
}

impl Book {
    /// `all_is_heard`: the node knows of every end.
    pub fn may_begin(&self, pod: &Pod, index: usize, all_is_heard: bool, now: u64) {
        let (known, name) = (&self.members[index], &container(pod, index).name);
        assert!(self.living(index).is_none(), "{name} lives, and begins");
        assert!(self.wish.is_none(), "{name} begins in a Pod that is to end");
        let deadline = pod.active_deadline_seconds.map(|seconds| self.created_ns + u64::from(seconds) * SECOND);
        assert!(deadline.is_none_or(|deadline| now <= deadline), "{name} begins after the Pod's time");
        assert!(!self.is_over(pod) || !all_is_heard, "{name} begins when all is over");
        if kind(pod, index) == Kind::Added {
            return assert_eq!(known.runs, 0, "{name} was added, and begins again");
        }
        for before in 0..index.min(pod.init_containers.len()) {
            let (other, what) = (&self.members[before], &container(pod, before).name);
            let is_through = if kind(pod, before) == Kind::Sidecar { other.started } else { other.done };
            assert!(is_through, "{name} begins before {what} is through");
        }
        assert!(known.ended.is_none_or(|end| is_restarted(pod, index, end)), "{name} is not to begin again");
        assert!(known.due_ns() <= now, "{name} begins {} ns too early", known.due_ns() - now);
        assert!(!known.spent || self.may_run_twice(pod), "{name} had run before the machine went down");
    }

    fn may_run_twice(&self, pod: &Pod) -> bool {
        let plain = pod.all().all(|one| one.restart_policy.is_none() && one.restart_rules.is_empty());
        !(plain && pod.restart_policy == RestartPolicy::Never)
    }

    pub fn born(&mut self, pod: &Pod, index: usize, seq: u64, now: u64) {
        let container = container(pod, index);
        let post_started = container.hooks.post_start.is_none();
        let (startup_ok, lives) = (container.probes.startup.is_none(), true);
        let known = &mut self.members[index];
        known.begins(now);
        known.started |= post_started && startup_ok;
        known.ended = None;
        self.runs.push(Run { seq, index, lives, post_started, startup_ok, ..Run::default() });
    }

    pub fn start_failed(&mut self, pod: &Pod, index: usize, now: u64) {
        self.members[index].begins(now);
        self.has_ended(pod, index, End { at_ns: now, code: 125, unhealthy: false, replaced: false });
    }

    pub fn hook_begins(&mut self, pod: &Pod, index: usize, purpose: Purpose, now: u64) {
        let name = &container(pod, index).name;
        if purpose == Purpose::PreStop
            && let Some(run) = self.living(index)
        {
            let patience = self.patience(pod, run).unwrap_or_else(|| panic!("nobody asked for the end of {name}"));
            assert!(patience.grace > 0, "there is no time for the hook of {name}");
            assert!(!run.told_by_this_node, "{name} was told before its hook");
            assert!(now < patience.kill_at_ns, "the hook of {name} begins when its time is over");
        }
    }

    pub fn asked(&self, seq: u64, kind: ProbeKind) {
        let Some(run) = self.runs.iter().find(|run| run.seq == seq) else { return };
        match kind {
            ProbeKind::Startup => assert!(run.post_started, "asked before the postStart hook is through"),
            _ => {
                assert!(run.post_started && run.startup_ok, "{kind:?} is asked before the startup probe has succeeded")
            }
        }
    }

    /// Whether the container shows as ready for a reason.
    pub fn may_be_ready(&self, pod: &Pod, index: usize) -> bool {
        let has_probe = container(pod, index).probes.readiness.is_some();
        let is_through = |run: &&Run| run.post_started && run.startup_ok && (run.ever_ready || !has_probe);
        self.runs.iter().rev().find(|run| run.index == index).is_some_and(|run| is_through(&run))
    }

    /// Who is to begin now or later, since nothing stands in its way but time.
    fn expected(&self, pod: &Pod) -> Vec<usize> {
        let mut expected = Vec::new();
        for index in 0..pod.init_containers.len() + pod.containers.len() {
            let (known, lives) = (&self.members[index], self.living(index).is_some());
            let begins = !lives && !known.done && known.ended.is_none_or(|end| is_restarted(pod, index, end));
            expected.extend(begins.then_some(index));
            let is_through = match kind(pod, index) {
                Kind::Init => known.done,
                Kind::Sidecar => known.started,
                // Its hook holds up those behind it.
                _ => container(pod, index).hooks.post_start.is_none(),
            };
            if !is_through {
                break;
            }
        }
        expected
    }
}

impl World {
    /// Whether the node knows of every end.
    pub fn all_is_heard(&self) -> bool {
        let has_heard = |pause: &Pause| pause.exits.is_empty();
        self.node.sandbox == self.pause.is_some() && self.pause.as_ref().is_none_or(has_heard)
    }

    /// The node waits: whoever is to begin is being made ready, or has a time that lies ahead.
    pub fn check_nobody_is_forgotten(&self, decision: &Decision) {
        let is_to_end = self.book.wish.is_some() || self.node.journal.finished || self.book.is_over(&self.pod);
        if is_to_end || !self.all_is_heard() {
            return;
        }
        for index in self.book.expected(&self.pod) {
            let latest = if self.book.is_exact { self.book.members[index].due_ns() } else { self.now + 300 * SECOND };
            let is_coming = self.node.preparing.contains(&index)
                || decision.wake_at_ns.is_some_and(|at| at > self.now && at <= latest);
            assert!(is_coming, "{} is forgotten: {decision:?}", container(&self.pod, index).name);
        }
    }
}
