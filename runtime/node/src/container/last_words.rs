//! What a container says of its own end: the file that it may write to, and the end of its log instead.
//!
//! The file is the member's to fill, so it is opened without following or waiting for anything, and only its end is read,
//! as a kubelet does. The text is what the member wrote, made valid UTF-8: whoever prints it cleans it.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::log::{Attempts, Filter, LogReader, Record};

/// Bytes of the file's end that count.
const FROM_FILE: u64 = 4096;
/// Lines and bytes of the log's end that count.
const LINES: u64 = 80;
const FROM_LOG: usize = 2048;

/// The file of one start, empty, for every user to write to.
///
/// # Errors
/// What the file system said.
pub(super) fn make(own_folder: &Path) -> io::Result<File> {
    let file = options().write(true).create(true).truncate(true).open(path(own_folder))?;
    // Whatever the umask is.
    file.set_permissions(Permissions::from_mode(0o666))?;
    Ok(file)
}

/// What stands at the end of it; `None` when that is nothing.
pub(crate) fn from_file(own_folder: &Path) -> Option<String> {
    let mut file = options().read(true).open(path(own_folder)).ok()?;
    let begin = file.metadata().ok()?.len().saturating_sub(FROM_FILE);
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(begin)).ok()?;
    file.take(FROM_FILE).read_to_end(&mut bytes).ok()?;
    text(&bytes)
}

/// The end of the log of the newest start; `None` when there is nothing in it.
pub(crate) fn from_log(folder: PathBuf) -> Option<String> {
    let filter = Filter { attempts: Attempts::Current, tail: Some(LINES), since: None };
    let mut end = VecDeque::new();
    let keep = |record: Record<'_>| {
        end.extend(record.bytes);
        end.extend(record.ends_line.then_some(b'\n'));
        let surplus = end.len().saturating_sub(FROM_LOG);
        end.drain(..surplus);
        Ok(())
    };
    // What could be read counts.
    let _ = LogReader::new(folder, filter).finish(keep);
    text(end.make_contiguous())
}

fn path(own_folder: &Path) -> PathBuf {
    own_folder.join("last-words")
}

fn options() -> OpenOptions {
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let mut options = File::options();
    options.custom_flags(flags.bits() as i32);
    options
}

fn text(bytes: &[u8]) -> Option<String> {
    (!bytes.is_empty()).then(|| String::from_utf8_lossy(bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;

    #[test]
    fn the_end_of_the_file_counts() {
        let folder = tempfile::tempdir().unwrap();
        let file = make(folder.path()).unwrap();
        assert_eq!(from_file(folder.path()), None);
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o666);
        file.write_all_at(b"short\n", 0).unwrap();
        assert_eq!(from_file(folder.path()).unwrap(), "short\n");
        file.write_all_at(&[b'x'; 5000], 0).unwrap();
        file.write_all_at(b"end", 5000).unwrap();
        let words = from_file(folder.path()).unwrap();
        assert!(words.len() == 4096 && words.ends_with("xend"));
        file.set_len(1 << 40).unwrap();
        assert_eq!(from_file(folder.path()).unwrap().len(), 4096, "a huge hole costs nothing");
    }

    #[test]
    fn the_end_of_the_log_counts_by_lines_and_by_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let log = |lines: std::ops::Range<u32>, pad: usize| {
            let line = |n| format!("2026-01-01T00:00:00.000000000Z stdout F {n:0pad$}\n");
            std::fs::write(folder.path().join("0.0.log"), lines.map(line).collect::<String>()).unwrap();
            from_log(folder.path().to_owned())
        };
        assert_eq!(from_log(folder.path().join("none")), None);
        assert_eq!(log(0..3, 1).unwrap(), "0\n1\n2\n");
        assert_eq!(log(0..100, 1).unwrap().lines().next(), Some("20"));
        assert_eq!(log(0..100, 99).unwrap().len(), 2048);
    }
}
