//! Links: bridges, veth pairs, and the list of what exists.
//!
//! A veth pair is one message: the host end is born up and as a port of the bridge, the other end is born inside the
//! Pod's network namespace, so no half-made pair is ever visible (rtnetlink(7), `IFLA_NET_NS_FD` in
//! `VETH_INFO_PEER`). The peer must not be born up: opening it needs its partner (ENOTCONN).

use std::os::fd::{AsRawFd, BorrowedFd};

use super::attributes::{attributes, find, native_u32, text};
use super::message::{CREATE, DUMP, EXCLUSIVE, Message};
use super::socket::{NetlinkError, Reply, Socket};

const NEW_LINK: u16 = 16;
const DELETE_LINK: u16 = 17;
const GET_LINK: u16 = 18;
const UP: u32 = 1;

const ADDRESS: u16 = 1;
const NAME: u16 = 3;
const MTU: u16 = 4;
const MASTER: u16 = 10;
const LINK_INFO: u16 = 18;
const NETNS_FD: u16 = 28;
const EXTENDED_MASK: u16 = 29;
const SKIP_STATISTICS: u32 = 1 << 3;
const INFO_KIND: u16 = 1;
const INFO_DATA: u16 = 2;
const INFO_SLAVE_KIND: u16 = 4;
const INFO_SLAVE_DATA: u16 = 5;
const VETH_PEER: u16 = 1;
const BRIDGE_MULTICAST_SNOOPING: u16 = 23;
const PORT_HAIRPIN: u16 = 4;

/// A hardware address.
pub type Mac = [u8; 6];

/// One link as the kernel lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Interface index, from 1.
    pub index: u32,
    /// Interface name.
    pub name: String,
    /// Hardware address, if it has six bytes.
    pub mac: Option<Mac>,
    /// Bytes of the largest packet.
    pub mtu: u32,
    /// Index of the bridge it is a port of.
    pub master: Option<u32>,
    /// `bridge`, `veth`, …; empty for hardware.
    pub kind: String,
    /// Whether it is administratively up.
    pub up: bool,
}

/// A veth pair to be made.
#[derive(Debug)]
pub struct Veth<'a> {
    /// Name of the end that stays.
    pub host_name: &'a str,
    /// Index of the bridge that the end joins.
    pub bridge: u32,
    /// Name of the end in the other namespace.
    pub peer_name: &'a str,
    /// Hardware address of that end.
    pub peer_mac: Mac,
    /// The namespace of that end.
    pub netns: BorrowedFd<'a>,
    /// Bytes of the largest packet, for both.
    pub mtu: u32,
}

/// The message that makes a bridge with this hardware address, already up; refused with EEXIST when the name is
/// taken, which makes the name a lock.
pub fn create_bridge(name: &str, mac: Mac, mtu: u32) -> Message {
    let mut message = Message::new(NEW_LINK, CREATE | EXCLUSIVE, &header(0, UP));
    message.text(NAME, name).bytes(ADDRESS, &mac).u32(MTU, mtu).nest(LINK_INFO, |info| {
        info.text(INFO_KIND, "bridge").nest(INFO_DATA, |data| {
            data.u8(BRIDGE_MULTICAST_SNOOPING, 0);
        });
    });
    message
}

/// The message that makes a veth pair: host end up and port of the bridge, peer down in its namespace.
pub fn create_veth(veth: &Veth<'_>) -> Message {
    let mut message = Message::new(NEW_LINK, CREATE | EXCLUSIVE, &header(0, UP));
    message.text(NAME, veth.host_name).u32(MTU, veth.mtu).u32(MASTER, veth.bridge).nest(LINK_INFO, |info| {
        info.text(INFO_KIND, "veth").nest(INFO_DATA, |data| {
            data.nest(VETH_PEER, |peer| fill_peer(peer, veth));
        });
    });
    message
}

