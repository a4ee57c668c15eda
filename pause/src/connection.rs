//! The one connection: whom pause talks to, what it still has to say, and when it may listen.
//!
//! Nothing is queued. What is pushed (HELLO … READY, EXIT, ROTATED) follows from the table and a mark of what this
//! connection was told; a request is taken only when everything is said and the socket takes at least one more
//! message, so its answer fits. A node that does not read therefore stops being heard, and costs nothing.
//!
//! ```text
//! none ─accept→ greeting ─READY sent→ open ─end of file→ none
//! ```

use crate::answer::answer;
use crate::keeper::Keeper;
use crate::log::Buffers;
use crate::protocol::{Event, Hello};
use crate::sandbox::OWN_PIDFD;
use crate::sys::{self, EAGAIN, Errno, POLLHUP, POLLIN, POLLOUT};

const EPIPE: Errno = Errno(32);
const ECONNRESET: Errno = Errno(104);
const POLLRDHUP: i16 = 0x2000;

/// State of the connection.
pub struct Connection {
    /// 0: none.
    pub fd: i32,
    greeted: bool,
    ready: bool,
    /// The socket takes nothing more for now.
    blocked: bool,
}

impl Connection {
    pub const NONE: Self = Self { fd: 0, greeted: false, ready: false, blocked: false };

    /// What to wait for.
    pub fn interest(&self) -> i16 {
        if self.blocked { POLLOUT } else { POLLIN }
    }

    /// Sends a message; false: not now. To a node that is gone everything can be said.
    fn say(&mut self, event: &Event, id: u64, subject: u64, fd: i32) -> bool {
        if self.fd == 0 {
            return false;
        }
        match sys::send(self.fd, &event.encode(id, subject), fd) {
            Ok(_) | Err(EPIPE | ECONNRESET) => true,
            Err(EAGAIN) => {
                self.blocked = true;
                false
            }
            Err(_) => {
                sys::close(&mut self.fd);
                false
            }
        }
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
        // A node that is gone is heard to its end first.
        if self.connection.fd != 0 && sys::poll_now(self.connection.fd, 0) & POLLHUP != 0 {
            return;
        }
        let Ok(mut fd) = sys::accept(listener) else { return };
        if self.connection.fd == 0 {
            return self.adopt(fd);
        }
        let _ = sys::send(fd, &Event::Busy.encode(0, 0), 0);
        sys::close(&mut fd);
    }

    /// Says what there is to say, as far as the socket takes it.
    pub fn tell(&mut self) {
        self.connection.blocked = false;
        if self.connection.fd != 0 && self.greet() && self.tell_members() && !self.connection.ready {
            self.connection.ready = self.connection.say(&Event::Ready, 0, 0, 0);
        }
    }

    fn greet(&mut self) -> bool {
        if !self.connection.greeted {
            let hello = Event::Hello(self.hello());
            self.connection.greeted = self.connection.say(&hello, 0, 0, OWN_PIDFD);
        }
        self.connection.greeted
    }

    fn hello(&mut self) -> Hello {
        let kept = self.kept.iter().filter(|kept| kept.fd != 0).count() as u32;
        let mut hello = Hello { living: 0, exits: 0, kept, last_seq: self.last_seq };
        for member in self.slots().iter().filter(|member| member.seq != 0) {
            *(if member.is_done() { &mut hello.exits } else { &mut hello.living }) += 1;
        }
        hello
    }

    fn tell_members(&mut self) -> bool {
        let ready = self.connection.ready;
        for member in self.members.iter_mut().take(self.used).filter(|member| member.seq != 0) {
            let connection = &mut self.connection;
            let rotations = member.log.rotations;
            if !ready && !member.listed && !member.is_done() {
                if !connection.say(&Event::Live(member.live()), 0, member.seq, member.pidfd) {
                    return false;
                }
                member.listed = true;
                member.log.announced = rotations;
            }
            if member.log.announced != rotations {
                if !connection.say(&Event::Rotated { rotations }, 0, member.seq, 0) {
                    return false;
                }
                member.log.announced = rotations;
            }
            if member.is_done() && !member.told {
                member.told = connection.say(&Event::Exit(member.exit()), 0, member.seq, 0);
                if !member.told {
                    return false;
                }
            }
        }
        true
    }

    /// Takes one request, if its answer will fit.
    pub fn hear(&mut self, buffers: &mut Buffers) {
        if self.connection.blocked || !self.connection.ready {
            return;
        }
        let now = sys::poll_now(self.connection.fd, POLLOUT | POLLRDHUP);
        if now & (POLLOUT | POLLHUP) == 0 {
            self.connection.blocked = true;
            return;
        }
        match sys::receive(self.connection.fd) {
            // An empty message looks like the end of file; only the end comes with a hang-up.
            Ok(got) if got.len == 0 && now & (POLLHUP | POLLRDHUP) != 0 => sys::close(&mut self.connection.fd),
            Ok(mut got) => {
                let (event, id, subject, fd) = answer(self, &mut got, buffers);
                if !self.connection.say(&event, id, subject, fd) {
                    // Cannot be (there was room). A new connection learns from the list what came of the request.
                    sys::close(&mut self.connection.fd);
                }
            }
            Err(EAGAIN | ECONNRESET | sys::EINTR) => {}
            Err(_) => sys::close(&mut self.connection.fd),
        }
    }
}
