//! aarch64: the entry point, system calls, their numbers, and the memory routines the compiler calls.
//!
//! Nothing here knows what pause is for. Numbers are those of `include/uapi/asm-generic/unistd.h`; the calling
//! convention is that of syscall(2): the number in x8, arguments in x0 to x5, the result in x0.

use core::arch::{asm, global_asm};

/// Numbers of the system calls that pause makes.
pub mod nr {
    pub const DUP3: usize = 24;
    pub const FCNTL: usize = 25;
    pub const UMOUNT2: usize = 39;
    pub const MOUNT: usize = 40;
    pub const PIVOT_ROOT: usize = 41;
    pub const FTRUNCATE: usize = 46;
    pub const CHDIR: usize = 49;
    pub const OPENAT: usize = 56;
    pub const CLOSE: usize = 57;
    pub const PIPE2: usize = 59;
    pub const LSEEK: usize = 62;
    pub const READ: usize = 63;
    pub const WRITE: usize = 64;
    pub const PREAD64: usize = 67;
    pub const PPOLL: usize = 73;
    pub const SIGNALFD4: usize = 74;
    pub const CAPSET: usize = 91;
    pub const EXIT_GROUP: usize = 94;
    pub const CLOCK_GETTIME: usize = 113;
    pub const RT_SIGACTION: usize = 134;
    pub const RT_SIGPROCMASK: usize = 135;
    pub const SETSID: usize = 157;
    pub const SETHOSTNAME: usize = 161;
    pub const UMASK: usize = 166;
    pub const PRCTL: usize = 167;
    pub const GETPID: usize = 172;
    pub const LISTEN: usize = 201;
    pub const SENDMSG: usize = 211;
    pub const RECVMSG: usize = 212;
    pub const MADVISE: usize = 233;
    pub const ACCEPT4: usize = 242;
    pub const WAIT4: usize = 260;
    pub const PRLIMIT64: usize = 261;
    pub const SETNS: usize = 268;
    pub const CLOSE_RANGE: usize = 436;
    pub const EXECVEAT: usize = 281;
}

// The stack pointer goes to a page boundary and then below `State`, which is the one argument.
global_asm!(
    ".globl _start",
    "_start:",
    "mov x29, xzr",
    "mov x30, xzr",
    "mov x0, sp",
    "and x0, x0, #-4096",
    "sub x0, x0, #{pages}, lsl #12",
    "mov sp, x0",
    "bl {entry}",
    "brk #1",
    pages = const crate::STATE_PAGES,
    entry = sym crate::entry,
);

/// One `svc` instruction with these arguments; registers beyond them keep what is in them.
macro_rules! syscall {
    ($number:ident, $first:expr $(, $register:tt = $argument:expr)*) => {{
        let result;
        asm!("svc #0", in("x8") $number, inlateout("x0") $first => result, $(in($register) $argument,)*
            options(nostack));
        result
    }};
}

/// A system call of up to five arguments.
///
/// # Safety
/// As the system call: every pointer among the arguments must be valid for what the kernel does with it.
#[inline(always)]
pub unsafe fn syscall<const N: usize>(number: usize, arguments: [usize; N]) -> isize {
    // SAFETY: the kernel keeps every register but x0; memory is the caller's promise.
    unsafe {
        match *arguments.as_slice() {
            [] => syscall!(number, 0usize),
            [a] => syscall!(number, a),
            [a, b] => syscall!(number, a, "x1" = b),
            [a, b, c] => syscall!(number, a, "x1" = b, "x2" = c),
            [a, b, c, d] => syscall!(number, a, "x1" = b, "x2" = c, "x3" = d),
            [a, b, c, d, e, ..] => syscall!(number, a, "x1" = b, "x2" = c, "x3" = d, "x4" = e),
        }
    }
}

/// clone3 with a stack for the child, which runs `run(argument)` on it. Returns in the parent only.
///
/// # Safety
/// `args` must name a stack that nothing else uses while the child runs; `run` must never return and must touch
/// only what the suspended parent (`CLONE_VFORK`) does not rely on.
#[inline(never)]
pub unsafe fn clone_onto_stack(
    args: *const u64,
    size: usize,
    run: extern "C" fn(*mut u8) -> !,
    argument: *mut u8,
) -> isize {
    let result;
    // SAFETY: the parent's registers and stack are untouched: the child starts at the same instruction with x0 = 0
    // and sp at the top of its own stack, and leaves by the branch.
    unsafe {
        asm!("svc #0", "cbnz x0, 2f", "mov x29, xzr", "mov x0, x3", "blr x2", "brk #1", "2:",
            in("x8") 435usize, inlateout("x0") args => result, in("x1") size, in("x2") run, in("x3") argument);
    }
    result
}

/// Copies bytes that do not overlap.
///
/// # Safety
/// As memcpy(3).
pub unsafe fn copy(to: *mut u8, from: *const u8, n: usize) {
    // SAFETY: the caller's promise.
    unsafe { core::ptr::copy_nonoverlapping(from, to, n) };
}

/// Writes zeros.
///
/// # Safety
/// As memset(3).
pub unsafe fn zero(to: *mut u8, n: usize) {
    // SAFETY: the caller's promise.
    unsafe { to.write_bytes(0, n) };
}

/// # Safety
/// As memcpy(3).
#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, n: usize) -> *mut u8 {
    for i in 0..n {
        // SAFETY: the caller promises n bytes behind both pointers. Volatile, or this becomes a call of itself.
        unsafe { to.add(i).write_volatile(*from.add(i)) };
    }
    to
}

/// # Safety
/// As memset(3).
#[unsafe(no_mangle)]
unsafe extern "C" fn memset(to: *mut u8, byte: i32, n: usize) -> *mut u8 {
    for i in 0..n {
        // SAFETY: the caller promises n bytes behind the pointer.
        unsafe { to.add(i).write_volatile(byte as u8) };
    }
    to
}
