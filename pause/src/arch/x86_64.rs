//! x86-64: the entry point, system calls, their numbers, and the four memory routines the compiler calls.
//!
//! Nothing here knows what pause is for. Numbers are those of `arch/x86/entry/syscalls/syscall_64.tbl`; the calling
//! convention is that of syscall(2): the number in rax, arguments in rdi rsi rdx r10 r8 r9, rcx and r11 lost.

use core::arch::{asm, global_asm};

/// Numbers of the system calls that pause makes.
pub mod nr {
    pub const READ: usize = 0;
    pub const WRITE: usize = 1;
    pub const CLOSE: usize = 3;
    pub const LSEEK: usize = 8;
    pub const RT_SIGACTION: usize = 13;
    pub const RT_SIGPROCMASK: usize = 14;
    pub const PREAD64: usize = 17;
    pub const MADVISE: usize = 28;
    pub const GETPID: usize = 39;
    pub const SENDMSG: usize = 46;
    pub const RECVMSG: usize = 47;
    pub const LISTEN: usize = 50;
    pub const WAIT4: usize = 61;
    pub const FCNTL: usize = 72;
    pub const FTRUNCATE: usize = 77;
    pub const CHDIR: usize = 80;
    pub const UMASK: usize = 95;
    pub const SETSID: usize = 112;
    pub const CAPSET: usize = 126;
    pub const PIVOT_ROOT: usize = 155;
    pub const PRCTL: usize = 157;
    pub const MOUNT: usize = 165;
    pub const UMOUNT2: usize = 166;
    pub const SETHOSTNAME: usize = 170;
    pub const CLOCK_GETTIME: usize = 228;
    pub const EXIT_GROUP: usize = 231;
    pub const OPENAT: usize = 257;
    pub const PPOLL: usize = 271;
    pub const ACCEPT4: usize = 288;
    pub const SIGNALFD4: usize = 289;
    pub const DUP3: usize = 292;
    pub const PIPE2: usize = 293;
    pub const PRLIMIT64: usize = 302;
    pub const SETNS: usize = 308;
    pub const CLOSE_RANGE: usize = 436;
    pub const EXECVEAT: usize = 322;
}

// The stack pointer goes to a page boundary and then below `State`, which is the one argument.
global_asm!(
    ".globl _start",
    "_start:",
    "xor ebp, ebp",
    "and rsp, -4096",
    "sub rsp, 4096 * {pages}",
    "mov rdi, rsp",
    "call {entry}",
    "ud2",
    pages = const crate::STATE_PAGES,
    entry = sym crate::entry,
);

/// One `syscall` instruction with these arguments; registers beyond them keep what is in them.
macro_rules! syscall {
    ($number:ident $(, $register:tt = $argument:expr)*) => {{
        let result;
        asm!("syscall", inlateout("rax") $number => result, $(in($register) $argument,)*
            lateout("rcx") _, lateout("r11") _, options(nostack));
        result
    }};
}

/// A system call of up to five arguments.
///
/// # Safety
/// As the system call: every pointer among the arguments must be valid for what the kernel does with it.
#[inline(always)]
pub unsafe fn syscall<const N: usize>(number: usize, arguments: [usize; N]) -> isize {
    // SAFETY: the kernel keeps every register but rax, rcx and r11; memory is the caller's promise.
    unsafe {
        match *arguments.as_slice() {
            [] => syscall!(number),
            [a] => syscall!(number, "rdi" = a),
            [a, b] => syscall!(number, "rdi" = a, "rsi" = b),
            [a, b, c] => syscall!(number, "rdi" = a, "rsi" = b, "rdx" = c),
            [a, b, c, d] => syscall!(number, "rdi" = a, "rsi" = b, "rdx" = c, "r10" = d),
            [a, b, c, d, e, ..] => syscall!(number, "rdi" = a, "rsi" = b, "rdx" = c, "r10" = d, "r8" = e),
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
    // SAFETY: the parent's registers and stack are untouched: the child starts at the same instruction with rax = 0
    // and rsp at the top of its own stack, and leaves by the call.
    unsafe {
        asm!("syscall", "test rax, rax", "jnz 2f", "xor ebp, ebp", "mov rdi, r9", "call r8", "ud2", "2:",
            inlateout("rax") 435usize => result, in("rdi") args, in("rsi") size, in("r8") run, in("r9") argument,
            lateout("rcx") _, lateout("r11") _);
    }
    result
}

/// Copies bytes that do not overlap, in place: short ones, where a call would cost more.
///
/// # Safety
/// As memcpy(3).
#[inline(always)]
pub unsafe fn copy(to: *mut u8, from: *const u8, n: usize) {
    // SAFETY: the caller's promise is exactly what the instruction needs; the direction flag is clear (ABI).
    unsafe {
        asm!("rep movsb", inout("rcx") n => _, inout("rdi") to => _, inout("rsi") from => _, options(nostack, preserves_flags));
    }
}

/// Writes zeros, in place: where a call or many stores would cost more.
///
/// # Safety
/// As memset(3).
#[inline(always)]
pub unsafe fn zero(to: *mut u8, n: usize) {
    // SAFETY: as in `copy`.
    unsafe {
        asm!("rep stosb", inout("rcx") n => _, inout("rdi") to => _, in("al") 0u8, options(nostack, preserves_flags));
    }
}

/// # Safety
/// As memcpy(3).
#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, n: usize) -> *mut u8 {
    // SAFETY: passed on to the caller.
    unsafe { copy(to, from, n) };
    to
}

/// # Safety
/// As memset(3).
#[unsafe(no_mangle)]
unsafe extern "C" fn memset(to: *mut u8, byte: i32, n: usize) -> *mut u8 {
    // SAFETY: as in `memcpy`.
    unsafe {
        asm!("rep stosb", inout("rcx") n => _, inout("rdi") to => _, in("al") byte as u8, options(nostack, preserves_flags));
    }
    to
}
