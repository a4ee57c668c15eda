//! Streams: one connection of the host's side and one inside the Pod, and the bytes between them.
//!
//! Each direction holds back at most one buffer that its receiver did not take, and reads no more until that is gone:
//! a slow peer slows its own stream only. The end of one direction is passed on as a half-close; a stream ends when
//! both have ended or either fails. At `MAX` streams listeners rest, and what comes waits in their backlog.

use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::epoll::{self, EventFlags};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, Shutdown, SocketFlags, SocketType, accept_with, connect, recv, send, shutdown,
    socket_with, sockopt,
};

use super::{Listener, Token};

/// Streams at once.
const MAX: usize = 1024;
/// Connections accepted before others get their turn.
const ACCEPTS: usize = 16;

/// An end of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The client's, on the host.
    Host = 0,
    /// The server's, in the Pod.
    Pod = 1,
}

impl Side {
    fn other(self) -> Self {
        if self == Self::Host { Self::Pod } else { Self::Host }
    }
}

/// One end: its socket, what it could not take yet, and how far it has come.
#[derive(Debug)]
struct End {
    socket: OwnedFd,
    /// Bytes that wait for this end to take them.
    held: Vec<u8>,
    /// It sent its last byte.
    ended: bool,
    /// It was told that there will be no more.
    closed: bool,
    /// What the kernel watches for us; nothing: not watched at all.
    watched: EventFlags,
}

impl End {
    fn new(socket: OwnedFd) -> Self {
        Self { socket, held: Vec::new(), ended: false, closed: false, watched: EventFlags::empty() }
    }
}

#[derive(Debug)]
struct Stream {
    ends: [End; 2],
    /// Addresses in the Pod not tried yet; the connection to the one before them is being made while `connecting`.
    untried: Vec<SocketAddr>,
    connecting: bool,
}

/// All streams, and the listeners that they come from.
#[derive(Debug)]
pub struct Streams<'a> {
    poll: &'a OwnedFd,
    listeners: Vec<Listener>,
    listening: bool,
    /// An accept failed for want of resources: rest until the next tick.
    exhausted: bool,
    streams: Vec<Option<Stream>>,
    count: usize,
}

impl<'a> Streams<'a> {
    /// No streams yet; `listen` begins.
    pub fn new(poll: &'a OwnedFd, listeners: Vec<Listener>) -> Self {
        Self { poll, listeners, listening: false, exhausted: false, streams: Vec::new(), count: 0 }
    }

    /// Whether listeners rest, so that `listen` must be called again after a while.
    pub fn is_paused(&self) -> bool {
        !self.listening && !self.listeners.is_empty()
    }

    /// Watches the listeners, or lets them rest.
    pub fn listen(&mut self) {
        let wanted = self.count < MAX && !self.exhausted;
        self.exhausted = false;
        if wanted == self.listening {
            return;
        }
        for (index, listener) in self.listeners.iter().enumerate() {
            let _ = match wanted {
                true => epoll::add(self.poll, listener.socket, Token::Tcp(index).data(), EventFlags::IN),
                false => epoll::delete(self.poll, listener.socket),
            };
        }
        self.listening = wanted;
    }

    /// Takes waiting connections of one listener.
    pub fn accept(&mut self, index: usize) {
        let Some(listener) = self.listeners.get(index).cloned() else {
            return;
        };
        for _ in 0..ACCEPTS.min(MAX - self.count) {
            match accept_with(listener.socket, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
                Ok(host) => self.begin(host, &listener.targets),
                Err(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => {
                    self.exhausted = true;
                    return;
                }
                Err(_) => return,
            }
        }
    }

    fn begin(&mut self, host: OwnedFd, targets: &[SocketAddr]) {
        let mut untried: Vec<_> = targets.iter().rev().copied().collect();
        let Some(pod) = dial_first(&mut untried) else {
            return;
        };
        let stream = Stream { ends: [End::new(host), End::new(pod)], untried, connecting: true };
        let free = self.streams.iter().position(Option::is_none);
        let index = free.unwrap_or(self.streams.len());
        match free {
            Some(index) => self.streams[index] = Some(stream),
            None => self.streams.push(Some(stream)),
        }
        self.count += 1;
        self.watch(index);
    }

    /// Goes on with a stream one of whose ends is ready.
    pub fn ready(&mut self, index: usize, side: Side, flags: EventFlags, scratch: &mut [u8]) {
        let Some(stream) = self.streams.get_mut(index).and_then(Option::as_mut) else {
            return;
        };
        let gone_on = if stream.connecting { stream.connected(side) } else { stream.carry(side, flags, scratch) };
        match gone_on {
            Ok(()) if !stream.is_over() => self.watch(index),
            _ => self.end(index),
        }
    }

    fn end(&mut self, index: usize) {
        self.streams[index] = None;
        self.count -= 1;
    }

    fn watch(&mut self, index: usize) {
        let Some(stream) = &mut self.streams[index] else {
            return;
        };
        let mut watched = Ok(());
        for side in [Side::Host, Side::Pod] {
            let wanted = stream.wanted(side);
            let end = &mut stream.ends[side as usize];
            if wanted != end.watched {
                let data = Token::Stream(index, side).data();
                watched = watched.and(match (end.watched.is_empty(), wanted.is_empty()) {
                    (true, _) => epoll::add(self.poll, &end.socket, data, wanted),
                    (_, true) => epoll::delete(self.poll, &end.socket),
                    _ => epoll::modify(self.poll, &end.socket, data, wanted),
                });
                end.watched = wanted;
            }
        }
        if watched.is_err() {
            self.end(index);
        }
    }
}

impl Stream {
    /// What `side` is to be watched for. An end that is watched for nothing is not watched, since the kernel would
    /// report its hanging up for ever.
    fn wanted(&self, side: Side) -> EventFlags {
        let (own, other) = (&self.ends[side as usize], &self.ends[side.other() as usize]);
        if self.connecting {
            return if side == Side::Pod { EventFlags::OUT } else { EventFlags::empty() };
        }
        let mut wanted = EventFlags::empty();
        wanted.set(EventFlags::IN, !own.ended && other.held.is_empty());
        wanted.set(EventFlags::OUT, !own.held.is_empty());
        wanted
    }

