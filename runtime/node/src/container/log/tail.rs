//! Where the last N lines begin. Counts forward, once, in constant memory; the files are bounded by rotation.
//!
//! A line is what the member wrote up to a newline, however many records it took; an unfinished one at the end counts.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::files::LogFile;
use super::line::parse_record;

/// Bytes of a physical line that decide its tag: time, stream and tag fit well within.
const HEAD: usize = 64;

/// The file to start in, and how many of its lines to pass over first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TailStart {
    pub file: LogFile,
    pub skip_lines: u64,
}

/// Finds the start of the last `lines` lines of `files` (oldest first). `None` if there is no file.
///
/// # Errors
/// A file that exists cannot be read.
pub(super) fn find(dir: &Path, files: &[LogFile], lines: u64) -> io::Result<Option<TailStart>> {
    let mut counts = Vec::with_capacity(files.len());
    for file in files {
        counts.push((*file, count_in(dir, *file)?));
    }
    let total: u64 = counts.iter().map(|(_, count)| count.lines).sum::<u64>()
        + u64::from(counts.iter().rev().find(|(_, c)| c.any).is_some_and(|(_, c)| c.open_end));
    Ok(locate(&counts, total.saturating_sub(lines)))
}

fn locate(counts: &[(LogFile, Count)], mut skip: u64) -> Option<TailStart> {
    // The files that pause was given ahead of time hold nothing yet; what comes next goes where the last line is.
    let used = counts.iter().rposition(|(_, count)| count.any).unwrap_or(0);
    let (last, earlier) = counts.get(..=used)?.split_last()?;
    for (file, count) in earlier {
        if skip < count.lines || (skip == count.lines && count.open_end) {
            return Some(TailStart { file: *file, skip_lines: skip });
        }
        skip -= count.lines;
    }
    Some(TailStart { file: last.0, skip_lines: skip })
}

#[derive(Debug, Clone, Copy, Default)]
struct Count {
    lines: u64,
    open_end: bool,
    any: bool,
}

fn count_in(dir: &Path, file: LogFile) -> io::Result<Count> {
    match file.open(dir) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Count::default()),
        opened => count_lines(opened?),
    }
}

fn count_lines(mut file: File) -> io::Result<Count> {
    let mut counter = Counter::default();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match file.read(&mut buffer)? {
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
