//! Kubernetes' restart back-off, as the kubelet keeps it: 10 s, doubled up to 300 s, counted from the moment the
//! container finished; the first restart is immediate; a container that ended more than ten minutes after its restart
//! starts over.
//!
//! Pure: the clock comes in as an argument (nanoseconds since the epoch). One `Backoff` per container.
//! Source: kubelet `doBackOff` and client-go `flowcontrol.Backoff`.

use serde::{Deserialize, Serialize};

/// First delay.
pub const INITIAL_NS: u64 = 10 * SECOND;
/// Longest delay.
pub const MAX_NS: u64 = 300 * SECOND;
/// Who failed no sooner than twice the longest delay after its restart is as if it never had before.
const RESET_NS: u64 = 2 * MAX_NS;
const SECOND: u64 = 1_000_000_000;

/// What is remembered of a container's failures.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backoff {
    delay_ns: u64,
    updated_ns: u64,
}

impl Backoff {
    /// When a container that finished at `finished_ns` may start again; never earlier than `finished_ns`.
    pub fn ready_at(&self, finished_ns: u64) -> u64 {
        if self.expired(finished_ns) { finished_ns } else { finished_ns + self.delay_ns }
    }

    /// Called when a container that finished at `finished_ns` is started again: the next restart waits longer.
    pub fn advance(&mut self, finished_ns: u64, now_ns: u64) {
        self.delay_ns = match self.delay_ns {
            0 => INITIAL_NS,
            _ if self.expired(finished_ns) => INITIAL_NS,
            delay => (delay * 2).min(MAX_NS),
        };
        self.updated_ns = now_ns;
    }

    /// Seconds of the current delay, for the message.
    pub fn delay_seconds(&self) -> u64 {
        self.delay_ns / SECOND
    }

    /// The time that it waited does not count: what counts is when it failed.
    fn expired(&self, finished_ns: u64) -> bool {
        finished_ns.saturating_sub(self.updated_ns) > RESET_NS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn restart_times(run_ns: u64, restarts: usize) -> Vec<u64> {
        let (mut backoff, mut now, mut waits) = (Backoff::default(), SECOND, Vec::new());
        for _ in 0..restarts {
            let finished = now + run_ns;
            let ready = backoff.ready_at(finished);
            waits.push((ready - finished) / SECOND);
            now = ready;
            backoff.advance(finished, now);
        }
        waits
    }

    #[test]
    fn first_restart_is_immediate_then_doubles_to_five_minutes() {
        assert_eq!(restart_times(0, 8), [0, 10, 20, 40, 80, 160, 300, 300]);
    }

    #[test]
    fn a_container_that_ran_longer_than_ten_minutes_starts_over() {
        assert_eq!(restart_times(601 * SECOND, 3), [0, 0, 0]);
        assert_eq!(restart_times(500 * SECOND, 8), [0, 10, 20, 40, 80, 160, 300, 300]);
    }
}
