//! A host of our own for each test: a network namespace entered by one thread, an "outside" behind a link, and Pods.
//!
//! Nothing here can reach the real host's network: every call is made by a thread that has left it.

use std::cell::RefCell;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use dwell_sys::namespace::{Kinds, unshare};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Address of the host on its link to the outside.
pub const HOST4: &str = "198.51.100.1";
/// Address of the host on its link to the outside.
pub const HOST6: &str = "2001:db8::1";
/// Address of the outside.
pub const OUTSIDE4: &str = "198.51.100.9";
/// Address of the outside.
pub const OUTSIDE6: &str = "2001:db8::9";

const PATIENCE: Duration = Duration::from_secs(3);
const IMPATIENCE: Duration = Duration::from_millis(400);

/// Runs `test` on a thread with a network namespace of its own.
pub fn on_a_host<T: Send>(test: impl FnOnce() -> T + Send) -> T {
    let inside = || {
        leave();
        run("ip link set lo up");
        test()
    };
    thread::scope(|scope| scope.spawn(inside).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
}

/// Leaves the calling thread's network namespace for a new one.
fn leave() {
    unshare(Kinds::NETWORK).expect("a network namespace needs root");
}

/// A network namespace, with the servers in it; dropping it stops them and lets the kernel end it.
pub struct Namespace {
    fd: OwnedFd,
    stop: Arc<AtomicBool>,
    servers: RefCell<Vec<thread::JoinHandle<()>>>,
}

impl AsFd for Namespace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for server in self.servers.take() {
            let _ = server.join();
        }
    }
}

/// A new, empty network namespace.
pub fn namespace() -> Namespace {
    let opened = thread::spawn(|| {
        leave();
        std::fs::File::open("/proc/thread-self/ns/net").unwrap().into()
    });
    Namespace { fd: opened.join().unwrap(), stop: Arc::default(), servers: RefCell::default() }
}

/// Runs `work` inside a namespace.
pub fn inside<T: Send>(netns: &Namespace, work: impl FnOnce() -> T + Send) -> T {
    let fd = netns.as_fd();
    let inside = || {
        move_into_link_name_space(fd, Some(LinkNameSpaceType::Network)).unwrap();
        work()
    };
    thread::scope(|scope| scope.spawn(inside).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
}

/// Makes the outside: a namespace behind a link of this host, which is the host's default route.
pub fn outside() -> Namespace {
    let netns = namespace();
    // Both ends inherit it: their addresses are usable at once.
    let no_probing = "echo 0 >/proc/sys/net/ipv6/conf/default/accept_dad";
    run(no_probing);
    inside(&netns, || run(no_probing));
    let path = format!("/proc/{}/fd/{}", std::process::id(), netns.fd.as_raw_fd());
    run(&format!("ip link add uplink type veth peer name eth0 netns {path}"));
    run(&format!("ip addr add {HOST4}/24 dev uplink && ip -6 addr add {HOST6}/64 dev uplink"));
    run("ip link set uplink up");
    inside(&netns, || {
        run("ip link set lo up && ip link set eth0 up");
        run(&format!("ip addr add {OUTSIDE4}/24 dev eth0 && ip -6 addr add {OUTSIDE6}/64 dev eth0"));
    });
    run(&format!("ip route add default via {OUTSIDE4} && ip -6 route add default via {OUTSIDE6}"));
    thread::sleep(Duration::from_millis(50));
    netns
}

/// Runs a shell line in this thread's namespaces and returns its output.
pub fn run(line: &str) -> String {
    let output = Command::new("sh").arg("-ec").arg(line).output().unwrap();
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// In that namespace, a TCP server that answers every connection with its peer's address.
pub fn serve_tcp(netns: &Namespace, address: SocketAddr) {
    let listener = inside(netns, || TcpListener::bind(address).unwrap());
    listener.set_nonblocking(true).unwrap();
    serve(netns, move || match listener.accept() {
        Ok((mut stream, peer)) => drop(stream.write_all(peer.ip().to_canonical().to_string().as_bytes())),
        Err(_) => thread::sleep(Duration::from_millis(2)),
    });
}

/// In that namespace, a UDP server that answers every datagram with its sender's address.
pub fn serve_udp(netns: &Namespace, address: SocketAddr) {
    let socket = inside(netns, || UdpSocket::bind(address).unwrap());
    socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    serve(netns, move || {
        if let Ok((_, peer)) = socket.recv_from(&mut [0; 64]) {
            let _ = socket.send_to(peer.ip().to_canonical().to_string().as_bytes(), peer);
        }
    });
}

/// Repeats a step that never blocks for long, until the namespace is dropped.
pub fn serve(netns: &Namespace, mut step: impl FnMut() + Send + 'static) {
    let stop = netns.stop.clone();
    let server = thread::spawn(move || {
        while !stop.load(Ordering::Relaxed) {
            step();
        }
    });
    netns.servers.borrow_mut().push(server);
}

/// What a TCP server there answers, or `None` when it cannot be reached.
pub fn ask_tcp(address: SocketAddr, expected: bool) -> Option<IpAddr> {
    let patience = if expected { PATIENCE } else { IMPATIENCE };
    let mut stream = TcpStream::connect_timeout(&address, patience).ok()?;
    stream.set_read_timeout(Some(patience)).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    answer.parse().ok()
}

/// What a UDP server there answers to a new socket, or `None`.
pub fn ask_udp(address: SocketAddr, expected: bool) -> Option<IpAddr> {
    ask_udp_with(&udp_client(address), address, expected)
}

/// An unconnected socket of the address's version.
pub fn udp_client(address: SocketAddr) -> UdpSocket {
    let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    UdpSocket::bind(any).unwrap()
}

/// The same, from a socket that already spoke.
pub fn ask_udp_with(socket: &UdpSocket, address: SocketAddr, expected: bool) -> Option<IpAddr> {
    socket.set_read_timeout(Some(if expected { PATIENCE } else { IMPATIENCE })).unwrap();
    socket.send_to(b"?", address).ok()?;
    let mut buffer = [0; 64];
    let (length, _) = socket.recv_from(&mut buffer).ok()?;
    std::str::from_utf8(&buffer[..length]).ok()?.parse().ok()
}

/// Everything of this host's network that dwell could leave behind.
pub fn inventory() -> String {
    run("ip -o link | sed 's/^[0-9]*: //' | cut -d: -f1 | sort; ip -o addr | awk '{print $2,$4}' | sort; \
         ip route; ip -6 route | sed /^fe80/d; nft list ruleset; ip neigh show nud permanent")
}
