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

/// Milliseconds without output after which the buffers are given back.
const RELEASE_AFTER: i32 = 100;
/// Milliseconds until a terminal that nobody has open is looked at again.
const RETRY_AFTER: i32 = 500;
/// Places in the poll array before those of the members.
const FIRST_STREAM: usize = 3;

/// Everything that pause knows. All zeros is a valid beginning, and lies in pages that do not exist until written: what
/// is always used comes first, the arrays of which only the beginning is used come last.
#[repr(C)]
pub struct Keeper {
    pub connection: Connection,
    /// The greatest `seq` ever born.
    pub last_seq: u64,
    /// No slot from here on is taken.
    pub used: usize,
    /// Soft and hard limit of open files, as pause found them and newborns get them back.
    pub descriptor_limit: [u64; 2],
    pub newborn: Newborn,
    pub kept: [Kept; KEPT_SLOTS],
    /// Children would be born into another pid namespace.
    pub astray: bool,
    pub buffers_used: bool,
    pub mail: Mail,
    poll: [PollFd; FIRST_STREAM + 2 * TABLE_SLOTS],
    pub members: [Member; TABLE_SLOTS],
}

/// The member of this number, which is not 0.
pub fn find(members: &mut [Member], seq: u64) -> Option<&mut Member> {
    members.iter_mut().find(|member| member.seq == seq && seq != 0)
}

impl Keeper {
    pub const EMPTY: Self = Self {
        connection: Connection::NONE,
        last_seq: 0,
        astray: false,
        descriptor_limit: [0; 2],
        newborn: Newborn::NONE,
        used: 0,
        kept: [const { Kept { key: 0, fd: 0 } }; KEPT_SLOTS],
        mail: Mail::EMPTY,
        buffers_used: false,
        poll: [PollFd { fd: 0, events: 0, revents: 0 }; FIRST_STREAM + 2 * TABLE_SLOTS],
        members: [const { Member::EMPTY }; TABLE_SLOTS],
    };

    /// The slots below the high-water mark.
    pub fn slots(&mut self) -> &mut [Member] {
        self.members.get_mut(..self.used).unwrap_or(&mut [])
    }

    /// For ever.
    pub fn run(&mut self, buffers: &mut Buffers) -> ! {
        loop {
            self.turn(buffers);
        }
    }

    fn turn(&mut self, buffers: &mut Buffers) {
        self.tell();
        let (count, mut timeout) = self.prepare_poll();
        if self.slots().iter().any(Member::is_draining) {
            timeout = 0;
        }
        let Some(fds) = self.poll.get_mut(..count) else {
            return;
        };
        if sys::poll(fds, timeout) == 0 && timeout > 0 {
            return self.rest(buffers);
        }
        if self.happened(0) {
            self.reap();
        }
        self.read_streams(buffers);
        if self.happened(2) {
            self.hear(buffers);
        }
        if self.happened(1) {
            self.accept(LISTEN_FD);
        }
        self.lower_used();
    }

    fn happened(&self, at: usize) -> bool {
        self.poll.get(at).is_some_and(|fd| fd.revents != 0)
    }

    /// Fills the array (an entry that is not waited for has a negative descriptor); how many, and how long to wait.
    fn prepare_poll(&mut self) -> (usize, i32) {
        let connection = if self.connection.fd == 0 { -1 } else { self.connection.fd };
        let mut timeout = if self.buffers_used { RELEASE_AFTER } else { -1 };
        let wait = |fd, events| PollFd { fd, events, revents: 0 };
        let [signals, listener, node, streams @ ..] = &mut self.poll;
        *signals = wait(SIGNAL_FD, POLLIN);
        *listener = wait(LISTEN_FD, POLLIN);
        *node = wait(connection, self.connection.interest());
        let mut places = streams.iter_mut();
        for member in self.members.iter().take(self.used) {
            for (stream, place) in member.streams.iter().zip(&mut places) {
                let waits = stream.fd != 0 && !stream.parked;
                *place = wait(if waits { stream.fd } else { -1 }, POLLIN);
                if stream.parked {
                    timeout = RETRY_AFTER;
                }
            }
        }
        (FIRST_STREAM + 2 * self.used, timeout)
    }

    /// Nothing came for a while.
    fn rest(&mut self, buffers: &mut Buffers) {
        if self.buffers_used {
            buffers.release();
            self.buffers_used = false;
        }
        for member in self.slots() {
            member.streams[0].parked = false;
        }
    }

    /// Reaps everything that has ended: members are noted, orphans forgotten.
    fn reap(&mut self) {
        while sys::take_signal(SIGNAL_FD) > 0 {}
        let mut status = 0;
        loop {
            let pid = sys::reap(&mut status);
            if pid <= 0 {
                return;
            }
            if let Some(member) = self.slots().iter_mut().find(|member| member.pid == pid) {
                member.reaped(status, sys::now().nanoseconds());
            }
        }
    }

    fn read_streams(&mut self, buffers: &mut Buffers) {
        let [_, _, _, places @ ..] = &self.poll;
        let mut places = places.iter();
        for member in self.members.iter_mut().take(self.used) {
            for which in [0, 1] {
                let happened = places.next().is_some_and(|place| place.revents != 0);
                let draining = member.is_draining() && member.streams.get(which).is_some_and(|stream| stream.fd != 0);
                if happened || draining {
                    self.buffers_used |= log::pump(member, which, buffers);
                }
            }
            if member.is_done() && member.log.current != 0 {
                log::settle(member, buffers);
                member.close_logs();
                self.buffers_used = true;
            }
        }
    }

    fn lower_used(&mut self) {
        while let Some(last) = self.used.checked_sub(1)
            && self.members.get(last).is_some_and(|member| member.seq == 0)
        {
            self.used = last;
        }
    }
}
