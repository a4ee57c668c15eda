//! A member's output becomes records in its log file.
//!
//! Whole records are put together in a static buffer and written by one write(2). Nothing is remembered of a line
//! between two reads but whether it is still open: what ends without a newline is written at once with the tag `P`.
//! The file never holds a torn record: after a failed write it is cut back to the last whole one, and what did not
//! get in is counted. Once writing works again the count is written first, after an end for every open line (whose
//! rest may be missing).

use crate::arch::nr;
use crate::protocol::TEXT_MAX;
use crate::stamp::{self, HEAD, TAG};
use crate::sys::{self, Time};
use crate::table::{Log, Member, Stream};

/// Bytes read from one pipe in one turn at most.
const CHUNK: usize = 64 * 1024;

/// Both buffers, given back to the kernel when nothing was written for a while.
#[repr(C, align(4096))]
pub struct Buffers {
    input: [u8; CHUNK],
    output: [u8; CHUNK],
}

impl Buffers {
    pub const EMPTY: Self = Self { input: [0; CHUNK], output: [0; CHUNK] };

    /// Lets the pages go. Their content is lost, and nobody needs it between two turns.
    pub fn release(&mut self) {
        const MADV_DONTNEED: usize = 4;
        // SAFETY: exactly the pages of this aligned structure, which read as zeros from now on: valid for it.
        let _ = unsafe { sys::call(nr::MADVISE, &raw mut *self as usize, size_of::<Self>(), MADV_DONTNEED) };
    }
}

/// Reads once from a stream and writes what came; closes it at its end. Says whether the buffers were used.
pub fn pump(member: &mut Member, which: usize, buffers: &mut Buffers) -> bool {
    let living = member.is_living();
    let terminal = member.terminal;
    let Some(stream) = member.streams.get_mut(which) else { return false };
    let mut limit = CHUNK;
    if !living {
        limit = limit.min(stream.drain as usize);
        stream.drain -= limit as u32;
    }
    let Some(input) = buffers.input.get_mut(..limit) else { return false };
    match sys::read(stream.fd, input) {
        Ok(n) if n > 0 => {
            let Some(text) = buffers.input.get(..n) else { return false };
            consume(&mut member.log, &mut member.streams, which, text, &mut buffers.output);
            return true;
        }
        Err(sys::EINTR) => {}
        Err(sys::EAGAIN) if living => {}
        Err(_) if living && terminal => stream.parked = true,
        _ => sys::close(&mut stream.fd),
    }
    false
}

fn consume(log: &mut Log, streams: &mut [Stream; 2], which: usize, text: &[u8], output: &mut [u8; CHUNK]) {
    if log.current == 0 {
        return;
    }
    let time = sys::now();
    let failed = !notice(log, streams, &time, output);
    let Some(stream) = streams.get_mut(which) else { return };
    let was_open = stream.open;
    let head = stamp::head(&time, which == 1);
    let mut writer = Writer { log, stream, output, len: 0, was_open, failed };
    let mut rest = text;
    while !rest.is_empty() {
        let (piece, full, after) = cut(rest);
        writer.record(&head, piece, full);
        rest = after;
    }
    writer.flush();
}

/// The first record's text, whether a newline ended it, and what comes after.
fn cut(text: &[u8]) -> (&[u8], bool, &[u8]) {
    let window = text.get(..TEXT_MAX).unwrap_or(text);
    match window.iter().position(|byte| *byte == b'\n') {
        Some(at) => (window.get(..at).unwrap_or(&[]), true, text.get(at + 1..).unwrap_or(&[])),
        None => (window, false, text.get(window.len()..).unwrap_or(&[])),
    }
}

/// Puts the records of one chunk together.
struct Writer<'a> {
    log: &'a mut Log,
    stream: &'a mut Stream,
    output: &'a mut [u8; CHUNK],
    /// Bytes of whole records in `output`.
    len: usize,
    /// `stream.open` before the first of them.
    was_open: bool,
    /// Writing failed in this chunk: the rest of it is dropped without another try.
    failed: bool,
}