fn fill_peer(peer: &mut Message, veth: &Veth<'_>) {
    peer.raw(&header(0, 0))
        .text(NAME, veth.peer_name)
        .bytes(ADDRESS, &veth.peer_mac)
        .u32(MTU, veth.mtu)
        .u32(NETNS_FD, veth.netns.as_raw_fd() as u32);
}

/// The message that lets a bridge port send back out of itself: a Pod may ask a host address for itself.
pub fn allow_hairpin(name: &str) -> Message {
    let mut message = Message::new(NEW_LINK, 0, &header(0, 0));
    message.text(NAME, name).nest(LINK_INFO, |info| {
        info.text(INFO_SLAVE_KIND, "bridge").nest(INFO_SLAVE_DATA, |data| {
            data.u8(PORT_HAIRPIN, 1);
        });
    });
    message
}

/// The message that brings a link up.
pub fn set_up(index: u32) -> Message {
    Message::new(NEW_LINK, 0, &header(index, UP))
}

/// The message that deletes a link. It blocks its caller for 10 to 30 ms and stalls the removal of network
/// namespaces meanwhile: for bridges without ports only.
pub fn delete(index: u32) -> Message {
    Message::new(DELETE_LINK, 0, &header(index, 0))
}

/// The link of that name in the socket's namespace. Since 6.8 asking also makes the kernel act on a carrier that has
/// just come up (`linkwatch_sync_dev`), before which the link drops what is sent.
///
/// # Errors
/// Whatever the kernel refuses with, except that a missing link is `None`.
pub fn by_name(socket: &mut Socket, name: &str) -> Result<Option<Link>, NetlinkError> {
    let mut message = Message::new(GET_LINK, 0, &header(0, 0));
    message.text(NAME, name).u32(EXTENDED_MASK, SKIP_STATISTICS);
    match socket.get(&message) {
        Ok(reply) => Ok(reply.as_ref().and_then(parse)),
        Err(error) if error.errno() == Some(libc::ENODEV) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Every link in the socket's namespace.
///
/// # Errors
/// When the kernel refuses the list.
pub fn list(socket: &mut Socket) -> Result<Vec<Link>, NetlinkError> {
    let mut message = Message::new(GET_LINK, DUMP, &header(0, 0));
    message.u32(EXTENDED_MASK, SKIP_STATISTICS);
    Ok(socket.dump(&message)?.iter().filter_map(parse).collect())
}

fn parse(reply: &Reply) -> Option<Link> {
    let body = reply.body.get(..16).filter(|_| reply.kind == NEW_LINK)?;
    let mut link = Link {
        index: native_u32(&body[4..])?,
        name: String::new(),
        mac: None,
        mtu: 0,
        master: None,
        kind: String::new(),
        up: native_u32(&body[8..])? & UP != 0,
    };
    for (kind, payload) in attributes(&reply.body[16..]) {
        match kind {
            ADDRESS => link.mac = payload.try_into().ok(),
            NAME => link.name = text(payload),
            MTU => link.mtu = native_u32(payload)?,
            MASTER => link.master = native_u32(payload),
            LINK_INFO => link.kind = find(payload, INFO_KIND).map(text).unwrap_or_default(),
            _ => {}
        }
    }
    Some(link)
}

/// `struct ifinfomsg`
fn header(index: u32, up: u32) -> [u8; 16] {
    let mut body = [0; 16];
    body[4..8].copy_from_slice(&index.to_ne_bytes());
    body[8..12].copy_from_slice(&up.to_ne_bytes());
    body[12..16].copy_from_slice(&up.to_ne_bytes());
    body
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::Family;

    #[test]
    fn the_loopback_link_is_listed_and_a_missing_one_is_none() {
        let mut socket = Socket::open(Family::Route).unwrap();
        let links = list(&mut socket).unwrap();
        assert!(links.iter().any(|link| link.name == "lo" && link.index == 1));
        assert_eq!(by_name(&mut socket, "lo").unwrap().map(|link| link.index), Some(1));
        assert_eq!(by_name(&mut socket, "dwell-no-such").unwrap(), None);
    }
}
