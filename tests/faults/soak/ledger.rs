//! What a member must have become after what was done to it, and what its logs must hold; pure, so that the judge itself
//! can be tested: one that finds nothing wrong in anything is worth nothing.
//!
//! A member that was killed wrote each line before its tally, so the log holds all that the tally has, and at most the one
//! line more that it was killed behind. A pause that was killed had lines in its pipes that nobody can have any more:
//! what it wrote must begin at one and have no gap, that is all.

use serde_json::Value;

/// A restart policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Policy {
    Always,
    OnFailure,
    Never,
}

impl Policy {
    fn restarts(self, code: i64) -> bool {
        match self {
            Policy::Always => true,
            Policy::OnFailure => code != 0,
            Policy::Never => false,
        }
    }
}

/// Why a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It was told to, with this status.
    Told(i64),
    /// By SIGKILL.
    Killed,
    /// Because its Pod's pause was killed.
    WithPause,
}

impl End {
    /// The status that must be seen.
    pub fn code(self) -> i64 {
        match self {
            End::Told(code) => code,
            End::Killed | End::WithPause => 137,
        }
    }
}

/// How a member stands to what was done to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It runs, as often begun as it must be.
    Runs,
    /// It has ended, and waits for its back-off.
    Waits,
    /// It has ended for good.
    Rests,
    /// Not there yet.
    Pending,
    /// Never to be.
    Wrong(String),
}

/// What was done to one member.
#[derive(Debug, Clone)]
pub struct Ledger {
    /// Its Pod's policy.
    pub policy: Policy,
    /// How its runs ended, in order.
    pub ends: Vec<End>,
}

impl Ledger {
    /// Of a member that has only begun.
    pub fn new(policy: Policy) -> Ledger {
        Ledger { policy, ends: Vec::new() }
    }

    /// Whether it is to run again after its last end.
    fn goes_on(&self) -> bool {
        self.ends.last().is_none_or(|end| self.policy.restarts(end.code()))
    }

    /// Restarts that there must be in the end.
    fn restarts(&self) -> usize {
        self.ends.len() - usize::from(!self.goes_on())
    }

    /// Judges a container's status; `begun` is how often the program itself said that it begins.
    pub fn judge(&self, status: &Value, begun: usize) -> Verdict {
        let restarts = status["restartCount"].as_u64().unwrap_or(0) as usize;
        if restarts > self.restarts() || begun > self.restarts() + 1 {
            return Verdict::Wrong(format!("it ended {} times", self.ends.len()));
        }
        let (state, before) = (&status["state"], &status["lastState"]["terminated"]);
        let waits = state["waiting"]["reason"] == "CrashLoopBackOff";
        let all = restarts == self.restarts();
        match (self.ends.last(), self.goes_on()) {
            (_, true) if state["running"].is_object() && all && begun == restarts + 1 => {
                self.after(before, Verdict::Runs)
            }
            (Some(_), true) if waits && restarts + 1 == self.restarts() => self.after(before, Verdict::Waits),
            (Some(_), false) if state["terminated"].is_object() && all => {
                self.after(&state["terminated"], Verdict::Rests)
            }
            _ => Verdict::Pending,
        }
    }

    /// The verdict, if the end that is shown is the last one that there was.
    fn after(&self, shown: &Value, verdict: Verdict) -> Verdict {
        let code = self.ends.last().map(|end| end.code());
        match shown["exitCode"].as_i64() == code {
            true => verdict,
            false => Verdict::Wrong(format!("its last end must have been {code:?}")),
        }
    }
}

/// What the log of a run must be, against the tally that the program kept of it.
///
/// # Errors
/// What is wrong.
pub fn check_log(lines: &[String], tally: usize, end: Option<End>) -> Result<(), String> {
    if let Some(wrong) = (1..).zip(lines).find(|(number, line)| number.to_string() != **line) {
        return Err(format!("line {} is {:?}", wrong.0, wrong.1));
    }
    let (least, most) = match end {
        Some(End::Told(_)) => (tally, tally),
        Some(End::Killed) => (tally, tally + 1),
        Some(End::WithPause) => (0, tally + 1),
        None => (tally, usize::MAX),
    };
    match (least..=most).contains(&lines.len()) {
        true => Ok(()),
        false => Err(format!("{} lines, where the program counted to {tally}", lines.len())),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ledger(policy: Policy, ends: &[End]) -> Ledger {
        Ledger { policy, ends: ends.to_vec() }
    }

    fn running(restarts: u64, before: i64) -> Value {
        let last = json!({"terminated": {"exitCode": before}});
        json!({"restartCount": restarts, "state": {"running": {}}, "lastState": last})
    }

    fn terminated(restarts: u64, code: i64) -> Value {
        json!({"restartCount": restarts, "state": {"terminated": {"exitCode": code}}})
    }

    fn is_wrong(verdict: &Verdict) -> bool {
        matches!(verdict, Verdict::Wrong(_))
    }

    #[test]
    fn a_restart_too_many_or_a_wrong_status_is_found() {
        let killed = ledger(Policy::Always, &[End::Killed]);
        assert_eq!(killed.judge(&running(1, 137), 2), Verdict::Runs);
        assert_eq!(killed.judge(&running(0, 0), 1), Verdict::Pending, "it may not be seen yet");
        assert_eq!(killed.judge(&running(1, 137), 1), Verdict::Pending, "the program may not have begun yet");
        for wrong in
            [killed.judge(&running(2, 137), 2), killed.judge(&running(1, 137), 3), killed.judge(&running(1, 0), 2)]
        {
            assert!(is_wrong(&wrong), "{wrong:?}");
        }
    }

    #[test]
    fn a_restart_that_the_policy_forbids_is_found() {
        let never = ledger(Policy::Never, &[End::Told(3)]);
        assert_eq!(never.judge(&terminated(0, 3), 1), Verdict::Rests);
        let done = ledger(Policy::OnFailure, &[End::Killed, End::Told(0)]);
        assert_eq!(done.judge(&terminated(1, 0), 2), Verdict::Rests);
        for wrong in [
            never.judge(&running(1, 3), 2),
            never.judge(&terminated(0, 3), 2),
            never.judge(&terminated(0, 0), 1),
            done.judge(&running(2, 0), 3),
        ] {
            assert!(is_wrong(&wrong), "{wrong:?}");
        }
        let failed = ledger(Policy::OnFailure, &[End::WithPause]);
        assert_eq!(failed.judge(&terminated(0, 137), 1), Verdict::Pending, "it must run again");
    }

    #[test]
    fn a_lost_a_doubled_and_a_swapped_line_are_found() {
        let lines = |numbers: &[usize]| numbers.iter().map(usize::to_string).collect::<Vec<_>>();
        let whole = lines(&[1, 2, 3]);
        for (tally, end, good) in [
            (3, End::Told(0), true),
            (2, End::Told(0), false),
            (4, End::Told(0), false),
            (2, End::Killed, true),
            (4, End::Killed, false),
            (9, End::WithPause, true),
            (1, End::WithPause, false),
        ] {
            assert_eq!(check_log(&whole, tally, Some(end)).is_ok(), good, "{tally} {end:?}");
        }
        for numbers in [&[1, 3][..], &[1, 1, 2], &[2, 1, 3], &[2, 3]] {
            assert!(check_log(&lines(numbers), 3, Some(End::WithPause)).is_err(), "{numbers:?}");
        }
    }
}
