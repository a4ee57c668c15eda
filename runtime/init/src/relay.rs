//! The relay: carries what reaches a host port over the host's loopback into the Pod.
//!
//! It is born in the Pod's network namespace with the host's listening sockets as descriptors; `::1` cannot be led
//! into another namespace by any firewall rule, and leading 127.0.0.1 opens the host's own services. It connects to
//! the Pod's own address, never to the Pod's loopback: servers trust that (CVE-2021-20199), so the server sees the
//! Pod's address as its peer.
//!
//! ```text
//! plan → sockets → unprivileged → loop: poll ─┬ listener: accept, connect inside   (tcp)
//!                                             ├ stream:   move bytes, half-close   (tcp)
//!                                             └ datagram: to its flow, or back     (udp)
//! ```
//! One thread, bounded tables and buffers. No error of a peer ends it; it dies with the Pod's pause.

mod tcp;
mod udp;

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::BorrowedFd;
use std::time::Duration;

use dwell_spec::plan::init::{FIRST_SLOT_FD, PLAN_FD};
use dwell_spec::plan::relay::RelayPlan;
use dwell_spec::pod::Protocol;
use dwell_sys::exec::inherited;
use rustix::event::epoll;
use rustix::io::Errno;
use rustix::process::{Gid, Uid};
use rustix::time::Timespec;

use tcp::Streams;
use udp::Flows;

const PLAN_MAX: usize = 64 * 1024;
/// `nobody` and `nogroup`
const UNPRIVILEGED: u32 = 65534;
const EVENTS: usize = 64;
/// Bytes moved by one read, which is any datagram; also the most that one direction of a stream holds back.
const BUFFER: usize = 64 * 1024;
/// How often idle flows are looked for, and listeners that were paused are tried again.
const TICK: Duration = Duration::from_secs(1);

/// A socket of the host, and where it leads: the address of the same IP version first.
#[derive(Debug, Clone)]
struct Listener {
    socket: BorrowedFd<'static>,
    targets: Vec<SocketAddr>,
}

/// What an event is about; packed into the 64 bits that the kernel keeps for us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Tcp(usize),
    Udp(usize),
    Stream(usize, tcp::Side),
    Flow(usize),
}

impl Token {
    fn data(self) -> epoll::EventData {
        let (kind, index) = match self {
            Self::Tcp(index) => (0, index),
            Self::Udp(index) => (1, index),
            Self::Stream(index, tcp::Side::Host) => (2, index),
            Self::Stream(index, tcp::Side::Pod) => (3, index),
            Self::Flow(index) => (4, index),
        };
        epoll::EventData::new_u64((kind << 32) | index as u64)
    }

    fn from(data: epoll::EventData) -> Self {
        let index = (data.u64() & 0xffff_ffff) as usize;
        match data.u64() >> 32 {
            0 => Self::Tcp(index),
            1 => Self::Udp(index),
            2 => Self::Stream(index, tcp::Side::Host),
            3 => Self::Stream(index, tcp::Side::Pod),
            _ => Self::Flow(index),
        }
    }
}

/// Serves until the Pod ends. A plan that cannot be used, or no way to give up privileges, is status 125.
pub fn main() -> ! {
    let Err(errno) = run();
    dwell_sys::complain::complain(format_args!("dwell-init: relay: {errno}"));
    std::process::exit(125)
}

fn run() -> Result<Infallible, Errno> {
    let plan = read_plan()?;
    let listeners = |protocol| listeners(&plan, protocol);
    let (tcp, udp) = (listeners(Protocol::Tcp)?, listeners(Protocol::Udp)?);
    give_up_privileges()?;
    serve(tcp, udp)
}

