//! Addresses and routes of one network namespace.
//!
//! Every IPv6 address is added with `IFA_F_NODAD`: without it an own bind fails and the first connection waits two
//! seconds for duplicate address detection, which a network of our own does not need (ip-address(8)).

use std::net::IpAddr;

use super::attributes::{address, attributes, native_u32};
use super::message::{CREATE, DUMP, EXCLUSIVE, Message};
use super::socket::{NetlinkError, Reply, Socket};

const NEW_ADDRESS: u16 = 20;
const GET_ADDRESS: u16 = 22;
const NEW_ROUTE: u16 = 24;
const GET_ROUTE: u16 = 26;

const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_FLAGS: u16 = 8;
const NO_DAD: u32 = 0x02;

const DESTINATION: u16 = 1;
const OUTPUT_LINK: u16 = 4;
const GATEWAY: u16 = 5;
const TABLE_MAIN: u8 = 254;
const PROTOCOL_BOOT: u8 = 3;
const UNICAST: u8 = 1;

/// `RTPROT_RA`: learnt from a router's advertisement.
pub const PROTOCOL_RA: u8 = 9;

/// An address with the length of its subnet's prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subnet {
    /// The address.
    pub address: IpAddr,
    /// Bits of the prefix.
    pub prefix: u8,
}

/// An address on a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkAddress {
    /// Index of the link.
    pub link: u32,
    /// The address and its subnet.
    pub subnet: Subnet,
}

/// A unicast route of any table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// Where it leads; `None` is the default route.
    pub destination: Option<Subnet>,
    /// Who made it (`RTPROT_*`).
    pub protocol: u8,
    /// The link it leaves by, if there is only one.
    pub link: Option<u32>,
}

/// The message that gives a link an address.
pub fn add(link: u32, subnet: Subnet) -> Message {
    let mut body = [family(subnet.address), subnet.prefix, 0, 0, 0, 0, 0, 0];
    body[4..8].copy_from_slice(&link.to_ne_bytes());
    let bytes = octets(subnet.address);
    let mut message = Message::new(NEW_ADDRESS, CREATE | EXCLUSIVE, &body);
    message.bytes(IFA_LOCAL, &bytes).bytes(IFA_ADDRESS, &bytes).u32(IFA_FLAGS, NO_DAD);
    message
}

/// The message that adds a default route through a gateway.
pub fn add_default_route(link: u32, gateway: IpAddr) -> Message {
    let body = [family(gateway), 0, 0, 0, TABLE_MAIN, PROTOCOL_BOOT, 0, UNICAST, 0, 0, 0, 0];
    let mut message = Message::new(NEW_ROUTE, CREATE | EXCLUSIVE, &body);
    message.bytes(GATEWAY, &octets(gateway)).u32(OUTPUT_LINK, link);
    message
}

/// Every address in the socket's namespace.
///
/// # Errors
/// When the kernel refuses the list.
pub fn list(socket: &mut Socket) -> Result<Vec<LinkAddress>, NetlinkError> {
    let message = Message::new(GET_ADDRESS, DUMP, &[0; 8]);
    Ok(socket.dump(&message)?.iter().filter_map(parse_address).collect())
}

/// Every unicast route in the socket's namespace, all tables, both families.
///
/// # Errors
/// When the kernel refuses the list.
pub fn list_routes(socket: &mut Socket) -> Result<Vec<Route>, NetlinkError> {
    let message = Message::new(GET_ROUTE, DUMP, &[0; 12]);
    Ok(socket.dump(&message)?.iter().filter_map(parse_route).collect())
}

fn parse_address(reply: &Reply) -> Option<LinkAddress> {
    let body = reply.body.get(..8).filter(|_| reply.kind == NEW_ADDRESS)?;
    let local = |wanted| attributes(&reply.body[8..]).find(|(kind, _)| *kind == wanted);
    let (_, payload) = local(IFA_LOCAL).or_else(|| local(IFA_ADDRESS))?;
    let subnet = Subnet { address: address(payload)?, prefix: body[1] };
    Some(LinkAddress { link: native_u32(&body[4..])?, subnet })
}

fn parse_route(reply: &Reply) -> Option<Route> {
    let body = reply.body.get(..12).filter(|body| reply.kind == NEW_ROUTE && body[7] == UNICAST)?;
    let mut route = Route { destination: None, protocol: body[5], link: None };
    for (kind, payload) in attributes(&reply.body[12..]) {
        match kind {
            DESTINATION => route.destination = Some(Subnet { address: address(payload)?, prefix: body[1] }),
            OUTPUT_LINK => route.link = native_u32(payload),
            _ => {}
        }
    }
    Some(route)
}

fn family(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => libc::AF_INET as u8,
        IpAddr::V6(_) => libc::AF_INET6 as u8,
    }
}

/// The address in network byte order.
pub fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::Family;

    #[test]
    fn loopback_has_its_address_and_no_unicast_route() {
        let mut socket = Socket::open(Family::Route).unwrap();
        let found = list(&mut socket).unwrap();
        let loopback = Subnet { address: [127, 0, 0, 1].into(), prefix: 8 };
        assert!(found.contains(&LinkAddress { link: 1, subnet: loopback }));
        list_routes(&mut socket).unwrap();
    }
}
