//! The system calls that pause makes, each as a function that is safe to call.
//!
//! Descriptors are plain numbers, and 0 stands for "none": 0, 1 and 2 are `/dev/null` for as long as pause lives, so
//! no descriptor that it keeps is ever 0, and a table of zeros is an empty table. Nothing here decides anything.

use crate::arch::{nr, syscall};
use crate::packet::Packet;
use crate::protocol::{ARGS_MAX, DESCRIPTORS_MAX, MESSAGE_MAX, SIZE};

/// What a system call returned: an errno when negative. (The one that returns more is `file_size`.)
pub type Outcome = i32;

pub const EINTR: Outcome = -4;
pub const ECHILD: Outcome = -10;
pub const EAGAIN: Outcome = -11;
pub const EINVAL: Outcome = -22;
pub const EPIPE: Outcome = -32;
pub const ECONNRESET: Outcome = -104;

pub const O_RDWR: usize = 2;
pub const O_NONBLOCK: usize = 0o4000;
pub const O_CLOEXEC: usize = 0o2000000;
pub const F_SETFL: usize = 4;
pub const F_GETPIPE_SZ: usize = 1032;
pub const POLLIN: i16 = 1;
pub const POLLOUT: i16 = 4;
pub const POLLHUP: i16 = 16;
pub const AT_EMPTY_PATH: usize = 0x1000;
pub const AT_FDCWD: usize = -100isize as usize;

/// pollfd
#[derive(Clone, Copy)]
#[repr(C)]
pub struct PollFd {
    pub fd: i32,
    pub events: i16,
    pub revents: i16,
}

impl PollFd {
    /// Waits for `events`; for nothing at all, when there is no descriptor.
    #[inline(always)]
    pub fn wait(&mut self, fd: i32, events: i16) {
        self.fd = if fd == 0 { -1 } else { fd };
        self.events = events;
    }
}

/// timespec
#[repr(C)]
struct Time {
    seconds: u64,
    nanos: u64,
}

/// A descriptor as an argument; the kernel looks at the lower half only.
#[inline(always)]
fn number(fd: i32) -> usize {
    fd as u32 as usize
}

/// A system call.
///
/// # Safety
/// As the system call named by `number`: every pointer among the arguments must be valid for it.
#[inline(always)]
pub unsafe fn call<const N: usize>(number: usize, arguments: [usize; N]) -> Outcome {
    // SAFETY: passed on to the caller.
    unsafe { syscall(number, arguments) as Outcome }
}

pub fn exit(status: i32) -> ! {
    loop {
        // SAFETY: no pointers; it does not return.
        unsafe { call(nr::EXIT_GROUP, [status as usize]) };
    }
}

/// Closes and forgets; nothing happens for 0 (none).
#[inline(never)]
pub fn close(fd: &mut i32) {
    if *fd > 2 {
        // SAFETY: no pointers. The number is forgotten at once, so nothing closes it twice.
        unsafe { call(nr::CLOSE, [number(*fd)]) };
    }
    *fd = 0;
}

pub fn read(fd: i32, buffer: &mut [u8]) -> Outcome {
    // SAFETY: the buffer is valid for writes of its length.
    unsafe { call(nr::READ, [number(fd), buffer.as_mut_ptr() as usize, buffer.len()]) }
}

/// Takes one signal off a signalfd; not positive: there is none.
pub fn take_signal(fd: i32) -> Outcome {
    let mut info = core::mem::MaybeUninit::<[u8; 128]>::uninit();
    // SAFETY: one signalfd_siginfo is 128 bytes; nobody reads it.
    unsafe { call(nr::READ, [number(fd), info.as_mut_ptr() as usize, 128]) }
}

pub fn write(fd: i32, bytes: &[u8]) -> Outcome {
    // SAFETY: the bytes are valid for reads of their length.
    unsafe { call(nr::WRITE, [number(fd), bytes.as_ptr() as usize, bytes.len()]) }
}

pub fn fcntl(fd: i32, command: usize, argument: usize) -> Outcome {
    // SAFETY: only commands with a number as argument are used.
    unsafe { call(nr::FCNTL, [number(fd), command, argument]) }
}

/// Places a copy, without close-on-exec, at the number `to`.
pub fn place(fd: i32, to: i32) -> Outcome {
    // SAFETY: no pointers.
    unsafe { call(nr::DUP3, [number(fd), number(to), 0]) }
}

