//! Why pause did not do what was asked, in words for a status. Must never decide what follows from it.

use std::io;

use super::super::protocol;

/// Why pause did not do what was asked.
#[derive(Debug)]
pub enum KeeperError {
    /// It is dead.
    Gone,
    /// Another node is connected to it.
    Busy,
    /// It said nothing for too long.
    Silent,
    /// It speaks another version.
    Version(u16),
    /// It said something that makes no sense.
    Nonsense(&'static str),
    /// It could not set itself up.
    SetUp {
        /// The step.
        operation: protocol::Operation,
        /// The kernel's answer.
        errno: u32,
    },
    /// It refused.
    Refused {
        /// Why.
        reason: protocol::Refusal,
        /// The system call that failed, if one did.
        operation: protocol::Operation,
        /// The kernel's answer.
        errno: u32,
    },
    /// The connection failed.
    Io(io::Error),
}

impl From<io::Error> for KeeperError {
    fn from(error: io::Error) -> KeeperError {
        KeeperError::Io(error)
    }
}

impl From<rustix::io::Errno> for KeeperError {
    fn from(error: rustix::io::Errno) -> KeeperError {
        KeeperError::Io(error.into())
    }
}

impl std::fmt::Display for KeeperError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let cause = |errno: u32| io::Error::from_raw_os_error(errno as i32);
        match self {
            KeeperError::Gone => f.write_str("the Pod's pause is gone"),
            KeeperError::Busy => f.write_str("another node is connected to the Pod's pause"),
            KeeperError::Silent => f.write_str("the Pod's pause says nothing"),
            KeeperError::Version(version) => {
                write!(f, "the Pod's pause speaks version {version}, this node {}", protocol::VERSION)
            }
            KeeperError::Nonsense(what) => write!(f, "the Pod's pause does not keep to the protocol: {what}"),
            KeeperError::SetUp { operation, errno } => {
                write!(f, "pause could not set itself up: {operation:?}: {}", cause(*errno))
            }
            KeeperError::Refused { reason, errno: 0, .. } => write!(f, "pause refused: {reason:?}"),
            KeeperError::Refused { operation, errno, .. } => {
                write!(f, "pause refused: {operation:?}: {}", cause(*errno))
            }
            KeeperError::Io(_) => f.write_str("talk to the Pod's pause"),
        }
    }
}

impl std::error::Error for KeeperError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            KeeperError::Io(error) => Some(error),
            _ => None,
        }
    }
}
