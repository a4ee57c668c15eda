//! A birth: descriptors into place, clone into the namespaces, execute.
//!
//! The newborn shares pause's memory and suspends it (`CLONE_VM|CLONE_VFORK`) until it has executed: half the time of a
//! fork, and its errno is simply read. It runs on a stack of its own, makes system calls only, and writes nothing but
//! that stack and the failure. It has a copy of the descriptor table, so what it moves there moves nowhere else.

use core::cell::UnsafeCell;

use crate::Global;
use crate::answer::{Answer, failed, refused};
use crate::arch::{clone_onto_stack, nr};
use crate::keeper::{Keeper, find, free};
use crate::protocol::{ARGV_MAX, Birth, DESCRIPTORS_MAX, Operation, Refusal, Stdio, kind};
use crate::sandbox::OWN_PIDFD;
use crate::sys::{self, AT_EMPTY_PATH, F_DUPFD_CLOEXEC, F_SETFL, Mail, O_NONBLOCK, Outcome};
use crate::table::Member;

/// Descriptors 0 to 4 of a newborn: stdio, plan, report.
const FIXED: usize = 5;
const STACK: usize = 4096;

#[repr(C, align(16))]
struct Stack([u8; STACK]);

static NEWBORN_STACK: Global<Stack> = Global(UnsafeCell::new(Stack([0; STACK])));

/// What the newborn needs to know, in memory that both see.
struct Newborn<'a> {
    mail: &'a Mail,
    stdio: [i32; 3],
    /// Position of the first slot in the message.
    slots_at: usize,
    /// How many descriptors it will have.
    count: usize,
    descriptor_limit: [u64; 2],
    argv: [*const u8; ARGV_MAX + 1],
    /// What failed; written by the newborn.
    failure: Answer,
}

/// Read and write ends of standard input, output and error; zeros when there are none.
type Pipes = [[i32; 2]; 3];

impl Keeper {
    /// Gives birth to what the message asks for. The descriptors that pause keeps are taken out of it.
    pub fn birth(&mut self, seq: u64) -> Answer {
        let [_, _, _, shape, target, limit, length, ..] = self.mail.words;
        let Some(birth) = Birth::from_words([shape, target, limit, length], self.mail.args()) else {
            return refused(Refusal::Malformed);
        };
        if self.mail.count != birth.descriptors() {
            return refused(Refusal::Descriptors);
        }
        if seq <= self.last_seq {
            return refused(Refusal::Repeat);
        }
        let mut target = 0;
        if birth.flags & Birth::JOIN != 0 {
            target = find(&mut self.members, birth.target).map_or(0, |member| member.pidfd);
            if target == 0 {
                return refused(Refusal::NotFound);
            }
        }
        let Some(at) = free(&self.members) else {
            return refused(Refusal::TableFull);
        };
        // The message is read until the newborn has executed, then it may be changed.
        let birth = Birth { args: &[], ..birth };
        let mut pipes = [[0; 2]; 3];
        let answer = self.bear(seq, &birth, target, at, &mut pipes);
        for end in pipes.as_flattened_mut() {
            sys::close(end);
        }
        answer
    }

    fn bear(&mut self, seq: u64, birth: &Birth, target: i32, at: usize, pipes: &mut Pipes) -> Answer {
        let made = make_pipes(birth, pipes);
        if made < 0 {
            return failed(Operation::Pipe, made);
        }
        let start = sys::now().nanoseconds();
        let mut pidfd = 0;
        let pid = self.deliver(birth, target, pipes, &mut pidfd);
        if pid < 0 {
            return pid;
        }
        self.last_seq = seq;
        self.used = self.used.max(at + 1);
        self.connection.kind = kind::BORN;
        self.connection.out[3] = pid as u64;
        self.connection.out[4] = start;
        if let Some(member) = self.members.get_mut(at) {
            *member = Member::EMPTY;
            (member.seq, member.start, member.pid, member.pidfd) = (seq, start, pid, pidfd);
            keep(member, birth, &mut self.mail, pipes);
        }
        pidfd
    }

