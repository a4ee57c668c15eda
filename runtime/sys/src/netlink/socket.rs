//! A netlink socket: requests out in one `sendto`, acknowledgements and dumps back in, numbered so that they match.
//!
//! Blocking, with a limit of five seconds on every wait, so that a kernel that never answers is an error and no hang.
//! Must never be shared between threads without a lock: replies belong to whoever asked.

use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, sendto, socket_with, sockopt};

use super::answer::{Part, parts};
use super::message::{ACK, DUMP, Message};

const WAIT: Duration = Duration::from_secs(5);
const BUFFER: usize = 64 * 1024;
/// How often a dump that the kernel calls inconsistent is taken again.
const DUMP_ATTEMPTS: usize = 5;

/// Which part of the kernel is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// `NETLINK_ROUTE`: links, addresses, routes.
    Route,
    /// `NETLINK_NETFILTER`: nftables, conntrack.
    Netfilter,
}

/// Why a request failed.
#[derive(Debug)]
pub enum NetlinkError {
    /// A system call on the socket itself failed.
    Call {
        /// Its name.
        call: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// The kernel answered a message with an error.
    Refused {
        /// Position of the message in what was sent.
        index: usize,
        /// The kernel's words, or nothing.
        detail: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// An answer was shorter than its own header says.
    Malformed,
    /// Links or tables kept changing while they were listed.
    Inconsistent,
}

impl NetlinkError {
    /// The kernel's error number, if it gave one.
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Call { source, .. } | Self::Refused { source, .. } => source.raw_os_error(),
            Self::Malformed | Self::Inconsistent => None,
        }
    }
}

impl fmt::Display for NetlinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call { call, .. } => write!(f, "{call} on a netlink socket"),
            Self::Refused { index, detail, .. } if detail.is_empty() => {
                write!(f, "netlink request {index} was refused")
            }
            Self::Refused { index, detail, .. } => {
                write!(f, "netlink request {index} was refused ({detail})")
            }
            Self::Malformed => write!(f, "read a netlink answer: it is malformed"),
            Self::Inconsistent => write!(f, "list over netlink: it kept changing"),
        }
    }
}

impl std::error::Error for NetlinkError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Call { source, .. } | Self::Refused { source, .. } => Some(source),
            Self::Malformed | Self::Inconsistent => None,
        }
    }
}

/// One message of an answer: its kind and what follows its header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// `nlmsg_type`
    pub kind: u16,
    /// Fixed body and attributes.
    pub body: Vec<u8>,
}

/// A socket in the network namespace of the thread that opened it; it stays there whoever uses it.
#[derive(Debug)]
pub struct Socket {
    fd: OwnedFd,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Socket {
    /// Opens a socket in the calling thread's network namespace.
    ///
    /// # Errors
    /// `Call` when the kernel lacks the family or refuses.
    pub fn open(family: Family) -> Result<Self, NetlinkError> {
        let protocol = match family {
            Family::Route => None,
            Family::Netfilter => Some(rustix::net::netlink::NETFILTER),
        };
        let fd = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, protocol)
            .map_err(call("socket"))?;
        sockopt::set_socket_timeout(&fd, sockopt::Timeout::Recv, Some(WAIT)).map_err(call("setsockopt"))?;
        ask_for_words(&fd);
        Ok(Self { fd, sequence: 0, buffer: vec![0; BUFFER] })
    }

    /// Sends all messages in one call and waits for every acknowledgement. rtnetlink goes on after a refused
    /// message: what came later may have been done.
    ///
    /// # Errors
    /// The first refusal, by position.
    pub fn request(&mut self, messages: &[Message]) -> Result<(), NetlinkError> {
        let first = self.send(messages, |_| ACK)?;
        let mut missing = messages.len();
        let mut refused = None;
        while missing > 0 {
            for part in self.receive()? {
                let (Some(index), Some(answer)) = (part.index(first, messages.len()), part.answer()) else {
                    continue;
                };
                missing = missing.saturating_sub(1);
                refused = refused.or(answer.err().map(|failure| failure.at(index)));
            }
        }
        refused.map_or(Ok(()), Err)
    }

    /// Sends one message whose answer is one object; `None` when the kernel acknowledged without one.
    ///
    /// # Errors
    /// `Refused` with `ENODEV`, `ENOENT` … when there is no such object.
    pub fn get(&mut self, message: &Message) -> Result<Option<Reply>, NetlinkError> {
        let first = self.send(std::slice::from_ref(message), |_| ACK)?;
        let mut found = None;
        loop {
            for part in self.receive()? {
                if part.index(first, 1).is_none() {
                    continue;
                }
                match part.answer() {
                    Some(Ok(())) => return Ok(found),
                    Some(Err(failure)) => return Err(failure.at(0)),
                    None => found = Some(Reply { kind: part.kind, body: part.body }),
                }
            }
        }
    }

