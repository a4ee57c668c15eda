//! A birth: descriptors into place, clone into the namespaces, execute.
//!
//! The newborn shares pause's memory and suspends it (`CLONE_VM|CLONE_VFORK`) until it has executed: half the time of a
//! fork, and its errno is simply read. It runs on a stack of its own, makes system calls only, and writes nothing but
//! that stack and the failure. It has a copy of the descriptor table, so what it moves there moves nowhere else.

use core::cell::UnsafeCell;

use crate::Global;
use crate::arch::{clone_onto_stack, nr};
use crate::answer::Answer;
use crate::keeper::Keeper;
use crate::protocol::{ARGV_MAX, Birth, DESCRIPTORS_MAX, Event, Operation, Refusal, Stdio};
use crate::sandbox::OWN_PIDFD;
use crate::sys::{self, AT_EMPTY_PATH, Descriptors, Errno, F_DUPFD_CLOEXEC, F_SETFL, O_NONBLOCK};
use crate::table::Member;

/// Descriptors 0 to 4 of a newborn: stdio, plan, report.
const FIXED: usize = 5;
const STACK: usize = 4096;

#[repr(C, align(4096))]
struct Stack([u8; STACK]);

static NEWBORN_STACK: Global<Stack> = Global(UnsafeCell::new(Stack([0; STACK])));

/// Why nothing was born, or another request was refused. Small, so that it travels in a register.
pub struct Stillborn {
    pub reason: Refusal,
    pub operation: Operation,
    pub errno: u16,
}

impl Stillborn {
    pub const fn refused(reason: Refusal) -> Self {
        Self { reason, operation: Operation::None, errno: 0 }
    }

    fn failed(operation: Operation, errno: Errno) -> Self {
        Self { reason: Refusal::System, operation, errno: errno.0 as u16 }
    }

    fn system(operation: Operation) -> impl Fn(Errno) -> Self {
        move |errno| Self::failed(operation, errno)
    }
}

/// What the newborn needs to know, in memory that both see.
struct Newborn {
    executable: i32,
    /// Where its descriptors 0, 1, … come from.
    sources: [i32; FIXED + DESCRIPTORS_MAX],
    count: usize,
    argv: [*const u8; ARGV_MAX + 1],
    descriptor_limit: [u64; 2],
    /// What failed; written by the newborn.
    failure: (Operation, Errno),
}

/// The pipes of a logged member: standard input, output, error; zeros when there are none.
#[derive(Default)]
struct Pipes([[i32; 2]; 3]);

impl Pipes {
    fn close(&mut self) {
        for end in self.0.as_flattened_mut() {
            sys::close(end);
        }
    }
}

/// Gives birth; the member is in the table when this returns BORN and the pidfd.
///
/// Descriptors that pause keeps are taken out of `fds`; the caller closes the others.
pub fn birth(keeper: &mut Keeper, seq: u64, birth: &Birth, fds: &mut Descriptors) -> Answer {
    if seq <= keeper.last_seq {
        return Err(Stillborn::refused(Refusal::Repeat));
    }
    let target = target_of(keeper, birth)?;
    if keeper.free_slot().is_none() {
        return Err(Stillborn::refused(Refusal::TableFull));
    }
    let mut pipes = Pipes::default();
    let born = make_pipes(birth, &mut pipes).and_then(|()| {
        let mut newborn = newborn(keeper, birth, fds, &pipes)?;
        let time = sys::now();
        let (pid, pidfd) = clone(keeper, birth, &mut newborn, target, cgroup(birth, fds))?;
        Ok((pid, pidfd, time.seconds as u64 * 1_000_000_000 + time.nanos as u64))
    });
    let done = born.map(|(pid, pidfd, start)| {
        keeper.last_seq = seq;
        if let Some(member) = keeper.free_slot() {
            *member = Member { seq, start, pid, pidfd, ..Member::EMPTY };
            keep(member, birth, fds, &mut pipes);
        }
        (Event::Born { pid: pid as u32, start }, pidfd)
    });
    pipes.close();
    done
}

/// The pidfd of the member to join; 0: none.
fn target_of(keeper: &mut Keeper, birth: &Birth) -> Result<i32, Stillborn> {
    if birth.flags & Birth::JOIN == 0 {
        return Ok(0);
    }
    keeper
        .find(birth.target)
        .filter(|member| member.is_living())
        .map(|member| member.pidfd)
        .ok_or_else(|| Stillborn::refused(Refusal::NotFound))
}

