//! Leaving and entering namespaces (unshare(2), setns(2)), for processes with one thread.

use std::os::fd::BorrowedFd;

use rustix::io::Errno;
use rustix::thread::{ThreadNameSpaceType, UnshareFlags, move_into_thread_name_spaces, unshare_unsafe};

/// Namespaces, as bits.
pub use rustix::thread::ThreadNameSpaceType as Kinds;

/// New namespaces for this thread.
///
/// # Errors
/// EPERM without CAP_SYS_ADMIN, ENOSPC at the kernel's limit, EINVAL for a kind that needs a single-threaded process.
pub fn unshare(kinds: Kinds) -> Result<(), Errno> {
    // SAFETY: the call is unsafe for CLONE_FILES only, which is not among the kinds: descriptors stay shared.
    unsafe { unshare_unsafe(UnshareFlags::from_bits_retain(kinds.bits())) }
}

/// Enters namespaces of the process behind `pidfd`, all or none. With the mount namespace, root and working directory
/// become that process's root.
///
/// # Errors
/// ESRCH when it is gone or a zombie, EPERM, EINVAL.
pub fn join(pidfd: BorrowedFd<'_>, kinds: ThreadNameSpaceType) -> Result<(), Errno> {
    move_into_thread_name_spaces(pidfd, kinds)
}
