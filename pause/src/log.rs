//! A member's output becomes records in its log file.
//!
//! Whole records are put together in a static buffer and written by one write(2). Nothing is remembered of a line
//! between two reads but whether it is still open: what ends without a newline is written at once with the tag `P`.
//! The file never holds a torn record: after a failed write it is cut back to the last whole one, and what did not
//! get in is counted. Once writing works again the count is written first, after an end for every open line (whose
//! rest may be missing).

use crate::arch::nr;
use crate::protocol::TEXT_MAX;
use crate::stamp::{self, HEAD, STREAM, TAG};
use crate::sys;
use crate::table::{Log, Member, Stream};

/// Bytes read from one pipe in one turn at most.
const CHUNK: usize = 64 * 1024;
/// Bytes of records written at once at most, so that both buffers are whole pages.
const OUTPUT: usize = CHUNK - 48;

/// Both buffers, given back to the kernel when nothing was written for a while.
#[repr(C)]
pub struct Buffers {
    input: [u8; CHUNK],
    output: Output,
}

/// Whole records that are not yet written.
#[repr(C)]
struct Output {
    bytes: [u8; OUTPUT],
    len: usize,
    /// The head of the chunk's records.
    head: [u8; HEAD],
}

impl Buffers {
    pub const EMPTY: Self = Self { input: [0; CHUNK], output: Output { bytes: [0; OUTPUT], len: 0, head: [0; HEAD] } };

    /// Lets the pages go. Their content is lost, and nobody needs it between two turns.
    pub fn release(&mut self) {
        const MADV_DONTNEED: usize = 4;
        const PAGE: usize = 4096;
        const { assert!(size_of::<Self>().is_multiple_of(PAGE)) };
        // SAFETY: exactly the pages of this structure, which read as zeros from now on: valid for it. The linker
        // script begins it on a page; if it did not, or pages were larger, the kernel would refuse.
        unsafe { sys::call(nr::MADVISE, &raw mut *self as usize, size_of::<Self>(), MADV_DONTNEED) };
    }
}

impl Output {
    fn begin(&mut self) {
        self.len = 0;
        self.head = stamp::head(&sys::now());
    }

    /// Puts bytes behind the others; the caller made room.
    #[inline(never)]
    fn put(&mut self, bytes: &[u8]) {
        let end = self.len + bytes.len();
        if let Some(room) = self.bytes.get_mut(self.len..end) {
            // SAFETY: both are as long as `bytes`, and no caller's bytes lie in this buffer.
            unsafe { core::ptr::copy_nonoverlapping(bytes.as_ptr(), room.as_mut_ptr(), bytes.len()) };
            self.len = end;
        }
    }

    fn put_head(&mut self, stderr: bool, tag: u8) {
        let name = if stderr { *b"err" } else { *b"out" };
        self.head[STREAM] = name[0];
        self.head[STREAM + 1] = name[1];
        self.head[STREAM + 2] = name[2];
        self.head[TAG] = tag;
        let head = self.head;
        self.put(&head);
    }

    /// Decimal.
    fn put_number(&mut self, value: u64) {
        let mut text = [b'0'; 10];
        stamp::digits(&mut text, 10, value.min(u64::from(u32::MAX)) as u32);
        let mut digits = &text[..];
        while let [b'0', rest @ ..] = digits
            && !rest.is_empty()
        {
            digits = rest;
        }
        self.put(digits);
    }
}

/// Reads once from a stream and writes what came; closes it at its end. Says whether the buffers were used.
pub fn pump(member: &mut Member, which: usize, buffers: &mut Buffers) -> bool {
    let living = member.pid != 0;
    let terminal = member.terminal;
    let Some(stream) = member.streams.get_mut(which) else {
        return false;
    };
    let mut limit = CHUNK;
    if !living {
        limit = limit.min(stream.drain as usize);
        stream.drain -= limit as u32;
    }
    let Some(input) = buffers.input.get_mut(..limit) else {
        return false;
    };
    let read = sys::read(stream.fd, input);
    if read > 0 {
        if member.log.current != 0 {
            let Some(text) = buffers.input.get(..read as usize) else {
                return false;
            };
            consume(member, which, text, &mut buffers.output);
        }
        return true;
    }
    if living && (read == sys::EAGAIN || read == sys::EINTR) {
        return false;
    }
    if living && terminal {
        stream.parked = true;
    } else {
        sys::close(&mut stream.fd);
    }
    false
}

fn consume(member: &mut Member, which: usize, text: &[u8], output: &mut Output) {
    output.begin();
    let failed = !notice(&mut member.log, &mut member.streams, output);
    let Some(stream) = member.streams.get_mut(which) else {
        return;
    };
    let was_open = stream.open;
    let mut writer = Writer { log: &mut member.log, stream, output, stderr: which == 1, was_open, failed };
    let mut rest = text;
    while !rest.is_empty() {
        let window = rest.get(..TEXT_MAX).unwrap_or(rest);
        let newline = window.iter().position(|byte| *byte == b'\n');
        let size = newline.unwrap_or(window.len());
        writer.record(window.get(..size).unwrap_or(&[]), newline.is_some());
        rest = rest.get(size + usize::from(newline.is_some())..).unwrap_or(&[]);
    }
    writer.flush();
}

