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
use crate::keeper::Keeper;
use crate::protocol::{
    Event, FIRST_CGROUP_FD, FIRST_CONNECTION_FD, Invalid, LISTEN_FD, Operation, SETUP_FD, Setup,
};
use crate::sys::{self, AT_FDCWD, EINVAL, Errno, O_CLOEXEC, O_NONBLOCK, O_RDWR};

/// pause's own pidfd, from stage 2 on.
pub const OWN_PIDFD: i32 = 5;
/// Where SIGCHLD arrives, from stage 2 on.
pub const SIGNAL_FD: i32 = 6;

const CLONE_NEWNS: u64 = 0x0002_0000;
const CLONE_NEWUTS: u64 = 0x0400_0000;
const CLONE_NEWIPC: u64 = 0x0800_0000;
const CLONE_NEWPID: u64 = 0x2000_0000;
const CLONE_NEWNET: u64 = 0x4000_0000;
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
const SIGCHLD: u64 = 17;

/// CAP_SYS_PTRACE and CAP_SYS_ADMIN.
const OWN_CAPABILITIES: u32 = 1 << 19 | 1 << 21;

/// A step's result, with the step's name on failure.
trait Step {
    /// Ends the process with FAILED if the step failed.
    fn or_fail(self, operation: Operation) -> usize;
}

impl Step for Result<usize, Errno> {
    fn or_fail(self, operation: Operation) -> usize {
        match self {
            Ok(value) => value,
            Err(errno) => fail(operation, errno),
        }
    }
}

fn fail(operation: Operation, errno: Errno) -> ! {
    let event = Event::Failed { operation, errno: errno.0 as u32 };
    let _ = sys::send(FIRST_CONNECTION_FD, &event.encode(0, 0), 0);
    sys::exit(1)
}

/// Returns in stage 2, set up and listening.
pub fn enter(keeper: &mut Keeper) {
    let setup = read_setup();
    enter_cgroups(&setup);
    clone_stage_2(&setup);
    own_signals();
    empty_descriptors();
    empty_root();
    name_things(&setup);
    raise_descriptor_limit(keeper);
    let pidfd = own_pidfd();
    let signals = signal_descriptor();
    arrange_descriptors(pidfd, signals);
    drop_capabilities(setup.capabilities);
    listen();
    keeper.adopt(FIRST_CONNECTION_FD);
}

fn read_setup() -> Setup {
    let mut block = [0; Setup::SIZE];
    // SAFETY: the block is valid for writes of its length.
    let read = unsafe {
        sys::call6(nr::PREAD64, [SETUP_FD as usize, block.as_mut_ptr() as usize, Setup::SIZE, 0, 0, 0])
    };
    if read.or_fail(Operation::ReadSetup) != Setup::SIZE {
        fail(Operation::ReadSetup, Errno(0));
    }
    Setup::decode(&block).unwrap_or_else(|_: Invalid| fail(Operation::ReadSetup, Errno(0)))
}

fn enter_cgroups(setup: &Setup) {
    for fd in 0..i32::from(setup.tasks) {
        sys::write(FIRST_CGROUP_FD + fd, b"0").or_fail(Operation::EnterCgroup);
    }
}

/// The parent ends here; the child returns.
fn clone_stage_2(setup: &Setup) {
    let has = |flag: u16| setup.flags & flag != 0;
    let mut next = FIRST_CGROUP_FD as u64 + u64::from(setup.tasks);
    let mut flags = CLONE_NEWNS;
    for (flag, clone) in [
        (Setup::NEW_NET, CLONE_NEWNET),
        (Setup::NEW_IPC, CLONE_NEWIPC),
        (Setup::NEW_UTS, CLONE_NEWUTS),
        (Setup::NEW_PID, CLONE_NEWPID),
    ] {
        flags |= if has(flag) { clone } else { 0 };
    }
    let mut cgroup = 0;
    if has(Setup::CGROUP_DIR) {
        flags |= CLONE_INTO_CGROUP;
        cgroup = next;
        next += 1;
    }
    if has(Setup::NETNS) {
        // SAFETY: no pointers.
        unsafe { sys::call(nr::SETNS, next as usize, CLONE_NEWNET as usize, 0) }.or_fail(Operation::EnterNetns);
    }
    let arguments = [flags, 0, 0, 0, SIGCHLD, 0, 0, 0, 0, 0, cgroup];
    // SAFETY: the structure is valid for its length. Without CLONE_VM both sides have memory of their own.
    let child = unsafe { sys::call(435, arguments.as_ptr() as usize, size_of_val(&arguments), 0) };
    if child.or_fail(Operation::CloneSandbox) != 0 {
        sys::exit(0);
    }
}

