//! Signals that ask the command to end (SIGINT, SIGTERM, SIGHUP), and those that tell of a new terminal size, as events.
//! From the first call on they no longer end the process by themselves.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::failure::Failure;

/// The signals that ask for an end.
pub struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Interrupts {
    /// Begins to catch them.
    ///
    /// # Errors
    /// The handlers cannot be set.
    pub fn catch() -> Result<Self, Failure> {
        let catch = |kind| signal(kind).map_err(|e| Failure::new("catch signals").caused_by(&e));
        Ok(Self {
            interrupt: catch(SignalKind::interrupt())?,
            terminate: catch(SignalKind::terminate())?,
            hangup: catch(SignalKind::hangup())?,
        })
    }

    /// The next one, and its number. Dropping the future loses nothing.
    pub async fn next(&mut self) -> u8 {
        tokio::select! {
            _ = self.interrupt.recv() => 2,
            _ = self.terminate.recv() => 15,
            _ = self.hangup.recv() => 1,
        }
    }
}

/// Changes of the terminal's size.
///
/// # Errors
/// The handler cannot be set.
pub fn resizes() -> io::Result<Signal> {
    signal(SignalKind::window_change())
}
