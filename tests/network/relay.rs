//! Host ports over loopback: the relay, started as pause starts it, between this host's loopback and a Pod.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::OnceLock;
use std::thread;

use dwell::network::{Attachment, bind_host_port};
use dwell_spec::plan::init::Slot;
use dwell_spec::plan::pod::HostPort;
use dwell_spec::plan::relay::{RelayListener, RelayPlan};
use dwell_sys::{memfd, process};
use rustix::process::{Signal, WaitId, WaitIdOptions, pidfd_send_signal, waitid};

use crate::world::*;
use crate::{at, both, network, pod, server};

/// A running relay; dropping it kills and reaps it.
struct Relay {
    pid: i32,
    pidfd: OwnedFd,
}

impl Drop for Relay {
    fn drop(&mut self) {
        let _ = pidfd_send_signal(&self.pidfd, Signal::KILL);
        let _ = waitid(WaitId::PidFd(self.pidfd.as_fd()), WaitIdOptions::EXITED);
    }
}

impl Relay {
    fn status(&self, field: &str) -> String {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap();
        text.lines().find_map(|line| line.strip_prefix(field)).unwrap().trim().to_owned()
    }
}

/// The program that pause is given: the very bytes that a node carries.
fn program() -> OwnedFd {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    let path = PATH.get_or_init(|| dwell_tests::embedded::init("relay"));
    std::fs::File::open(path).unwrap().into()
}

