//! The rules of endings: who is told to stop, when and in which order; who is killed, not too early and not too late.

use dwell_spec::pod::{Pod, RestartAction};

use super::{Book, End, Kind, Run, Wished, container, kind, rule_for};
use crate::pod::tests::notation::SECOND;
use crate::pod::tests::world::World;
use crate::supervise::decide::Decision;
use crate::supervise::journal::Intent;

/// Whoever is told has as much, if it has any time at all.
const LEAST: u64 = 2 * SECOND;

impl Book {
    /// When the patience with a run ends, if it is to end.
    pub(super) fn patience(&self, pod: &Pod, run: &Run) -> Option<Wished> {
        match (self.wish, run.condemned) {
            (Some(wish), Some(own)) => Some(Wished { kill_at_ns: wish.kill_at_ns.min(own.kill_at_ns), ..wish }),
            (None, None) if self.is_over(pod) => {
                Some(Wished::new(pod.termination_grace_period_seconds, self.last_end(pod)))
            }
            (wish, own) => wish.or(own),
        }
    }

    fn patience_with(&self, pod: &Pod, index: usize) -> Option<(&Run, Wished)> {
        let run = self.living(index)?;
        let patience = self.patience(pod, run);
        Some((run, patience.unwrap_or_else(|| panic!("nobody asked for the end of {}", container(pod, index).name))))
    }

    pub fn signalled(&mut self, pod: &Pod, index: usize, now: u64) {
        // Who has ended already hears nothing.
        let Some((run, patience)) = self.patience_with(pod, index) else { return };
        let (name, is_late) = (&container(pod, index).name, now >= patience.kill_at_ns);
        assert!(!run.told_by_this_node, "{name} is told twice");
        assert!(patience.grace > 0, "there is no time to tell {name}");
        let has_hook = container(pod, index).hooks.pre_stop.is_some();
        assert!(!has_hook || run.pre_stop_over || is_late, "{name} is told before its hook is through");
        if kind(pod, index) == Kind::Sidecar && run.condemned.is_none() && !is_late {
            assert!(!self.lives(pod, &[Kind::Init, Kind::Member], None), "{name} is told while a member lives");
            assert!(!self.lives(pod, &[Kind::Sidecar], Some(index)), "{name} is told before the sidecars after it");
        }
        let seq = run.seq;
        if let Some(run) = self.run(seq) {
            (run.told_ns, run.told_by_this_node) = (Some(now), true);
        }
    }

    pub fn killed(&mut self, pod: &Pod, index: usize, now: u64) {
        let Some((run, patience)) = self.patience_with(pod, index) else { return };
        let name = &container(pod, index).name;
        assert!(now >= patience.kill_at_ns, "{name} is killed before its time is over");
        if patience.grace > 0 {
            let told_ns = run.told_ns.unwrap_or_else(|| panic!("{name} is killed without a word"));
            assert!(now >= told_ns + LEAST, "{name} has less than two seconds after its signal");
        }
    }

    /// It may have ended meanwhile, which the node will hear later: it was given up all the same.
    pub fn condemned(&mut self, index: usize, unhealthy: bool, grace: u32, now: u64) {
        let Some(run) = self.runs.iter_mut().rev().find(|run| run.index == index) else { return };
        if run.condemned.is_none() {
            (run.condemned, run.unhealthy) = (Some(Wished::new(grace, now)), unhealthy);
            if let (false, Some(end)) = (run.lives, &mut self.members[index].ended) {
                end.unhealthy = unhealthy;
            }
        }
    }

    /// It makes room for another, which has no back-off.
    pub fn replaced(&mut self, index: usize, grace: u32, now: u64) {
        let known = &mut self.members[index];
        (known.in_a_row, known.restarted_ns) = (0, 0);
        let Some(run) = self.runs.iter_mut().rev().find(|run| run.index == index) else { return };
        run.condemned.get_or_insert(Wished::new(grace, now));
        run.replaced = true;
        if let (false, Some(end)) = (run.lives, &mut known.ended) {
            end.replaced = true;
        }
    }

    pub fn ended(&mut self, pod: &Pod, seq: u64, code: i32, now: u64) {
        let Some(run) = self.run(seq) else { return };
        run.lives = false;
        let (index, unhealthy, replaced) = (run.index, run.unhealthy, run.replaced);
        self.has_ended(pod, index, End { at_ns: now, code, unhealthy, replaced });
    }

    pub(super) fn has_ended(&mut self, pod: &Pod, index: usize, end: End) {
        let known = &mut self.members[index];
        known.done = kind(pod, index) == Kind::Init && end.code == 0;
        (known.ended, known.last_ns) = (Some(end), Some(end.at_ns));
    }

    pub fn expired(&mut self, pod: &Pod, now: u64) {
        let deadline = pod.active_deadline_seconds.expect("it has a deadline");
        assert!(now >= self.created_ns + u64::from(deadline) * SECOND, "it has not had its time");
        let intent = Intent::Stop(crate::supervise::journal::Stopping::new(now, 0));
        self.wished(&intent, pod.termination_grace_period_seconds, now);
    }

    pub fn all_begin_again(&mut self, pod: &Pod, now: u64) {
        assert!(self.wish.is_none(), "no wish is overruled");
        let says_so = |index: usize| {
            let end = self.members[index].ended.filter(|_| !self.members[index].done);
            end.is_some_and(|end| {
                !end.replaced && rule_for(container(pod, index), end.code) == Some(RestartAction::All)
            })
        };
        assert!((0..self.members.len()).any(says_so), "no rule says so");
        self.wish = Some(Wished::new(0, now));
    }

    pub fn finishes(&self, pod: &Pod) {
        assert!(!self.runs.iter().any(|run| run.lives), "it finishes over the living");
        assert!(self.wish.is_some() || self.is_over(pod), "it finishes, and is not over");
    }
}

impl World {
    /// The node waits: nobody lives whose time is over, and it looks again when the time of the next one is.
    pub fn check_waiting(&self, decision: &Decision) {
        self.check_nobody_is_forgotten(decision);
        let all_is_heard = self.all_is_heard();
        let living = self.book.runs.iter().filter(|run| run.lives && all_is_heard);
        for (run, patience) in living.filter_map(|run| Some((run, self.book.patience(&self.pod, run)?))) {
            let last_ns = match run.told_ns.filter(|_| patience.grace > 0) {
                Some(told_ns) => patience.kill_at_ns.max(told_ns + LEAST),
                None => patience.kill_at_ns,
            };
            let name = &container(&self.pod, run.index).name;
            assert!(self.now < last_ns, "{name} has had its time");
            assert!(
                decision.wake_at_ns.is_some_and(|at| at <= last_ns),
                "nobody looks when the time of {name} is over"
            );
        }
    }
}
