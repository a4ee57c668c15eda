//! The one connection: whom pause talks to, what it still has to say, and when it may listen.
//!
//! Nothing is queued. What is pushed (HELLO … READY, EXIT, ROTATED) follows from the table and a mark of what this
//! connection was told; a request is taken only when everything is said and the socket takes at least one more
//! message, so its answer fits. A node that does not read therefore stops being heard, and costs nothing.
//!
//! ```text
//! none ─accept→ greeting ─READY sent→ open ─end of file→ none
//! ```

use crate::keeper::{Keeper, slots};
use crate::log::Buffers;
use crate::packet::Packet;
use crate::protocol::{MAGIC, VERSION, kind};
use crate::sandbox::OWN_PIDFD;
use crate::sys::{self, EAGAIN, ECONNRESET, EINTR, EPIPE, POLLHUP, POLLIN, POLLOUT};
use crate::table::{Member, due};

const POLLRDHUP: i16 = 0x2000;

/// State of the connection.
#[repr(C)]
pub struct Connection {
    /// 0: none.
    pub fd: i32,
    greeted: bool,
    ready: bool,
    /// The socket takes nothing more for now.
    blocked: bool,
    /// Turns that output has waited for a file of this node's, since it handed one over.
    pub waited: u16,
    /// The outgoing message; blank between two messages.
    pub out: Packet,
}

impl Connection {
    pub const NONE: Self = Self { fd: 0, greeted: false, ready: false, blocked: false, waited: 0, out: Packet::BLANK };

    /// Says one thing over a socket that is not this program's connection, and no more over it.
    #[inline(never)]
    pub fn say_once(fd: i32, kind: u16, body: u64) {
        let mut other = Self { fd, ..Self::NONE };
        other.out.kind = kind;
        other.out.body[0] = body;
        other.say(0);
        sys::close(&mut other.fd);
    }

    /// What to wait for.
    pub fn interest(&self) -> i16 {
        if self.blocked { POLLOUT } else { POLLIN }
    }

    /// Sends the outgoing message; false: not now. To a node that is gone everything can be said.
    #[inline(never)]
    pub fn say(&mut self, fd: i32) -> bool {
        (self.out.magic, self.out.version) = (MAGIC, VERSION);
        let sent = sys::send(self.fd, &self.out, fd);
        self.out = Packet::BLANK;
        if sent < 0 && sent != EPIPE && sent != ECONNRESET {
            self.blocked = true;
            if sent != EAGAIN {
                sys::close(&mut self.fd);
            }
        }
        !self.blocked
    }

    /// Tells the next news of this member; false: there is none, or the socket takes no more.
    fn tell(&mut self, member: &mut Member) -> bool {
        let (mut unwanted, mut fd) = (due::EXIT, 0);
        if member.is_done() {
            unwanted = due::LIVE;
        }
        let left = member.log.due & !unwanted;
        if left == 0 {
            return false;
        }
        let rotations = member.log.rotations;
        let mut told = left & left.wrapping_neg();
        let (mut low, mut high) = (rotations, 0);
        self.out.kind = kind::ROTATED;
        if told != due::ROTATED {
            self.out.kind = kind::EXIT;
            (low, high) = (member.status as u32, rotations);
            self.out.body[1] = member.start;
            self.out.body[2] = member.end;
            self.out.body[3] = member.log.dropped_lines;
            self.out.body[4] = member.log.dropped_bytes;
        }
        if told == due::LIVE {
            self.out.kind = kind::LIVE;
            (low, high) = (member.pid as u32, member.flags());
            self.out.body[2] = u64::from(rotations);
            fd = member.pidfd;
            told = due::LIVE | due::ROTATED;
        }
        self.out.subject = member.seq;
        self.out.body[0] = u64::from(low) | u64::from(high) << 32;
        let said = self.say(fd);
        if said {
            member.log.due &= !told;
        }
        said
    }
}

impl Keeper {
    /// Begins to talk over a connected socket.
    pub fn adopt(&mut self, fd: i32) {
        let connection = &mut self.connection;
        (connection.fd, connection.greeted, connection.ready) = (fd, false, false);
        for member in slots(&mut self.members, self.last) {
            member.log.due |= due::LIVE | due::EXIT;
        }
    }

    /// Takes a new connection, or tells it that another node is there.
    pub fn accept(&mut self, listener: i32) {
        let current = self.connection.fd;
        // A node that is gone is heard to its end first.
        if sys::poll_now(current, 0) & POLLHUP != 0 {
            return;
        }
        let fd = sys::accept(listener);
        if fd < 0 {
            return;
        }
        if current == 0 {
            return self.adopt(fd);
        }
        Connection::say_once(fd, kind::BUSY, 0);
    }

    /// Says what there is to say, as far as the socket takes it.
    pub fn tell(&mut self) {
        let connection = &mut self.connection;
        connection.blocked = false;
        if connection.fd == 0 {
            return;
        }
        let members = slots(&mut self.members, self.last);
        if !connection.greeted {
            connection.out.body[2] = self.last_seq;
            for kept in &self.kept {
                connection.out.body[1] += u64::from(kept.fd != 0);
            }
            for member in &mut *members {
                if member.seq != 0 {
                    connection.out.body[0] += 1 << (32 * u32::from(member.is_done()));
                }
            }
            connection.out.kind = kind::HELLO;
            connection.greeted = connection.say(OWN_PIDFD);
        }
        for member in members {
            while member.seq != 0 && !connection.blocked && connection.tell(member) {}
        }
        if !connection.blocked && !connection.ready {
            connection.out.kind = kind::READY;
            connection.ready = connection.say(0);
        }
    }

    /// Takes one request, if its answer will fit.
    #[inline(never)]
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