/// Puts the records of one chunk together.
struct Writer<'a> {
    log: &'a mut Log,
    stream: &'a mut Stream,
    output: &'a mut Output,
    stderr: bool,
    /// `stream.open` before the first record in `output`.
    was_open: bool,
    /// Writing failed in this chunk: the rest of it is dropped without another try.
    failed: bool,
}

impl Writer<'_> {
    fn record(&mut self, text: &[u8], full: bool) {
        let need = HEAD + text.len() + 1;
        if !self.log.fits(self.output.len, need) || self.output.len + need > OUTPUT {
            self.flush();
        }
        if self.failed || self.stream.skipping || !self.log.make_room(self.output.len, need) {
            return self.drop(text.len(), full);
        }
        self.output.put_head(self.stderr, if full { b'F' } else { b'P' });
        self.output.put(text);
        self.output.put(b"\n");
        self.stream.open = !full;
    }

    fn drop(&mut self, text: usize, full: bool) {
        self.log.dropped_bytes += text as u64 + u64::from(full);
        self.log.dropped_lines += u64::from(full);
        self.stream.skipping = !full;
    }

    /// Writes what is there; counts what the file did not take, and finds out again whether its last line is open.
    fn flush(&mut self) {
        let kept = self.log.append(self.output);
        if kept < self.output.len {
            self.failed = true;
            self.stream.open = self.was_open;
            let mut at = 0;
            while let Some(record) = self.output.bytes.get(at..self.output.len)
                && let Some(size) = record.iter().position(|byte| *byte == b'\n')
            {
                let full = record.get(TAG) == Some(&b'F');
                if at < kept {
                    self.stream.open = !full;
                } else {
                    self.drop(size - HEAD, full);
                }
                at += size + 1;
            }
        }
        self.output.len = 0;
        self.was_open = self.stream.open;
    }
}

impl Log {
    /// Whether the file takes one more record behind those not yet written; an empty file takes any.
    fn fits(&self, unwritten: usize, record: usize) -> bool {
        let size = self.size + unwritten as u64;
        self.limit == 0 || size == 0 || size + record as u64 <= self.limit
    }

    /// Goes on in the next file if this one is full; without one the limit is reached.
    fn make_room(&mut self, unwritten: usize, record: usize) -> bool {
        if self.fits(unwritten, record) {
            return true;
        }
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
    fn append(&mut self, output: &Output) -> usize {
        let mut kept = 0;
        while let Some(rest) = output.bytes.get(kept..output.len)
            && !rest.is_empty()
        {
            let written = sys::write(self.current, rest);
            if written == sys::EINTR {
                continue;
            }
            let mut whole = written.max(0) as usize;
            while whole > 0 && rest.get(whole - 1) != Some(&b'\n') {
                whole -= 1;
            }
            self.size += whole as u64;
            kept += whole;
            if written > whole as isize {
                sys::truncate(self.current, self.size);
            }
            if whole == 0 {
                self.at_limit = false;
                break;
            }
        }
        kept
    }
}

/// Writes down what was dropped since the last notice, if anything. False: it cannot be written yet.
fn notice(log: &mut Log, streams: &mut [Stream; 2], output: &mut Output) -> bool {
    let (lines, bytes) = (log.dropped_lines - log.noticed_lines, log.dropped_bytes - log.noticed_bytes);
    if bytes == 0 {
        return true;
    }
    for (which, stream) in streams.iter().enumerate() {
        if stream.open {
            output.put_head(which == 1, b'F');
            output.put(b"\n");
        }
    }
    output.put_head(true, b'F');
    output.put(b"dwell: ");
    output.put_number(lines);
    output.put(b" lines (");
    output.put_number(bytes);
    output.put(b" bytes) dropped: ");
    output.put(if log.at_limit { b"log limit reached\n" } else { b"log write failed\n" });
    let written = log.make_room(0, output.len) && {
        let before = log.size;
        let whole = log.append(output) == output.len;
        if !whole {
            log.size = before;
            sys::truncate(log.current, before);
        }
        whole
    };
    output.len = 0;
    if written {
        (log.noticed_lines, log.noticed_bytes) = (log.dropped_lines, log.dropped_bytes);
        for stream in streams {
            stream.open = false;
        }
    }
    written
}

/// The notice that is due when a file came or the member ended.
pub fn settle(member: &mut Member, buffers: &mut Buffers) {
    buffers.output.begin();
    notice(&mut member.log, &mut member.streams, &mut buffers.output);
}
