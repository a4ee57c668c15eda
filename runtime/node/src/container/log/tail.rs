//! Where the last N lines begin. Counts each file forward, the newest first, in constant memory, and no more files than it
//! must: a member that writes fast may have them rotated away meanwhile. The file to begin with is handed over open.
//!
//! A line is what the member wrote up to a newline, however many records it took; an unfinished one at the end counts.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::Path;

use super::files::{End, LogFile};
use super::line::parse_record;

/// Bytes of a physical line that decide its tag: time, stream and tag fit well within.
const HEAD: usize = 64;

/// The file to start in, and how many of its lines to pass over first.
#[derive(Debug)]
pub(super) struct TailStart {
    pub name: LogFile,
    pub file: File,
    pub skip_lines: u64,
}

/// Finds the start of the last `lines` lines before `end` in `files` (oldest first). `None` if there is no file.
///
/// # Errors
/// A file that exists cannot be read.
pub(super) fn find(dir: &Path, files: &[LogFile], lines: u64, end: Option<End>) -> io::Result<Option<TailStart>> {
    let (mut counts, mut open) = (Vec::new(), Vec::new());
    for name in files.iter().rev() {
        let before = end.map_or(u64::MAX, |end| end.before(*name));
        let Some((file, count)) = count_in(dir, *name, before)? else { continue };
        counts.insert(0, count);
        open.insert(0, (*name, file));
        // The line before the first of them may have begun in a file before.
        if total(&counts) > lines {
            break;
        }
    }
    let Some((index, skip_lines)) = locate(&counts, total(&counts).saturating_sub(lines)) else { return Ok(None) };
    let (name, mut file) = open.swap_remove(index);
    file.rewind()?;
    Ok(Some(TailStart { name, file, skip_lines }))
}

fn total(counts: &[Count]) -> u64 {
    let open_end = counts.iter().rev().find(|count| count.any).is_some_and(|count| count.open_end);
    counts.iter().map(|count| count.lines).sum::<u64>() + u64::from(open_end)
}

/// Which of the files, and how many of its lines come before.
fn locate(counts: &[Count], mut skip: u64) -> Option<(usize, u64)> {
    // The files that pause was given ahead of time hold nothing yet; what comes next goes where the last line is.
    let used = counts.iter().rposition(|count| count.any).unwrap_or(0);
    let (_, earlier) = counts.get(..=used)?.split_last()?;
    for (index, count) in earlier.iter().enumerate() {
        if skip < count.lines || (skip == count.lines && count.open_end) {
            return Some((index, skip));
        }
        skip -= count.lines;
    }
    Some((used, skip))
}

#[derive(Debug, Clone, Copy, Default)]
struct Count {
    lines: u64,
    open_end: bool,
    any: bool,
}

/// `None` for a file that was removed meanwhile.
fn count_in(dir: &Path, name: LogFile, before: u64) -> io::Result<Option<(File, Count)>> {
    let file = match name.open(dir) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let count = count_lines((&file).take(before))?;
    Ok(Some((file, count)))
}

fn count_lines(mut bytes: impl Read) -> io::Result<Count> {
    let mut counter = Counter::default();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match bytes.read(&mut buffer)? {
            0 => return Ok(counter.finish()),
            n => counter.feed(&buffer[..n]),
        }
    }
}

#[derive(Default)]
struct Counter {
    count: Count,
    head: Vec<u8>,
}

impl Counter {
    fn feed(&mut self, mut bytes: &[u8]) {
        while let Some(at) = bytes.iter().position(|b| *b == b'\n') {
            self.keep_head(&bytes[..at]);
            self.end_physical_line();
            bytes = &bytes[at + 1..];
        }
        self.keep_head(bytes);
    }

    fn keep_head(&mut self, bytes: &[u8]) {
        let room = HEAD - self.head.len();
        self.head.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn end_physical_line(&mut self) {
        let ends = parse_record(&self.head).ends_line;
        self.count.any = true;
        self.count.lines += u64::from(ends);
        self.count.open_end = !ends;
        self.head.clear();
    }

    fn finish(mut self) -> Count {
        if !self.head.is_empty() {
            self.count.any = true;
            self.count.open_end = true;
        }
        self.count
    }
}
