//! The executables that travel inside the node: pause and init, as sealed memory files.
//!
//! Memory files, not files on disk: they need no folder that allows execution (`/run` often does not), cannot be
//! replaced, and are gone with their last user. Sealed, so that no member can write what it was started from.

use std::os::fd::OwnedFd;

use dwell_sys::memfd;

/// The keeper, as it is executed.
pub const PAUSE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/pause"));
/// init and relay, as they are executed.
pub const INIT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/init"));

/// The two executables, opened once per node.
#[derive(Debug)]
pub struct Embedded {
    /// The keeper.
    pub pause: OwnedFd,
    /// The plan's executor, also the relay.
    pub init: OwnedFd,
}

impl Embedded {
    /// Makes the two memory files.
    ///
    /// # Errors
    /// What `memfd_create`, `write` or sealing said.
    pub fn open() -> std::io::Result<Embedded> {
        Ok(Embedded { pause: memfd::sealed_executable("pause", PAUSE)?, init: memfd::sealed_executable("init", INIT)? })
    }
}
