//! Starting a program from a process with threads, without ever running our code in a copy of it.
//!
//! `fork` in a multi-threaded process leaves the child with locks nobody will release and copies page tables nobody
//! will use. `spawn_vfork` instead borrows the parent's memory for the few system calls up to `execveat`
//! (`CLONE_VM|CLONE_VFORK`, clone(2)), on a stack of its own, with every signal blocked. The child allocates nothing,
//! takes no lock, calls nothing but the kernel, and names no path: the program is a descriptor.
//!
//! What must never happen here: a descriptor reaching the new program that the caller did not list; a signal handler
//! of the parent running in the child; the child returning.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;

use rustix::io::Errno;
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

use crate::signal::AllBlocked;

/// Bytes of the child's stack; the child needs a few hundred, debug builds a few thousand.
const STACK_BYTES: usize = 64 * 1024;
/// Since Linux 5.7; libc's constant overflows its type.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
/// Guard below it, so that running over ends the child instead of the parent's memory.
const GUARD_BYTES: usize = 64 * 1024;

/// Starts `exe` and returns its pid and a pidfd once `execveat` has succeeded.
///
/// `argv` and `env` are passed as they are. `fds` lists every descriptor the program will have, as (ours, its number
/// there); everything else is closed, 0 to 2 included. Sources and targets may overlap in any way. The program starts
/// with default signal dispositions and an empty mask, inside `cgroup` (a v2 group's directory) if one is given.
/// An `exe` that is a `#!` script fails with ENOENT, since its interpreter could not open a closed descriptor.
///
/// # Errors
/// That of `clone3`, or of the child's first failing call up to and with `execveat`; nothing is left behind then.
pub fn spawn_vfork(
    exe: BorrowedFd<'_>,
    argv: &[&CStr],
    env: &[&CStr],
    fds: &[(BorrowedFd<'_>, RawFd)],
    cgroup: Option<BorrowedFd<'_>>,
) -> Result<(Pid, OwnedFd), Errno> {
    let argv = null_terminated(argv);
    let env = null_terminated(env);
    let mut moves: Vec<Move> = fds.iter().map(|(from, to)| Move { from: from.as_raw_fd(), to: *to }).collect();
    let mut birth = Birth {
        exe: exe.as_raw_fd(),
        argv: argv.as_ptr(),
        env: env.as_ptr(),
        moves: moves.as_mut_ptr(),
        moves_len: moves.len(),
        above: moves.iter().map(|m| m.to).max().unwrap_or(2).max(2) + 1,
        failed: 0,
    };
    let (pid, pidfd) = clone_and_wait_for_exec(&mut birth, cgroup)?;
    if birth.failed == 0 {
        return Ok((pid, pidfd));
    }
    // It is already gone; the error that ended it matters more than one of reaping it.
    let _ = waitid(WaitId::PidFd(std::os::fd::AsFd::as_fd(&pidfd)), WaitIdOptions::EXITED);
    Err(Errno::from_raw_os_error(birth.failed))
}

/// Waits for a child of this process to end and reaps it: its exit status, or 128 + signal.
///
/// # Errors
/// ECHILD when it is not a child, or reaped already.
pub fn wait_for_exit(pidfd: BorrowedFd<'_>) -> Result<i32, Errno> {
    loop {
        match waitid(WaitId::PidFd(pidfd), WaitIdOptions::EXITED) {
            Err(Errno::INTR) | Ok(None) => {}
            Err(errno) => return Err(errno),
            Ok(Some(status)) => {
                let signal = status.terminating_signal().map_or(-1, |signal| 128 + signal);
                return Ok(status.exit_status().unwrap_or(signal));
            }
        }
    }
}

/// A pidfd of a process by its number in this pid namespace.
///
/// # Errors
/// ESRCH when there is none (EINVAL for a number that is none).
pub fn open(pid: i32) -> Result<OwnedFd, Errno> {
    let pid = Pid::from_raw(pid).ok_or(Errno::INVAL)?;
    rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty())
}

/// The number of a living process in this pid namespace.
///
/// # Errors
/// ESRCH when it has ended and was reaped, or has no number here; that of reading `/proc/self/fdinfo`.
pub fn number(pidfd: BorrowedFd<'_>) -> Result<i32, Errno> {
    let path = format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd());
    let text = std::fs::read_to_string(path).map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    let number = text.lines().find_map(|line| line.strip_prefix("Pid:")?.trim().parse().ok());
    number.filter(|number| *number > 0).ok_or(Errno::SRCH)
}

