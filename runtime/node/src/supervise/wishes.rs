//! What is asked of a Pod, by people or by the node, and how a later wish changes an earlier one. Pure, with the clock as
//! argument; the driver writes the journal down before anything of it is done.

use super::journal::{Intent, Journal, Stopping};

impl Journal {
    /// It is to stop in this way, with so many seconds of grace. A second stop may only shorten the patience of the first;
    /// a remove is never taken back. Source: kubelet `calculateEffectiveGracePeriod`.
    pub fn wish(&mut self, grace_seconds: u32, intent: fn(Stopping) -> Intent, now_ns: u64) {
        let mut stopping = Stopping::new(now_ns, grace_seconds);
        if let Some(earlier) = self.intent.stopping() {
            stopping.kill_at_ns = stopping.kill_at_ns.min(earlier.kill_at_ns);
        }
        self.intent = match self.intent {
            Intent::Remove(_) => Intent::Remove(stopping),
            _ => intent(stopping),
        };
    }

    /// All of it is to begin again, whether it has ended or not; `false` when it is being removed.
    pub fn wish_restart(&mut self, grace_seconds: u32, now_ns: u64) -> bool {
        if matches!(self.intent, Intent::Remove(_)) {
            return false;
        }
        self.wish(grace_seconds, Intent::Restart, now_ns);
        self.finished = false;
        true
    }

    /// It is ended for a reason of its own, and has failed.
    pub fn fail(&mut self, reason: &str, message: String, grace_seconds: u32, now_ns: u64) {
        self.wish(grace_seconds, Intent::Stop, now_ns);
        self.reason = Some((reason.to_owned(), message));
    }
}
