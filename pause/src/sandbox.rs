//! From an executed process to PID 1 of a Pod: cgroups, namespaces, an empty root, few capabilities.
//!
//! Stage 1 is the process that the node executed: it enters the cgroups (writing `0` to one's own `tasks` costs no RCU
//! grace period) and clones stage 2 into the namespaces, because a pid namespace begins with a child. Every step that
//! fails is sent as FAILED on the first connection before the process ends.
//!
//! What a member in the same pid namespace must not gain: `/proc/1/root` is an empty read-only tmpfs; pause is not
//! dumpable, so everything else under `/proc/1` and ptrace need CAP_SYS_PTRACE whatever pause's own set is (a set
//! smaller than a member's would otherwise *invite* ptrace, see `cap_ptrace_access_check`).
//!
//! Capabilities. pause itself uses CAP_SYS_ADMIN (clone and setns with namespaces) and CAP_SYS_PTRACE (setns through
//! the pidfd of a member with another user). The rest leaves its permitted set. The *bounding* set must hold all that
//! `init` and members may have, as the execve of a newborn, uid 0, regains exactly that; the node narrows it (`Setup`).

use crate::arch::nr;
use crate::birth::FIRST_FREE;
use crate::connection::Connection;
use crate::keeper::Keeper;
use crate::protocol::{FIRST_CGROUP_FD, FIRST_CONNECTION_FD, LISTEN_FD, Operation, SETUP_FD, Setup, kind};
use crate::sys::{self, AT_FDCWD, EINVAL, O_CLOEXEC, O_NONBLOCK, O_RDWR, Outcome};

/// pause's own pidfd, from stage 2 on.
pub const OWN_PIDFD: i32 = 5;
/// Where SIGCHLD arrives, from stage 2 on.
pub const SIGNAL_FD: i32 = 6;

const CLONE_NEWNS: u64 = 0x0002_0000;
const NEWNET_NEWIPC_NEWUTS: u64 = 0x4c00_0000;
const SIGCHLD: u64 = 17;

/// CAP_SYS_PTRACE and CAP_SYS_ADMIN.
const OWN_CAPABILITIES: u32 = 1 << 19 | 1 << 21;

/// A step's outcome, with the step's name on failure.
trait Step {
    /// Ends the process with FAILED if the step failed.
    fn or_fail(self, operation: Operation) -> Outcome;
}

impl Step for Outcome {
    #[inline(always)]
    fn or_fail(self, operation: Operation) -> Outcome {
        check(self, operation as u32)
    }
}

#[inline(never)]
fn check(outcome: Outcome, operation: u32) -> Outcome {
    if outcome < 0 {
        fail(operation, -outcome)
    }
    outcome
}

/// A step that is one system call of up to three arguments.
///
/// # Safety
/// As `sys::call`.
#[inline(always)]
unsafe fn step<const N: usize>(operation: Operation, number: usize, arguments: [usize; N]) -> Outcome {
    // Both in one number, since there are many callers.
    let both = number as u32 | (operation as u32) << 16;
    // SAFETY: passed on to the caller.
    unsafe {
        match *arguments.as_slice() {
            [] => step_of_2(0, 0, both),
            [a] => step_of_2(a, 0, both),
            [a, b] => step_of_2(a, b, both),
            [a, b, c, ..] => step_of_3(a, b, c, both),
        }
    }
}

/// # Safety
/// As `step`.
#[inline(never)]
unsafe fn step_of_2(a: usize, b: usize, both: u32) -> Outcome {
    // SAFETY: passed on to the caller.
    check(unsafe { sys::call(both as u16 as usize, [a, b]) }, both >> 16)
}

/// # Safety
/// As `step`.
#[inline(never)]
unsafe fn step_of_3(a: usize, b: usize, c: usize, both: u32) -> Outcome {
    // SAFETY: passed on to the caller.
    check(unsafe { sys::call(both as u16 as usize, [a, b, c]) }, both >> 16)
}

#[inline(never)]
fn fail(operation: u32, errno: i32) -> ! {
    let body = u64::from(operation) | (errno as u64) << 32;
    Connection::say_once(FIRST_CONNECTION_FD, kind::FAILED, body);
    sys::exit(1)
}

/// Returns in stage 2, set up and listening.
pub fn enter(keeper: &mut Keeper) {
    let mut setup = [0; Setup::SIZE / 8];
    read_setup(&mut setup);
    enter_cgroups(&setup);
    clone_stage_2(&setup);
    own_signals();
    empty_descriptors();
    empty_root();
    name_things(&setup);
    raise_descriptor_limit(keeper);
    arrange_descriptors();
    drop_capabilities(setup[2]);
    listen();
    keeper.adopt(FIRST_CONNECTION_FD);
}

