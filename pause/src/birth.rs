//! A birth: descriptors into place, clone into the namespaces, execute.
//!
//! The newborn shares pause's memory and suspends it (`CLONE_VM|CLONE_VFORK`) until it has executed: half the time of a
//! fork, and its errno is simply read. It runs on a stack of its own, makes system calls only, and writes nothing but
//! that stack and the failure. It has a copy of the descriptor table, so what it moves there moves nowhere else.

use crate::answer::{Answer, failed, refused};
use crate::arch::{clone_onto_stack, nr};
use crate::keeper::{Keeper, find};
use crate::log::Buffers;
use crate::protocol::{ARGV_MAX, Birth, DESCRIPTORS_MAX, Operation, Refusal, SIZE, Stdio, kind};
use crate::sandbox::OWN_PIDFD;
use crate::sys::{self, AT_EMPTY_PATH, F_DUPFD_CLOEXEC, F_SETFL, O_NONBLOCK, Outcome};
use crate::table::Member;

/// Descriptors 0 to 4 of a newborn: stdio, plan, report.
const FIXED: usize = 5;

/// What the newborn needs to know beside the message, in memory that both see.
pub struct Newborn {
    /// Where its descriptors 0, 1 and 2 come from.
    stdio: [i32; 3],
    /// What failed; written by the newborn.
    failure: Answer,
    /// Position of the first slot in the message.
    slots_at: usize,
    argv: [*const u8; ARGV_MAX + 1],
}

impl Newborn {
    pub const NONE: Self = Self { stdio: [0; 3], failure: 0, slots_at: 0, argv: [core::ptr::null(); ARGV_MAX + 1] };
}

/// Read and write ends of standard input, output and error; zeros when there are none.
type Pipes = [[i32; 2]; 3];

impl Keeper {
    /// Gives birth to what the message asks for. The descriptors that pause keeps are taken out of it.
    pub fn birth(&mut self, seq: u64, buffers: &mut Buffers) -> Answer {
        let [_, _, _, shape, target, _, length, ..] = self.mail.words;
        let (flags, stdio) = (shape as u32, (shape >> 32) as u8);
        if length as u16 as usize != self.mail.len - SIZE
            || !Birth::is_shape(flags, stdio, target)
            || !point_at_arguments(self.mail.args(), &mut self.newborn.argv)
        {
            return refused(Refusal::Malformed);
        }
        self.newborn.slots_at = Birth::slots_at(flags, stdio);
        if self.mail.count != self.newborn.slots_at + (shape >> 48) as usize {
            return refused(Refusal::Descriptors);
        }
        if seq <= self.last_seq {
            return refused(Refusal::Repeat);
        }
        let mut pidfd = 0;
        if flags & Birth::JOIN != 0 {
            pidfd = find(&mut self.members, target).map_or(0, |member| member.pidfd);
            if pidfd == 0 {
                return refused(Refusal::NotFound);
            }
        }
        let Some(at) = self.members.iter().position(|member| member.seq == 0) else {
            return refused(Refusal::TableFull);
        };
        let mut pipes = [[0; 2]; 3];
        let mut answer = self.streams(flags, stdio, &mut pipes);
        let start = sys::now().nanoseconds();
        if answer >= 0 {
            answer = self.deliver(flags, &mut pidfd, buffers);
        }
        if answer >= 0 {
            self.last_seq = seq;
            self.used = self.used.max(at + 1);
            self.connection.kind = kind::BORN;
            self.connection.out[3] = answer as u64;
            self.connection.out[4] = start;
            if let Some(member) = self.members.get_mut(at) {
                *member = Member::EMPTY;
                (member.seq, member.start, member.pid, member.pidfd) = (seq, start, answer, pidfd);
            }
            self.keep(at, flags, stdio, &mut pipes);
            answer = pidfd;
        }
        for end in pipes.as_flattened_mut() {
            sys::close(end);
        }
        answer
    }

