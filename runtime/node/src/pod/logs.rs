//! The log files that pause writes to: the one after the next is opened as soon as pause goes on to the next, and the
//! oldest is deleted. One that cannot be opened now (a full disk, too many files) is tried again, since pause drops what
//! it has no file for.

use std::collections::BTreeMap;

use dwell_sys::complain::complain;

use super::driver::Driver;
use crate::clock::now_ns;
use crate::container::log_files;

/// Until the next try.
const AGAIN_NS: u64 = 1_000_000_000;

/// What could not be handed over.
#[derive(Debug, Default)]
pub(super) struct LateLogs {
    /// By `seq`: the rotations that pause told.
    rotations: BTreeMap<u64, u32>,
    /// When to try again, if there is any.
    pub retry_at_ns: Option<u64>,
}

impl Driver {
    /// Hands pause the next file ahead, and lets the oldest go.
    pub(super) async fn rotate_log(&mut self, seq: u64, rotations: u32) {
        let known = self.late_logs.rotations.remove(&seq).is_some();
        let Some(index) = self.journal.member_of(seq) else { return };
        self.journal.members[index].log_part = rotations;
        let member = &self.journal.members[index];
        let folder = self.shared.layout.logs(&self.handle.uid, &member.name);
        let next = log_files::open(&folder, member.starts - 1, member.log_part + 1);
        let _ = log_files::prune(&folder);
        match (next, &mut self.sandbox) {
            (Ok(next), Some(sandbox)) => drop(sandbox.keeper.log_next(seq, next.into()).await),
            (Err(error), Some(_)) => {
                if !known {
                    complain(format_args!(
                        "open the next log file in {}: {error}; it is tried again",
                        folder.display()
                    ));
                }
                self.late_logs.rotations.insert(seq, rotations);
                self.late_logs.retry_at_ns = Some(now_ns() + AGAIN_NS);
            }
            (_, None) => {}
        }
    }

    /// Tries again what is due.
    pub(super) async fn retry_logs(&mut self) {
        if self.late_logs.retry_at_ns.is_some_and(|at| at <= now_ns()) {
            self.late_logs.retry_at_ns = None;
            for (seq, rotations) in self.late_logs.rotations.clone() {
                self.rotate_log(seq, rotations).await;
            }
        }
    }
}