fn make_pipes(birth: &Birth, pipes: &mut Pipes) -> Result<(), Stillborn> {
    if birth.stdio != Stdio::Logged {
        return Ok(());
    }
    let Pipes([stdin, stdout, stderr]) = pipes;
    let made = (|| {
        if birth.flags & Birth::STDIN_PIPE != 0 {
            sys::pipe(stdin)?;
        }
        for ends in [stdout, stderr] {
            sys::pipe(ends)?;
            sys::fcntl(ends[0], F_SETFL, O_NONBLOCK)?;
        }
        Ok(())
    })();
    made.map_err(Stillborn::system(Operation::Pipe))
}

/// Position of the first stdio descriptor in the message: after executable, plan, report and the logs.
fn stdio_at(birth: &Birth) -> usize {
    3 + usize::from(birth.flags & Birth::LOG_CURRENT != 0) + usize::from(birth.flags & Birth::LOG_NEXT != 0)
}

fn slots_at(birth: &Birth) -> usize {
    birth.descriptors() - usize::from(birth.slots)
}

/// The v2 cgroup folder; 0: none.
fn cgroup(birth: &Birth, fds: &Descriptors) -> i32 {
    if birth.flags & Birth::INTO_CGROUP == 0 { 0 } else { fds.peek(slots_at(birth) - 1) }
}

fn newborn(keeper: &Keeper, birth: &Birth, fds: &Descriptors, pipes: &Pipes) -> Result<Newborn, Stillborn> {
    let mut newborn = Newborn {
        executable: fds.peek(0),
        sources: [0; FIXED + DESCRIPTORS_MAX],
        count: FIXED + usize::from(birth.slots),
        argv: [core::ptr::null(); ARGV_MAX + 1],
        descriptor_limit: keeper.descriptor_limit,
        failure: (Operation::None, Errno(0)),
    };
    let stdio = stdio_at(birth);
    let Pipes([stdin, stdout, stderr]) = pipes;
    let sources = match birth.stdio {
        // Without a pipe standard input is descriptor 0 of pause: /dev/null.
        Stdio::Logged => [stdin[0], stdout[1], stderr[1]],
        Stdio::Direct => [fds.peek(stdio), fds.peek(stdio + 1), fds.peek(stdio + 2)],
        Stdio::Terminal => [fds.peek(stdio + 1); 3],
    };
    let slots = slots_at(birth);
    for (at, source) in newborn.sources.iter_mut().enumerate().take(newborn.count) {
        *source = match at {
            0..3 => sources.get(at).copied().unwrap_or(0),
            3..5 => fds.peek(at - 2),
            _ => fds.peek(slots + at - FIXED),
        };
    }
    arguments(birth.args, &mut newborn.argv)?;
    Ok(newborn)
}

/// Points at the strings of the block, whose last byte is a NUL.
fn arguments(block: &[u8], argv: &mut [*const u8; ARGV_MAX + 1]) -> Result<(), Stillborn> {
    let block = if block.is_empty() { b"init\0" } else { block };
    for (at, string) in block.split_inclusive(|byte| *byte == 0).enumerate() {
        match argv.get_mut(at) {
            Some(place) if at < ARGV_MAX => *place = string.as_ptr(),
            _ => return Err(Stillborn::refused(Refusal::Malformed)),
        }
    }
    Ok(())
}

/// Clones and executes: the pid and the pidfd.
fn clone(
    keeper: &mut Keeper,
    birth: &Birth,
    newborn: &mut Newborn,
    target: i32,
    cgroup: i32,
) -> Result<(i32, i32), Stillborn> {
    go_home(keeper)?;
    if target != 0 {
        keeper.astray = true;
        sys::enter_pid_namespace(target).map_err(Stillborn::system(Operation::JoinPid))?;
    }
    let mut pidfd = 0i32;
    let pid = clone_newborn(birth, newborn, &mut pidfd, cgroup);
    let home = go_home(keeper);
    let pid = pid.map_err(Stillborn::system(Operation::Clone))?;
    let (operation, errno) = newborn.failure;
    if operation == Operation::None && home.is_ok() {
        return Ok((pid, pidfd));
    }
    // Executed or not, it is not going to be a member: what pause cannot come back from must not go on.
    if operation == Operation::None {
        sys::exit(71);
    }
    sys::close(&mut pidfd);
    sys::reap_this(pid);
    Err(Stillborn::failed(operation, errno))
}

/// Children to come are born into pause's own pid namespace again.
fn go_home(keeper: &mut Keeper) -> Result<(), Stillborn> {
    if keeper.astray {
        sys::enter_pid_namespace(OWN_PIDFD).map_err(Stillborn::system(Operation::JoinPid))?;
        keeper.astray = false;
    }
    Ok(())
}

