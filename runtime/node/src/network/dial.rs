//! Connecting to a port inside a Pod, as one of its members would: over its own loopback.
//!
//! A socket belongs to the namespace of the thread that made it, and stays there: a thread enters the Pod's, makes one, and
//! is thrown away. The connection itself is waited for without a thread, since a member decides how long it takes.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::Duration;

use dwell_sys::namespace::{Kind, within};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use tokio::net::{TcpSocket, TcpStream};

/// A server whose queue is full does not answer at all.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A connection to `127.0.0.1`, else to `::1`.
///
/// # Errors
/// What the kernel said of the first; that the namespace cannot be entered.
pub async fn loopback(netns: BorrowedFd<'_>, port: u16) -> io::Result<TcpStream> {
    let first = connect(netns, Ipv4Addr::LOCALHOST.into(), port).await;
    match first {
        Err(error) => connect(netns, Ipv6Addr::LOCALHOST.into(), port).await.map_err(|_| error),
        connected => connected,
    }
}

async fn connect(netns: BorrowedFd<'_>, address: IpAddr, port: u16) -> io::Result<TcpStream> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = std::net::TcpStream::from(socket_inside(netns, family)?);
    let connecting = TcpSocket::from_std_stream(socket).connect(SocketAddr::new(address, port));
    let connected = tokio::time::timeout(TIMEOUT, connecting).await;
    connected.unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "nobody took the connection")))
}

/// Takes a few dozen microseconds.
fn socket_inside(netns: BorrowedFd<'_>, family: AddressFamily) -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(within(&[(netns, Kind::Network)], || socket_with(family, SocketType::STREAM, flags, None))??)
}
