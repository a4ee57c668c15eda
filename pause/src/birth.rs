//! A birth: descriptors into place, clone into the namespaces, execute.
//!
//! The newborn shares pause's memory and suspends it (`CLONE_VM|CLONE_VFORK`) until it has executed: half the time of a
//! fork, and its errno is simply read. It runs on a stack of its own, makes system calls only, and writes nothing but
//! that stack and the failure. It has a copy of the descriptor table, so what it moves there moves nowhere else; and as
//! pause keeps every number below `FIRST_FREE` in use, what it moves never lies where something else is to be put.

use crate::answer::{Answer, failed, refused};
use crate::arch::{clone_onto_stack, nr};
use crate::keeper::{Keeper, find};
use crate::log::Buffers;
use crate::packet::Packet;
use crate::protocol::{ARGV_MAX, Birth, DESCRIPTORS_MAX, Operation, Refusal, SIZE, Stdio, kind};
use crate::sandbox::OWN_PIDFD;
use crate::sys::{self, AT_EMPTY_PATH, F_SETFL, Mail, O_NONBLOCK, Outcome};
use crate::table::{Member, due};

/// Descriptors 0 to 4 of a newborn: stdio, plan, report.
const FIXED: usize = 5;
/// No descriptor of pause's that a newborn may get has a number below this.
pub const FIRST_FREE: usize = FIXED + DESCRIPTORS_MAX;
/// Where the descriptors stand in the message that are always there.
const EXECUTABLE: usize = 0;
const PLAN: usize = 1;
const REPORT: usize = 2;
/// Where those begin that depend on the flags: the log first, then the next one.
const OPTIONAL: usize = 3;

/// What the newborn needs to know, in memory that both see.
#[repr(C)]
pub struct Newborn {
    /// The newborn's own pidfd, written by the kernel.
    pidfd: i32,
    /// What failed; written by the newborn.
    failure: Answer,
    executable: i32,
    cgroup: i32,
    /// How many of `sources` there are.
    count: usize,
    /// Soft and hard limit of open files, as pause found them and newborns get them back.
    pub descriptor_limit: [u64; 2],
    argv: [*const u8; ARGV_MAX + 1],
    /// What is to be its descriptor 0, 1, …
    sources: [i32; SOURCES],
}

/// As many as a byte can number, so that none is out of range.
const SOURCES: usize = 256;

const _: () = assert!(FIRST_FREE <= SOURCES);

impl Keeper {
    /// Gives birth to what the message asks for. The descriptors that pause keeps are taken out of it.
    #[inline(never)]
    pub fn birth(&mut self, buffers: &mut Buffers) -> Answer {
        let Packet { subject: seq, body: [shape, target, _, length, _], .. } = self.mail.packet;
        let (flags, stdio) = (shape as u32, (shape >> 32) as u8);
        if length as u16 as usize != self.mail.len - SIZE
            || !Birth::is_shape(flags, stdio, target)
            || !point_at_arguments(self.mail.args(), &mut self.newborn.argv)
        {
            return refused(Refusal::Malformed);
        }
        if seq <= self.last_seq {
            return refused(Refusal::Repeat);
        }
        let mut joined = 0;
        if flags & Birth::JOIN != 0 {
            if let Some(member) = find(&mut self.members, target) {
                joined = member.pidfd;
            }
            if joined == 0 {
                return refused(Refusal::NotFound);
            }
        }
        let Some(member) = find(&mut self.members, 0) else {
            return refused(Refusal::TableFull);
        };
        member.clear();
        let mut answer = self.newborn.equip(member, &mut self.mail);
        if answer >= 0 {
            // The log's buffers are free now, and their pages are given back when nothing is written for a while.
            self.buffers_used = true;
            answer = self.newborn.deliver(flags, joined, buffers);
        }
        if stdio == Stdio::Logged as u8 {
            self.newborn.close_ends();
        }
        if answer < 0 {
            member.let_go();
            return answer;
        }
        member.seq = seq;
        member.pid = answer;
        member.pidfd = self.newborn.pidfd;
        self.last_seq = seq;
        // The slot is at most one behind the last; if it is none, the turn's end finds out.
        self.last = self.last.saturating_add(1);
        let out = &mut self.connection.out;
        out.kind = kind::BORN;
        out.body[0] = answer as u64;
        out.body[1] = member.start;
        member.pidfd
    }
}

