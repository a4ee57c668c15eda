//! Executables that were compiled in, by path: those that a node carries (tests run the very bytes that ship), and the
//! tests' own.

use std::os::fd::{AsRawFd, IntoRawFd};
use std::path::PathBuf;

/// init (and relay), as a memory file that lives as long as this process; nothing to clean up. `what` names it in
/// listings of open files.
///
/// # Panics
/// When the kernel makes no memory file.
pub fn init(what: &str) -> PathBuf {
    program(what, dwell::embedded::INIT)
}

/// Any executable, in the same way.
///
/// # Panics
/// When the kernel makes no memory file.
pub fn program(what: &str, bytes: &[u8]) -> PathBuf {
    let file = dwell_sys::memfd::sealed_executable(what, bytes).expect("a memory file");
    let path = format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd());
    let _kept_open = file.into_raw_fd();
    path.into()
}
