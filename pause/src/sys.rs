//! The system calls that pause makes, each as a function that is safe to call.
//!
//! Descriptors are plain numbers, and 0 stands for "none": 0, 1 and 2 are `/dev/null` for as long as pause lives, so
//! no descriptor that it keeps is ever 0, and a table of zeros is an empty table. Nothing here decides anything.

use crate::arch::{nr, syscall, syscall3};
use crate::protocol::{DESCRIPTORS_MAX, MESSAGE_MAX};

/// What a system call returned: an errno when negative.
pub type Outcome = isize;

pub const EINTR: Outcome = -4;
pub const EAGAIN: Outcome = -11;
pub const EINVAL: Outcome = -22;
pub const EPIPE: Outcome = -32;
pub const ECONNRESET: Outcome = -104;

pub const O_RDWR: usize = 2;
pub const O_NONBLOCK: usize = 0o4000;
pub const O_CLOEXEC: usize = 0o2000000;
pub const F_DUPFD_CLOEXEC: usize = 1030;
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

/// timespec
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct Time {
    pub seconds: i64,
    pub nanos: i64,
}

impl Time {
    /// Nanoseconds since 1970.
    pub fn nanoseconds(&self) -> u64 {
        self.seconds as u64 * 1_000_000_000 + self.nanos as u64
    }
}

/// A system call of up to three arguments.
///
/// # Safety
/// As the system call named by `number`: every pointer among the arguments must be valid for it.
#[inline(always)]
pub unsafe fn call(number: usize, a: usize, b: usize, c: usize) -> Outcome {
    // SAFETY: passed on to the caller.
    unsafe { syscall3(number, a, b, c) }
}

/// As `call`, with six arguments.
///
/// # Safety
/// As `call`.
#[inline(always)]
pub unsafe fn call6(number: usize, a: [usize; 6]) -> Outcome {
    // SAFETY: passed on to the caller.
    unsafe { syscall(number, a) }
}

pub fn exit(status: i32) -> ! {
    loop {
        // SAFETY: no pointers; it does not return.
        unsafe { syscall3(nr::EXIT_GROUP, status as usize, 0, 0) };
    }
}

/// Closes and forgets; nothing happens for 0 (none).
pub fn close(fd: &mut i32) {
    if *fd > 2 {
        // SAFETY: no pointers. The number is forgotten at once, so nothing closes it twice.
        unsafe { syscall3(nr::CLOSE, *fd as usize, 0, 0) };
    }
    *fd = 0;
}

pub fn read(fd: i32, buffer: &mut [u8]) -> Outcome {
    // SAFETY: the buffer is valid for writes of its length.
    unsafe { call(nr::READ, fd as usize, buffer.as_mut_ptr() as usize, buffer.len()) }
}

/// Takes one signal off a signalfd; not positive: there is none.
pub fn take_signal(fd: i32) -> Outcome {
    let mut info = core::mem::MaybeUninit::<[u8; 128]>::uninit();
    // SAFETY: one signalfd_siginfo is 128 bytes; nobody reads it.
    unsafe { call(nr::READ, fd as usize, info.as_mut_ptr() as usize, 128) }
}

pub fn write(fd: i32, bytes: &[u8]) -> Outcome {
    // SAFETY: the bytes are valid for reads of their length.
    unsafe { call(nr::WRITE, fd as usize, bytes.as_ptr() as usize, bytes.len()) }
}

pub fn fcntl(fd: i32, command: usize, argument: usize) -> Outcome {
    // SAFETY: only commands with a number as argument are used.
    unsafe { call(nr::FCNTL, fd as usize, command, argument) }
}

/// Places a copy, without close-on-exec, at the number `to`.
pub fn place(fd: i32, to: i32) -> Outcome {
    // SAFETY: no pointers.
    unsafe { call(nr::DUP3, fd as usize, to as usize, 0) }
}

/// Marks everything from `first` on close-on-exec (`only_on_exec`), or closes it.
pub fn close_from(first: i32, only_on_exec: bool) -> Outcome {
    // SAFETY: no pointers.
    unsafe { call(436, first as usize, u32::MAX as usize, if only_on_exec { 4 } else { 0 }) }
}

/// A pipe: (read end, write end), both close-on-exec and blocking.
pub fn pipe(ends: &mut [i32; 2]) -> Outcome {
    // SAFETY: two descriptors are written.
    unsafe { call(nr::PIPE2, ends.as_mut_ptr() as usize, O_CLOEXEC, 0) }
}

/// Bytes of the file, which becomes its position too.
pub fn file_size(fd: i32) -> u64 {
    // SAFETY: no pointers; 2 is SEEK_END.
    let size = unsafe { call(nr::LSEEK, fd as usize, 0, 2) };
    if size < 0 { 0 } else { size as u64 }
}

pub fn truncate(fd: i32, size: u64) -> Outcome {
    // SAFETY: no pointers.
    unsafe { call(nr::FTRUNCATE, fd as usize, size as usize, 0) }
}

/// Now: seconds and nanoseconds since 1970.
pub fn now() -> Time {
    let mut time = Time::default();
    // SAFETY: one timespec is written; CLOCK_REALTIME (0) always exists.
    unsafe { syscall3(nr::CLOCK_GETTIME, 0, &raw mut time as usize, 0) };
    time
}

