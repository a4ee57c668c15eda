//! What a folder takes of a disk.

use std::collections::HashSet;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, openat, statat};
use rustix::io::Errno;

use crate::walk::walk;

/// Bytes in a block, whatever the file system's own are.
const BLOCK: u64 = 512;

/// Names of files that have several, to count each file once; what comes after counts by its names.
const REMEMBERED: usize = 1 << 20;

/// Bytes on the disk of all that lies below a folder, what has several names once; 0 where there is nothing. Once it is
/// more than `enough` the rest is not looked at; what lies too deep to be looked at counts as more than anything. What was
/// unlinked and is still open somewhere is not among them.
///
/// # Errors
/// What the file system said.
pub fn disk_usage(folder: &Path, enough: u64) -> io::Result<u64> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let top = match openat(CWD, folder, flags, Mode::empty()) {
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(0),
        other => other?,
    };
    let (mut total, mut seen) = (0u64, HashSet::new());
    let walked = walk(top.as_fd(), |directory, name| {
        let found = match statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => return Ok(false),
            other => other?,
        };
        let is_folder = FileType::from_raw_mode(found.st_mode) == FileType::Directory;
        let mut is_new = || seen.len() == REMEMBERED || seen.insert((found.st_dev, found.st_ino));
        if is_folder || found.st_nlink == 1 || is_new() {
            total = total.saturating_add(found.st_blocks.unsigned_abs().saturating_mul(BLOCK));
        }
        if total > enough { Err(Errno::CANCELED.into()) } else { Ok(is_folder) }
    });
    match walked {
        Ok(true) => Ok(total),
        Ok(false) => Ok(u64::MAX),
        Err(_) if total > enough => Ok(total),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn blocks_count_and_names_do_not() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("sub")).unwrap();
        let empty = disk_usage(dir.path(), u64::MAX).unwrap();
        fs::write(dir.path().join("sub/file"), vec![1; 1 << 20]).unwrap();
        fs::File::open(dir.path().join("sub/file")).unwrap().sync_all().unwrap();
        let full = disk_usage(dir.path(), u64::MAX).unwrap();
        assert!((1 << 20..2 << 20).contains(&(full - empty)), "{empty} {full}");
        fs::hard_link(dir.path().join("sub/file"), dir.path().join("again")).unwrap();
        assert_eq!(disk_usage(dir.path(), u64::MAX).unwrap(), full);
        fs::File::create(dir.path().join("hole")).unwrap().set_len(1 << 40).unwrap();
        assert_eq!(disk_usage(dir.path(), u64::MAX).unwrap(), full, "a hole takes nothing");
        assert_eq!(disk_usage(&dir.path().join("none"), u64::MAX).unwrap(), 0);
        assert!(disk_usage(dir.path(), 0).unwrap() > 0, "enough was seen");
    }
}