/// Effective user and group of the process, as this process' user namespace numbers them.
///
/// # Errors
/// ESRCH when it has ended; those of reading its status.
pub fn owner(pidfd: BorrowedFd<'_>) -> std::io::Result<(u32, u32)> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", number(pidfd)?))?;
    // Still the same process: its number cannot have been another's meanwhile.
    number(pidfd)?;
    let effective = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().nth(1)?.parse().ok()
    };
    effective("Uid:").zip(effective("Gid:")).ok_or_else(|| std::io::Error::other("a status without its owner"))
}

/// Whether a living process was executed from this very file.
///
/// # Errors
/// As `number`; those of `stat`.
pub fn executes(pidfd: BorrowedFd<'_>, file: BorrowedFd<'_>) -> Result<bool, Errno> {
    let pid = number(pidfd)?;
    let (exe, file) = (rustix::fs::stat(format!("/proc/{pid}/exe"))?, rustix::fs::fstat(file)?);
    // Still the same process: its number cannot have been another's meanwhile.
    number(pidfd)?;
    Ok((exe.st_dev, exe.st_ino) == (file.st_dev, file.st_ino))
}

/// SIGKILL, to the very process and never to another that took its number.
///
/// # Errors
/// ESRCH when it is gone.
pub fn kill(pidfd: BorrowedFd<'_>) -> Result<(), Errno> {
    rustix::process::pidfd_send_signal(pidfd, rustix::process::Signal::KILL)
}

/// One descriptor on its way into the child.
#[derive(Clone, Copy)]
struct Move {
    from: RawFd,
    to: RawFd,
}

/// What the child reads (and the one number it writes back) in the memory it borrows.
struct Birth {
    exe: RawFd,
    argv: *const *const c_char,
    env: *const *const c_char,
    moves: *mut Move,
    moves_len: usize,
    /// First number above every target.
    above: RawFd,
    failed: c_int,
}

fn null_terminated(strings: &[&CStr]) -> Vec<*const c_char> {
    strings.iter().map(|s| s.as_ptr()).chain([ptr::null()]).collect()
}

/// Blocks signals, clones, and returns when the child has executed or exited.
fn clone_and_wait_for_exec(birth: &mut Birth, cgroup: Option<BorrowedFd<'_>>) -> Result<(Pid, OwnedFd), Errno> {
    let stack = Stack::new()?;
    let mut pidfd: RawFd = -1;
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD;
    // SAFETY: `clone_args` is plain integers, for which zero means "not used".
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.pidfd = ptr::from_mut(&mut pidfd) as u64;
    args.exit_signal = libc::SIGCHLD as u64;
    args.stack = stack.usable() as u64;
    args.stack_size = STACK_BYTES as u64;
    let mut into_cgroup = 0u64;
    if let Some(group) = cgroup {
        into_cgroup = CLONE_INTO_CGROUP;
        args.cgroup = group.as_raw_fd() as u64;
    }
    args.flags = flags as u64 | into_cgroup;
    let _blocked = AllBlocked::new()?;
    // SAFETY: `args` and `birth` live past the call, which returns only after the child has executed or exited
    // (CLONE_VFORK); the stack is mapped, aligned and unused; `child` never returns and only makes system calls.
    let result = unsafe { clone3_call(&args, child, ptr::from_mut(birth).cast()) };
    if result < 0 {
        return Err(Errno::from_raw_os_error(-result as i32));
    }
    // SAFETY: clone3 succeeded with CLONE_PIDFD, so the kernel stored a new descriptor that nobody else owns.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    Pid::from_raw(result as i32).map(|pid| (pid, pidfd)).ok_or(Errno::SRCH)
}

/// An anonymous mapping with an inaccessible part below.
struct Stack(*mut c_void);

impl Stack {
    fn new() -> Result<Self, Errno> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_STACK;
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new anonymous mapping at an address of the kernel's choice touches no memory in use.
        let base = unsafe { libc::mmap(ptr::null_mut(), GUARD_BYTES + STACK_BYTES, protection, flags, -1, 0) };
        if base == libc::MAP_FAILED {
            return Err(last());
        }
        let stack = Self(base);
        // SAFETY: the first GUARD_BYTES are inside the mapping just made.
        if unsafe { libc::mprotect(base, GUARD_BYTES, libc::PROT_NONE) } != 0 {
            return Err(last());
        }
        Ok(stack)
    }

    /// Lowest usable address: clone3 takes the bottom and the size.
    fn usable(&self) -> usize {
        self.0 as usize + GUARD_BYTES
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // SAFETY: exactly what `new` mapped; the child that used it has executed or exited.
        unsafe { libc::munmap(self.0, GUARD_BYTES + STACK_BYTES) };
    }
}