fn clone_newborn(birth: &Birth, newborn: &mut Newborn, pidfd: &mut i32, cgroup: i32) -> Result<i32, Errno> {
    const VM_VFORK_PIDFD_NEWNS: u64 = 0x100 | 0x4000 | 0x1000 | 0x0002_0000;
    const CLEAR_SIGHAND: u64 = 0x1_0000_0000;
    const NEWPID: u64 = 0x2000_0000;
    const INTO_CGROUP: u64 = 0x2_0000_0000;
    const SIGCHLD: u64 = 17;
    let when = |flag: u32, clone: u64| if birth.flags & flag != 0 { clone } else { 0 };
    let flags = VM_VFORK_PIDFD_NEWNS
        | CLEAR_SIGHAND
        | when(Birth::NEW_PID, NEWPID)
        | when(Birth::INTO_CGROUP, INTO_CGROUP);
    let stack = NEWBORN_STACK.0.get() as u64;
    let arguments =
        [flags, &raw mut *pidfd as u64, 0, 0, SIGCHLD, stack, STACK as u64, 0, 0, 0, cgroup as u64];
    // SAFETY: the stack is used by one newborn at a time, since pause is suspended until it has executed or exited;
    // `run` never returns, and touches `newborn` alone, which lives until then.
    let result = unsafe {
        clone_onto_stack(arguments.as_ptr(), size_of_val(&arguments), run, (&raw mut *newborn).cast())
    };
    if result < 0 { Err(Errno(-result as usize)) } else { Ok(result as i32) }
}

/// The newborn's whole life as pause's child.
extern "C" fn run(newborn: *mut u8) -> ! {
    // SAFETY: `clone_newborn` passes a `Newborn` that nobody else touches while this runs.
    let newborn = unsafe { &mut *newborn.cast::<Newborn>() };
    if let Err(errno) = place_all(newborn) {
        newborn.failure = (Operation::Place, errno);
    } else if let Err(errno) = execute(newborn) {
        newborn.failure = (Operation::Execute, errno);
    }
    sys::exit(127)
}

/// First everything that is in the way goes up above the numbers to be filled, then each to its place.
fn place_all(newborn: &mut Newborn) -> Result<(), Errno> {
    let above = newborn.count;
    newborn.executable = lift(newborn.executable, above)?;
    for source in newborn.sources.iter_mut().take(above) {
        *source = lift(*source, above)?;
    }
    for (to, source) in newborn.sources.iter().enumerate().take(above) {
        sys::place(*source, to as i32)?;
    }
    sys::close_from(above as i32, true)?;
    Ok(())
}

fn lift(fd: i32, above: usize) -> Result<i32, Errno> {
    if fd as usize >= above { Ok(fd) } else { sys::fcntl(fd, F_DUPFD_CLOEXEC, above).map(|fd| fd as i32) }
}

fn execute(newborn: &Newborn) -> Result<usize, Errno> {
    const RLIMIT_NOFILE: usize = 7;
    let none = 0u64;
    let environment = [core::ptr::null::<u8>()];
    let limit = newborn.descriptor_limit.as_ptr() as usize;
    // SAFETY: an rlimit64 and an 8-byte signal set are read; path, argv and envp are terminated as execveat wants it.
    unsafe {
        sys::call6(nr::PRLIMIT64, [0, RLIMIT_NOFILE, limit, 0, 0, 0])?;
        sys::call6(nr::RT_SIGPROCMASK, [2, &raw const none as usize, 0, 8, 0, 0])?;
        sys::call6(
            nr::EXECVEAT,
            [
                newborn.executable as usize,
                c"".as_ptr() as usize,
                newborn.argv.as_ptr() as usize,
                environment.as_ptr() as usize,
                AT_EMPTY_PATH,
                0,
            ],
        )
    }
}

/// What pause keeps of a birth.
fn keep(member: &mut Member, birth: &Birth, fds: &mut Descriptors, pipes: &mut Pipes) {
    let Pipes([stdin, stdout, stderr]) = pipes;
    let [out, err] = &mut member.streams;
    member.stdin = core::mem::take(&mut stdin[1]);
    out.fd = core::mem::take(&mut stdout[0]);
    err.fd = core::mem::take(&mut stderr[0]);
    if birth.stdio == Stdio::Terminal {
        member.terminal = true;
        out.fd = fds.take(stdio_at(birth));
        let _ = sys::fcntl(out.fd, F_SETFL, sys::O_RDWR | O_NONBLOCK);
    }
    let log = &mut member.log;
    log.limit = birth.log_limit;
    if birth.flags & Birth::LOG_CURRENT != 0 {
        log.current = fds.take(3);
        log.size = sys::file_size(log.current);
    }
    if birth.flags & Birth::LOG_NEXT != 0 {
        log.next = fds.take(4);
    }
}