    /// The connection inside the Pod is made, or refused: then the next address is tried.
    fn connected(&mut self, side: Side) -> Result<(), Errno> {
        if side == Side::Host {
            return Ok(());
        }
        match sockopt::socket_error(&self.ends[1].socket)? {
            Ok(()) => self.connecting = false,
            Err(refused) => self.ends[1] = End::new(dial_first(&mut self.untried).ok_or(refused)?),
        }
        Ok(())
    }

    fn carry(&mut self, side: Side, flags: EventFlags, scratch: &mut [u8]) -> Result<(), Errno> {
        if flags.contains(EventFlags::ERR) {
            sockopt::socket_error(&self.ends[side as usize].socket)??;
        }
        self.flush(side)?;
        if self.wanted(side).contains(EventFlags::IN) {
            self.pull(side, scratch)?;
        }
        self.pass_end(side)?;
        self.pass_end(side.other())
    }

    /// Gives `side` what was held for it.
    fn flush(&mut self, side: Side) -> Result<(), Errno> {
        let end = &mut self.ends[side as usize];
        if !end.held.is_empty() {
            let sent = try_send(&end.socket, &end.held)?;
            end.held.drain(..sent);
            if end.held.is_empty() {
                end.held = Vec::new();
            }
        }
        Ok(())
    }

    /// Takes what `side` has sent to the other end.
    fn pull(&mut self, side: Side, scratch: &mut [u8]) -> Result<(), Errno> {
        let length = match recv(&self.ends[side as usize].socket, &mut *scratch, RecvFlags::empty()) {
            Ok((_, 0)) => {
                self.ends[side as usize].ended = true;
                return Ok(());
            }
            Ok((_, length)) => length,
            Err(Errno::AGAIN | Errno::INTR) => return Ok(()),
            Err(errno) => return Err(errno),
        };
        let other = &mut self.ends[side.other() as usize];
        let sent = try_send(&other.socket, &scratch[..length])?;
        other.held.extend_from_slice(&scratch[sent..length]);
        Ok(())
    }

    /// Tells `side` that the other end has said everything, once it has got it all.
    fn pass_end(&mut self, side: Side) -> Result<(), Errno> {
        let finished = self.ends[side.other() as usize].ended;
        let end = &mut self.ends[side as usize];
        if finished && !end.closed && end.held.is_empty() {
            end.closed = true;
            shutdown(&end.socket, Shutdown::Write)?;
        }
        Ok(())
    }

    fn is_over(&self) -> bool {
        self.ends.iter().all(|end| end.closed)
    }
}

fn try_send(socket: &OwnedFd, bytes: &[u8]) -> Result<usize, Errno> {
    match send(socket, bytes, SendFlags::NOSIGNAL) {
        Err(Errno::AGAIN | Errno::INTR) => Ok(0),
        outcome => outcome,
    }
}

/// Begins to connect to the last address of the list that does not fail at once, and takes it off.
fn dial_first(untried: &mut Vec<SocketAddr>) -> Option<OwnedFd> {
    while let Some(target) = untried.pop() {
        if let Ok(socket) = dial(target) {
            return Some(socket);
        }
    }
    None
}

fn dial(target: SocketAddr) -> Result<OwnedFd, Errno> {
    let family = if target.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(family, SocketType::STREAM, flags, None)?;
    match connect(socket.as_fd(), &target) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(socket),
        Err(errno) => Err(errno),
    }
}
