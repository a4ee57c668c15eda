//! Files and folders as a tar stream, out of a tree that somebody hostile may own and into one.
//!
//! A `Tree` is a directory and how paths in it are meant; every walk is one `openat2`, so that links, `..` and renames in
//! the middle lead nowhere else. A name that was given is followed to what it means; below it links stay links. What is
//! neither file, folder, link nor FIFO (a device, a socket) is left out and counted, since the reader could do nothing
//! good with it. Must never open what it has not looked at, nor anything that could make it wait.

mod metered;
mod pack;
#[cfg(test)]
mod tests;
mod unpack;

use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use dwell_spec::plan::users;
use dwell_sys::fs::{open_beneath, open_in_root, open_plain_beneath};
use rustix::fs::{FileType, Mode, OFlags, Stat, fstat};
use rustix::io::Errno;

pub use pack::pack;
pub use unpack::{Naming, Ownership, unpack};

/// Bytes of a name in an error.
const NAME_SHOWN: usize = 1024;
/// Folders within folders.
const DEEPEST: usize = 256;
/// Whose id is none of the namespace's.
const NOBODY: u32 = 65534;

/// How paths in a tree are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// As if the directory were `/`: absolute links stay inside.
    Root,
    /// Whatever would lead out of the directory is an error.
    Beneath,
    /// As `Beneath`, and any link on the way is one: it may have come with an earlier archive.
    Plain,
}

/// A directory, and how paths in it are meant.
#[derive(Debug)]
pub struct Tree {
    /// The directory; only a path is enough.
    pub dir: OwnedFd,
    /// How paths in it are meant.
    pub scope: Scope,
    /// The host's id of root in the user namespace of those whose tree it is, if they have one: archives tell ids as seen
    /// from inside.
    pub users: Option<u32>,
}

/// What a path leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A folder.
    Folder,
    /// A file, or anything else that is no folder.
    File,
}

/// Why an archive was not made, or not taken apart.
#[derive(Debug)]
pub struct ArchiveError {
    attempt: &'static str,
    path: Vec<u8>,
    source: io::Error,
}

impl ArchiveError {
    fn new(attempt: &'static str, path: &[u8], source: impl Into<io::Error>) -> Self {
        Self { attempt, path: path[..path.len().min(NAME_SHOWN)].to_owned(), source: source.into() }
    }

    fn bad(attempt: &'static str, path: &[u8], why: &'static str) -> Self {
        Self::new(attempt, path, io::Error::new(io::ErrorKind::InvalidData, why))
    }

    /// The path does not exist.
    pub fn is_missing(&self) -> bool {
        self.source.kind() == io::ErrorKind::NotFound
    }
}

impl fmt::Display for ArchiveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.attempt, String::from_utf8_lossy(&self.path).escape_debug(), self.source)
    }
}

impl std::error::Error for ArchiveError {}

impl Tree {
    fn open(&self, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
        let dir = self.dir.as_fd();
        match self.scope {
            Scope::Root => open_in_root(dir, OsStr::from_bytes(path), flags),
            Scope::Beneath => open_beneath(dir, OsStr::from_bytes(relative(path)), flags, Mode::empty()),
            Scope::Plain => open_plain_beneath(dir, OsStr::from_bytes(relative(path)), flags),
        }
    }

    /// An id of the host as it is seen from inside.
    fn inside(&self, id: u32) -> u32 {
        let Some(first) = self.users else { return id };
        id.checked_sub(first).filter(|id| *id < users::IDS).unwrap_or(NOBODY)
    }

    /// An id as it is seen from inside, as the host has it; `None` if there is none such.
    fn of_host(&self, id: u32) -> Option<u32> {
        self.users.map_or(Some(id), |first| users::of_host(first, id))
    }

    /// What a path leads to; `None` if there is nothing.
    ///
    /// # Errors
    /// It cannot be looked at.
    pub fn look(&self, path: &[u8]) -> Result<Option<Kind>, ArchiveError> {
        let kind = |found: OwnedFd| Ok(if kind_of(&fstat(&found)?).is_dir() { Kind::Folder } else { Kind::File });
        match self.open(path, OFlags::PATH).and_then(kind) {
            Ok(kind) => Ok(Some(kind)),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(ArchiveError::new("look at", path, errno)),
        }
    }
}

fn relative(path: &[u8]) -> &[u8] {
    path.iter().position(|byte| *byte != b'/').map_or(&b"."[..], |start| &path[start..])
}

fn kind_of(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

/// Opens what a descriptor of a path names, which nobody can exchange any more.
fn reopen(path: &OwnedFd, flags: OFlags) -> Result<OwnedFd, Errno> {
    let name = format!("/proc/self/fd/{}", path.as_raw_fd());
    rustix::fs::open(name, flags | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY, Mode::empty())
}
