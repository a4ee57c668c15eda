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
use crate::sys::{self, AT_EMPTY_PATH, F_DUPFD_CLOEXEC, F_SETFL, Mail, O_NONBLOCK, Outcome};
use crate::table::{Member, due};

/// Descriptors 0 to 4 of a newborn: stdio, plan, report.
const FIXED: usize = 5;

/// What the newborn needs to know beside the message, in memory that both see.
#[repr(C)]
pub struct Newborn {
    /// Where its first descriptors come from.
    fixed: [i32; FIXED],
    /// The newborn's own pidfd, written by the kernel.
    pidfd: i32,
    /// What failed; written by the newborn.
    failure: Answer,
    /// Position of the first slot in the message.
    slots_at: usize,
    argv: [*const u8; ARGV_MAX + 1],
}

impl Keeper {
    /// Gives birth to what the message asks for. The descriptors that pause keeps are taken out of it.
    #[inline(never)]
    pub fn birth(&mut self, seq: u64, buffers: &mut Buffers) -> Answer {
        let [shape, target, _, length, _] = self.mail.packet.body;
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
        let mut target_pidfd = 0;
        if flags & Birth::JOIN != 0 {
            if let Some(at) = find(&self.members, target) {
                target_pidfd = self.members[usize::from(at)].pidfd;
            }
            if target_pidfd == 0 {
                return refused(Refusal::NotFound);
            }
        }
        let Some(at) = find(&self.members, 0) else {
            return refused(Refusal::TableFull);
        };
        let place = usize::from(at);
        let mut member = &mut self.members[place];
        *member = Member::EMPTY;
        self.newborn.fixed = [0, 0, 0, self.mail.peek(1), self.mail.peek(2)];
        let mut answer = streams(member, &mut self.newborn, &self.mail, flags, stdio);
        member.start = sys::now();
        if answer >= 0 {
            answer = self.deliver(flags, target_pidfd, buffers);
        }
        member = &mut self.members[place];
        if stdio == Stdio::Logged as u8 {
            // The newborn's ends of the pipes. Otherwise these are the message's.
            for end in &mut self.newborn.fixed[..3] {
                sys::close(end);
            }
        }
        if answer < 0 {
            sys::close(&mut member.stdin);
            for stream in &mut member.streams {
                sys::close(&mut stream.fd);
            }
            return answer;
        }
        keep(member, &mut self.mail, flags, stdio);
        member.seq = seq;
        member.pid = answer;
        member.pidfd = self.newborn.pidfd;
        self.last_seq = seq;
        self.last = self.last.max(at);
        self.connection.out.kind = kind::BORN;
        self.connection.out.body[0] = answer as u64;
        self.connection.out.body[1] = member.start;
        member.pidfd
    }

