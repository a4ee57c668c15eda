//! The bridge of one state folder: found by its hardware address, made when missing, given its addresses.
//!
//! Making it is the lock on its name: whoever comes second is refused, looks whose it is, and takes the next name if
//! it is a stranger's.

use std::net::{IpAddr, Ipv4Addr};

use dwell_sys::netlink::address::{self, Subnet};
use dwell_sys::netlink::link::{self, Link};
use dwell_sys::netlink::{Message, NetlinkError, Socket};

use super::identity::{BRIDGE_NAMES, Identity};
use super::subnet::{self, Network4};
use super::{NetworkError, host_has_ipv6};

const DEFAULT_MTU: u32 = 1500;
const EXISTS: Option<i32> = Some(rustix::io::Errno::EXIST.raw_os_error());

/// The bridge as it stands.
#[derive(Debug, Clone)]
pub struct Bridge {
    /// Its name.
    pub name: String,
    /// Its index.
    pub index: u32,
    /// Bytes of the largest packet, for Pods too.
    pub mtu: u32,
    /// First address of the IPv4 subnet; its own address is the next.
    pub subnet4: Ipv4Addr,
    /// Whether Pods get IPv6 addresses.
    pub ipv6: bool,
}

/// The bridge that an earlier node of this state folder made, complete with its address.
///
/// # Errors
/// When the kernel refuses to list.
pub fn find(socket: &mut Socket, identity: &Identity) -> Result<Option<Bridge>, NetworkError> {
    let Some(link) = find_link(socket, identity)? else {
        return Ok(None);
    };
    let addresses = address::list(socket).map_err(|source| refused("list addresses of", &link.name, source))?;
    let own =
        |address: IpAddr| addresses.iter().any(|found| found.link == link.index && found.subnet.address == address);
    let v4 = addresses.iter().filter(|found| found.link == link.index).find_map(|found| match found.subnet.address {
        IpAddr::V4(v4) if found.subnet.prefix == subnet::PREFIX => Some(v4),
        _ => None,
    });
    let ipv6 = own(gateway6(identity));
    let Link { name, index, mtu, .. } = link;
    Ok(v4.map(|v4| Bridge { name, index, mtu, subnet4: subnet::base(v4), ipv6 }))
}

/// The link alone, whether or not it has its addresses.
///
/// # Errors
/// When the kernel refuses.
pub fn find_link(socket: &mut Socket, identity: &Identity) -> Result<Option<Link>, NetworkError> {
    for attempt in 0..BRIDGE_NAMES {
        let name = identity.bridge(attempt);
        let link = link::by_name(socket, &name).map_err(|source| refused("look for", &name, source))?;
        if let Some(link) = link.filter(|link| is_ours(link, identity)) {
            return Ok(Some(link));
        }
    }
    Ok(None)
}

fn is_ours(link: &Link, identity: &Identity) -> bool {
    link.kind == "bridge" && link.mac == Some(identity.bridge_mac())
}

/// Makes the bridge under the first name that no stranger has, and gives it the first addresses of its subnets.
/// A bridge that an earlier node left half made is completed.
///
/// # Errors
/// `NoBridgeName`, `NoSubnet`, or what the kernel refuses.
pub fn make(socket: &mut Socket, identity: &Identity) -> Result<Bridge, NetworkError> {
    let (subnet4, mtu) = survey(socket, identity)?;
    let link = make_link(socket, identity, mtu)?;
    let ipv6 = host_has_ipv6();
    let own = |address, prefix| address::add(link.index, Subnet { address, prefix });
    let mut additions = vec![own(gateway4(subnet4).into(), subnet::PREFIX)];
    if ipv6 {
        additions.push(own(gateway6(identity), subnet::PREFIX6));
    }
    for addition in additions {
        add(socket, &addition, &link.name)?;
    }
    Ok(Bridge { name: link.name, index: link.index, mtu: link.mtu, subnet4, ipv6 })
}

fn add(socket: &mut Socket, addition: &Message, name: &str) -> Result<(), NetworkError> {
    match socket.request(std::slice::from_ref(addition)) {
        Err(error) if error.errno() != EXISTS => Err(refused("give an address to", name, error)),
        _ => Ok(()),
    }
}

fn make_link(socket: &mut Socket, identity: &Identity, mtu: u32) -> Result<Link, NetworkError> {
    for attempt in 0..BRIDGE_NAMES {
        let name = identity.bridge(attempt);
        match socket.request(&[link::create_bridge(&name, identity.bridge_mac(), mtu)]) {
            Err(error) if error.errno() != EXISTS => {
                return Err(refused("make the bridge", &name, error));
            }
            _ => {}
        }
        let link = link::by_name(socket, &name).map_err(|source| refused("look for", &name, source))?;
        if let Some(link) = link.filter(|link| is_ours(link, identity)) {
            return Ok(link);
        }
    }
    Err(NetworkError::NoBridgeName)
}

/// A free IPv4 subnet, and the largest packet of the link that the default route leaves by.
fn survey(socket: &mut Socket, identity: &Identity) -> Result<(Ipv4Addr, u32), NetworkError> {
    let failed = |source| refused("list", "the host's routes", source);
    let routes = address::list_routes(socket).map_err(failed)?;
    let addresses = address::list(socket).map_err(failed)?;
    let links = link::list(socket).map_err(failed)?;
    let routed = routes.iter().filter_map(|route| route.destination);
    let networks = routed.chain(addresses.iter().map(|address| address.subnet)).filter_map(network4);
    let subnet4 = subnet::choose(identity.seed(), &networks.collect::<Vec<_>>()).ok_or(NetworkError::NoSubnet)?;
    let leaving = routes.iter().filter(|route| route.destination.is_none()).filter_map(|route| route.link);
    let mtus = leaving.filter_map(|index| links.iter().find(|link| link.index == index)).map(|link| link.mtu);
    Ok((subnet4, mtus.min().unwrap_or(DEFAULT_MTU).max(1280)))
}

fn network4(subnet: Subnet) -> Option<Network4> {
    match subnet.address {
        IpAddr::V4(address) => Some(Network4 { address, prefix: subnet.prefix }),
        IpAddr::V6(_) => None,
    }
}

/// The bridge's own IPv4 address: the Pods' gateway.
pub fn gateway4(subnet4: Ipv4Addr) -> Ipv4Addr {
    Ipv4Addr::from_bits(subnet4.to_bits() + 1)
}

/// The bridge's own IPv6 address: the Pods' gateway.
pub fn gateway6(identity: &Identity) -> IpAddr {
    let base = identity.subnet6().to_bits();
    std::net::Ipv6Addr::from_bits(base + 1).into()
}

fn refused(attempt: &'static str, subject: &str, source: NetlinkError) -> NetworkError {
    NetworkError::Netlink { attempt, subject: subject.to_owned(), source }
}