/// Marks everything from `first` on close-on-exec.
pub fn close_on_exec_from(first: i32) -> Outcome {
    const CLOSE_RANGE_CLOEXEC: usize = 4;
    // SAFETY: no pointers.
    unsafe { call(nr::CLOSE_RANGE, [number(first), u32::MAX as usize, CLOSE_RANGE_CLOEXEC]) }
}

/// A pipe: (read end, write end), both close-on-exec and blocking.
pub fn pipe(ends: &mut [i32; 2]) -> Outcome {
    // SAFETY: two descriptors are written.
    unsafe { call(nr::PIPE2, [ends.as_mut_ptr() as usize, O_CLOEXEC]) }
}

/// Bytes of the file, which becomes its position too.
#[inline(never)]
pub fn file_size(fd: i32) -> u64 {
    // SAFETY: no pointers; 2 is SEEK_END.
    unsafe { syscall(nr::LSEEK, [number(fd), 0, 2]) }.max(0) as u64
}

pub fn truncate(fd: i32, size: u64) -> Outcome {
    // SAFETY: no pointers.
    unsafe { call(nr::FTRUNCATE, [number(fd), size as usize]) }
}

/// Now: nanoseconds since 1970.
#[inline(never)]
pub fn now() -> u64 {
    let mut time = Time { seconds: 0, nanos: 0 };
    // SAFETY: one timespec is written; CLOCK_REALTIME (0) always exists.
    unsafe { call(nr::CLOCK_GETTIME, [0, &raw mut time as usize]) };
    time.seconds * 1_000_000_000 + time.nanos
}

/// Waits until one of `fds` is ready; `nanos` < 0: for ever.
pub fn poll(fds: &mut [PollFd], nanos: i32) -> Outcome {
    let time = Time { seconds: 0, nanos: nanos as u32 as u64 };
    let mut timeout = &raw const time as usize;
    if nanos < 0 {
        timeout = 0;
    }
    let (at, count) = (fds.as_mut_ptr() as usize, fds.len());
    // SAFETY: the array is valid for its length; the timespec lives until the call returns.
    unsafe { call(nr::PPOLL, [at, count, timeout, 0]) }
}

/// The events of one descriptor that are true right now.
pub fn poll_now(fd: i32, events: i16) -> i16 {
    let mut one = [PollFd { fd, events, revents: 0 }];
    let _ = poll(&mut one, 0);
    one[0].revents
}

/// Reaps one child: its pid (not positive: none has ended), and its wait status behind the reference.
pub fn reap(status: &mut i32) -> i32 {
    const WNOHANG_WALL: usize = 1 | 0x4000_0000;
    // SAFETY: one int is written.
    unsafe { call(nr::WAIT4, [usize::MAX, &raw mut *status as usize, WNOHANG_WALL, 0]) }
}

/// Waits for this one child, whose status nobody wants.
pub fn reap_this(pid: i32) {
    // SAFETY: no pointers.
    while unsafe { call(nr::WAIT4, [number(pid), 0, 0x4000_0000, 0]) } == EINTR {}
}

/// A new connection; negative: none.
pub fn accept(listener: i32) -> i32 {
    // SAFETY: no address is asked for.
    unsafe { call(nr::ACCEPT4, [number(listener), 0, 0, O_CLOEXEC]) }
}

/// Enters the pid namespace (`CLONE_NEWPID`) of the process behind the pidfd, for children to come.
#[inline(never)]
pub fn enter_pid_namespace(pidfd: i32) -> Outcome {
    // SAFETY: no pointers.
    unsafe { call(nr::SETNS, [number(pidfd), 0x2000_0000]) }
}

/// iovec
#[repr(C)]
struct Slice(usize, usize);

/// msghdr
#[repr(C)]
struct MessageHeader {
    name: usize,
    name_len: usize,
    slices: usize,
    slices_len: usize,
    control: usize,
    control_len: usize,
    flags: usize,
}