    /// Makes the pipes and says where 0, 1 and 2 come from.
    fn streams(&mut self, flags: u32, stdio: u8, pipes: &mut Pipes) -> Answer {
        let mut at = Birth::stdio_at(flags) + usize::from(stdio == Stdio::Terminal as u8);
        for (which, (source, ends)) in self.newborn.stdio.iter_mut().zip(pipes).enumerate() {
            if stdio == Stdio::Logged as u8 {
                // Without a pipe standard input is descriptor 0 of pause: /dev/null.
                if which > 0 || flags & Birth::STDIN_PIPE != 0 {
                    let made = sys::pipe(ends);
                    if made < 0 {
                        return failed(Operation::Pipe, made);
                    }
                }
                *source = if which == 0 { ends[0] } else { ends[1] };
                if which > 0 {
                    sys::fcntl(ends[0], F_SETFL, O_NONBLOCK);
                }
            } else {
                *source = self.mail.peek(at);
                at += usize::from(stdio == Stdio::Direct as u8);
            }
        }
        0
    }

    /// Clones and executes: the pid. `pidfd` is that of the member to join (0: none), and then the newborn's.
    fn deliver(&mut self, flags: u32, pidfd: &mut i32, buffers: &mut Buffers) -> Answer {
        let mut outcome = self.go_home();
        if outcome >= 0 && *pidfd != 0 {
            self.astray = true;
            outcome = sys::enter_pid_namespace(*pidfd);
        }
        if outcome < 0 {
            return failed(Operation::JoinPid, outcome);
        }
        self.newborn.failure = 0;
        let pid = self.clone_newborn(flags, pidfd, buffers);
        if self.go_home() < 0 {
            // From here nothing could be born in the right place any more.
            sys::exit(71);
        }
        if pid < 0 {
            return failed(Operation::Clone, pid);
        }
        if self.newborn.failure < 0 {
            sys::close(pidfd);
            sys::reap_this(pid as i32);
            return self.newborn.failure;
        }
        pid as i32
    }

    /// Children to come are born into pause's own pid namespace again.
    fn go_home(&mut self) -> Outcome {
        let mut outcome = 0;
        if self.astray {
            outcome = sys::enter_pid_namespace(OWN_PIDFD);
            self.astray = outcome < 0;
        }
        outcome
    }

    fn clone_newborn(&mut self, birth: u32, pidfd: &mut i32, buffers: &mut Buffers) -> Outcome {
        const VM_VFORK_PIDFD_NEWNS_CLEAR_SIGHAND: u64 = 0x100 | 0x4000 | 0x1000 | 0x0002_0000 | 0x1_0000_0000;
        const NEWPID: u64 = 0x2000_0000;
        const INTO_CGROUP: u64 = 0x2_0000_0000;
        const SIGCHLD: u64 = 17;
        const STACK: usize = 4096;
        let flag = |flag: u32, clone: u64| u64::from(birth & flag) * (clone / u64::from(flag));
        let flags =
            VM_VFORK_PIDFD_NEWNS_CLEAR_SIGHAND | flag(Birth::NEW_PID, NEWPID) | flag(Birth::INTO_CGROUP, INTO_CGROUP);
        let cgroup = self.mail.peek(self.newborn.slots_at - 1) as u64;
        // The log's buffers are free now, and their pages are given back when nothing is written for a while.
        self.buffers_used = true;
        let (low, size) = (&raw mut *buffers as u64, STACK as u64);
        let pidfd = &raw mut *pidfd as u64;
        let arguments = [flags, pidfd, 0, 0, SIGCHLD, low, size, 0, 0, 0, cgroup];
        let keeper = (&raw mut *self).cast();
        // SAFETY: the stack is memory that nobody else reads or writes until this returns, and pause is suspended until the newborn has executed or
        // exited; `run` never returns, and of what pause relies on it writes the failure alone.
        unsafe { clone_onto_stack(arguments.as_ptr(), size_of_val(&arguments), run, keeper) }
    }

