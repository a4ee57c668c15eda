//! Reads the records of one container in order, as far as they are written, and goes on where it stopped.
//!
//! ```text
//! NoFile ─a file appears→ Reading ─end, and the next file is begun→ Draining ─end again→ Reading(next)
//!                            └─end, no next file→ (drain returns; call again after LogWatch::changed)
//! ```
//! The step `Draining` closes a race: pause may have written to the old file between our read and the birth of the next,
//! but not after it.
//!
//! Memory is one buffer of `BUFFER` bytes; a physical line that does not fit is handed on in pieces.
//! A torn line (no newline yet) is kept back until it is whole, the next file begins, or `finish` is called. `finish` ends
//! where the log ends when it is called: a member that writes faster than its reader reads would keep it for ever.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use k8s_openapi::jiff::Timestamp;

use super::files::{self, End, LogFile};
use super::line::{Record, Stream, parse_record};
use super::tail;

/// Longest physical line handed on in one piece; pause's are at most 16 KiB and a head.
const BUFFER: usize = 64 * 1024;

/// Which starts of the container are read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Attempts {
    /// From the oldest that is kept, through all restarts.
    All,
    /// From the newest there is on, through later restarts.
    #[default]
    Current,
    /// The one before the newest, and nothing after it.
    Previous,
}

/// Which records are handed on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Filter {
    /// Which starts of the container.
    pub attempts: Attempts,
    /// None written before this.
    pub since: Option<Timestamp>,
    /// Only so many lines of what is there at the beginning; all that come later.
    pub tail: Option<u64>,
}

/// Why a log could not be read.
#[derive(Debug)]
pub enum LogFailure {
    /// `Attempts::Previous` of a container that was started at most once, or whose earlier log is gone.
    NoPrevious,
    /// Reading this folder or one of its files failed.
    Read(PathBuf, io::Error),
    /// The receiver of the records failed.
    Sink(io::Error),
}

impl fmt::Display for LogFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPrevious => write!(f, "there is no log of an earlier start of this container"),
            Self::Read(path, _) => write!(f, "read the log in {}", path.display()),
            Self::Sink(_) => write!(f, "write the log to the output"),
        }
    }
}

impl std::error::Error for LogFailure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::NoPrevious => None,
            Self::Read(_, e) | Self::Sink(e) => Some(e),
        }
    }
}

struct Open {
    name: LogFile,
    file: File,
    /// Bytes of it that were read.
    read: u64,
    /// The next file was begun before the last read: when this one ends again, it has ended for good.
    last_pass: bool,
}

/// A position in the log of one container.
pub struct LogReader {
    dir: PathBuf,
    filter: Filter,
    open: Option<Open>,
    /// While it finishes: nothing behind it is read.
    end: Option<End>,
    started: bool,
    skip_lines: u64,
    buffer: Vec<u8>,
    filled: usize,
    /// Set while the rest of a line longer than the buffer is to come.
    long_line: Option<(Stream, bool, bool)>,
}

impl LogReader {
    /// A reader of the log files in `dir` (`Layout::logs`), which need not exist yet. Does no IO.
    pub fn new(dir: PathBuf, filter: Filter) -> Self {
        let buffer = Vec::new();
        Self { dir, filter, open: None, end: None, started: false, skip_lines: 0, buffer, filled: 0, long_line: None }
    }