/// Starts the relay inside the Pod, with the host's sockets from descriptor 5.
fn start(netns: &Namespace, attachment: &Attachment, ports: &[HostPort]) -> Relay {
    let sockets: Vec<(HostPort, OwnedFd)> =
        ports.iter().flat_map(|port| bind_host_port(port).unwrap().into_iter().map(|fd| (*port, fd))).collect();
    let listener = |(slot, (port, _)): (usize, &(HostPort, OwnedFd))| RelayListener {
        slot: Slot(slot as u16),
        protocol: port.protocol,
        target_port: port.container_port,
    };
    let listeners = sockets.iter().enumerate().map(listener).collect();
    let plan = RelayPlan { listeners, v4: Some(attachment.v4), v6: attachment.v6 };
    let plan = memfd::sealed("relay-plan", &plan.encode()).unwrap();
    let report = memfd::writable("relay-report").unwrap();
    let program = program();
    let mut fds: Vec<(BorrowedFd<'_>, i32)> = vec![(plan.as_fd(), 3), (report.as_fd(), 4)];
    fds.extend(sockets.iter().map(|(_, socket)| socket.as_fd()).zip(5..));
    let (pid, pidfd) = inside(netns, || process::spawn_vfork(program.as_fd(), &[c"relay"], &[], &fds, None).unwrap());
    Relay { pid: pid.as_raw_nonzero().get(), pidfd }
}

fn loopback(port: u16) -> [SocketAddr; 2] {
    [at([127, 0, 0, 1], port), at("::1".parse::<std::net::Ipv6Addr>().unwrap(), port)]
}

#[test]
fn loopback_host_ports_work_in_both_versions_and_protocols() {
    on_a_host(|| {
        let network = network("relay");
        let (netns, attachment) = server(&network, &both(8080));
        let before = loopback(8080).map(|address| ask_tcp(address, false));
        assert_eq!(before, [None, None], "control: nothing but the relay serves loopback");
        let relay = start(&netns, &attachment, &both(8080));
        let own = [attachment.v4.into(), attachment.v6.unwrap().into()];
        for (address, own) in loopback(8080).into_iter().zip(own) {
            assert_eq!(ask_tcp(address, true), Some(own), "the server sees the Pod's own address, not loopback");
            assert_eq!(ask_udp(address, true), Some(own));
        }
        let client = udp_client(loopback(8080)[1]);
        assert!(
            (0..3).all(|_| ask_udp_with(&client, loopback(8080)[1], true).is_some()),
            "one flow, several datagrams"
        );
        println!("relay, idle: {}", relay.status("VmRSS:"));
        assert_eq!(relay.status("Uid:").split_whitespace().next(), Some("65534"));
        assert_eq!(relay.status("CapEff:"), "0000000000000000");
        assert_eq!(relay.status("NoNewPrivs:"), "1");
    });
}

#[test]
fn a_server_of_the_other_version_is_found() {
    on_a_host(|| {
        let network = network("other");
        let (netns, attachment) = pod(&network, &both(8080));
        serve_tcp(&netns, at(attachment.v4, 80));
        serve_udp(&netns, at(attachment.v4, 80));
        let _relay = start(&netns, &attachment, &both(8080));
        let [v4, v6] = loopback(8080);
        assert_eq!(ask_tcp(v4, true), Some(attachment.v4.into()));
        assert_eq!(ask_tcp(v6, true), Some(attachment.v4.into()), "::1 reaches a server that has IPv4 only");
        let client = udp_client(v6);
        let answered = (0..3).any(|_| ask_udp_with(&client, v6, false).is_some());
        assert!(answered, "a flow that was refused moves to the other version");
    });
}

#[test]
fn a_server_on_the_pods_loopback_is_not_opened() {
    on_a_host(|| {
        let network = network("private");
        let (netns, attachment) = pod(&network, &both(8080));
        serve_tcp(&netns, "127.0.0.1:80".parse().unwrap());
        assert!(inside(&netns, || ask_tcp("127.0.0.1:80".parse().unwrap(), true)).is_some(), "control: it runs");
        let _relay = start(&netns, &attachment, &both(8080));
        assert_eq!(ask_tcp(loopback(8080)[0], false), None);
    });
}

#[test]
fn much_data_half_closed_arrives_whole_from_fifty_clients() {
    const PART: usize = 2 << 20;
    on_a_host(|| {
        let network = network("bulk");
        let (netns, attachment) = pod(&network, &both(8080));
        let listener = inside(&netns, || TcpListener::bind("[::]:80").unwrap());
        listener.set_nonblocking(true).unwrap();
        serve(&netns, move || match listener.accept() {
            Ok((stream, _)) => drop(thread::spawn(move || echo(stream))),
            Err(_) => thread::sleep(std::time::Duration::from_millis(1)),
        });
        let relay = start(&netns, &attachment, &both(8080));
        thread::scope(|scope| {
            let clients: Vec<_> = (0..50)
                .map(|number| scope.spawn(move || talk(loopback(8080)[number % 2], number as u8, PART)))
                .collect();
            assert!(clients.into_iter().all(|client| client.join().unwrap()));
        });
        println!("relay after 100 MB in 50 streams: {}", relay.status("VmRSS:"));
        assert!(talk(loopback(8080)[0], 1, 10), "and it goes on");
    });
}

/// Reads to the end, then answers with everything: only a half-close makes this work.
fn echo(mut stream: TcpStream) {
    stream.set_nonblocking(false).unwrap();
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes).and_then(|_| stream.write_all(&bytes));
}

fn talk(address: SocketAddr, seed: u8, length: usize) -> bool {
    let sent: Vec<u8> = (0..length).map(|at| (at % 251) as u8 ^ seed).collect();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(&sent).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut back = Vec::new();
    stream.read_to_end(&mut back).unwrap();
    back == sent
}

#[test]
fn clients_that_misbehave_do_not_end_it() {
    on_a_host(|| {
        let network = network("rude");
        let (netns, attachment) = pod(&network, &both(8080));
        let relay = start(&netns, &attachment, &both(8080));
        let address = loopback(8080)[0];
        for _ in 0..50 {
            let stream = TcpStream::connect(address).unwrap();
            rustix::net::sockopt::set_socket_linger(&stream, Some(std::time::Duration::ZERO)).unwrap();
        }
        let _ = ask_udp(address, false);
        assert_eq!(ask_tcp(address, false), None, "nobody listens in the Pod");
        serve_tcp(&netns, "[::]:80".parse().unwrap());
        assert!(ask_tcp(address, true).is_some(), "control: and now somebody does");
        let open = std::fs::read_dir(format!("/proc/{}/fd", relay.pid)).unwrap().count();
        assert!(open < 16, "{open} descriptors are open after all have left");
    });
}
