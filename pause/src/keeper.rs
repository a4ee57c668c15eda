//! The loop: wait, reap, read, write down, listen.
//!
//! Every turn takes a bounded amount from each source: one read of each pipe, one request, one connection.

use crate::birth::Newborn;
use crate::connection::Connection;
use crate::log::{self, Buffers};
use crate::protocol::{KEPT_SLOTS, LISTEN_FD, TABLE_SLOTS};
use crate::sandbox::SIGNAL_FD;
use crate::sys::{self, Mail, POLLIN, PollFd};
use crate::table::{Kept, Member};

/// Nanoseconds without output after which the buffers are given back.
const RELEASE_AFTER: i32 = 100_000_000;
/// Nanoseconds until a terminal that nobody has open is looked at again, or a node that is late.
const RETRY_AFTER: i32 = 500_000_000;
/// Turns that output waits for its next file until it is dropped instead. Counted, because a clock costs more bytes: a
/// flood of others makes a turn short, but comes to its own limit soon.
const PATIENCE: u16 = 1 << 12;
/// Places in the poll array before those of the members.
const FIRST_STREAM: usize = 3;

/// Everything that pause knows. All zeros is a valid beginning, and lies in pages that do not exist until written: what
/// is always used comes first, the arrays of which only the beginning is used come last. The order is such that two
/// pages are used as long as the members are few.
#[repr(C)]
pub struct Keeper {
    pub connection: Connection,
    /// The greatest `seq` ever born.
    pub last_seq: u64,
    /// No slot after this one is taken.
    pub last: u8,
    pub buffers_used: bool,
    pub mail: Mail,
    pub newborn: Newborn,
    poll: Poll,
    pub members: Members,
    pub kept: [Kept; KEPT_SLOTS],
}

/// What is waited for; the kernel sees one array.
#[repr(C)]
struct Poll {
    signals: PollFd,
    listener: PollFd,
    node: PollFd,
    streams: [[PollFd; 2]; TABLE_SLOTS],
}

impl Poll {
    /// The array, with the streams of the members up to `last`.
    fn array(&mut self, last: u8) -> &mut [PollFd] {
        let length = FIRST_STREAM + 2 * (usize::from(last) + 1);
        // SAFETY: the structure is nothing but pollfds in a row, at least so many.
        unsafe { core::slice::from_raw_parts_mut((&raw mut *self).cast(), length) }
    }
}

/// The table. A byte numbers its slots, so none is out of range.
pub type Members = [Member; TABLE_SLOTS];

const _: () = assert!(TABLE_SLOTS == 1 << u8::BITS);

/// The slot that bears this number; 0: the first one that is free.
#[inline(never)]
pub fn find(members: &mut Members, seq: u64) -> Option<&mut Member> {
    members.iter_mut().find(|member| member.seq == seq)
}

/// The slots up to the high-water mark.
pub fn slots(members: &mut Members, last: u8) -> &mut [Member] {
    &mut members[..=usize::from(last)]
}

impl Keeper {
    /// For ever.
    pub fn run(&mut self, buffers: &mut Buffers) -> ! {
        loop {
            self.turn(buffers);
        }
    }

    fn turn(&mut self, buffers: &mut Buffers) {
        self.tell();
        let timeout = self.prepare_poll();
        if sys::poll(self.poll.array(self.last), timeout) == 0 && timeout > 0 {
            return self.rest(buffers);
        }
        if self.poll.signals.revents != 0 {
            self.reap();
        }
        self.read_streams(buffers);
        if self.poll.node.revents != 0 {
            self.hear(buffers);
        }
        if self.poll.listener.revents != 0 {
            self.accept(LISTEN_FD);
        }
        self.lower_last();
    }

    /// Fills the array (an entry that is not waited for has a negative descriptor); how long to wait.
    #[inline(never)]
    fn prepare_poll(&mut self) -> i32 {
        let (poll, connection) = (&mut self.poll, &mut self.connection);
        poll.signals.wait(SIGNAL_FD, POLLIN);
        poll.listener.wait(LISTEN_FD, POLLIN);
        poll.node.wait(connection.fd, connection.interest());
        let mut timeout = if self.buffers_used { RELEASE_AFTER } else { -1 };
        let mut draining = false;
        let may_wait = (connection.fd != 0) & (connection.waited < PATIENCE);
        let members = slots(&mut self.members, self.last);
        for (member, places) in members.iter().zip(&mut poll.streams) {
            let waits = may_wait & member.log.wants_next();
            connection.waited += u16::from(waits);
            for (stream, place) in member.streams.iter().zip(places) {
                place.wait(stream.fd, POLLIN);
                if stream.parked | waits {
                    place.fd = -1;
                    timeout = RETRY_AFTER;
                }
                draining |= (member.pid == 0) & (place.fd > 0);
            }
        }
        if draining { 0 } else { timeout }
    }

    /// Nothing came for a while. Twelve times in a row are the whole patience with a node.
    fn rest(&mut self, buffers: &mut Buffers) {
        self.connection.waited |= self.connection.waited << 1;
        buffers.release();
        self.buffers_used = false;
        for member in slots(&mut self.members, self.last) {
            member.streams[0].parked = false;
        }
    }

    /// Reaps everything that has ended: members are noted, orphans forgotten.
    fn reap(&mut self) {
        // There is one: only SIGCHLD is awaited, and a signal is not queued twice.
        sys::take_signal(SIGNAL_FD);
        let mut status = 0;
        loop {
            let pid = sys::reap(&mut status);
            // The signal is taken, so any other failure is tried again: else the end would never be known.
            if pid == 0 || pid == sys::ECHILD {
                return;
            }
            for member in slots(&mut self.members, self.last) {
                if member.pid == pid {
                    member.reaped(status);
                }
            }
        }
    }

    fn read_streams(&mut self, buffers: &mut Buffers) {
        let members = slots(&mut self.members, self.last);
        for (member, places) in members.iter_mut().zip(&self.poll.streams) {
            for (second, place) in places.iter().enumerate() {
                let draining = member.pid == 0;
                if place.fd > 0 && (place.revents != 0 || draining) {
                    self.buffers_used |= log::pump(member, second, buffers);
                }
            }
            if member.is_done() && member.log.current != 0 {
                log::settle(member, buffers);
                member.close_logs();
                self.buffers_used = true;
            }
        }
    }

    fn lower_last(&mut self) {
        while self.last != 0 && self.members[usize::from(self.last)].seq == 0 {
            self.last -= 1;
        }
    }
}
