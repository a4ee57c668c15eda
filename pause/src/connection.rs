//! The one connection: whom pause talks to, what it still has to say, and when it may listen.
//!
//! Nothing is queued. What is pushed (HELLO … READY, EXIT, ROTATED) follows from the table and a mark of what this
//! connection was told; a request is taken only when everything is said and the socket takes at least one more
//! message, so its answer fits. A node that does not read therefore stops being heard, and costs nothing.
//!
//! ```text
//! none ─accept→ greeting ─READY sent→ open ─end of file→ none
//! ```

use crate::keeper::Keeper;
use crate::log::Buffers;
use crate::protocol::{first_word, kind};
use crate::sandbox::OWN_PIDFD;
use crate::sys::{self, EAGAIN, ECONNRESET, EINTR, EPIPE, POLLHUP, POLLIN, POLLOUT};
use crate::table::Member;

const POLLRDHUP: i16 = 0x2000;

/// State of the connection.
pub struct Connection {
    /// 0: none.
    pub fd: i32,
    /// Kind of the outgoing message.
    pub kind: u16,
    greeted: bool,
    ready: bool,
    /// The socket takes nothing more for now.
    blocked: bool,
    /// The outgoing message (the first word is made from `kind`); all zeros between two messages.
    pub out: [u64; 8],
}

impl Connection {
    pub const NONE: Self = Self { fd: 0, kind: 0, greeted: false, ready: false, blocked: false, out: [0; 8] };

    /// What to wait for.
    pub fn interest(&self) -> i16 {
        if self.blocked { POLLOUT } else { POLLIN }
    }

    /// Sends the outgoing message; false: not now. To a node that is gone everything can be said.
    pub fn say(&mut self, fd: i32) -> bool {
        self.out[0] = first_word(self.kind);
        let sent = sys::send(self.fd, &self.out, fd);
        self.out = [0; 8];
        if sent < 0 && sent != EPIPE && sent != ECONNRESET {
            self.blocked = true;
            if sent != EAGAIN {
                sys::close(&mut self.fd);
            }
            return false;
        }
        true
    }

    fn push(&mut self, kind: u16, subject: u64, fd: i32) -> bool {
        self.kind = kind;
        self.out[2] = subject;
        self.say(fd)
    }

    /// What this member is still to be told; false: the socket takes no more.
    fn tell(&mut self, member: &mut Member) -> bool {
        let done = member.is_done();
        if !self.ready && !member.listed && !done {
            member.live(&mut self.out);
            member.listed = self.push(kind::LIVE, member.seq, member.pidfd);
            member.log.announced = member.log.rotations;
            return member.listed;
        }
        if member.log.announced != member.log.rotations {
            self.out[3] = u64::from(member.log.rotations);
            if !self.push(kind::ROTATED, member.seq, 0) {
                return false;
            }
            member.log.announced = member.log.rotations;
        }
        if done && !member.told {
            member.exit(&mut self.out);
            member.told = self.push(kind::EXIT, member.seq, 0);
            return member.told;
        }
        true
    }
}

impl Keeper {
    /// Begins to talk over a connected socket.
    pub fn adopt(&mut self, fd: i32) {
        self.connection = Connection { fd, ..Connection::NONE };
        for member in self.slots() {
            member.listed = false;
            member.told = false;
        }
    }

    /// Takes a new connection, or tells it that another node is there.
    pub fn accept(&mut self, listener: i32) {
        let current = self.connection.fd;
        // A node that is gone is heard to its end first.
        if current != 0 && sys::poll_now(current, 0) & POLLHUP != 0 {
            return;
        }
        let mut fd = sys::accept(listener);
        if fd < 0 {
            return;
        }
        if current == 0 {
            return self.adopt(fd);
        }
        sys::send(fd, &[first_word(kind::BUSY), 0, 0, 0, 0, 0, 0, 0], 0);
        sys::close(&mut fd);
    }

    /// Says what there is to say, as far as the socket takes it.
    pub fn tell(&mut self) {
        let connection = &mut self.connection;
        connection.blocked = false;
        if connection.fd == 0 {
            return;
        }
        if !connection.greeted {
            connection.out[5] = self.last_seq;
            connection.out[4] = self.kept.iter().map(|kept| u64::from(kept.fd != 0)).sum();
            for member in self.members.iter().take(self.used) {
                let unit = if member.is_done() { 1 << 32 } else { 1 };
                connection.out[3] += if member.seq != 0 { unit } else { 0 };
            }
            connection.greeted = connection.push(kind::HELLO, 0, OWN_PIDFD);
        }
        let mut told = connection.greeted;
        for member in self.members.iter_mut().take(self.used) {
            told = told && (member.seq == 0 || connection.tell(member));
        }
        if told && !connection.ready {
            connection.ready = connection.push(kind::READY, 0, 0);
        }
    }

    /// Takes one request, if its answer will fit.
    pub fn hear(&mut self, buffers: &mut Buffers) {
        let connection = &mut self.connection;
        if connection.blocked || !connection.ready {
            return;
        }
        let now = sys::poll_now(connection.fd, POLLOUT | POLLRDHUP);
        if now & (POLLOUT | POLLHUP) == 0 {
            connection.blocked = true;
            return;
        }
        match self.mail.receive(connection.fd) {
            EAGAIN | ECONNRESET | EINTR => {}
            // An empty message looks like the end of file; only the end comes with a hang-up.
            0 if now & (POLLHUP | POLLRDHUP) == 0 => self.answer(buffers),
            1.. => self.answer(buffers),
            _ => sys::close(&mut connection.fd),
        }
    }
}
