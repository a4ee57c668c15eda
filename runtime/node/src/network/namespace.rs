//! The inside of a Pod's network namespace: settings, then links, addresses and routes.
//!
//! Work inside is done by a thread that enters the namespace and is thrown away, so that no thread of the node is
//! ever left in a Pod's network. A netlink socket opened there stays there, and is used from outside afterwards.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::BorrowedFd;

use dwell_sys::namespace::{Kind, within};
use dwell_sys::netlink::{Family, NetlinkError, Socket, address, address::Subnet, link};

use super::{NetworkError, subnet};

/// Name of a Pod's link, inside.
pub const POD_LINK: &str = "eth0";
const LOOPBACK: u32 = 1;

/// Port 80 needs no capability in a Pod. A redirect is believed by nobody: a neighbour could forge one. (IPv4 asks both.)
const SETTINGS: &[(&str, &str)] = &[
    ("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0"),
    ("/proc/sys/net/ipv4/conf/all/accept_redirects", "0"),
    ("/proc/sys/net/ipv4/conf/default/accept_redirects", "0"),
];
/// Set before the link exists, which inherits them: no router's advertisement is believed (a neighbour could forge
/// one), no redirect, no address is probed for.
const SETTINGS_V6: &[(&str, &str)] = &[
    ("/proc/sys/net/ipv6/conf/default/accept_ra", "0"),
    ("/proc/sys/net/ipv6/conf/default/accept_redirects", "0"),
    ("/proc/sys/net/ipv6/conf/default/accept_dad", "0"),
];

/// A Pod's addresses and gateways.
#[derive(Debug, Clone, Copy)]
pub struct Addresses {
    /// The Pod's IPv4 address and the bridge's.
    pub v4: (Ipv4Addr, Ipv4Addr),
    /// The Pod's IPv6 address and the bridge's.
    pub v6: Option<(Ipv6Addr, Ipv6Addr)>,
}

/// Writes the namespace's settings and opens a route socket in it.
///
/// # Errors
/// `Namespace` when it cannot be entered, `Setting` naming the file that could not be written.
pub fn prepare(netns: BorrowedFd<'_>, ipv6: bool) -> Result<Socket, NetworkError> {
    let inside = || {
        write_all(SETTINGS)?;
        if ipv6 {
            write_all(SETTINGS_V6)?;
        }
        Socket::open(Family::Route).map_err(|source| refused("open a route socket in", source))
    };
    within(&[(netns, Kind::Network)], inside).map_err(|source| NetworkError::Namespace { source })?
}

/// Brings loopback and the Pod's link up, with addresses and default routes, in one message batch.
///
/// # Errors
/// `Netlink` with the first refusal; the namespace is then good only for being dropped.
pub fn configure(socket: &mut Socket, addresses: &Addresses) -> Result<(), NetworkError> {
    let failed = |source| refused("set up", source);
    let pod = link::by_name(socket, POD_LINK).map_err(failed)?;
    let pod = pod.ok_or_else(|| NetworkError::Namespace { source: io::ErrorKind::NotFound.into() })?.index;
    let (v4, gateway) = addresses.v4;
    let own = |address: IpAddr, prefix| address::add(pod, Subnet { address, prefix });
    let mut batch = vec![link::set_up(LOOPBACK), own(v4.into(), subnet::PREFIX)];
    batch.extend(addresses.v6.map(|(v6, _)| own(v6.into(), subnet::PREFIX6)));
    batch.push(link::set_up(pod));
    batch.push(address::add_default_route(pod, gateway.into()));
    batch.extend(addresses.v6.map(|(_, gateway)| address::add_default_route(pod, gateway.into())));
    socket.request(&batch).map_err(failed)
}

fn write_all(settings: &[(&'static str, &str)]) -> Result<(), NetworkError> {
    settings.iter().try_for_each(|(path, value)| {
        fs::write(path, value).map_err(|source| NetworkError::Setting { path: (*path).to_owned(), source })
    })
}

fn refused(attempt: &'static str, source: NetlinkError) -> NetworkError {
    NetworkError::Netlink { attempt, subject: "the Pod's network namespace".into(), source }
}
