//! SCTP through a host port: led in by the firewall where the kernel has it, and refused by name where it has not.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::thread;
use std::time::Duration;

use dwell::network::bind_host_port;
use dwell_spec::pod::Protocol;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, ipproto, listen, socket_with, sockopt};

use crate::world::*;
use crate::{at, host, network, pod, port};

/// A socket of the one-to-one style, which std's types for TCP do for.
fn socket(address: SocketAddr) -> rustix::io::Result<OwnedFd> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, Some(ipproto::SCTP))
}

/// A server that answers every association with its peer's address.
fn serve_sctp(netns: &Namespace, address: SocketAddr) {
    let listener = inside(netns, || {
        let socket = socket(address).unwrap();
        bind(&socket, &address).unwrap();
        listen(&socket, 8).unwrap();
        TcpListener::from(socket)
    });
    listener.set_nonblocking(true).unwrap();
    serve(netns, move || match listener.accept() {
        Ok((mut stream, peer)) => drop(stream.write_all(peer.ip().to_canonical().to_string().as_bytes())),
        Err(_) => thread::sleep(Duration::from_millis(2)),
    });
}

/// What it answers, or `None` when it cannot be reached.
fn ask(address: SocketAddr, patience: Duration) -> Option<IpAddr> {
    let socket = socket(address).unwrap();
    for direction in [sockopt::Timeout::Send, sockopt::Timeout::Recv] {
        sockopt::set_socket_timeout(&socket, direction, Some(patience)).unwrap();
    }
    connect(&socket, &address).ok()?;
    let mut answer = String::new();
    TcpStream::from(socket).read_to_string(&mut answer).ok()?;
    answer.parse().ok()
}

#[test]
fn sctp_leads_in_where_the_kernel_has_it() {
    const LONG: Duration = Duration::from_secs(10);
    const SHORT: Duration = Duration::from_millis(400);
    on_a_host(|| {
        let wanted = port(Protocol::Sctp, 8084);
        if socket(host(8084)[0]).is_err() {
            let refused = bind_host_port(&wanted).unwrap_err();
            let why = std::error::Error::source(&refused).map(ToString::to_string).unwrap_or_default();
            assert!(why.contains("this kernel has no SCTP") && why.contains("ports[].protocol"), "{refused}: {why}");
            return;
        }
        let outside = outside();
        let network = network("sctp");
        let (netns, attachment) = pod(&network, &[wanted]);
        serve_sctp(&netns, "[::]:80".parse().unwrap());
        let held = bind_host_port(&wanted).unwrap();
        assert_eq!(held.len(), 2);
        assert!(bind_host_port(&wanted).is_err(), "a port that is held");
        bind_host_port(&port(Protocol::Tcp, 8084)).expect("that of another protocol is another");
        for (address, client) in host(8084).into_iter().zip([OUTSIDE4, OUTSIDE6]) {
            let client: Option<IpAddr> = Some(client.parse().unwrap());
            assert_eq!(inside(&outside, || ask(address, LONG)), client, "from outside, source kept");
            assert!(ask(address, LONG).is_some(), "from the host itself to {address}");
        }
        assert_eq!(ask(at([127, 0, 0, 1], 8084), SHORT), None, "nothing carries it from loopback");
        network.detach(&attachment).unwrap();
        for address in host(8084) {
            assert_eq!(inside(&outside, || ask(address, SHORT)), None, "closed after detach");
        }
    });
}
