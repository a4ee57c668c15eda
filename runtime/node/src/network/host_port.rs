//! Host ports as sockets: the node binds each port itself, so that a conflict is an error at once and by name.
//!
//! The firewall leads what arrives on the host's addresses into the Pod before it reaches these sockets; what comes
//! over loopback (nothing else can lead `::1` into a namespace) is served from them by the relay. TCP sockets have
//! SO_REUSEADDR: two listeners still conflict, but a port whose old connections are in TIME_WAIT can be taken again
//! (socket(7)). UDP sockets have not: there it would allow a second owner. SCTP sockets neither, and they do not listen:
//! they hold the port, and whoever asks for it over loopback is refused by the kernel. A relay of bytes would lose which
//! stream of an association a message belongs to (sctp(7)).

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;

use dwell_spec::plan::pod::HostPort;
use dwell_spec::pod::Protocol;
use rustix::net::{self, AddressFamily, SocketFlags, SocketType, bind, ipproto, listen, socket_with, sockopt};

use super::NetworkError;

const BACKLOG: i32 = 512;
const NO_PROTOCOL: i32 = rustix::io::Errno::PROTONOSUPPORT.raw_os_error();

/// Binds a host port: one socket, or one for IPv4 and one for IPv6 when the port names no address. TCP sockets listen.
///
/// # Errors
/// `HostPort` naming port and address, with EADDRINUSE when anything else holds it.
pub fn bind_host_port(port: &HostPort) -> Result<Vec<OwnedFd>, NetworkError> {
    let addresses = addresses(port.host_ip, super::host_has_ipv6());
    addresses.into_iter().map(|address| open(port, address)).collect()
}

fn addresses(host_ip: Option<IpAddr>, ipv6: bool) -> Vec<IpAddr> {
    match host_ip {
        Some(address) => vec![address],
        None if ipv6 => vec![Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()],
        None => vec![Ipv4Addr::UNSPECIFIED.into()],
    }
}

fn open(port: &HostPort, address: IpAddr) -> Result<OwnedFd, NetworkError> {
    let bound = match port.protocol {
        Protocol::Tcp => listener(SocketAddr::new(address, port.host_port)),
        Protocol::Udp => receiver(SocketAddr::new(address, port.host_port)),
        Protocol::Sctp => holder(SocketAddr::new(address, port.host_port)),
    };
    bound.map_err(|source| NetworkError::HostPort { port: *port, address, source: Some(source) })
}

fn listener(address: SocketAddr) -> io::Result<OwnedFd> {
    let socket = socket(address, SocketType::STREAM, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    bind(&socket, &address)?;
    listen(&socket, BACKLOG)?;
    Ok(socket)
}

fn receiver(address: SocketAddr) -> io::Result<OwnedFd> {
    let socket = socket(address, SocketType::DGRAM, None)?;
    bind(&socket, &address)?;
    Ok(socket)
}

fn holder(address: SocketAddr) -> io::Result<OwnedFd> {
    let socket = socket(address, SocketType::STREAM, Some(ipproto::SCTP)).map_err(|error| match error.raw_os_error() {
        Some(NO_PROTOCOL) => io::Error::other(format!(
            "this kernel has no SCTP: ports[].protocol: SCTP with a hostPort needs its module (`modprobe sctp`): {error}"
        )),
        _ => error,
    })?;
    bind(&socket, &address)?;
    Ok(socket)
}

fn socket(address: SocketAddr, kind: SocketType, protocol: Option<net::Protocol>) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = socket_with(family, kind, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, protocol)?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    Ok(socket)
}
