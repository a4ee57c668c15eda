//! From the plan's descriptor to the member.
//!
//! Everything that was inherited becomes close-on-exec first, the plan's and the report's own descriptors too, so that
//! no later mistake can hand one to a member (CVE-2024-21626).

use dwell_spec::plan::init::{InitPlan, PLAN_FD, STATUS_SETUP};
use dwell_sys::exec::{close_on_exec_from, inherited};
use rustix::io::Errno;

use crate::failure::Failure;
use crate::program;
use crate::replay::Replay;

/// Bytes of a plan at most; arguments and environment of a member make most of it.
const PLAN_MAX: usize = 8 << 20;

/// Replays the plan and executes; returns only through an exit.
pub fn main() -> ! {
    let failure = match run() {
        Err(failure) => failure,
        Ok(never) => match never {},
    };
    failure.report_and_exit()
}

fn run() -> Result<std::convert::Infallible, Failure> {
    prepare().map_err(|errno| Failure::refused("ReadPlan", "", errno))?;
    let plan = read_plan()?;
    let mut replay = Replay::new(&plan);
    for (at, op) in plan.ops.iter().enumerate() {
        replay.apply(at, op)?;
    }
    Err(program::execute(&plan.exec))
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