/// All signals blocked (SIGCHLD is read from a descriptor), none ignored: newborns inherit what is ignored.
fn own_signals() {
    let all = u64::MAX;
    let default = [0usize; 4];
    for signal in 1..65 {
        // SAFETY: one kernel sigaction is read. SIGKILL and SIGSTOP are refused, as they should be.
        let _ = unsafe { sys::call6(nr::RT_SIGACTION, [signal, default.as_ptr() as usize, 0, 8, 0, 0]) };
    }
    // SAFETY: one 8-byte set is read; 2 is SIG_SETMASK.
    unsafe { sys::call6(nr::RT_SIGPROCMASK, [2, &raw const all as usize, 0, 8, 0, 0]) }.or_fail(Operation::Signals);
}

fn signal_descriptor() -> i32 {
    let set = 1u64 << (SIGCHLD - 1);
    // SAFETY: one 8-byte set is read.
    unsafe {
        sys::call6(nr::SIGNALFD4, [usize::MAX, &raw const set as usize, 8, O_NONBLOCK | O_CLOEXEC, 0, 0])
    }
    .or_fail(Operation::Signals) as i32
}

fn open_null() -> i32 {
    // SAFETY: the path is NUL-terminated.
    unsafe { sys::call(nr::OPENAT, AT_FDCWD, c"/dev/null".as_ptr() as usize, O_RDWR | O_CLOEXEC) }
        .or_fail(Operation::Descriptors) as i32
}

/// 0, 1 and 2 become `/dev/null`.
fn empty_descriptors() {
    let null = open_null();
    for fd in 0..3 {
        if fd != null {
            sys::place(null, fd).or_fail(Operation::Descriptors);
        }
    }
}

/// An empty, read-only tmpfs becomes the root, and the host's tree is let go.
fn empty_root() {
    let attributes = 1 | 2 | 4 | 8; // MOUNT_ATTR_RDONLY, NOSUID, NODEV, NOEXEC
    // SAFETY: every string is NUL-terminated; no other pointers.
    let made = unsafe {
        make_private().and_then(|_| sys::call(430, c"tmpfs".as_ptr() as usize, 1, 0)).and_then(|context| {
            for (key, value) in [(c"size", c"4096"), (c"nr_inodes", c"1"), (c"mode", c"0555")] {
                sys::call6(431, [context, 1, key.as_ptr() as usize, value.as_ptr() as usize, 0, 0])?;
            }
            sys::call6(431, [context, 6, 0, 0, 0, 0])?;
            sys::call(432, context, 1, attributes)
        })
    };
    let root = made.or_fail(Operation::EmptyRoot);
    // SAFETY: as above.
    let entered = unsafe {
        let (empty, slash, dot) =
            (c"".as_ptr() as usize, c"/".as_ptr() as usize, c".".as_ptr() as usize);
        const FROM_EMPTY_PATH: usize = 4;
        const DETACH: usize = 2;
        sys::call6(429, [root, empty, AT_FDCWD, slash, FROM_EMPTY_PATH, 0])
            .and_then(|_| sys::call(nr::FCHDIR, root, 0, 0))
            .and_then(|_| sys::call(nr::PIVOT_ROOT, dot, dot, 0))
            .and_then(|_| sys::call(nr::UMOUNT2, dot, DETACH, 0))
            .and_then(|_| sys::call(nr::CHDIR, slash, 0, 0))
    };
    entered.or_fail(Operation::EmptyRoot);
}

/// # Safety
/// None needed: the one string is NUL-terminated.
unsafe fn make_private() -> Result<usize, Errno> {
    const REC_PRIVATE: usize = 0x4000 | 1 << 18;
    let slash = c"/".as_ptr() as usize;
    // SAFETY: see above.
    unsafe { sys::call6(nr::MOUNT, [0, slash, 0, REC_PRIVATE, 0, 0]) }
}

