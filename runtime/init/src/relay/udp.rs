//! Datagrams: one flow for each client, with a socket of its own inside the Pod, so that answers find their way back.
//!
//! A flow ends after a minute of silence, as the kernel's own tracking would end it; of `MAX` flows the longest silent
//! one makes room. A flow whose port is closed moves to the Pod's address of the other IP version; the datagram that
//! found that out is lost, as datagrams may be.

use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::epoll::{self, EventFlags};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, connect, recv, recvfrom, send, sendto, socket_with,
};

use super::{Listener, Token};

/// Flows at once.
const MAX: usize = 512;
/// Datagrams taken from one socket before others get their turn.
const DATAGRAMS: usize = 32;
const IDLE: Duration = Duration::from_secs(60);

#[derive(Debug)]
struct Flow {
    listener: usize,
    client: SocketAddr,
    socket: OwnedFd,
    /// Which of the listener's targets it leads to.
    target: usize,
    last: Instant,
}

/// All flows, and the sockets of the host that they come from.
#[derive(Debug)]
pub struct Flows<'a> {
    poll: &'a OwnedFd,
    listeners: Vec<Listener>,
    flows: Vec<Option<Flow>>,
}

impl<'a> Flows<'a> {
    /// No flows yet.
    pub fn new(poll: &'a OwnedFd, listeners: Vec<Listener>) -> Self {
        Self { poll, listeners, flows: Vec::new() }
    }

    /// Whether there is no flow, so that nothing can become idle.
    pub fn is_empty(&self) -> bool {
        self.flows.is_empty()
    }

    /// Takes waiting datagrams of one of the host's sockets into the Pod.
    pub fn take_from_host(&mut self, index: usize, scratch: &mut [u8]) {
        for _ in 0..DATAGRAMS {
            let received = recvfrom(self.listeners[index].socket, &mut *scratch, RecvFlags::empty());
            let Ok((_, length, Some(client))) = received else {
                return;
            };
            let Ok(client) = SocketAddr::try_from(client) else {
                continue;
            };
            let Some(at) = self.find_or_begin(index, client) else {
                continue;
            };
            self.send(at, &scratch[..length]);
        }
    }

    fn send(&mut self, at: usize, bytes: &[u8]) {
        let Some(flow) = &mut self.flows[at] else {
            return;
        };
        flow.last = Instant::now();
        if send(&flow.socket, bytes, SendFlags::NOSIGNAL) == Err(Errno::CONNREFUSED) {
            self.refused(at);
        }
    }

    /// Takes waiting answers of one flow back to its client.
    pub fn take_from_pod(&mut self, at: usize, scratch: &mut [u8]) {
        for _ in 0..DATAGRAMS {
            let Some(flow) = self.flows.get_mut(at).and_then(Option::as_mut) else {
                return;
            };
            match recv(&flow.socket, &mut *scratch, RecvFlags::empty()) {
                Ok((_, length)) => {
                    flow.last = Instant::now();
                    let host = self.listeners[flow.listener].socket;
                    let _ = sendto(host, &scratch[..length], SendFlags::NOSIGNAL, &flow.client);
                }
                Err(Errno::CONNREFUSED) => return self.refused(at),
                Err(_) => return,
            }
        }
    }

    /// Ends flows that have been silent for a minute.
    pub fn end_idle(&mut self) {
        for flow in &mut self.flows {
            if flow.as_ref().is_some_and(|flow| flow.last.elapsed() > IDLE) {
                *flow = None;
            }
        }
        while self.flows.last().is_some_and(Option::is_none) {
            self.flows.pop();
        }
    }

    /// Moves a flow to the other address of the Pod, if there is one.
    fn refused(&mut self, at: usize) {
        let Some(flow) = &mut self.flows[at] else {
            return;
        };
        let targets = &self.listeners[flow.listener].targets;
        let next = (flow.target + 1) % targets.len();
        if next == flow.target {
            return;
        }
        if let Ok(socket) = dial(self.poll, targets[next], at) {
            flow.socket = socket;
            flow.target = next;
        }
    }

    fn find_or_begin(&mut self, listener: usize, client: SocketAddr) -> Option<usize> {
        let same = |flow: &Flow| flow.listener == listener && flow.client == client;
        let found = self.flows.iter().position(|flow| flow.as_ref().is_some_and(same));
        found.or_else(|| self.begin(listener, client))
    }

    fn begin(&mut self, listener: usize, client: SocketAddr) -> Option<usize> {
        let at = self.free();
        let target = *self.listeners[listener].targets.first()?;
        let socket = dial(self.poll, target, at).ok()?;
        let flow = Some(Flow { listener, client, socket, target: 0, last: Instant::now() });
        match self.flows.get_mut(at) {
            Some(place) => *place = flow,
            None => self.flows.push(flow),
        }
        Some(at)
    }

    /// An unused place, if need be that of the longest silent flow.
    fn free(&self) -> usize {
        let unused = self.flows.iter().position(Option::is_none);
        let silent = || self.flows.iter().enumerate().min_by_key(|(_, flow)| flow.as_ref().map(|flow| flow.last));
        match unused {
            Some(at) => at,
            None if self.flows.len() < MAX => self.flows.len(),
            None => silent().map_or(0, |(at, _)| at),
        }
    }
}

fn dial(poll: &OwnedFd, target: SocketAddr, at: usize) -> Result<OwnedFd, Errno> {
    let family = if target.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(family, SocketType::DGRAM, flags, None)?;
    connect(socket.as_fd(), &target)?;
    epoll::add(poll, &socket, Token::Flow(at).data(), EventFlags::IN)?;
    Ok(socket)
}
