//! Signal masks and dispositions around a birth.
//!
//! A handler of the parent must not run in a child that borrows its memory, and a new program must not inherit a mask
//! or an ignored signal it never asked for (Rust ignores SIGPIPE; a member that inherits that never ends when its
//! reader does). Raw system calls, since the C library hides two real-time signals from its own calls.

use std::mem::MaybeUninit;
use std::ptr;

use rustix::io::Errno;

/// Highest signal number, and bits in the kernel's set.
const SIGNALS: i32 = 64;
/// Bytes of the kernel's `sigset_t`.
const SET_BYTES: usize = 8;

/// The kernel's `struct sigaction`; all zero is the default disposition on every architecture.
const KERNEL_SIGACTION_BYTES: usize = 32;

/// While it lives, this thread receives no signal that can be blocked. The former mask comes back on drop.
pub struct AllBlocked {
    before: u64,
}

impl AllBlocked {
    /// Blocks every signal in this thread.
    ///
    /// # Errors
    /// None in practice; `rt_sigprocmask` only fails for bad addresses.
    pub fn new() -> Result<Self, Errno> {
        set_mask(u64::MAX).map(|before| Self { before })
    }
}

impl Drop for AllBlocked {
    fn drop(&mut self) {
        let _ = set_mask(self.before);
    }
}

/// Replaces this thread's mask (bit `n` is signal `n + 1`) and returns the former one.
///
/// # Errors
/// That of `rt_sigprocmask`.
pub fn set_mask(mask: u64) -> Result<u64, Errno> {
    let mut before = MaybeUninit::<u64>::uninit();
    // SAFETY: both sets are 8 bytes, as the size says, and live across the call.
    unsafe {
        let result = libc::syscall(
            libc::SYS_rt_sigprocmask,
            libc::SIG_SETMASK,
            ptr::from_ref(&mask),
            before.as_mut_ptr(),
            SET_BYTES,
        );
        if result != 0 {
            return Err(Errno::INVAL);
        }
        Ok(before.assume_init())
    }
}

/// Every disposition to its default, then an empty mask. Only system calls: safe between clone and exec.
pub fn reset_in_child() {
    let default = [0u64; KERNEL_SIGACTION_BYTES / 8];
    for signal in 1..=SIGNALS {
        // SAFETY: `default` is at least as long as the kernel's structure; SIGKILL and SIGSTOP answer EINVAL.
        unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, default.as_ptr(), ptr::null_mut::<u8>(), SET_BYTES) };
    }
    let _ = set_mask(0);
}

/// Undoes what Rust's run-time and a starter may have left: SIGPIPE takes its default again, the mask is empty.
///
/// # Errors
/// None in practice.
pub fn restore_for_exec() -> Result<(), Errno> {
    // SAFETY: SIG_DFL is a valid disposition; no handler of ours is installed for it.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
    set_mask(0).map(drop)
}
