//! The beginning of a member's run as the journal counts it, and what a new node makes of runs that the one before it had
//! only announced. Pure, with the clock as argument.

use super::journal::{Member, MemberState, Termination};

impl Member {
    /// Counts a start, whether or not it succeeds.
    pub fn begin_run(&mut self, now_ns: u64) {
        self.starts += 1;
        self.log_part = 0;
        if let Some(last) = &self.last {
            self.backoff.advance(last.finished_ns, now_ns);
        }
    }

    /// A birth that was written down but that pause never heard of did not happen; a run that pause does not remember
    /// ended without a witness.
    pub fn settle(&mut self, is_known: impl Fn(u64) -> bool, now_ns: u64) {
        match self.state {
            MemberState::Starting { seq } if !is_known(seq) => {
                self.starts = self.starts.saturating_sub(1);
                self.state = Member::waiting("ContainerCreating");
            }
            MemberState::Running { seq, started_ns } if !is_known(seq) => self.terminate(Termination {
                exit_code: 137,
                signal: None,
                reason: "ContainerStatusUnknown".into(),
                message: "its end was not seen".into(),
                started_ns,
                finished_ns: now_ns,
                unhealthy: false,
                replaced: false,
            }),
            _ => {}
        }
    }
}