    /// Clones and executes: the pid. `target` is the pidfd of the member to join (0: none).
    #[inline(never)]
    fn deliver(&mut self, flags: u32, target: i32, buffers: &mut Buffers) -> Answer {
        let mut outcome = self.go_home();
        if outcome >= 0 && target != 0 {
            self.astray = true;
            outcome = sys::enter_pid_namespace(target);
        }
        if outcome < 0 {
            return failed(Operation::JoinPid, outcome);
        }
        self.newborn.failure = 0;
        let pid = self.clone_newborn(flags, buffers);
        if self.go_home() < 0 {
            // From here nothing could be born in the right place any more.
            sys::exit(71);
        }
        if pid < 0 {
            return failed(Operation::Clone, pid);
        }
        if self.newborn.failure < 0 {
            sys::close(&mut self.newborn.pidfd);
            sys::reap_this(pid);
            return self.newborn.failure;
        }
        pid
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

    #[inline(never)]
    fn clone_newborn(&mut self, birth: u32, buffers: &mut Buffers) -> Outcome {
        const VM_VFORK_PIDFD_NEWNS_CLEAR_SIGHAND: u64 = 0x100 | 0x4000 | 0x1000 | 0x0002_0000 | 0x1_0000_0000;
        const SIGCHLD: u64 = 17;
        const STACK: usize = 16 * 1024;
        let flags = VM_VFORK_PIDFD_NEWNS_CLEAR_SIGHAND | u64::from(birth & Birth::CLONE) << Birth::CLONE_SHIFT;
        let cgroup = self.mail.peek(self.newborn.slots_at - 1) as u64;
        // The log's buffers are free now, and their pages are given back when nothing is written for a while.
        self.buffers_used = true;
        let (low, size) = (&raw mut *buffers as u64, STACK as u64);
        let pidfd = &raw mut self.newborn.pidfd as u64;
        let arguments = [flags, pidfd, 0, 0, SIGCHLD, low, size, 0, 0, 0, cgroup];
        let keeper = (&raw mut *self).cast();
        // SAFETY: the stack is memory that nobody else reads or writes until this returns, and pause is suspended until
        // the newborn has executed or exited; `run` never returns, and of what pause relies on it writes the failure
        // alone.
        unsafe { clone_onto_stack(arguments.as_ptr(), size_of_val(&arguments), run, keeper) as Outcome }
    }
}

/// Makes the pipes and says where 0, 1 and 2 come from. What it made before it failed lies in `member` and `newborn`.
#[inline(never)]
fn streams(member: &mut Member, newborn: &mut Newborn, mail: &Mail, flags: u32, stdio: u8) -> Answer {
    let [input, outputs @ .., _, _] = &mut newborn.fixed;
    if stdio != Stdio::Logged as u8 {
        let mut at = Birth::stdio_at(flags);
        let direct = usize::from(stdio == Stdio::Direct as u8);
        at += 1 - direct;
        *input = mail.peek(at);
        for output in outputs {
            at += direct;
            *output = mail.peek(at);
        }
        return 0;
    }
    let mut ends = [0; 2];
    // Without a pipe standard input is descriptor 0 of pause: /dev/null.
    if flags & Birth::STDIN_PIPE != 0 {
        let made = sys::pipe(&mut ends);
        if made < 0 {
            return failed(Operation::Pipe, made);
        }
        [*input, member.stdin] = ends;
    }
    for (stream, output) in member.streams.iter_mut().zip(outputs) {
        let made = sys::pipe(&mut ends);
        if made < 0 {
            return failed(Operation::Pipe, made);
        }
        [stream.fd, *output] = ends;
        sys::fcntl(stream.fd, F_SETFL, O_NONBLOCK);
    }
    0
}

/// What pause keeps of a birth's descriptors.
#[inline(never)]
fn keep(member: &mut Member, mail: &mut Mail, flags: u32, stdio: u8) {
    if stdio == Stdio::Terminal as u8 {
        member.streams[0].terminal = true;
        let master = mail.take(Birth::stdio_at(flags));
        member.streams[0].fd = master;
        sys::fcntl(master, F_SETFL, sys::O_RDWR | O_NONBLOCK);
    }
    member.log.due = due::EXIT;
    member.log.limit = mail.packet.body[2];
    if flags & Birth::LOG_CURRENT != 0 {
        member.log.current = mail.take(3);
        member.log.size = sys::file_size(member.log.current);
    }
    if flags & Birth::LOG_NEXT != 0 {
        member.log.next = mail.take(4);
    }
}

/// Points at the strings of the block. False: there are too many, or the last one has no end.
#[inline(never)]
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
#[inline(never)]
fn place_all(keeper: &Keeper, executable: &mut i32) -> Outcome {
    let Keeper { mail, newborn, .. } = keeper;
    let above = FIXED + mail.count - newborn.slots_at;
    let mut lifted = [0; FIXED + DESCRIPTORS_MAX];
    let lifted = lifted.get_mut(..above).unwrap_or(&mut []);
    *executable = sys::fcntl(mail.peek(0), F_DUPFD_CLOEXEC, above);
    let mut worst = *executable;
    for (at, place) in lifted.iter_mut().enumerate() {
        let fixed = newborn.fixed.get(at).copied();
        let fd = fixed.unwrap_or_else(|| mail.peek(newborn.slots_at + at - FIXED));
        *place = sys::fcntl(fd, F_DUPFD_CLOEXEC, above);
        worst = worst.min(*place);
    }
    for (at, fd) in lifted.iter().enumerate() {
        worst = worst.min(sys::place(*fd, at as i32));
    }
    worst.min(sys::close_on_exec_from(above as i32))
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
        sys::call(nr::PRLIMIT64, [0, RLIMIT_NOFILE, limit, 0]);
        sys::call(nr::RT_SIGPROCMASK, [2, zero, 0, 8]);
        sys::call(nr::EXECVEAT, [executable as usize, zero, argv, zero, AT_EMPTY_PATH])
    }
}
