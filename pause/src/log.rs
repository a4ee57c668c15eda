//! A member's output becomes records in its log file.
//!
//! Whole records are put together in a buffer that is always there and written by one write(2). Nothing is remembered of a line
//! between two reads but whether it is still open: what ends without a newline is written at once with the tag `P`.
//! The file never holds a torn record: after a failed write it is cut back to the last whole one, and what did not
//! get in is counted. Once writing works again the count is written first, after an end for every open line (whose
//! rest may be missing).

use crate::arch::{copy, nr};
use crate::protocol::TEXT_MAX;
use crate::stamp::{self, FULL, HEAD, Head, PIECE, STREAMS, TAG};
use crate::sys;
use crate::table::{Log, Member, Stream, due};

/// Bytes read from one pipe in one turn at most.
const CHUNK: usize = 64 * 1024;
/// Bytes of records written at once at most, so that both buffers are whole pages.
const OUTPUT: usize = CHUNK - 56;

/// Both buffers, given back to the kernel when nothing was written for a while.
#[repr(C)]
pub struct Buffers {
    input: [u8; CHUNK],
    output: Output,
}

/// Whole records of one chunk that are not yet written.
#[repr(C)]
struct Output {
    len: usize,
    /// `open` of the chunk's stream before the first record here.
    was_open: bool,
    /// Writing failed in this chunk: the rest of it is dropped without another try.
    failed: bool,
    /// The head of the chunk's records.
    head: Head,
    bytes: [u8; OUTPUT],
}

impl Buffers {
    /// Lets the pages go. Their content is lost, and nobody needs it between two turns.
    pub fn release(&mut self) {
        const MADV_DONTNEED: usize = 4;
        const PAGE: usize = 4096;
        const { assert!(size_of::<Self>().is_multiple_of(PAGE)) };
        // SAFETY: exactly the pages of this structure, which read as zeros from now on: valid for it. `State` begins it
        // on a page; if pages are larger, the kernel refuses.
        unsafe { sys::call(nr::MADVISE, [&raw mut *self as usize, size_of::<Self>(), MADV_DONTNEED]) };
    }
}

impl Output {
    /// Puts bytes behind the others; the caller made room.
    #[inline(never)]
    fn put(&mut self, bytes: &[u8]) {
        if let Some(room) = self.bytes.get_mut(self.len..)
            && bytes.len() <= room.len()
        {
            // SAFETY: there is room for `bytes`, and no caller's bytes lie in this buffer.
            unsafe { copy(room.as_mut_ptr(), bytes.as_ptr(), bytes.len()) };
            self.len += bytes.len();
        }
    }

    /// The head of a record.
    #[inline(never)]
    fn put_head(&mut self, tag: [u8; 2]) {
        self.head.tag = tag;
        // SAFETY: the head is bytes without padding, and not part of the buffer that `put` writes to.
        let head = unsafe { core::slice::from_raw_parts((&raw const self.head).cast(), HEAD) };
        self.put(head);
    }

    /// Text, then a decimal number.
    #[inline(never)]
    fn put_number(&mut self, text: &[u8], value: u64) {
        self.put(text);
        let mut digits = [0; 20];
        let first = stamp::digits(&mut digits, 20, value);
        self.put(digits.get(first..).unwrap_or(&[]));
    }

    /// One record: a line with its newline, or a piece of one.
    #[inline(never)]
    fn record(&mut self, log: &mut Log, stream: &mut Stream, piece: &[u8]) {
        let (text, full) = match piece {
            [text @ .., b'\n'] => (text, true),
            _ => (piece, false),
        };
        let need = HEAD + text.len() + 1;
        if !log.fits(self.len, need) || self.len + need > OUTPUT {
            self.flush(log, stream);
        }
        if self.failed || stream.skipping || !log.make_room(self.len, need) {
            return drop(log, stream, piece.len(), full);
        }
        self.put_head(if full { FULL } else { PIECE });
        self.put(text);
        self.put(b"\n");
        stream.open = !full;
    }