impl Newborn {
    /// Takes what pause keeps out of the message, and notes where the newborn's descriptors come from. What was made
    /// before it failed lies in `member` and among the sources.
    #[inline(never)]
    fn equip(&mut self, member: &mut Member, mail: &mut Mail) -> Answer {
        let [shape, _, limit, ..] = mail.packet.body;
        let (flags, stdio, slots) = (shape as u32, (shape >> 32) as u8, (shape >> 48) as usize);
        let mut at = OPTIONAL;
        member.start = sys::now();
        member.log.due = due::EXIT;
        member.log.limit = limit;
        if flags & Birth::LOG_CURRENT != 0 {
            member.log.current = mail.take(at);
            member.log.size = sys::file_size(member.log.current);
            at += 1;
        }
        if flags & Birth::LOG_NEXT != 0 {
            member.log.next = mail.take(at);
            at += 1;
        }
        if stdio == Stdio::Terminal as u8 {
            let master = mail.take(at);
            at += 1;
            sys::fcntl(master, F_SETFL, sys::O_RDWR | O_NONBLOCK);
            member.streams[0].fd = master;
            member.streams[0].terminal = true;
        }
        let [stdio_sources @ .., plan, report] = self.fixed();
        (*plan, *report) = (mail.peek(PLAN), mail.peek(REPORT));
        // Without a pipe standard input is descriptor 0 of pause: /dev/null.
        *stdio_sources = [0; 3];
        if stdio != Stdio::Logged as u8 {
            for source in stdio_sources {
                *source = mail.peek(at);
                at += usize::from(stdio == Stdio::Direct as u8);
            }
            at += usize::from(stdio == Stdio::Terminal as u8);
        }
        self.executable = mail.peek(EXECUTABLE);
        self.cgroup = mail.peek(at);
        if flags & Birth::INTO_CGROUP != 0 {
            at += 1;
        }
        if mail.count != at + slots {
            return refused(Refusal::Descriptors);
        }
        self.count = FIXED;
        while at != mail.count {
            self.sources[usize::from(self.count as u8)] = mail.peek(at);
            self.count += 1;
            at += 1;
        }
        if stdio == Stdio::Logged as u8 { self.pipes(member, flags) } else { 0 }
    }

    fn fixed(&mut self) -> &mut [i32; FIXED] {
        let Some(fixed) = self.sources.first_chunk_mut() else { unreachable!() };
        fixed
    }