    /// Hands every record that is written by now, and was not handed on before, to `sink`.
    ///
    /// # Errors
    /// `NoPrevious`, a file that cannot be read, or what the sink failed with.
    pub fn drain(&mut self, mut sink: impl FnMut(Record<'_>) -> io::Result<()>) -> Result<(), LogFailure> {
        if self.open.is_none() && !self.open_first()? {
            return Ok(());
        }
        loop {
            let read = self.fill()?;
            self.hand_on_lines(&mut sink).map_err(LogFailure::Sink)?;
            if read == 0 && !self.at_end(&mut sink)? {
                return Ok(());
            }
        }
    }

    /// `drain` of what is there now, then the torn line at the end, if there is one. What is written meanwhile is left.
    ///
    /// # Errors
    /// As `drain`.
    pub fn finish(&mut self, mut sink: impl FnMut(Record<'_>) -> io::Result<()>) -> Result<(), LogFailure> {
        let files = self.read(files::list(&self.dir))?;
        self.end = End::of(&self.dir, choose_attempts(&files, self.filter.attempts)?);
        let drained = self.drain(&mut sink);
        let end = self.end.take();
        drained?;
        if end.is_some_and(|end| !end.is_torn) {
            return Ok(());
        }
        self.hand_on_torn(&mut sink).map_err(LogFailure::Sink)
    }

    fn open_first(&mut self) -> Result<bool, LogFailure> {
        let files = self.read(files::list(&self.dir))?;
        let chosen = choose_attempts(&files, self.filter.attempts)?;
        if let Some(lines) = self.filter.tail.filter(|_| !self.started) {
            return self.open_tail(chosen, lines);
        }
        let Some(first) = chosen.first() else { return Ok(false) };
        self.started = true;
        match self.open_file(*first) {
            Ok(()) => Ok(true),
            Err(LogFailure::Read(_, e)) if e.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(e) => Err(e),
        }
    }

    /// Only at the start; after that the oldest file that is left is the next (all earlier ones were removed under us).
    fn open_tail(&mut self, chosen: &[LogFile], lines: u64) -> Result<bool, LogFailure> {
        let Some(start) = self.read(tail::find(&self.dir, chosen, lines, self.end))? else { return Ok(false) };
        self.started = true;
        self.skip_lines = start.skip_lines;
        self.open = Some(Open { name: start.name, file: start.file, read: 0, last_pass: false });
        Ok(true)
    }

    fn open_file(&mut self, name: LogFile) -> Result<(), LogFailure> {
        let file = self.read(name.open(&self.dir))?;
        self.open = Some(Open { name, file, read: 0, last_pass: false });
        Ok(())
    }

    /// Reads once into the free part of the buffer. 0 is the end of the file as it is now.
    fn fill(&mut self) -> Result<usize, LogFailure> {
        self.buffer.resize(BUFFER, 0);
        let Some(open) = &mut self.open else {
            return Ok(0);
        };
        let free = &mut self.buffer[self.filled..];
        let before_end = self.end.map_or(u64::MAX, |end| end.before(open.name).saturating_sub(open.read));
        let most = usize::try_from(before_end).unwrap_or(usize::MAX).min(free.len());
        let read = open.file.read(&mut free[..most]).map_err(|e| LogFailure::Read(self.dir.clone(), e))?;
        self.filled += read;
        open.read += read as u64;
        Ok(read)
    }

    fn hand_on_lines(&mut self, sink: &mut impl FnMut(Record<'_>) -> io::Result<()>) -> io::Result<()> {
        let buffer = std::mem::take(&mut self.buffer);
        let mut from = 0;
        let mut result = Ok(());
        while let Some(length) = memchr(&buffer[from..self.filled]) {
            result = self.hand_on(&buffer[from..from + length], true, sink);
            from += length + 1;
            if result.is_err() {
                break;
            }
        }
        if result.is_ok() && from == 0 && self.filled == BUFFER {
            result = self.hand_on(&buffer, false, sink);
            from = BUFFER;
        }
        self.buffer = buffer;
        self.buffer.copy_within(from..self.filled, 0);
        self.filled -= from;
        result
    }

    /// One physical line, or (`whole` false) as much of a long one as fits.
    fn hand_on(
        &mut self,
        bytes: &[u8],
        whole: bool,
        sink: &mut impl FnMut(Record<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        let (record, passed) = match self.long_line.take() {
            Some((stream, ends_line, passed)) => (Record { time: None, stream, ends_line, bytes }, passed),
            None => {
                let record = parse_record(bytes);
                (record, self.passes(&record))
            }
        };
        if !whole {
            self.long_line = Some((record.stream, record.ends_line, passed));
        }
        let record = Record { ends_line: record.ends_line && whole, ..record };
        if !passed {
            self.skip_lines -= u64::from(record.ends_line && self.skip_lines > 0);
            return Ok(());
        }
        sink(record)
    }

    fn passes(&self, record: &Record<'_>) -> bool {
        let late_enough = || match (self.filter.since, record.time) {
            (Some(since), Some(time)) => time.parse::<Timestamp>().is_ok_and(|t| t >= since),
            (Some(_), None) => false,
            (None, _) => true,
        };
        self.skip_lines == 0 && late_enough()
    }

    fn hand_on_torn(&mut self, sink: &mut impl FnMut(Record<'_>) -> io::Result<()>) -> io::Result<()> {
        if self.filled == 0 && self.long_line.is_none() {
            return Ok(());
        }
        let buffer = std::mem::take(&mut self.buffer);
        let result = self.hand_on(&buffer[..self.filled], true, sink);
        self.buffer = buffer;
        self.filled = 0;
        result
    }

    /// At the end of a file: whether there is more to read, here or in the next one.
    fn at_end(&mut self, sink: &mut impl FnMut(Record<'_>) -> io::Result<()>) -> Result<bool, LogFailure> {
        let Some(open) = &mut self.open else {
            return Ok(false);
        };
        if self.end.is_some_and(|end| open.name >= end.file) {
            return Ok(false);
        }
        let Some(next) =
            next_file(&self.dir, open, self.filter.attempts).map_err(|e| LogFailure::Read(self.dir.clone(), e))?
        else {
            return Ok(false);
        };
        if !std::mem::replace(&mut open.last_pass, true) {
            return Ok(true);
        }
        self.hand_on_torn(sink).map_err(LogFailure::Sink)?;
        self.open = None;
        match self.open_file(next) {
            Err(LogFailure::Read(_, e)) if e.kind() == io::ErrorKind::NotFound => self.open_first(),
            other => other.map(|()| true),
        }
    }

    fn read<T>(&self, result: io::Result<T>) -> Result<T, LogFailure> {
        result.map_err(|e| LogFailure::Read(self.dir.clone(), e))
    }
}

fn memchr(bytes: &[u8]) -> Option<usize> {
    bytes.iter().position(|b| *b == b'\n')
}

fn choose_attempts(files: &[LogFile], attempts: Attempts) -> Result<&[LogFile], LogFailure> {
    let newest = files.last().map_or(0, |f| f.attempt);
    let newest_from = files.partition_point(|f| f.attempt < newest);
    match attempts {
        Attempts::All => Ok(files),
        Attempts::Current => Ok(&files[newest_from..]),
        Attempts::Previous => {
            let before = &files[..newest_from];
            let attempt = before.last().ok_or(LogFailure::NoPrevious)?.attempt;
            Ok(&before[before.partition_point(|f| f.attempt < attempt)..])
        }
    }
}

/// The file that follows the open one and is begun. Two look-ups as a rule; the folder is listed only when the open file
/// was removed, since then its successors may be too.
fn next_file(dir: &Path, open: &Open, attempts: Attempts) -> io::Result<Option<LogFile>> {
    let stays = |next: &LogFile| attempts != Attempts::Previous || next.attempt == open.name.attempt;
    let part = open.name.next_part();
    if part.is_begun(dir) {
        return Ok(Some(part));
    }
    let attempt = open.name.next_attempt();
    if attempt.exists(dir) {
        return Ok(Some(attempt).filter(stays));
    }
    if !files::is_removed(&open.file) {
        return Ok(None);
    }
    Ok(files::list(dir)?.into_iter().find(|f| *f > open.name).filter(stays))
}

#[cfg(test)]
#[path = "reader_tests.rs"]
mod tests;
