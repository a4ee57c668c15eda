//! From the plan's descriptor to the member.
//!
//! Everything that was inherited becomes close-on-exec first, the plan's and the report's own descriptors too, so that
//! no later mistake can hand one to a member (CVE-2024-21626).

use dwell_spec::plan::init::{InitPlan, Op, PLAN_FD, REPORT_FD, STATUS_SETUP};
use dwell_sys::exec::{close_on_exec_from, inherited};
use rustix::io::Errno;

use crate::failure::Failure;
use crate::program;
use crate::replay::Replay;
use crate::stdin;

/// Bytes of a plan at most; arguments and environment of a member make most of it.
const PLAN_MAX: usize = 8 << 20;

/// Replays the plan and executes; returns only through an exit.
pub fn main() -> ! {
    // From before a filter could forbid to ask for it.
    let report = inherited(REPORT_FD).ok();
    let failure = match run() {
        Err(failure) => failure,
        Ok(never) => match never {},
    };
    failure.report_and_exit(report)
}

fn run() -> Result<std::convert::Infallible, Failure> {
    prepare().map_err(|errno| Failure::refused("ReadPlan", "", errno))?;
    let plan = read_plan()?;
    let mut replay = Replay::new(&plan);
    let filter = plan.ops.iter().position(|op| matches!(op, Op::Seccomp { .. })).unwrap_or(plan.ops.len());
    let (before, filtered) = plan.ops.split_at(filter);
    for (at, op) in before.iter().enumerate() {
        replay.apply(at, op)?;
    }
    // What a filter need not allow, since it is no business of the member's.
    stdin::make_own().map_err(|errno| Failure::refused("StandardInput", "", errno))?;
    for (at, op) in filtered.iter().enumerate() {
        replay.apply(filter + at, op).map_err(|failure| if at > 0 { failure.under_a_filter() } else { failure })?;
    }
    let failure = program::execute(&plan.exec);
    Err(if filtered.is_empty() { failure } else { failure.under_a_filter() })
}

/// A session of its own (else `kill(0, …)` in a member reaches pause and its siblings), nothing inherited, exact modes,
/// and no signal state of Rust's run-time.
fn prepare() -> Result<(), Errno> {
    close_on_exec_from(PLAN_FD)?;
    // A member that is joined may be of the same user: it must not trace what still has descriptors and no filter.
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)?;
    // EPERM: already a session's leader, which is what is wanted.
    let _ = rustix::process::setsid();
    rustix::process::umask(rustix::fs::Mode::empty());
    dwell_sys::signal::restore_for_exec()
}

fn read_plan() -> Result<InitPlan, Failure> {
    let bytes = read_all().map_err(|errno| Failure::refused("ReadPlan", "", errno))?;
    InitPlan::decode(&bytes).map_err(|error| Failure {
        op: "ReadPlan",
        path: String::new(),
        errno: None,
        message: error.to_string(),
        status: STATUS_SETUP,
    })
}

/// `pread`, because the offset is shared with whoever else holds the file.
fn read_all() -> Result<Vec<u8>, Errno> {
    let file = inherited(PLAN_FD)?;
    let size = usize::try_from(rustix::fs::fstat(file)?.st_size).map_err(|_| Errno::FBIG)?;
    if size > PLAN_MAX {
        return Err(Errno::FBIG);
    }
    let mut bytes = vec![0; size];
    let mut filled = 0;
    while filled < size {
        match rustix::io::pread(file, &mut bytes[filled..], filled as u64)? {
            0 => return Err(Errno::IO),
            count => filled += count,
        }
    }
    Ok(bytes)
}
