//! The fixed table: who lives, who ended without being acknowledged, and what is kept for each.
//!
//! All zeros is an empty table, so pages of it that were never used cost no memory; `Keeper::last` is the high-water
//! mark up to which it is walked. A slot is taken at birth and freed by the node's acknowledgement alone.

use crate::arch::zero;
use crate::protocol::Live;
use crate::sys;

/// News of a member that the connection is still to be told, as bits of `Log::due`; told from the lowest up.
pub mod due {
    /// That it lives: one who connects is told of everybody.
    pub const LIVE: u8 = 1;
    /// That its log went on in the next file.
    pub const ROTATED: u8 = 2;
    /// Its end.
    pub const EXIT: u8 = 4;
}

/// One of a member's two output streams.
#[repr(C)]
pub struct Stream {
    /// The read end, or the terminal's master; 0: closed.
    pub fd: i32,
    /// After the member's end: bytes that may still be read before it is closed whoever holds the other end.
    pub drain: u32,
    /// The last record written was a piece (`P`): the line goes on.
    pub open: bool,
    /// A piece of a line was dropped, so the rest of that line is dropped too.
    pub skipping: bool,
    /// `fd` is a terminal's master.
    pub terminal: bool,
    /// A terminal that nobody has open: tried again now and then, as poll would report it for ever.
    pub parked: bool,
}

/// A member's log files and what they did not take.
#[repr(C)]
pub struct Log {
    /// The file; 0: none, output is read and dropped.
    pub current: i32,
    /// The one after it; 0: none yet.
    pub next: i32,
    /// Bytes in `current`.
    pub size: u64,
    /// Bytes that `current` may hold; 0: no limit.
    pub limit: u64,
    /// Newlines and bytes dropped since birth, and up to the last notice in the log.
    pub dropped_lines: u64,
    pub dropped_bytes: u64,
    pub noticed_lines: u64,
    pub noticed_bytes: u64,
    /// Files begun since birth.
    pub rotations: u32,
    /// Why records were dropped last: the limit, or an error.
    pub at_limit: bool,
    /// Bits of `due`.
    pub due: u8,
}

/// One slot: two cache lines, so that one byte of displacement reaches every field.
#[repr(C)]
pub struct Member {
    /// Chosen by the node; 0: the slot is free.
    pub seq: u64,
    /// Nanoseconds since 1970.
    pub start: u64,
    pub end: u64,
    /// As `wait4` returned it.
    pub status: i32,
    /// 0: reaped.
    pub pid: i32,
    pub pidfd: i32,
    /// Write end of its standard input; 0: none.
    pub stdin: i32,
    pub streams: [Stream; 2],
    pub log: Log,
}

const _: () = assert!(size_of::<Member>() == 128);

impl Member {
    /// Makes it a free slot.
    pub fn clear(&mut self) {
        // SAFETY: numbers and booleans, for which zeros are valid.
        unsafe { zero((&raw mut *self).cast(), size_of::<Self>()) };
    }

    /// Reaped and written down: EXIT may be told. (A free slot looks the same; ask for `seq` first.)
    #[inline(never)]
    pub fn is_done(&self) -> bool {
        (self.pid | self.streams[0].fd | self.streams[1].fd) == 0
    }

    /// Notes the end. What the member wrote before it lies in the pipes, which hold no more than their size.
    #[inline(never)]
    pub fn reaped(&mut self, status: i32) {
        self.pid = 0;
        self.status = status;
        self.end = sys::now();
        sys::close(&mut self.pidfd);
        sys::close(&mut self.stdin);
        for stream in &mut self.streams {
            stream.parked = false;
            // A terminal has no such size; what it holds is less than this.
            stream.drain = sys::fcntl(stream.fd, sys::F_GETPIPE_SZ, 0).max(1 << 16) as u32;
        }
    }

    /// Closes what a birth that failed has left here.
    pub fn let_go(&mut self) {
        sys::close(&mut self.stdin);
        for stream in &mut self.streams {
            sys::close(&mut stream.fd);
        }
        self.close_logs();
    }

    #[inline(never)]
    pub fn close_logs(&mut self) {
        sys::close(&mut self.log.current);
        sys::close(&mut self.log.next);
    }

    /// The flags of LIVE.
    #[inline(never)]
    pub fn flags(&self) -> u32 {
        let mut flags = 0;
        if self.log.current != 0 {
            flags |= Live::LOGGED;
            if self.log.next == 0 {
                flags |= Live::NEEDS_NEXT;
            }
        }
        if self.stdin != 0 {
            flags |= Live::STDIN;
        }
        if self.streams[0].terminal {
            flags |= Live::TERMINAL;
        }
        if self.pid == 0 {
            flags |= Live::REAPED;
        }
        flags
    }
}

/// A descriptor kept under a key.
pub struct Kept {
    pub key: u64,
    /// 0: the slot is free.
    pub fd: i32,
}