fn last() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}

/// The child: from clone to exec. Leaves the failing call's errno in the parent's memory.
extern "C" fn child(argument: *mut c_void) -> ! {
    let birth: *mut Birth = argument.cast();
    // SAFETY: `argument` is the parent's `Birth`, which outlives us since the parent sleeps until we exec or exit.
    unsafe {
        (*birth).failed = arrange_and_exec(&*birth);
        loop {
            libc::syscall(libc::SYS_exit_group, 127);
        }
    }
}

/// Returns the errno of what failed.
///
/// # Safety
/// Runs in the child only; every pointer in `birth` is the parent's, valid while it sleeps.
unsafe fn arrange_and_exec(birth: &Birth) -> c_int {
    // SAFETY: plain system calls on integers and on pointers that the caller vouches for.
    unsafe {
        crate::signal::reset_in_child();
        let exe = libc::syscall(libc::SYS_fcntl, birth.exe, libc::F_DUPFD_CLOEXEC, birth.above);
        if exe < 0 {
            return *libc::__errno_location();
        }
        if !place_descriptors(birth) {
            return *libc::__errno_location();
        }
        libc::syscall(libc::SYS_execveat, exe, c"".as_ptr(), birth.argv, birth.env, libc::AT_EMPTY_PATH);
        *libc::__errno_location()
    }
}

/// First every source above every target, then everything close-on-exec, then each into its place.
///
/// # Safety
/// As `arrange_and_exec`.
unsafe fn place_descriptors(birth: &Birth) -> bool {
    // SAFETY: `moves` holds `moves_len` entries in the parent's memory, which only we touch now.
    unsafe {
        let moves = std::slice::from_raw_parts_mut(birth.moves, birth.moves_len);
        for step in moves.iter_mut() {
            let moved = libc::syscall(libc::SYS_fcntl, step.from, libc::F_DUPFD_CLOEXEC, birth.above);
            if moved < 0 {
                return false;
            }
            step.from = moved as RawFd;
        }
        if libc::syscall(libc::SYS_close_range, 0, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) < 0 {
            return false;
        }
        moves.iter().all(|step| libc::syscall(libc::SYS_dup3, step.from, step.to, 0) >= 0)
    }
}

/// `clone3`, with the child entering `entry(argument)` on the stack in `args`; returns the pid or a negative errno.
///
/// # Safety
/// `args` must name a stack with room, and `entry` must never return.
#[cfg(target_arch = "x86_64")]
unsafe fn clone3_call(args: &libc::clone_args, entry: extern "C" fn(*mut c_void) -> !, argument: *mut c_void) -> isize {
    let result: isize;
    // SAFETY: in the parent this is one system call, whose clobbers are listed. The child has all registers but its
    // stack pointer and rax; it calls `entry` with an aligned stack and ends there.
    unsafe {
        std::arch::asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp",
            "mov rdi, r12",
            "call r13",
            "ud2",
            "2:",
            inlateout("rax") libc::SYS_clone3 as isize => result,
            in("rdi") ptr::from_ref(args),
            in("rsi") size_of::<libc::clone_args>(),
            in("r12") argument,
            in("r13") entry,
            lateout("rcx") _,
            lateout("r11") _,
        );
    }
    result
}

/// `clone3`, with the child entering `entry(argument)` on the stack in `args`; returns the pid or a negative errno.
///
/// # Safety
/// `args` must name a stack with room, and `entry` must never return.
#[cfg(target_arch = "aarch64")]
unsafe fn clone3_call(args: &libc::clone_args, entry: extern "C" fn(*mut c_void) -> !, argument: *mut c_void) -> isize {
    let result: isize;
    // SAFETY: in the parent this is one system call. The child has all registers but its stack pointer and x0; it
    // calls `entry` with an aligned stack and ends there.
    unsafe {
        std::arch::asm!(
            "svc 0",
            "cbnz x0, 2f",
            "mov x29, xzr",
            "mov x30, xzr",
            "mov x0, x20",
            "blr x21",
            "brk 1",
            "2:",
            inlateout("x0") ptr::from_ref(args) as isize => result,
            in("x1") size_of::<libc::clone_args>(),
            in("x8") libc::SYS_clone3,
            in("x20") argument,
            in("x21") entry,
            lateout("x30") _,
        );
    }
    result
}

#[cfg(test)]
mod tests;