/// The block of `Setup`, as words.
type Block = [u64; Setup::SIZE / 8];

fn read_setup(block: &mut Block) {
    let at = block.as_mut_ptr() as usize;
    // SAFETY: the block is valid for writes of its length.
    let read = unsafe { sys::call(nr::PREAD64, [SETUP_FD as usize, at, Setup::SIZE, 0]) };
    if read.or_fail(Operation::ReadSetup) != Setup::SIZE as i32 || !Setup::is_head(block[0], block[1]) {
        fail(Operation::ReadSetup as u32, 0);
    }
}

fn tasks(setup: &Block) -> i32 {
    i32::from(setup[1] as u16)
}

fn enter_cgroups(setup: &Block) {
    for fd in 0..tasks(setup) {
        let zero = b"0".as_ptr() as usize;
        // SAFETY: one byte is read.
        unsafe { step(Operation::EnterCgroup, nr::WRITE, [(FIRST_CGROUP_FD + fd) as usize, zero, 1]) };
    }
}

/// The parent ends here; the child returns.
fn clone_stage_2(setup: &Block) {
    let asked = (setup[0] >> 48) as u16;
    let mut next = FIRST_CGROUP_FD + tasks(setup);
    let flags = CLONE_NEWNS | u64::from(asked & Setup::CLONE) << Setup::CLONE_SHIFT;
    let cgroup = next as u64;
    if asked & Setup::CGROUP_DIR != 0 {
        next += 1;
    }
    if asked & Setup::JOIN != 0 {
        // SAFETY: no pointers.
        unsafe { step(Operation::Join, nr::SETNS, [next as usize, NEWNET_NEWIPC_NEWUTS as usize]) };
    }
    let arguments = [flags, 0, 0, 0, SIGCHLD, 0, 0, 0, 0, 0, cgroup];
    // SAFETY: the structure is valid for its length. Without CLONE_VM both sides have memory of their own.
    let child = unsafe { step(Operation::CloneSandbox, 435, [arguments.as_ptr() as usize, size_of_val(&arguments)]) };
    if child != 0 {
        sys::exit(0);
    }
}

/// All signals blocked (SIGCHLD is read from a descriptor), none ignored: newborns inherit what is ignored.
fn own_signals() {
    let all = u64::MAX;
    let default = [0usize; 4];
    for signal in 1..65 {
        // SAFETY: one kernel sigaction is read. SIGKILL and SIGSTOP are refused, as they should be.
        unsafe { sys::call(nr::RT_SIGACTION, [signal, default.as_ptr() as usize, 0, 8]) };
    }
    // SAFETY: one 8-byte set is read; 2 is SIG_SETMASK.
    unsafe { sys::call(nr::RT_SIGPROCMASK, [2, &raw const all as usize, 0, 8]) }.or_fail(Operation::Signals);
}

fn open_signals() {
    let set = 1u64 << (SIGCHLD - 1);
    // SAFETY: one 8-byte set is read.
    let fd = unsafe { sys::call(nr::SIGNALFD4, [usize::MAX, &raw const set as usize, 8, O_NONBLOCK | O_CLOEXEC]) };
    fd.or_fail(Operation::Signals);
}

/// Not close-on-exec: it may be descriptor 0 itself, and that is what newborns have as their standard input.
fn open_null() -> i32 {
    // SAFETY: the path is NUL-terminated.
    unsafe { step(Operation::Descriptors, nr::OPENAT, [AT_FDCWD, c"/dev/null".as_ptr() as usize, O_RDWR]) }
}

/// 0, 1 and 2 become `/dev/null`.
fn empty_descriptors() {
    let null = open_null();
    for fd in 0..3 {
        if fd != null {
            // SAFETY: no pointers.
            unsafe { step(Operation::Descriptors, nr::DUP3, [null as usize, fd as usize, 0]) };
        }
    }
}