    /// Standard streams that are pipes: one end for the newborn, one for pause.
    fn pipes(&mut self, member: &mut Member, flags: u32) -> Answer {
        let [input, outputs @ .., _, _] = self.fixed();
        let mut ends = [0; 2];
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

    /// Closes the newborn's ends of the pipes.
    fn close_ends(&mut self) {
        for end in &mut self.fixed()[..3] {
            sys::close(end);
        }
    }

    /// Clones and executes: the pid. `joined` is the pidfd of the member to join (0: none).
    #[inline(never)]
    fn deliver(&mut self, flags: u32, joined: i32, buffers: &mut Buffers) -> Answer {
        if joined != 0 {
            let entered = sys::enter_pid_namespace(joined);
            if entered < 0 {
                return failed(Operation::JoinPid, entered);
            }
        }
        self.failure = 0;
        let pid = self.clone(flags, buffers);
        if joined != 0 && sys::enter_pid_namespace(OWN_PIDFD) < 0 {
            // From here nothing could be born in the right place any more.
            sys::exit(71);
        }
        if pid < 0 {
            return failed(Operation::Clone, pid);
        }
        if self.failure < 0 {
            sys::close(&mut self.pidfd);
            sys::reap_this(pid);
            return self.failure;
        }
        pid
    }

    fn clone(&mut self, birth: u32, buffers: &mut Buffers) -> Outcome {
        const VM_VFORK_PIDFD_NEWNS_CLEAR_SIGHAND: u64 = 0x100 | 0x4000 | 0x1000 | 0x0002_0000 | 0x1_0000_0000;
        const SIGCHLD: u64 = 17;
        const STACK: usize = 16 * 1024;
        let flags = VM_VFORK_PIDFD_NEWNS_CLEAR_SIGHAND | u64::from(birth & Birth::CLONE) << Birth::CLONE_SHIFT;
        let (low, size) = (&raw mut *buffers as u64, STACK as u64);
        let pidfd = &raw mut self.pidfd as u64;
        let arguments = [flags, pidfd, 0, 0, SIGCHLD, low, size, 0, 0, 0, self.cgroup as u64];
        let newborn = (&raw mut *self).cast();
        // SAFETY: the stack is memory that nobody else reads or writes until this returns, and pause is suspended until
        // the newborn has executed or exited; `run` never returns, and of what pause relies on it writes the failure
        // alone.
        unsafe { clone_onto_stack(arguments.as_ptr(), size_of_val(&arguments), run, newborn) as Outcome }
    }

    /// Puts every descriptor where it belongs, and shuts the others off from what is executed.
    #[inline(never)]
    fn place_all(&self) -> Outcome {
        let mut worst = 0;
        for to in 0..self.count {
            let from = self.sources[usize::from(to as u8)];
            // Only 0 may be where it belongs.
            if from != to as i32 {
                worst = worst.min(sys::place(from, to as i32));
            }
        }
        worst.min(sys::close_on_exec_from(self.count as i32))
    }

    /// Returns only when it failed.
    fn execute(&self) -> Outcome {
        const RLIMIT_NOFILE: usize = 7;
        let none = [0u64];
        let limit = self.descriptor_limit.as_ptr() as usize;
        let argv = self.argv.as_ptr() as usize;
        let zero = none.as_ptr() as usize;
        // SAFETY: an rlimit64 and an 8-byte signal set are read; path, argv and envp are terminated as execveat wants
        // it (eight zero bytes are the empty path, the empty signal set and the empty environment).
        unsafe {
            sys::call(nr::PRLIMIT64, [0, RLIMIT_NOFILE, limit, 0]);
            sys::call(nr::RT_SIGPROCMASK, [2, zero, 0, 8]);
            sys::call(nr::EXECVEAT, [self.executable as usize, zero, argv, zero, AT_EMPTY_PATH])
        }
    }
}

/// Points at the strings of the block, and ends with a null. False: there are too many, or the last one has no end.
#[inline(never)]
fn point_at_arguments(block: &[u8], argv: &mut [*const u8; ARGV_MAX + 1]) -> bool {
    let block = if block.is_empty() { b"init\0" } else { block };
    let mut next = 0;
    let mut ended = true;
    for byte in block {
        if ended {
            let Some([place, end]) = argv.get_mut(next..next + 2) else {
                return false;
            };
            (*place, *end) = (byte, core::ptr::null());
            next += 1;
        }
        ended = *byte == 0;
    }
    ended
}

/// The newborn's whole life as pause's child.
extern "C" fn run(newborn: *mut u8) -> ! {
    // SAFETY: `clone` passes the newborn, which nobody touches while this runs: pause is suspended.
    let newborn = unsafe { &mut *newborn.cast::<Newborn>() };
    let placed = newborn.place_all();
    newborn.failure =
        if placed < 0 { failed(Operation::Place, placed) } else { failed(Operation::Execute, newborn.execute()) };
    sys::exit(127)
}
