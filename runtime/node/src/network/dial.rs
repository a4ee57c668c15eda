//! Connecting to a port inside a Pod, as one of its members would: over its own loopback.
//!
//! A socket belongs to the namespace of the thread that made it, and stays there: a thread enters the Pod's, connects, and
//! is thrown away.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::os::fd::BorrowedFd;
use std::thread;
use std::time::Duration;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

const STACK: usize = 128 * 1024;
/// A server whose queue is full does not answer at all.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A connection to `127.0.0.1`, else to `::1`. Blocks until it stands.
///
/// # Errors
/// What the kernel said of the first; that the namespace cannot be entered.
pub fn loopback(netns: BorrowedFd<'_>, port: u16) -> io::Result<TcpStream> {
    let inside = move || {
        move_into_link_name_space(netns, Some(LinkNameSpaceType::Network))?;
        let to = |ip: IpAddr| TcpStream::connect_timeout(&SocketAddr::new(ip, port), TIMEOUT);
        to(Ipv4Addr::LOCALHOST.into()).or_else(|first| to(Ipv6Addr::LOCALHOST.into()).map_err(|_| first))
    };
    thread::scope(|scope| {
        let worker = thread::Builder::new().name("dial".into()).stack_size(STACK).spawn_scoped(scope, inside)?;
        worker.join().map_err(|_| io::Error::other("the thread inside panicked"))?
    })
}