fn serve(tcp: Vec<Listener>, udp: Vec<Listener>) -> Result<Infallible, Errno> {
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    for (index, listener) in udp.iter().enumerate() {
        epoll::add(&poll, listener.socket, Token::Udp(index).data(), epoll::EventFlags::IN)?;
    }
    let mut streams = Streams::new(&poll, tcp);
    let mut flows = Flows::new(&poll, udp);
    let mut scratch = vec![0; BUFFER];
    streams.listen();
    let mut events = Vec::with_capacity(EVENTS);
    let tick = Timespec { tv_sec: TICK.as_secs() as i64, tv_nsec: 0 };
    loop {
        let busy = streams.is_paused() || !flows.is_empty();
        match epoll::wait(&poll, rustix::buffer::spare_capacity(&mut events), busy.then_some(&tick)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
        for event in events.drain(..) {
            match Token::from(event.data) {
                Token::Tcp(index) => streams.accept(index),
                Token::Udp(index) => flows.take_from_host(index, &mut scratch),
                Token::Stream(index, side) => streams.ready(index, side, event.flags, &mut scratch),
                Token::Flow(index) => flows.take_from_pod(index, &mut scratch),
            }
        }
        flows.end_idle();
        streams.listen();
    }
}

/// `pread`, because the offset is shared with whoever else holds the file.
fn read_plan() -> Result<RelayPlan, Errno> {
    let file = inherited(PLAN_FD)?;
    let mut bytes = vec![0; PLAN_MAX];
    let mut length = 0;
    loop {
        match rustix::io::pread(file, &mut bytes[length..], length as u64)? {
            0 => break,
            read => length += read,
        }
    }
    RelayPlan::decode(&bytes[..length]).ok_or(Errno::BADMSG)
}

fn listeners(plan: &RelayPlan, protocol: Protocol) -> Result<Vec<Listener>, Errno> {
    let wanted = plan.listeners.iter().filter(|listener| listener.protocol == protocol);
    let open = |listener: &dwell_spec::plan::relay::RelayListener| {
        let socket = inherited(FIRST_SLOT_FD + i32::from(listener.slot.0))?;
        let own: SocketAddr = rustix::net::getsockname(socket)?.try_into()?;
        Ok(Listener { socket, targets: targets(plan, own.is_ipv4(), listener.target_port) })
    };
    wanted.map(open).collect()
}

fn targets(plan: &RelayPlan, ipv4: bool, port: u16) -> Vec<SocketAddr> {
    let (v4, v6) = (plan.v4.map(IpAddr::from), plan.v6.map(IpAddr::from));
    let order = if ipv4 { [v4, v6] } else { [v6, v4] };
    order.into_iter().flatten().map(|address| SocketAddr::new(address, port)).collect()
}

/// Leaving uid 0 empties the capability sets; nothing of the Pod's can be executed by it afterwards to gain any.
fn give_up_privileges() -> Result<(), Errno> {
    let (uid, gid) = (Uid::from_raw(UNPRIVILEGED), Gid::from_raw(UNPRIVILEGED));
    rustix::thread::set_thread_groups(&[])?;
    rustix::thread::set_thread_res_gid(gid, gid, gid)?;
    rustix::thread::set_thread_res_uid(uid, uid, uid)?;
    rustix::thread::set_no_new_privs(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_survive_the_kernel() {
        let all = [
            Token::Tcp(1),
            Token::Udp(2),
            Token::Stream(3, tcp::Side::Host),
            Token::Stream(4, tcp::Side::Pod),
            Token::Flow(5),
        ];
        all.into_iter().for_each(|token| assert_eq!(Token::from(token.data()), token));
    }

    #[test]
    fn the_pods_address_of_the_same_version_comes_first_and_loopback_never() {
        let plan =
            RelayPlan { listeners: Vec::new(), v4: Some([10, 64, 0, 2].into()), v6: Some("fd00::2".parse().unwrap()) };
        assert!(targets(&plan, true, 80)[0].is_ipv4());
        assert!(targets(&plan, false, 80)[0].is_ipv6());
        assert!(targets(&plan, false, 80).iter().all(|target| !target.ip().is_loopback()));
        assert_eq!(targets(&RelayPlan { v6: None, ..plan }, false, 80).len(), 1, "control: a Pod without IPv6");
    }
}