    /// What pause keeps of a birth.
    fn keep(&mut self, at: usize, flags: u32, stdio: u8, pipes: &mut Pipes) {
        let Some(member) = self.members.get_mut(at) else {
            return;
        };
        member.stdin = core::mem::take(&mut pipes[0][1]);
        for (stream, pipe) in member.streams.iter_mut().zip(&mut pipes[1..]) {
            stream.fd = core::mem::take(&mut pipe[0]);
        }
        if stdio == Stdio::Terminal as u8 {
            member.terminal = true;
            let master = self.mail.take(Birth::stdio_at(flags));
            member.streams[0].fd = master;
            sys::fcntl(master, F_SETFL, sys::O_RDWR | O_NONBLOCK);
        }
        member.log.limit = self.mail.words[5];
        if flags & Birth::LOG_CURRENT != 0 {
            member.log.current = self.mail.take(3);
            member.log.size = sys::file_size(member.log.current);
        }
        if flags & Birth::LOG_NEXT != 0 {
            member.log.next = self.mail.take(4);
        }
    }
}

/// Points at the strings of the block. False: there are too many, or the last one has no end.
fn point_at_arguments(block: &[u8], argv: &mut [*const u8; ARGV_MAX + 1]) -> bool {
    let block = if block.is_empty() { b"init\0" } else { block };
    *argv = [core::ptr::null(); ARGV_MAX + 1];
    let mut next = 0;
    let mut ended = true;
    for byte in block {
        if ended {
            match argv.get_mut(next) {
                Some(place) if next < ARGV_MAX => *place = byte,
                _ => return false,
            }
            next += 1;
        }
        ended = *byte == 0;
    }
    ended
}

/// The newborn's whole life as pause's child.
extern "C" fn run(keeper: *mut u8) -> ! {
    // SAFETY: `clone_newborn` passes the keeper, which nobody touches while this runs: pause is suspended.
    let keeper = unsafe { &mut *keeper.cast::<Keeper>() };
    let mut executable = 0;
    let placed = place_all(keeper, &mut executable);
    keeper.newborn.failure = if placed < 0 {
        failed(Operation::Place, placed)
    } else {
        failed(Operation::Execute, execute(keeper, executable))
    };
    sys::exit(127)
}

/// First everything goes up above the numbers to be filled, then each to its place.
fn place_all(keeper: &Keeper, executable: &mut i32) -> Outcome {
    let Keeper { mail, newborn, .. } = keeper;
    let above = FIXED + mail.count - newborn.slots_at;
    let mut lifted = [0; FIXED + DESCRIPTORS_MAX];
    *executable = sys::fcntl(mail.peek(0), F_DUPFD_CLOEXEC, above) as i32;
    let mut worst = *executable as Outcome;
    for (at, place) in lifted.iter_mut().enumerate().take(above) {
        let fd = match at {
            0..3 => newborn.stdio.get(at).copied().unwrap_or(0),
            3..FIXED => mail.peek(at - 2),
            _ => mail.peek(newborn.slots_at + at - FIXED),
        };
        *place = sys::fcntl(fd, F_DUPFD_CLOEXEC, above) as i32;
        worst = worst.min(*place as Outcome);
    }
    for (at, fd) in lifted.iter().enumerate().take(above) {
        worst = worst.min(sys::place(*fd, at as i32));
    }
    worst.min(sys::close_from(above as i32, true))
}

/// Returns only when it failed.
fn execute(keeper: &Keeper, executable: i32) -> Outcome {
    const RLIMIT_NOFILE: usize = 7;
    let none = [0u64];
    let limit = keeper.descriptor_limit.as_ptr() as usize;
    let argv = keeper.newborn.argv.as_ptr() as usize;
    let zero = none.as_ptr() as usize;
    // SAFETY: an rlimit64 and an 8-byte signal set are read; path, argv and envp are terminated as execveat wants it
    // (eight zero bytes are the empty path, the empty signal set and the empty environment).
    unsafe {
        sys::call6(nr::PRLIMIT64, [0, RLIMIT_NOFILE, limit, 0, 0, 0]);
        sys::call6(nr::RT_SIGPROCMASK, [2, zero, 0, 8, 0, 0]);
        sys::call6(nr::EXECVEAT, [executable as usize, zero, argv, zero, AT_EMPTY_PATH, 0])
    }
}