/// Waits until one of `fds` is ready; `milliseconds` < 0: for ever.
pub fn poll(fds: &mut [PollFd], milliseconds: i32) -> Outcome {
    let mut time = Time { seconds: 0, nanos: milliseconds as i64 * 1_000_000 };
    let timeout = if milliseconds < 0 { 0 } else { &raw mut time as usize };
    // SAFETY: the array is valid for its length; the timespec lives until the call returns.
    unsafe { call6(nr::PPOLL, [fds.as_mut_ptr() as usize, fds.len(), timeout, 0, 0, 0]) }
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
    unsafe { call6(nr::WAIT4, [usize::MAX, &raw mut *status as usize, WNOHANG_WALL, 0, 0, 0]) as i32 }
}

/// Waits for this one child, whose status nobody wants.
pub fn reap_this(pid: i32) {
    // SAFETY: no pointers.
    while unsafe { call6(nr::WAIT4, [pid as usize, 0, 0x4000_0000, 0, 0, 0]) } == EINTR {}
}

/// A new connection; negative: none.
pub fn accept(listener: i32) -> i32 {
    // SAFETY: no address is asked for.
    unsafe { call6(nr::ACCEPT4, [listener as usize, 0, 0, O_CLOEXEC, 0, 0]) as i32 }
}

/// Enters the pid namespace (`CLONE_NEWPID`) of the process behind the pidfd, for children to come.
pub fn enter_pid_namespace(pidfd: i32) -> Outcome {
    // SAFETY: no pointers.
    unsafe { call(nr::SETNS, pidfd as usize, 0x2000_0000, 0) }
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
const MSG_TRUNC_OR_CTRUNC: usize = 0x20 | 8;
/// Bytes of a cmsghdr before its data.
const RIGHTS_HEAD: usize = 16;

/// The last message received, with its descriptors.
pub struct Mail {
    /// Bytes of `words`.
    pub len: usize,
    /// Descriptors that came with it.
    pub count: usize,
    /// Part of it did not fit.
    pub truncated: bool,
    /// The message as it lies in the packet.
    pub words: [u64; MESSAGE_MAX / 8],
    rights: Rights<DESCRIPTORS_MAX>,
}

impl Mail {
    pub const EMPTY: Self = Self {
        len: 0,
        count: 0,
        truncated: false,
        words: [0; MESSAGE_MAX / 8],
        rights: Rights { len: 0, level: 0, kind: 0, fds: [0; DESCRIPTORS_MAX] },
    };

    /// Receives one message without blocking.
    pub fn receive(&mut self, socket: i32) -> Outcome {
        let mut slice = Slice(self.words.as_mut_ptr() as usize, MESSAGE_MAX);
        let mut header = MessageHeader {
            name: 0,
            name_len: 0,
            slices: &raw mut slice as usize,
            slices_len: 1,
            control: &raw mut self.rights as usize,
            control_len: size_of_val(&self.rights),
            flags: 0,
        };
        let flags = MSG_DONTWAIT | MSG_CMSG_CLOEXEC;
        // SAFETY: header, slice and both buffers live until the call returns and are as long as they say.
        let len = unsafe { call(nr::RECVMSG, socket as usize, &raw mut header as usize, flags) };
        self.len = len as usize;
        self.truncated = header.flags & MSG_TRUNC_OR_CTRUNC != 0;
        self.count = 0;
        if len >= 0 && header.control_len > RIGHTS_HEAD && self.rights.kind == SCM_RIGHTS {
            self.count = (self.rights.len - RIGHTS_HEAD) / 4;
        }
        len
    }

    /// The argument block of a message of full length.
    pub fn args(&self) -> &[u8] {
        // SAFETY: the array is plain bytes; the length is what the kernel wrote there, at most MESSAGE_MAX.
        let bytes = unsafe { core::slice::from_raw_parts(self.words.as_ptr().cast::<u8>(), self.len) };
        bytes.get(crate::protocol::SIZE..).unwrap_or(&[])
    }

    /// Looks at a descriptor; 0 when there is none.
    pub fn peek(&self, at: usize) -> i32 {
        self.rights.fds.get(at).copied().unwrap_or(0)
    }

    /// Takes a descriptor out: it is the caller's now.
    pub fn take(&mut self, at: usize) -> i32 {
        self.rights.fds.get_mut(at).map(core::mem::take).unwrap_or(0)
    }

    /// Closes every descriptor that was not taken out.
    pub fn close_all(&mut self) {
        for fd in self.rights.fds.iter_mut().take(self.count) {
            close(fd);
        }
    }
}

/// Sends one message without blocking, with a descriptor unless `fd` is 0.
pub fn send(socket: i32, words: &[u64; 8], fd: i32) -> Outcome {
    let rights = Rights { len: RIGHTS_HEAD + 4, level: SOL_SOCKET, kind: SCM_RIGHTS, fds: [fd] };
    let slice = Slice(words.as_ptr() as usize, size_of_val(words));
    let header = MessageHeader {
        name: 0,
        name_len: 0,
        slices: &raw const slice as usize,
        slices_len: 1,
        control: &raw const rights as usize,
        control_len: if fd > 0 { size_of_val(&rights) } else { 0 },
        flags: 0,
    };
    // SAFETY: header, slice and buffers live until the call returns and are as long as they say; nothing is written.
    unsafe { call(nr::SENDMSG, socket as usize, &raw const header as usize, MSG_DONTWAIT | MSG_NOSIGNAL) }
}
