//! Listening sockets, IPv4 and IPv6 apart: `0.0.0.0:80` and `[::]:80` both bind, because the latter says `IPV6_V6ONLY`.

use crate::report;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, listen, socket_with, sockopt};
use std::net::SocketAddr;
use tokio::net::TcpListener;

/// Connections the kernel keeps for us before they are accepted.
const BACKLOG: i32 = 1024;

/// Binds every address. Must be called inside the runtime.
///
/// # Errors
/// A sentence that names the address.
pub fn all(addresses: &[SocketAddr]) -> Result<Vec<TcpListener>, String> {
    let mut listeners = Vec::new();
    for address in addresses {
        match one(*address) {
            Ok(listener) => listeners.push(listener),
            Err(Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL) if address.is_ipv6() && addresses.len() > 1 => {
                report::say(&format!("no IPv6 here: not listening on {address}"));
            }
            Err(cause) => return Err(format!("listen on {address}: {cause}")),
        }
    }
    if listeners.is_empty() { Err("there is no address to listen on".to_owned()) } else { Ok(listeners) }
}

fn one(address: SocketAddr) -> Result<TcpListener, Errno> {
    let family = if address.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
    let socket = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    bind(&socket, &address)?;
    listen(&socket, BACKLOG)?;
    TcpListener::from_std(socket.into()).map_err(|cause| Errno::from_io_error(&cause).unwrap_or(Errno::IO))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn both_families_take_the_same_port_and_a_taken_port_is_named() {
        let four = one("0.0.0.0:0".parse().unwrap()).unwrap();
        let port = four.local_addr().unwrap().port();
        if let Err(cause) = one(SocketAddr::new("::".parse().unwrap(), port)) {
            assert_eq!(cause, Errno::AFNOSUPPORT);
        }
        let taken: SocketAddr = format!("0.0.0.0:{port}").parse().unwrap();
        assert!(all(&[taken]).unwrap_err().contains(&taken.to_string()));
    }
}