fn name_things(setup: &Setup) {
    const PR_SET_NAME: usize = 15;
    const PR_SET_DUMPABLE: usize = 4;
    let name = setup.hostname();
    // SAFETY: the name is valid for its length; the other string is NUL-terminated; no other pointers.
    unsafe {
        if !name.is_empty() {
            sys::call(nr::SETHOSTNAME, name.as_ptr() as usize, name.len(), 0).or_fail(Operation::Hostname);
        }
        sys::call(nr::SETSID, 0, 0, 0).or_fail(Operation::Session);
        let _ = sys::call(nr::UMASK, 0, 0, 0);
        let _ = sys::call6(nr::PRCTL, [PR_SET_NAME, c"pause".as_ptr() as usize, 0, 0, 0, 0]);
        sys::call6(nr::PRCTL, [PR_SET_DUMPABLE, 0, 0, 0, 0, 0]).or_fail(Operation::Session);
    }
}

/// 256 members with up to eight descriptors each pass the usual soft limit of 1024. Newborns get the old one back.
fn raise_descriptor_limit(keeper: &mut Keeper) {
    const RLIMIT_NOFILE: usize = 7;
    let old = &mut keeper.descriptor_limit;
    // SAFETY: one rlimit64 is written, then one is read.
    unsafe {
        let _ = sys::call6(nr::PRLIMIT64, [0, RLIMIT_NOFILE, 0, old.as_mut_ptr() as usize, 0, 0]);
        let raised = [old[1], old[1]];
        let _ = sys::call6(nr::PRLIMIT64, [0, RLIMIT_NOFILE, raised.as_ptr() as usize, 0, 0, 0]);
    }
}

fn own_pidfd() -> i32 {
    // SAFETY: no pointers.
    unsafe { sys::call(nr::GETPID, 0, 0, 0).and_then(|pid| sys::call(434, pid, 0, 0)) }
        .or_fail(Operation::OwnPidfd) as i32
}

/// 0 to 2 null, 3 the listener, 4 the connection, 5 the own pidfd, 6 signals; everything else is closed.
fn arrange_descriptors(pidfd: i32, signals: i32) {
    // Both may lie at 5 or 6 already (a node may leave these closed), so they go up first.
    let above = |fd| sys::fcntl(fd, sys::F_DUPFD_CLOEXEC, 64).or_fail(Operation::Descriptors) as i32;
    let (pidfd, signals) = (above(pidfd), above(signals));
    sys::place(pidfd, OWN_PIDFD).or_fail(Operation::Descriptors);
    sys::place(signals, SIGNAL_FD).or_fail(Operation::Descriptors);
    sys::close_from(SIGNAL_FD + 1, false).or_fail(Operation::Descriptors);
}

fn drop_capabilities(bounding: u64) {
    const PR_CAPBSET_DROP: usize = 24;
    for capability in 0..64 {
        if bounding & 1 << capability == 0 {
            // SAFETY: no pointers. EINVAL: this kernel knows no such capability.
            match unsafe { sys::call6(nr::PRCTL, [PR_CAPBSET_DROP, capability, 0, 0, 0, 0]) } {
                Ok(_) | Err(EINVAL) => {}
                Err(errno) => fail(Operation::Capabilities, errno),
            }
        }
    }
    let header = [0x2008_0522u32, 0];
    let sets = [OWN_CAPABILITIES, OWN_CAPABILITIES, 0, 0, 0, 0];
    // SAFETY: a version 3 header and its two data structures are read.
    unsafe { sys::call(nr::CAPSET, header.as_ptr() as usize, sets.as_ptr() as usize, 0) }
        .or_fail(Operation::Capabilities);
}

fn listen() {
    sys::fcntl(LISTEN_FD, sys::F_SETFL, O_NONBLOCK).or_fail(Operation::Listen);
    // SAFETY: no pointers.
    unsafe { sys::call(nr::LISTEN, LISTEN_FD as usize, 8, 0) }.or_fail(Operation::Listen);
}

