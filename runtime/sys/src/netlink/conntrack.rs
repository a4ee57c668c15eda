//! Forgetting flows: what the kernel's connection tracking remembers of a Pod that is gone.
//!
//! A UDP flow that was once led to a Pod is still answered from there after the host port's rule is removed, since
//! the rule decides only a flow's first packet. So the flows of the Pod's address are looked up (the kernel filters)
//! and deleted one by one. Rule: `include/uapi/linux/netfilter/nfnetlink_conntrack.h`.

use std::net::IpAddr;

use super::address::octets;
use super::attributes::{address, attributes, find, native_u32};
use super::message::{DUMP, Message};
use super::socket::{NetlinkError, Reply, Socket};

const NEW: u16 = 1 << 8;
const GET: u16 = (1 << 8) | 1;
const DELETE: u16 = (1 << 8) | 2;

const TUPLE_ORIGINAL: u16 = 1;
const TUPLE_REPLY: u16 = 2;
const ID: u16 = 12;
const FILTER: u16 = 25;
const TUPLE_IP: u16 = 1;
const FILTER_REPLY: u16 = 2;
const FILTER_IP_SOURCE: u32 = 1;

/// Deletes every flow that was led to `pod`; returns how many.
///
/// # Errors
/// When the kernel refuses the list; a flow that ends meanwhile is none.
pub fn forget(socket: &mut Socket, pod: IpAddr) -> Result<usize, NetlinkError> {
    let flows: Vec<Message> = socket.dump(&ask(pod))?.iter().filter_map(|reply| deletion(reply, pod)).collect();
    for flow in &flows {
        match socket.request(std::slice::from_ref(flow)) {
            Err(error) if error.errno() != Some(libc::ENOENT) => return Err(error),
            _ => {}
        }
    }
    Ok(flows.len())
}

/// Asks for flows whose answers come from `pod`. For IPv6 all flows are asked for: there the kernel's filter keeps
/// those that do *not* match (seen on 6.18), and `deletion` looks at each anyway.
fn ask(pod: IpAddr) -> Message {
    let mut message = Message::new(GET, DUMP, &header(pod));
    if pod.is_ipv6() {
        return message;
    }
    message
        .nest(FILTER, |filter| {
            filter.u32(FILTER_REPLY, FILTER_IP_SOURCE);
        })
        .nest(TUPLE_REPLY, |tuple| {
            tuple.nest(TUPLE_IP, |ip| {
                ip.bytes(source_kind(pod), &octets(pod));
            });
        });
    message
}

/// The message that deletes the flow in `reply`, if that was led to `pod` and not begun by it.
fn deletion(reply: &Reply, pod: IpAddr) -> Option<Message> {
    let body = reply.body.get(4..).filter(|_| reply.kind == NEW)?;
    let source = |tuple| find(find(find(body, tuple)?, TUPLE_IP)?, source_kind(pod)).and_then(address);
    if source(TUPLE_REPLY) != Some(pod) || source(TUPLE_ORIGINAL) == Some(pod) {
        return None;
    }
    let mut message = Message::new(DELETE, 0, &header(pod));
    message.nest(TUPLE_ORIGINAL, |tuple| copy(tuple, find(body, TUPLE_ORIGINAL).unwrap_or_default()));
    if let Some(id) = find(body, ID).and_then(native_u32) {
        message.u32(ID, id);
    }
    Some(message)
}

/// Copies a tuple's address and protocol parts, which are nests.
fn copy(message: &mut Message, tuple: &[u8]) {
    for (kind, payload) in attributes(tuple).filter(|(kind, _)| *kind <= 2) {
        message.nest(kind, |part| {
            part.raw(payload);
        });
    }
}

/// `CTA_IP_V4_SRC` or `CTA_IP_V6_SRC`
fn source_kind(pod: IpAddr) -> u16 {
    if pod.is_ipv4() { 1 } else { 3 }
}

/// `struct nfgenmsg`
fn header(pod: IpAddr) -> [u8; 4] {
    [if pod.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 } as u8, 0, 0, 0]
}
