//! Leaving and entering namespaces (unshare(2), setns(2)): for processes with one thread, and by threads that are thrown
//! away, for those with several.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::thread;

use rustix::io::Errno;
use rustix::mount::{MountPropagationFlags, mount_change};
use rustix::thread::{
    ThreadNameSpaceType, UnshareFlags, move_into_link_name_space, move_into_thread_name_spaces, unshare_unsafe,
};

/// Which kind a descriptor of `/proc/PID/ns` is.
pub use rustix::thread::LinkNameSpaceType as Kind;
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

/// Enters a user namespace: every capability there, none elsewhere. For processes with one thread.
///
/// # Errors
/// EPERM, EINVAL for one's own.
pub fn enter_users(namespace: BorrowedFd<'_>) -> Result<(), Errno> {
    move_into_link_name_space(namespace, Some(Kind::User))
}

/// The user namespace that owns another namespace (ioctl_nsfs(2)).
///
/// # Errors
/// EPERM when it lies outside of one's own.
pub fn owner_of(namespace: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    const NS_GET_USERNS: libc::c_ulong = 0xb701;
    // SAFETY: the request takes no argument.
    let fd = unsafe { libc::ioctl(namespace.as_raw_fd(), NS_GET_USERNS) };
    if fd < 0 {
        return Err(Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::IO));
    }
    // SAFETY: the kernel just made the descriptor (close-on-exec), and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Bytes of stack of a thread that works inside: short work, few calls deep.
const STACK: usize = 128 * 1024;

/// Does the work on a thread that has entered these namespaces and is thrown away, so that no other thread is ever left in
/// one. What is opened inside stays there. Blocks until the work is done.
///
/// # Errors
/// The host gave no thread, a namespace cannot be entered, or the work panicked.
pub fn within<T: Send>(namespaces: &[(BorrowedFd<'_>, Kind)], work: impl FnOnce() -> T + Send) -> io::Result<T> {
    thrown_away(move || {
        for (namespace, kind) in namespaces {
            move_into_link_name_space(*namespace, Some(*kind))?;
        }
        Ok(work())
    })
}

/// Does the work on a thread with a copy of the mount namespace, out of which nothing propagates; it goes with the thread.
/// Blocks until the work is done.
///
/// # Errors
/// As `unshare`; the host gave no thread, the root is no mount, or the work panicked.
pub fn in_own_mounts<T: Send>(work: impl FnOnce() -> T + Send) -> io::Result<T> {
    thrown_away(move || {
        unshare(Kinds::MOUNT)?;
        mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
        Ok(work())
    })
}

fn thrown_away<T: Send>(inside: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    thread::scope(|scope| {
        let worker = thread::Builder::new().name("inside".into()).stack_size(STACK).spawn_scoped(scope, inside)?;
        worker.join().map_err(|_| io::Error::other("the thread inside panicked"))?
    })
}