    /// Asks for a list and collects it, again if the kernel says that it changed meanwhile.
    ///
    /// # Errors
    /// A refusal, or `Inconsistent` after five attempts.
    pub fn dump(&mut self, message: &Message) -> Result<Vec<Reply>, NetlinkError> {
        for _ in 0..DUMP_ATTEMPTS {
            if let Some(list) = self.dump_once(message)? {
                return Ok(list);
            }
        }
        Err(NetlinkError::Inconsistent)
    }

    fn dump_once(&mut self, message: &Message) -> Result<Option<Vec<Reply>>, NetlinkError> {
        let first = self.send(std::slice::from_ref(message), |_| DUMP)?;
        let mut list = Vec::new();
        let mut consistent = true;
        loop {
            for part in self.receive()? {
                if part.index(first, 1).is_none() {
                    continue;
                }
                consistent &= !part.is_interrupted();
                match part.answer() {
                    Some(Err(failure)) => return Err(failure.at(0)),
                    Some(Ok(())) => return Ok(consistent.then_some(list)),
                    None if part.is_last() => return Ok(consistent.then_some(list)),
                    None => list.push(Reply { kind: part.kind, body: part.body }),
                }
            }
        }
    }

    /// Sends a transaction that succeeds or fails as a whole: `messages` stand between a begin and an end message.
    ///
    /// # Errors
    /// The first refusal, by position in `messages`; nothing was changed then.
    pub fn transact(&mut self, begin: &Message, messages: &[Message], end: &Message) -> Result<(), NetlinkError> {
        let Some(last) = messages.len().checked_sub(1) else {
            return Ok(());
        };
        let mut all = vec![begin.clone()];
        all.extend_from_slice(messages);
        all.push(end.clone());
        let first = self.send(&all, |index| if index == last + 1 { ACK } else { 0 })?;
        self.outcome(first, last)
    }

    /// Kernels before 6.10 acknowledge neither begin nor end, so the last message's acknowledgement closes the
    /// transaction; a failure in the commit itself is reported on the begin message.
    fn outcome(&mut self, first: u32, last: usize) -> Result<(), NetlinkError> {
        let mut refused = None;
        loop {
            for part in self.receive()? {
                let (Some(index), Some(answer)) = (part.index(first, last + 3), part.answer()) else {
                    continue;
                };
                let closes = index == 0 || index == last + 1;
                refused = refused.or(answer.err().map(|failure| failure.at(index.saturating_sub(1))));
                if closes {
                    return refused.map_or(Ok(()), Err);
                }
            }
        }
    }

    fn send(&mut self, messages: &[Message], flags: impl Fn(usize) -> u16) -> Result<u32, NetlinkError> {
        let first = self.sequence.wrapping_add(1);
        let mut bytes = Vec::with_capacity(1024);
        for (index, message) in messages.iter().enumerate() {
            self.sequence = self.sequence.wrapping_add(1);
            bytes.extend_from_slice(&message.numbered(self.sequence, flags(index)));
        }
        sendto(&self.fd, &bytes, SendFlags::empty(), &SocketAddrNetlink::new(0, 0)).map_err(call("sendto"))?;
        Ok(first)
    }

    fn receive(&mut self) -> Result<Vec<Part>, NetlinkError> {
        let length = loop {
            match recv(&self.fd, self.buffer.as_mut_slice(), RecvFlags::TRUNC) {
                Err(rustix::io::Errno::INTR) => {}
                outcome => break outcome.map_err(call("recv"))?.1,
            }
        };
        parts(self.buffer.get(..length).ok_or(NetlinkError::Malformed)?)
    }
}

fn call(name: &'static str) -> impl Fn(rustix::io::Errno) -> NetlinkError {
    move |errno| NetlinkError::Call { call: name, source: errno.into() }
}

/// Asks for the kernel's sentence in a refusal and for answers that do not repeat the request; a kernel without
/// either still answers.
fn ask_for_words(fd: &OwnedFd) {
    use std::os::fd::AsRawFd;
    let on: libc::c_int = 1;
    for option in [libc::NETLINK_EXT_ACK, libc::NETLINK_CAP_ACK] {
        // SAFETY: `fd` is an open socket, `on` outlives the call, and the length is that of `on`.
        unsafe {
            libc::setsockopt(
                fd.as_raw_fd(),
                libc::SOL_NETLINK,
                option,
                (&raw const on).cast(),
                size_of::<libc::c_int>() as libc::socklen_t,
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_the_message_and_the_errno() {
        let mut socket = Socket::open(Family::Route).unwrap();
        let missing = Message::new(18, 0, &[0, 0, 0, 0, 0xff, 0xff, 0xff, 0x7f, 0, 0, 0, 0, 0, 0, 0, 0]);
        let error = socket.get(&missing).unwrap_err();
        assert_eq!(error.errno(), Some(libc::ENODEV), "{error}");
        let mut loopback = Message::new(18, 0, &[0; 16]);
        loopback.text(3, "lo");
        assert!(socket.get(&loopback).unwrap().is_some(), "control: lo exists");
    }
}