/// sendmsg or recvmsg of one buffer and its control data: the outcome, and the flags of what was received.
///
/// # Safety
/// `buffer` and `control` (addresses and lengths) must be valid for what the call does with them.
#[inline(never)]
unsafe fn pass(call_number: usize, socket: i32, buffer: (usize, usize), control: (usize, usize)) -> (Outcome, u32) {
    let slice = Slice(buffer.0, buffer.1);
    let mut header = MessageHeader {
        name: 0,
        name_len: 0,
        slices: &raw const slice as usize,
        slices_len: 1,
        control: control.0,
        control_len: control.1,
        flags: 0,
    };
    let flags = MSG_DONTWAIT | MSG_NOSIGNAL | MSG_CMSG_CLOEXEC;
    let header_at = &raw mut header as usize;
    // SAFETY: header and slice live until the call returns; the rest is the caller's promise. Each call ignores the
    // flag that is meant for the other one.
    let outcome = unsafe { call(call_number, [number(socket), header_at, flags]) };
    (outcome, header.flags as u32)
}

/// One cmsghdr of `SCM_RIGHTS` with room for `N` descriptors.
#[repr(C, align(8))]
struct Rights<const N: usize> {
    len: usize,
    level: i32,
    kind: i32,
    fds: [i32; N],
}

const SOL_SOCKET: i32 = 1;
const SCM_RIGHTS: i32 = 1;
const MSG_DONTWAIT: usize = 0x40;
const MSG_NOSIGNAL: usize = 0x4000;
const MSG_CMSG_CLOEXEC: usize = 0x4000_0000;
const MSG_TRUNC_OR_CTRUNC: u32 = 0x20 | 8;
/// Bytes of a cmsghdr before its data.
const RIGHTS_HEAD: usize = 16;

/// Places for descriptors: as many as a byte can number, so that none is out of range. More than DESCRIPTORS_MAX are
/// never received.
const PLACES: usize = 256;

/// The last message received, with its descriptors.
#[repr(C)]
pub struct Mail {
    /// Bytes of the message.
    pub len: usize,
    /// Descriptors that came with it.
    pub count: usize,
    /// Part of it did not fit.
    pub truncated: bool,
    /// The message's fixed part, and what follows it.
    pub packet: Packet,
    args: [u8; ARGS_MAX],
    rights: Rights<PLACES>,
}

const _: () = assert!(SIZE + ARGS_MAX == MESSAGE_MAX);

impl Mail {
    /// Receives one message without blocking.
    #[inline(never)]
    pub fn receive(&mut self, socket: i32) -> Outcome {
        let buffer = (&raw mut self.packet as usize, MESSAGE_MAX);
        let control = (&raw mut self.rights as usize, RIGHTS_HEAD + 4 * DESCRIPTORS_MAX);
        self.rights.kind = 0;
        // SAFETY: both are memory of this structure, at least as long as they say: `args` lies behind the packet.
        let (len, flags) = unsafe { pass(nr::RECVMSG, socket, buffer, control) };
        self.len = len as usize;
        self.truncated = flags & MSG_TRUNC_OR_CTRUNC != 0;
        self.count = 0;
        if self.rights.kind == SCM_RIGHTS {
            self.count = (self.rights.len - RIGHTS_HEAD) / 4;
        }
        len
    }

    /// The argument block of a message of full length.
    pub fn args(&self) -> &[u8] {
        // SAFETY: the array is plain bytes; the length is what the kernel wrote there, at most MESSAGE_MAX.
        unsafe { core::slice::from_raw_parts(self.args.as_ptr(), self.len.saturating_sub(SIZE)) }
    }

    /// Looks at a descriptor; 0 when there is none.
    pub fn peek(&self, at: usize) -> i32 {
        self.rights.fds[usize::from(at as u8)]
    }

    /// Takes a descriptor out: it is the caller's now.
    pub fn take(&mut self, at: usize) -> i32 {
        core::mem::take(&mut self.rights.fds[usize::from(at as u8)])
    }

    /// Closes every descriptor that was not taken out.
    pub fn close_all(&mut self) {
        // Those that did not come are 0.
        for fd in &mut self.rights.fds {
            close(fd);
        }
    }
}

/// Sends one message without blocking, with a descriptor unless `fd` is 0.
pub fn send(socket: i32, packet: &Packet, fd: i32) -> Outcome {
    let rights = Rights { len: RIGHTS_HEAD + 4, level: SOL_SOCKET, kind: SCM_RIGHTS, fds: [fd] };
    let control_len = if fd > 0 { size_of_val(&rights) } else { 0 };
    let control = (&raw const rights as usize, control_len);
    // SAFETY: both live until the call returns and are as long as they say; nothing is written.
    unsafe { pass(nr::SENDMSG, socket, (&raw const *packet as usize, SIZE), control) }.0
}
