//! Which log files a container has. A file is named by its attempt and part; everything else in the folder is ignored.
//!
//! Opens never follow a symbolic link: the folder is the node's own, and a link in it would not be.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use crate::layout::{log_file_name, parse_log_file_name};

/// One log file. The order is the order of writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LogFile {
    pub attempt: u32,
    pub part: u32,
}

impl LogFile {
    pub fn next_part(self) -> Self {
        Self { part: self.part.saturating_add(1), ..self }
    }

    pub fn next_attempt(self) -> Self {
        Self { attempt: self.attempt.saturating_add(1), part: 0 }
    }

    pub fn open(self, dir: &Path) -> io::Result<File> {
        let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
        OpenOptions::new().read(true).custom_flags(flags.bits() as i32).open(self.path(dir))
    }

    /// Whether pause (or its predecessor) has written to it.
    pub fn is_begun(self, dir: &Path) -> bool {
        std::fs::symlink_metadata(self.path(dir)).is_ok_and(|m| m.is_file() && m.len() > 0)
    }

    pub fn exists(self, dir: &Path) -> bool {
        std::fs::symlink_metadata(self.path(dir)).is_ok_and(|m| m.is_file())
    }

    fn path(self, dir: &Path) -> std::path::PathBuf {
        dir.join(log_file_name(self.attempt, self.part))
    }
}

/// Every log file of the folder, oldest first; none if the folder is missing.
///
/// # Errors
/// The folder exists and cannot be read.
pub(super) fn list(dir: &Path) -> io::Result<Vec<LogFile>> {
    let entries = match std::fs::read_dir(dir) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let mut files = Vec::new();
    for entry in entries {
        files.extend(entry?.file_name().to_str().and_then(parse_log_file_name).map(named));
    }
    files.sort_unstable();
    Ok(files)
}

fn named((attempt, part): (u32, u32)) -> LogFile {
    LogFile { attempt, part }
}

/// Whether the open file has been removed from its folder, by rotation say.
pub(super) fn is_removed(file: &File) -> bool {
    file.metadata().is_ok_and(|m| m.nlink() == 0)
}
