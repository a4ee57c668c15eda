//! Standard input of a member that has none: a null device of its own, never the one it was born with.
//!
//! pause's `/dev/null` is the host's, and a member that is root owns what it holds: through the descriptor it could
//! change mode, owner and times of the host's device. Its own `/dev/null` may have been replaced by the time of an
//! exec, so whatever is found there is looked at before it is used; where there is none (a Wasm member's root), a pipe
//! that nobody writes to reads as empty too.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{FileType, Mode, OFlags, fcntl_setfl, fstat, major, minor, open};
use rustix::io::Errno;
use rustix::stdio::{dup2_stdin, stdin};

/// Major and minor of the null device.
const NULL: (u32, u32) = (1, 3);

/// Replaces descriptor 0 if it is a null device; a pipe or a terminal stays.
///
/// # Errors
/// Those of `fstat`, `pipe2` and `dup3`.
pub fn make_own() -> Result<(), Errno> {
    if !is_null(stdin())? {
        return Ok(());
    }
    let own = match own_null() {
        Ok(own) => own,
        Err(_) => empty_pipe()?,
    };
    dup2_stdin(own)
}

/// Opens without waiting for a FIFO's other side and without following a link.
fn own_null() -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let found = open("/dev/null", flags, Mode::empty())?;
    if !is_null(found.as_fd())? {
        return Err(Errno::NODEV);
    }
    fcntl_setfl(&found, OFlags::empty())?;
    Ok(found)
}

fn empty_pipe() -> Result<OwnedFd, Errno> {
    let (read, _write) = std::io::pipe().map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    Ok(read.into())
}

fn is_null(file: BorrowedFd<'_>) -> Result<bool, Errno> {
    let stat = fstat(file)?;
    let is_device = FileType::from_raw_mode(stat.st_mode).is_char_device();
    Ok(is_device && (major(stat.st_rdev), minor(stat.st_rdev)) == NULL)
}