    /// Clones and executes: the pid, and the pidfd behind the reference.
    fn deliver(&mut self, birth: &Birth, target: i32, pipes: &Pipes, pidfd: &mut i32) -> Answer {
        let stdio_at = stdio_at(birth);
        let direct = |at| self.mail.peek(stdio_at + at);
        let slots = usize::from(birth.slots);
        let slots_at = birth.descriptors() - slots;
        let mut newborn = Newborn {
            mail: &self.mail,
            stdio: match birth.stdio {
                // Without a pipe standard input is descriptor 0 of pause: /dev/null.
                Stdio::Logged => [pipes[0][0], pipes[1][1], pipes[2][1]],
                Stdio::Direct => [direct(0), direct(1), direct(2)],
                Stdio::Terminal => [direct(1); 3],
            },
            slots_at,
            count: FIXED + slots,
            descriptor_limit: self.descriptor_limit,
            argv: [core::ptr::null(); ARGV_MAX + 1],
            failure: 0,
        };
        if !point_at_arguments(self.mail.args(), &mut newborn.argv) {
            return refused(Refusal::Malformed);
        }
        let mut outcome = go_home(&mut self.astray);
        if outcome >= 0 && target != 0 {
            self.astray = true;
            outcome = sys::enter_pid_namespace(target);
        }
        if outcome < 0 {
            return failed(Operation::JoinPid, outcome);
        }
        let pid = clone_newborn(birth, &mut newborn, pidfd, self.mail.peek(slots_at.wrapping_sub(1)));
        if go_home(&mut self.astray) < 0 {
            // From here nothing could be born in the right place any more.
            sys::exit(71);
        }
        if pid < 0 {
            return failed(Operation::Clone, pid);
        }
        if newborn.failure < 0 {
            sys::close(pidfd);
            sys::reap_this(pid as i32);
            return newborn.failure;
        }
        pid as i32
    }
}

fn make_pipes(birth: &Birth, pipes: &mut Pipes) -> Outcome {
    if birth.stdio != Stdio::Logged {
        return 0;
    }
    let mut outcome = 0;
    for (at, ends) in pipes.iter_mut().enumerate() {
        if outcome >= 0 && (at > 0 || birth.flags & Birth::STDIN_PIPE != 0) {
            outcome = sys::pipe(ends);
            if at > 0 {
                sys::fcntl(ends[0], F_SETFL, O_NONBLOCK);
            }
        }
    }
    outcome
}

/// Position of the first stdio descriptor in the message: after executable, plan, report and the logs.
fn stdio_at(birth: &Birth) -> usize {
    3 + usize::from(birth.flags & Birth::LOG_CURRENT != 0) + usize::from(birth.flags & Birth::LOG_NEXT != 0)
}

/// Points at the strings of the block, whose last byte is a NUL. False: there are too many.
fn point_at_arguments(block: &[u8], argv: &mut [*const u8; ARGV_MAX + 1]) -> bool {
    let mut block = if block.is_empty() { b"init\0" } else { block };
    for place in argv.iter_mut().take(ARGV_MAX) {
        if block.is_empty() {
            return true;
        }
        *place = block.as_ptr();
        while let [byte, rest @ ..] = block {
            block = rest;
            if *byte == 0 {
                break;
            }
        }
    }
    block.is_empty()
}

/// Children to come are born into pause's own pid namespace again.
fn go_home(astray: &mut bool) -> Outcome {
    let mut outcome = 0;
    if *astray {
        outcome = sys::enter_pid_namespace(OWN_PIDFD);
        *astray = outcome < 0;
    }
    outcome
}

fn clone_newborn(birth: &Birth, newborn: &mut Newborn, pidfd: &mut i32, cgroup: i32) -> Outcome {
    const VM_VFORK_PIDFD_NEWNS_CLEAR_SIGHAND: u64 = 0x100 | 0x4000 | 0x1000 | 0x0002_0000 | 0x1_0000_0000;
    const NEWPID: u64 = 0x2000_0000;
    const INTO_CGROUP: u64 = 0x2_0000_0000;
    const SIGCHLD: u64 = 17;
    let mut flags = VM_VFORK_PIDFD_NEWNS_CLEAR_SIGHAND;
    if birth.flags & Birth::NEW_PID != 0 {
        flags |= NEWPID;
    }
    if birth.flags & Birth::INTO_CGROUP != 0 {
        flags |= INTO_CGROUP;
    }
    let stack = NEWBORN_STACK.0.get() as u64;
    let arguments =
        [flags, &raw mut *pidfd as u64, 0, 0, SIGCHLD, stack, STACK as u64, 0, 0, 0, cgroup as u64];
    // SAFETY: the stack is used by one newborn at a time, since pause is suspended until it has executed or exited;
    // `run` never returns, and touches `newborn` alone, which lives until then.
    unsafe { clone_onto_stack(arguments.as_ptr(), size_of_val(&arguments), run, (&raw mut *newborn).cast()) }
}

