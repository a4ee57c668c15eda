//! Becoming another program (execve(2), execveat(2)).
//!
//! Both return only to say why not. Descriptors are the caller's affair: everything it did not mark close-on-exec
//! reaches the new program, so mark everything first (`close_on_exec_from`).

use std::convert::Infallible;
use std::ffi::{CStr, c_char};
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::ptr;

use rustix::io::Errno;

/// Marks every descriptor from `first` on close-on-exec.
///
/// # Errors
/// None since Linux 5.11.
pub fn close_on_exec_from(first: RawFd) -> Result<(), Errno> {
    // SAFETY: only flags of descriptors change; none is closed now.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    if result == 0 { Ok(()) } else { Err(last()) }
}

/// Executes the file at `path`.
///
/// # Errors
/// Those of `execve`.
pub fn exec_path(path: &CStr, argv: &[&CStr], env: &[&CStr]) -> Result<Infallible, Errno> {
    let (argv, env) = (null_terminated(argv), null_terminated(env));
    // SAFETY: three null-terminated values that live across the call.
    unsafe { libc::execve(path.as_ptr(), argv.as_ptr(), env.as_ptr()) };
    Err(last())
}

/// Executes `program` with the descriptors `keep` as `first`, `first + 1`, … and no other above 2.
///
/// Takes over those numbers: whatever this process had there is closed, so nothing may use descriptors afterwards.
///
/// # Errors
/// Those of `fcntl`, `close_range`, `dup3` and `execveat`.
pub fn exec_descriptor(
    program: BorrowedFd<'_>,
    argv: &[&CStr],
    env: &[&CStr],
    keep: &[BorrowedFd<'_>],
    first: RawFd,
) -> Result<Infallible, Errno> {
    let (argv, env) = (null_terminated(argv), null_terminated(env));
    let above = first + keep.len() as RawFd;
    let program = rustix::io::fcntl_dupfd_cloexec(program, above)?;
    let moved = keep.iter().map(|fd| rustix::io::fcntl_dupfd_cloexec(fd, above)).collect::<Result<Vec<_>, _>>()?;
    close_on_exec_from(first)?;
    for (fd, target) in moved.iter().zip(first..) {
        // SAFETY: plain numbers; the caller gave up what was at `target`.
        if unsafe { libc::dup3(fd.as_raw_fd(), target, 0) } < 0 {
            return Err(last());
        }
    }
    // SAFETY: null-terminated values that live across the call.
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            program.as_raw_fd(),
            c"".as_ptr(),
            argv.as_ptr(),
            env.as_ptr(),
            libc::AT_EMPTY_PATH,
        );
    }
    Err(last())
}

/// A descriptor that this process was started with, by its number in the contract with its starter.
///
/// # Errors
/// EBADF when it is not open, else what the kernel says.
pub fn inherited(number: RawFd) -> Result<BorrowedFd<'static>, Errno> {
    if number < 0 {
        return Err(Errno::BADF);
    }
    // SAFETY: plain numbers; F_GETFD touches nothing.
    if unsafe { libc::fcntl(number, libc::F_GETFD) } < 0 {
        return Err(last());
    }
    // SAFETY: it is open, and no part of the program owns it, so it stays open until the program ends or executes.
    Ok(unsafe { BorrowedFd::borrow_raw(number) })
}

fn null_terminated(strings: &[&CStr]) -> Vec<*const c_char> {
    strings.iter().map(|s| s.as_ptr()).chain([ptr::null()]).collect()
}

fn last() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}
