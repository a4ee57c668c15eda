//! Which log files a container has. A file is named by its attempt and part; everything else in the folder is ignored.
//!
//! Opens never follow a symbolic link: the folder is the node's own, and a link in it would not be.

use std::cmp::Ordering;
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

/// Where the log ends: the last file that holds something, and its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct End {
    pub file: LogFile,
    pub length: u64,
}

impl End {
    /// That of these files (oldest first), as they are now.
    pub fn of(dir: &Path, files: &[LogFile]) -> Option<End> {
        let length = |file: LogFile| std::fs::symlink_metadata(file.path(dir)).map(|meta| meta.len()).ok();
        let ends = files.iter().rev().filter_map(|file| Some(End { file: *file, length: length(*file)? }));
        ends.into_iter().find(|end| end.length > 0)
    }

    /// Bytes of a file that lie before it.
    pub fn before(self, file: LogFile) -> u64 {
        match file.cmp(&self.file) {
            Ordering::Less => u64::MAX,
            Ordering::Equal => self.length,
            Ordering::Greater => 0,
        }
    }
}

fn named((attempt, part): (u32, u32)) -> LogFile {
    LogFile { attempt, part }
}

/// Whether the open file has been removed from its folder, by rotation say.
pub(super) fn is_removed(file: &File) -> bool {
    file.metadata().is_ok_and(|m| m.nlink() == 0)
}
