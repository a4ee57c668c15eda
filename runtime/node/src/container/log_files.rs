//! The files that pause writes a member's output to: the current one and the next, named by start and part, bounded
//! in size and number. The node only opens, names and deletes them; it never stands in the data path.

use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::layout::{log_file_name, parse_log_file_name};

/// Bytes of one log file; pause goes on to the next before it grows beyond.
pub const LOG_FILE_MAX: u64 = 10 << 20;
/// Files kept per container, over all its starts.
pub const LOG_FILES_KEPT: usize = 5;

/// Opens one log file for appending, making folder and file if missing. The folder is the node's own, and a link or a FIFO
/// in it would not be.
///
/// # Errors
/// What the file system said.
pub fn open(folder: &Path, start: u32, part: u32) -> io::Result<File> {
    std::fs::create_dir_all(folder)?;
    let path = folder.join(log_file_name(start, part));
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    File::options().create(true).append(true).mode(0o640).custom_flags(flags.bits() as i32).open(path)
}

/// Deletes the oldest files beyond `LOG_FILES_KEPT`; empty files ahead do not count.
///
/// # Errors
/// What the file system said.
pub fn prune(folder: &Path) -> io::Result<()> {
    let mut files: Vec<((u32, u32), PathBuf)> = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let number = entry.file_name().to_str().and_then(parse_log_file_name);
        if let Some(number) = number.filter(|_| entry.metadata().is_ok_and(|meta| meta.len() > 0)) {
            files.push((number, entry.path()));
        }
    }
    files.sort();
    let surplus = files.len().saturating_sub(LOG_FILES_KEPT);
    files[..surplus].iter().try_for_each(|(_, path)| std::fs::remove_file(path))
}
