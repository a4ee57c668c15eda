//! The small executables that a node carries, by path: tests run the very bytes that ship.

use std::os::fd::{AsRawFd, IntoRawFd};
use std::path::PathBuf;

/// init (and relay), as a memory file that lives as long as this process; nothing to clean up. `what` names it in
/// listings of open files.
///
/// # Panics
/// When the kernel makes no memory file.
pub fn init(what: &str) -> PathBuf {
    let file = dwell_sys::memfd::sealed_executable(what, dwell::embedded::INIT).expect("a memory file");
    let path = format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd());
    let _kept_open = file.into_raw_fd();
    path.into()
}