/// The newborn's whole life as pause's child.
extern "C" fn run(newborn: *mut u8) -> ! {
    // SAFETY: `clone_newborn` passes a `Newborn` that nobody else touches while this runs.
    let newborn = unsafe { &mut *newborn.cast::<Newborn>() };
    let mut executable = 0;
    let placed = place_all(newborn, &mut executable);
    newborn.failure = if placed < 0 {
        failed(Operation::Place, placed)
    } else {
        failed(Operation::Execute, execute(newborn, executable))
    };
    sys::exit(127)
}

/// First everything goes up above the numbers to be filled, then each to its place.
fn place_all(newborn: &Newborn, executable: &mut i32) -> Outcome {
    let above = newborn.count;
    let mut lifted = [0; FIXED + DESCRIPTORS_MAX];
    let mut worst = 0;
    let mut lift = |fd: i32| {
        let lifted = sys::fcntl(fd, F_DUPFD_CLOEXEC, above);
        worst = worst.min(lifted);
        lifted as i32
    };
    *executable = lift(newborn.mail.peek(0));
    for (at, place) in lifted.iter_mut().enumerate().take(above) {
        *place = lift(match at {
            0..3 => newborn.stdio.get(at).copied().unwrap_or(0),
            3..FIXED => newborn.mail.peek(at - 2),
            _ => newborn.mail.peek(newborn.slots_at + at - FIXED),
        });
    }
    for (at, fd) in lifted.iter().enumerate().take(above) {
        worst = worst.min(sys::place(*fd, at as i32));
    }
    worst.min(sys::close_from(above as i32, true))
}

/// Returns only when it failed.
fn execute(newborn: &Newborn, executable: i32) -> Outcome {
    const RLIMIT_NOFILE: usize = 7;
    let none = [0u64];
    let limit = newborn.descriptor_limit.as_ptr() as usize;
    let argv = newborn.argv.as_ptr() as usize;
    let zero = none.as_ptr() as usize;
    // SAFETY: an rlimit64 and an 8-byte signal set are read; path, argv and envp are terminated as execveat wants it
    // (eight zero bytes are the empty path, the empty signal set and the empty environment).
    unsafe {
        sys::call6(nr::PRLIMIT64, [0, RLIMIT_NOFILE, limit, 0, 0, 0]);
        sys::call6(nr::RT_SIGPROCMASK, [2, zero, 0, 8, 0, 0]);
        sys::call6(nr::EXECVEAT, [executable as usize, zero, argv, zero, AT_EMPTY_PATH, 0])
    }
}

/// What pause keeps of a birth.
fn keep(member: &mut Member, birth: &Birth, mail: &mut Mail, pipes: &mut Pipes) {
    let [stdin, stdout, stderr] = pipes;
    let [out, err] = &mut member.streams;
    member.stdin = core::mem::take(&mut stdin[1]);
    out.fd = core::mem::take(&mut stdout[0]);
    err.fd = core::mem::take(&mut stderr[0]);
    if birth.stdio == Stdio::Terminal {
        member.terminal = true;
        out.fd = mail.take(stdio_at(birth));
        sys::fcntl(out.fd, F_SETFL, sys::O_RDWR | O_NONBLOCK);
    }
    let log = &mut member.log;
    log.limit = birth.log_limit;
    if birth.flags & Birth::LOG_CURRENT != 0 {
        log.current = mail.take(3);
        log.size = sys::file_size(log.current);
    }
    if birth.flags & Birth::LOG_NEXT != 0 {
        log.next = mail.take(4);
    }
}