    /// Writes what is there; counts what the file did not take, and finds out again whether its last line is open.
    #[inline(never)]
    fn flush(&mut self, log: &mut Log, stream: &mut Stream) {
        let kept = log.append(self);
        if kept < self.len {
            self.failed = true;
            stream.open = self.was_open;
            let mut at = 0;
            while let Some(record) = self.bytes.get(at..self.len)
                && let Some(tag) = record.get(TAG)
            {
                let (size, full) = (line(record), *tag == FULL[0]);
                if at < kept {
                    stream.open = !full;
                } else {
                    drop(log, stream, size - HEAD - usize::from(!full), full);
                }
                at += size;
            }
        }
        self.len = 0;
        self.was_open = stream.open;
    }
}

/// Bytes up to and with the first newline, or all.
#[inline(never)]
fn line(bytes: &[u8]) -> usize {
    let newline = bytes.iter().position(|byte| *byte == b'\n');
    newline.map_or(bytes.len(), |at| at + 1)
}

/// Counts a record that is not written.
#[inline(never)]
fn drop(log: &mut Log, stream: &mut Stream, bytes: usize, full: bool) {
    log.dropped_bytes += bytes as u64;
    log.dropped_lines += u64::from(full);
    stream.skipping = !full;
}

/// Reads once from one of the two streams (0 or 1) and writes what came; closes it at its end. Says whether the buffers
/// were used.
#[inline(never)]
pub fn pump(member: &mut Member, second: usize, buffers: &mut Buffers) -> bool {
    let living = member.pid != 0;
    let stream = &mut member.streams[second & 1];
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
            let text = buffers.input.get(..read as usize).unwrap_or(&[]);
            consume(member, second, text, &mut buffers.output);
        }
        return true;
    }
    if living && (read == sys::EAGAIN || read == sys::EINTR) {
        return false;
    }
    if living && stream.terminal {
        stream.parked = true;
    } else {
        sys::close(&mut stream.fd);
    }
    false
}

fn consume(member: &mut Member, second: usize, text: &[u8], output: &mut Output) {
    output.failed = !notice(member, output);
    let stream = &mut member.streams[second & 1];
    output.was_open = stream.open;
    output.head.stream = STREAMS[second & 1];
    let mut rest = text;
    while !rest.is_empty() {
        let window = rest.get(..TEXT_MAX).unwrap_or(rest);
        let (piece, _) = window.split_at_checked(line(window)).unwrap_or_default();
        output.record(&mut member.log, stream, piece);
        rest = rest.get(piece.len()..).unwrap_or(&[]);
    }
    output.flush(&mut member.log, stream);
}

impl Log {
    /// Whether the next chunk may not fit any more, as its records may be much larger, and there is no next file.
    #[inline(always)]
    pub fn wants_next(&self) -> bool {
        // Without a limit (0) nothing is larger than half of it.
        self.next == 0 && self.size > self.limit.wrapping_sub(1) / 2
    }

    /// Whether the file takes one more record behind those not yet written; an empty file takes any.
    #[inline(never)]
    fn fits(&self, unwritten: usize, record: usize) -> bool {
        let size = self.size + unwritten as u64;
        self.limit == 0 || size == 0 || size + record as u64 <= self.limit
    }

    /// Goes on in the next file if this one is full; without one the limit is reached.
    #[inline(never)]
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
        self.due |= due::ROTATED;
        true
    }

    /// Writes whole records; returns how many bytes of whole records the file has taken, and cuts off the rest.
    #[inline(never)]
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
            if written > whole as i32 {
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

/// Begins a chunk: writes down what was dropped since the last notice, if anything. False: it cannot be written yet.
#[inline(never)]
fn notice(member: &mut Member, output: &mut Output) -> bool {
    let Member { log, streams, .. } = member;
    output.len = 0;
    output.head.set(sys::now());
    let (lines, bytes) = (log.dropped_lines - log.noticed_lines, log.dropped_bytes - log.noticed_bytes);
    if bytes == 0 {
        return true;
    }
    for (stream, name) in streams.iter().zip(&STREAMS) {
        output.head.stream = *name;
        if stream.open {
            output.put_head(FULL);
            output.put(b"\n");
        }
    }
    output.put_head(FULL);
    output.put_number(b"dwell: ", lines);
    output.put_number(b" lines (", bytes);
    output.put(b" bytes) dropped: log ");
    output.put(if log.at_limit { b"limit reached\n" } else { b"write failed\n" });
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
    notice(member, &mut buffers.output);
}