/// An empty, read-only tmpfs becomes the root, and the host's tree is let go. It is mounted over `/dev`, which is there
/// (`/dev/null` came from it) and is not needed any more. The working directory is the new root from pivot_root(2) on, and
/// stays it when the old one, stacked upon it, is gone.
fn empty_root() {
    const REC_PRIVATE: usize = 0x4000 | 1 << 18;
    const RDONLY_NOSUID_NODEV_NOEXEC: usize = 15;
    const DETACH: usize = 2;
    let (slash, dot) = (c"/".as_ptr() as usize, c".".as_ptr() as usize);
    let (tmpfs, dev) = (c"tmpfs".as_ptr() as usize, c"/dev".as_ptr() as usize);
    let options = c"size=4k,nr_inodes=1,mode=555".as_ptr() as usize;
    let or_fail = |outcome: Outcome| outcome.or_fail(Operation::EmptyRoot);
    // SAFETY: every string is NUL-terminated; no other pointers.
    unsafe {
        or_fail(sys::call(nr::MOUNT, [0, slash, 0, REC_PRIVATE, 0]));
        or_fail(sys::call(nr::MOUNT, [tmpfs, dev, tmpfs, RDONLY_NOSUID_NODEV_NOEXEC, options]));
        step(Operation::EmptyRoot, nr::CHDIR, [dev]);
        step(Operation::EmptyRoot, nr::PIVOT_ROOT, [dot, dot]);
        step(Operation::EmptyRoot, nr::UMOUNT2, [dot, DETACH]);
    }
}

fn name_things(setup: &Block) {
    const PR_SET_NAME: usize = 15;
    const PR_SET_DUMPABLE: usize = 4;
    let [_, shape, _, name @ ..] = setup;
    let length = (shape >> 16) as u8 as usize;
    // SAFETY: the name is valid for its length, which `is_head` checked; the other string is NUL-terminated.
    unsafe {
        if length != 0 {
            step(Operation::Hostname, nr::SETHOSTNAME, [name.as_ptr() as usize, length]);
        }
        step(Operation::Session, nr::SETSID, []);
        sys::call(nr::UMASK, [0]);
        sys::call(nr::PRCTL, [PR_SET_NAME, c"pause".as_ptr() as usize]);
        step(Operation::Session, nr::PRCTL, [PR_SET_DUMPABLE, 0]);
    }
}

/// 256 members with up to eight descriptors each pass the usual soft limit of 1024. Newborns get the old one back.
/// A hard limit below `FIRST_FREE` ends the start (`Operation::Descriptors`).
fn raise_descriptor_limit(keeper: &mut Keeper) {
    const RLIMIT_NOFILE: usize = 7;
    let old = &mut keeper.newborn.descriptor_limit;
    // SAFETY: one rlimit64 is written, then one is read.
    unsafe {
        sys::call(nr::PRLIMIT64, [0, RLIMIT_NOFILE, 0, old.as_mut_ptr() as usize]);
        let raised = [old[1], old[1]];
        sys::call(nr::PRLIMIT64, [0, RLIMIT_NOFILE, raised.as_ptr() as usize, 0]);
    }
}

fn open_own_pidfd() {
    // SAFETY: no pointers.
    unsafe { step(Operation::OwnPidfd, 434, [sys::call(nr::GETPID, []) as usize, 0]) };
}

/// 0 to 2 null, 3 the listener, 4 the connection; everything else is closed, so that what is opened next is 5, the own
/// pidfd, and then 6, signals. The numbers from there to `FIRST_FREE` are used up, so that no descriptor that comes later
/// has a number that a newborn wants for another one.
fn arrange_descriptors() {
    // SAFETY: no pointers.
    unsafe { step(Operation::Descriptors, nr::CLOSE_RANGE, [OWN_PIDFD as usize, u32::MAX as usize, 0]) };
    open_own_pidfd();
    open_signals();
    for unused in SIGNAL_FD as usize + 1..FIRST_FREE {
        // SAFETY: no pointers; 0 is `/dev/null`.
        unsafe { step(Operation::Descriptors, nr::DUP3, [0, unused, O_CLOEXEC]) };
    }
}

fn drop_capabilities(bounding: u64) {
    const PR_CAPBSET_DROP: usize = 24;
    for capability in 0..64 {
        if bounding & 1 << capability == 0 {
            // SAFETY: no pointers. EINVAL: this kernel knows no such capability.
            match unsafe { sys::call(nr::PRCTL, [PR_CAPBSET_DROP, capability]) } {
                EINVAL => {}
                outcome => {
                    outcome.or_fail(Operation::Capabilities);
                }
            }
        }
    }
    let header = [0x2008_0522u32, 0];
    let sets = [OWN_CAPABILITIES, OWN_CAPABILITIES, 0, 0, 0, 0];
    // SAFETY: a version 3 header and its two data structures are read.
    unsafe { step(Operation::Capabilities, nr::CAPSET, [header.as_ptr() as usize, sets.as_ptr() as usize]) };
}

fn listen() {
    // SAFETY: no pointers.
    unsafe {
        step(Operation::Listen, nr::FCNTL, [LISTEN_FD as usize, sys::F_SETFL, O_NONBLOCK]);
        step(Operation::Listen, nr::LISTEN, [LISTEN_FD as usize, 8]);
    }
}