impl Writer<'_> {
    fn record(&mut self, head: &[u8; HEAD], text: &[u8], full: bool) {
        let need = HEAD + text.len() + 1;
        if self.stream.skipping || !self.make_room(need) {
            return self.drop(text.len(), full);
        }
        if self.len + need > self.output.len() {
            self.flush();
        }
        if self.failed {
            return self.drop(text.len(), full);
        }
        let start = self.len;
        self.len = append(self.output, self.len, head);
        self.len = append(self.output, self.len, text);
        self.len = append(self.output, self.len, b"\n");
        if let Some(tag) = self.output.get_mut(start + TAG)
            && !full
        {
            *tag = b'P';
        }
        self.stream.open = !full;
    }

    /// Whether the file takes so many bytes more; goes on in the next file if there is one.
    fn make_room(&mut self, need: usize) -> bool {
        if self.failed || self.log.fits(self.len, need) {
            return true;
        }
        self.flush();
        self.failed || self.log.rotate()
    }

    fn drop(&mut self, text: usize, full: bool) {
        self.log.dropped_bytes += text as u64 + u64::from(full);
        self.log.dropped_lines += u64::from(full);
        self.stream.skipping = !full;
    }

    /// Writes what is there; what cannot be written is dropped.
    fn flush(&mut self) {
        let bytes = self.output.get(..self.len).unwrap_or(&[]);
        let kept = self.log.append(bytes);
        if kept < bytes.len() {
            self.failed = true;
            self.stream.open = self.was_open;
            self.account(kept);
        }
        self.len = 0;
        self.was_open = self.stream.open;
    }

    /// Counts the records from `kept` on as dropped, and finds out again whether the line before them is open.
    fn account(&mut self, kept: usize) {
        let mut at = 0;
        while at < self.len {
            let record = self.output.get(at..self.len).unwrap_or(&[]);
            let Some(size) = record.iter().position(|byte| *byte == b'\n') else { return };
            let full = record.get(TAG) == Some(&b'F');
            if at < kept {
                self.stream.open = !full;
            } else {
                self.drop(size.saturating_sub(HEAD), full);
            }
            at += size + 1;
        }
    }
}

impl Log {
    /// Whether one more record fits behind `buffered` bytes; into an empty file everything does.
    fn fits(&self, buffered: usize, record: usize) -> bool {
        let size = self.size + buffered as u64;
        self.limit == 0 || size == 0 || size + record as u64 <= self.limit
    }

    /// Goes on in the next file; without one the limit is reached.
    fn rotate(&mut self) -> bool {
        self.at_limit = self.next == 0;
        if self.at_limit {
            return false;
        }
        sys::close(&mut self.current);
        self.current = core::mem::take(&mut self.next);
        self.size = sys::file_size(self.current);
        self.rotations += 1;
        true
    }

    /// Writes whole records; returns how many bytes of whole records the file has taken, and cuts off the rest.
    fn append(&mut self, bytes: &[u8]) -> usize {
        let mut done = 0;
        while let Some(rest) = bytes.get(done..).filter(|rest| !rest.is_empty()) {
            match sys::write(self.current, rest) {
                Ok(n) if n > 0 => done += n,
                Err(sys::EINTR) => {}
                _ => break,
            }
        }
        let written = bytes.get(..done).unwrap_or(&[]);
        let kept = written.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        self.size += kept as u64;
        if kept < done {
            let _ = sys::truncate(self.current, self.size);
        }
        if kept < bytes.len() {
            self.at_limit = false;
        }
        kept
    }
}

/// Writes down what was dropped since the last notice, if anything. False: it cannot be written yet.
pub fn notice(log: &mut Log, streams: &mut [Stream; 2], time: &Time, output: &mut [u8; CHUNK]) -> bool {
    let (lines, bytes) = (log.dropped_lines - log.noticed_lines, log.dropped_bytes - log.noticed_bytes);
    if bytes == 0 || log.current == 0 {
        return true;
    }
    let mut len = 0;
    for (which, stream) in streams.iter().enumerate() {
        if stream.open {
            len = append(output, len, &stamp::head(time, which == 1));
            len = append(output, len, b"\n");
        }
    }
    len = append(output, len, &stamp::head(time, true));
    len = append(output, len, b"dwell: ");
    len = append_number(output, len, lines);
    len = append(output, len, b" lines (");
    len = append_number(output, len, bytes);
    len = append(output, len, b" bytes) dropped: ");
    len = append(output, len, if log.at_limit { b"log limit reached\n" } else { b"log write failed\n" });
    let record = output.get(..len).unwrap_or(&[]);
    if !log.fits(0, len) && !log.rotate() {
        return false;
    }
    let before = log.size;
    if log.append(record) < len {
        log.size = before;
        let _ = sys::truncate(log.current, before);
        return false;
    }
    (log.noticed_lines, log.noticed_bytes) = (log.dropped_lines, log.dropped_bytes);
    for stream in streams {
        stream.open = false;
    }
    true
}

/// The notice that is due when a file came or the member ended.
pub fn settle(member: &mut Member, buffers: &mut Buffers) {
    notice(&mut member.log, &mut member.streams, &sys::now(), &mut buffers.output);
}

/// Copies the bytes to `at` and returns the place after them. What does not fit is left out: callers made room.
fn append(output: &mut [u8; CHUNK], at: usize, bytes: &[u8]) -> usize {
    match output.get_mut(at..at + bytes.len()) {
        Some(room) => {
            for (to, from) in room.iter_mut().zip(bytes) {
                *to = *from;
            }
            at + bytes.len()
        }
        None => at,
    }
}

/// Decimal, up to 18 digits.
fn append_number(output: &mut [u8; CHUNK], at: usize, value: u64) -> usize {
    let mut text = [0; 18];
    stamp::digits(&mut text, 9, 9, (value / 1_000_000_000) as u32);
    stamp::digits(&mut text, 18, 9, (value % 1_000_000_000) as u32);
    let first = text.iter().position(|digit| *digit != b'0').unwrap_or(17);
    append(output, at, text.get(first..).unwrap_or(&[]))
}
