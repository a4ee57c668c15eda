//! When a probe asks, and when its answers make a verdict: the kubelet's prober (pkg/kubelet/prober/worker.go), without
//! its clock and its questions.
//!
//! A verdict needs `failureThreshold` bad answers or `successThreshold` good ones in a row. After a verdict that ends its
//! member, and after the startup probe's good one, nothing more is asked. Must never do IO or read a clock.

use dwell_spec::pod::{ProbeKind, Timing};

use super::health::Health;

const SECOND: u64 = 1_000_000_000;

/// One probe of one run of a member.
#[derive(Debug)]
pub struct Prober {
    /// Which it is.
    pub kind: ProbeKind,
    timing: Timing,
    next_ns: u64,
    asking: bool,
    over: bool,
    last: Option<bool>,
    in_a_row: u32,
}

impl Prober {
    /// For a member that was born at `started_ns`.
    pub fn new(kind: ProbeKind, timing: Timing, started_ns: u64) -> Prober {
        let next_ns = started_ns + u64::from(timing.initial_delay_seconds) * SECOND;
        Prober { kind, timing, next_ns, asking: false, over: false, last: None, in_a_row: 0 }
    }

    /// When it asks next, as things stand; `stopping` is the Pod.
    pub fn due_ns(&self, health: &Health, stopping: bool) -> Option<u64> {
        let lives_on = !stopping && health.condemned.is_none();
        let may = match self.kind {
            ProbeKind::Startup => lives_on && !health.started && !health.post_start_due,
            ProbeKind::Liveness => lives_on && health.started,
            ProbeKind::Readiness => health.started && health.condemned.is_none(),
        };
        (may && !self.asking && !self.over).then_some(self.next_ns)
    }

    /// It asks now.
    pub fn asks(&mut self, now_ns: u64) {
        self.asking = true;
        self.next_ns = now_ns + u64::from(self.timing.period_seconds) * SECOND;
    }

    /// Nothing was asked after all; the next period tries again.
    pub fn could_not_ask(&mut self) {
        self.asking = false;
    }

    /// The answer came; the verdict, once there is one.
    pub fn hears(&mut self, good: bool) -> Option<bool> {
        self.asking = false;
        if self.last == Some(good) {
            self.in_a_row = self.in_a_row.saturating_add(1);
        } else {
            (self.last, self.in_a_row) = (Some(good), 1);
        }
        let enough = if good { self.timing.success_threshold } else { self.timing.failure_threshold };
        if self.in_a_row < enough {
            return None;
        }
        self.over = match self.kind {
            ProbeKind::Startup => true,
            ProbeKind::Liveness => !good,
            ProbeKind::Readiness => false,
        };
        Some(good)
    }

    /// Bad answers that make a verdict.
    pub fn failures(&self) -> u32 {
        self.timing.failure_threshold
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timing() -> Timing {
        Timing {
            initial_delay_seconds: 3,
            period_seconds: 2,
            timeout_seconds: 1,
            success_threshold: 2,
            failure_threshold: 3,
        }
    }

    fn started() -> Health {
        Health { started: true, ..Health::default() }
    }

    #[test]
    fn the_first_question_waits_for_the_delay_and_the_others_for_the_period() {
        let mut prober = Prober::new(ProbeKind::Readiness, timing(), SECOND);
        assert_eq!(prober.due_ns(&started(), false), Some(4 * SECOND));
        prober.asks(4 * SECOND);
        assert_eq!(prober.due_ns(&started(), false), None, "one question at a time");
        prober.hears(true);
        assert_eq!(prober.due_ns(&started(), false), Some(6 * SECOND));
    }

    #[test]
    fn a_verdict_needs_answers_in_a_row() {
        let mut prober = Prober::new(ProbeKind::Readiness, timing(), 0);
        let answers = [true, false, true, true, true, false, false, true, false, false, false, false];
        let verdicts: Vec<_> = answers.iter().map(|good| prober.hears(*good)).collect();
        let (yes, no) = (Some(true), Some(false));
        assert_eq!(verdicts, [None, None, None, yes, yes, None, None, None, None, None, no, no]);
    }

    #[test]
    fn who_may_ask_when() {
        let hook = Health { post_start_due: true, ..Health::default() };
        let stopping = crate::supervise::journal::Stopping::new(0, 0);
        let condemned =
            super::super::health::Condemned { stopping, message: String::new(), unhealthy: true, replaced: false };
        let condemned = Health { condemned: Some(condemned), ..started() };
        let may = |kind, health: &Health, stopping| Prober::new(kind, timing(), 0).due_ns(health, stopping).is_some();
        // Which probe asks: while the hook runs, before it has started, then, in a stop, condemned.
        for (kind, expected) in [
            (ProbeKind::Startup, [false, true, false, false, false]),
            (ProbeKind::Liveness, [false, false, true, false, false]),
            (ProbeKind::Readiness, [false, false, true, true, false]),
        ] {
            let cases = [
                (&hook, false),
                (&Health::default(), false),
                (&started(), false),
                (&started(), true),
                (&condemned, false),
            ];
            assert_eq!(cases.map(|(health, stopping)| may(kind, health, stopping)), expected, "{kind:?}");
        }
    }

    #[test]
    fn nothing_is_asked_after_the_last_word() {
        let one = Timing { success_threshold: 1, failure_threshold: 1, ..timing() };
        let after = |kind, good, health: &Health| {
            let mut prober = Prober::new(kind, one, 0);
            assert_eq!(prober.hears(good), Some(good));
            prober.due_ns(health, false).is_some()
        };
        assert!(!after(ProbeKind::Startup, true, &Health::default()));
        assert!(!after(ProbeKind::Startup, false, &Health::default()));
        assert!(!after(ProbeKind::Liveness, false, &started()));
        assert!(after(ProbeKind::Liveness, true, &started()));
        assert!(after(ProbeKind::Readiness, false, &started()));
    }
}
