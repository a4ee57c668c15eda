//! Which log files a container has. A file is named by its attempt and part; everything else in the folder is ignored.
//!
//! Opens never follow a symbolic link: the folder is the node's own, and a link in it would not be.

use std::cmp::Ordering;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

use crate::layout::{log_file_name, parse_log_file_name};

/// What one physical line takes at most, and more.
const LONGEST_LINE: usize = 32 * 1024;
/// As long as a writer may take for what it has begun to write.
const AT_A_LINE: Duration = Duration::from_secs(1);

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

/// Where the log ends: behind the last whole line of the last file that holds something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct End {
    pub file: LogFile,
    pub length: u64,
    /// Whether a line stands there that nobody goes on with; then it is behind that.
    pub is_torn: bool,
}

impl End {
    /// That of these files (oldest first), as they are now.
    pub fn of(dir: &Path, files: &[LogFile]) -> Option<End> {
        let mut begun = files.iter().rev().filter(|file| file.is_begun(dir));
        let (name, file) = begun.find_map(|name| Some((*name, name.open(dir).ok()?)))?;
        let meta = file.metadata().ok()?;
        let (length, written) = (meta.len(), meta.modified().ok()?);
        let whole = whole_lines(&file, length);
        // Who is at a line goes on with it soon; a disk that is busy may hold it up in the middle.
        let is_torn = whole < length && written.elapsed().is_ok_and(|since| since > AT_A_LINE);
        Some(End { file: name, length: if is_torn { length } else { whole }, is_torn })
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

/// Of so many bytes those up to the last newline. What is longer than any line of pause's is none.
fn whole_lines(file: &File, length: u64) -> u64 {
    let mut last = vec![0; LONGEST_LINE];
    let from = length.saturating_sub(last.len() as u64);
    let read = file.read_at(&mut last, from).unwrap_or(0) as u64;
    let before_end = &last[..read.min(length - from) as usize];
    before_end.iter().rposition(|byte| *byte == b'\n').map_or(from, |at| from + at as u64 + 1)
}

fn named((attempt, part): (u32, u32)) -> LogFile {
    LogFile { attempt, part }
}

/// Whether the open file has been removed from its folder, by rotation say.
pub(super) fn is_removed(file: &File) -> bool {
    file.metadata().is_ok_and(|m| m.nlink() == 0)
}
