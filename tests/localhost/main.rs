//! Members that talk: over the Pod's own localhost, by name, through ports of the host, between nodes.
//!
//! Both kinds of member run the same tool, `net` (`guests/native/net.c` and `guests/python/net.py`), so a direction is a
//! choice of two images. The component takes seconds to compile, so tests that need it share a node where they overlap.

mod addresses;
mod directions;
mod files;
mod host_network;
mod host_ports;
mod names;
mod nodes;

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use dwell_tests::node::{Node, wait_until};
use dwell_tests::{guest, rootfs};
use serde_json::{Value, json};

/// The two kinds of member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Native,
    Wasm,
}

pub use Kind::{Native, Wasm};

/// A node whose cache has `net.wasm`, shared by the tests that run at this time; the last of them ends it.
pub fn shared() -> Arc<Node> {
    static NODE: Mutex<Weak<Node>> = Mutex::new(Weak::new());
    let mut held = NODE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    if let Some(node) = held.upgrade() {
        return node;
    }
    let node = Arc::new(Node::new());
    net_rootfs(&node);
    node.dwell(&["run", "--rm", "--image", &image(&node, Wasm), "--", "resolve", "localhost"]).ok();
    *held = Arc::downgrade(&node);
    node
}

/// A root file system with busybox and the native `net`.
pub fn net_rootfs(node: &Node) -> PathBuf {
    let root = rootfs::busybox(&node.files());
    let tool = root.join("bin/net");
    if !tool.exists() {
        std::fs::copy(guest::path("net"), tool).expect("copy the native tool");
    }
    root
}

/// The image of `net` of this kind.
pub fn image(node: &Node, kind: Kind) -> String {
    match kind {
        Native => format!("rootfs:{}", net_rootfs(node).display()),
        Wasm => format!("wasm:{}", guest::path("net.wasm").display()),
    }
}

/// A container that runs `net` with these arguments, and more fields.
pub fn net(node: &Node, kind: Kind, name: &str, args: &[&str], more: Value) -> Value {
    let mut container = json!({"name": name, "image": image(node, kind), "args": args});
    if kind == Native {
        container["command"] = json!(["/bin/net"]);
    }
    for (key, value) in more.as_object().into_iter().flatten() {
        container[key] = value.clone();
    }
    container
}

/// A manifest (JSON is YAML); `more` is added to its spec.
pub fn pod(name: &str, containers: &[Value], more: Value) -> String {
    let mut spec = json!({"restartPolicy": "Never", "terminationGracePeriodSeconds": 2, "containers": containers});
    for (key, value) in more.as_object().into_iter().flatten() {
        spec[key] = value.clone();
    }
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}).to_string()
}

/// Waits until a container has written this line.
#[track_caller]
pub fn wait_for_line(node: &Node, pod: &str, container: &str, line: &str) {
    let said = || node.dwell(&["logs", "-c", container, pod]);
    assert!(
        wait_until(|| said().out.lines().any(|found| found == line)),
        "no {line:?} from {container}: {:#?}",
        said()
    );
}

/// A port of the host's that nobody else uses, held on IPv4 and IPv6, TCP and UDP: "something else" that listens.
pub struct Held {
    pub port: u16,
    listener: TcpListener,
    datagrams: UdpSocket,
}

impl Held {
    pub(crate) fn new() -> Held {
        for _ in 0..100 {
            let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, 0)).expect("listen on all addresses");
            let port = listener.local_addr().expect("an address").port();
            if let Ok(datagrams) = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, port)) {
                listener.set_nonblocking(true).expect("set non-blocking");
                datagrams.set_nonblocking(true).expect("set non-blocking");
                return Held { port, listener, datagrams };
            }
        }
        panic!("no port is free for TCP and UDP");
    }

    /// How many connections and datagrams have come; the control for `assert_untouched`.
    pub fn visitors(&self) -> usize {
        let mut buffer = [0; 16];
        let datagrams = std::iter::from_fn(|| self.datagrams.recv(&mut buffer).ok()).count();
        std::iter::from_fn(|| self.listener.accept().ok()).count() + datagrams
    }

    /// Panics if anybody came; then shows that somebody could have.
    #[track_caller]
    pub fn assert_untouched(&self) {
        assert_eq!(self.visitors(), 0, "the host's own listener was asked");
        for address in ["127.0.0.1", "::1"] {
            let to = SocketAddr::new(address.parse().expect("an address"), self.port);
            drop(TcpStream::connect(to).expect("the host's listener takes connections"));
            let from: IpAddr = if to.is_ipv4() { [0; 4].into() } else { [0u16; 8].into() };
            UdpSocket::bind((from, 0)).and_then(|socket| socket.send_to(b"x", to)).expect("send a datagram");
        }
        assert!(wait_until(|| self.listener.accept().is_ok()), "the control's connection never came");
    }
}

/// A free port of the host, for TCP or UDP; somebody may take it between this and its use, which is seen.
pub fn free_port() -> u16 {
    Held::new().port
}

/// Sends a line over TCP, and returns what comes back until the end; `None` if there is no connection.
pub fn ask(to: SocketAddr, text: &str) -> Option<String> {
    let mut stream = TcpStream::connect_timeout(&to, Duration::from_secs(5)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    stream.write_all(text.as_bytes()).ok()?;
    stream.shutdown(std::net::Shutdown::Write).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

/// Sends a datagram and returns the answer, asking again a few times.
pub fn ask_udp(to: SocketAddr, text: &str) -> Option<String> {
    let from: IpAddr = if to.is_ipv4() { [0; 4].into() } else { [0u16; 8].into() };
    let socket = UdpSocket::bind((from, 0)).expect("a socket");
    socket.connect(to).ok()?;
    socket.set_read_timeout(Some(Duration::from_millis(300))).expect("set a limit");
    let mut buffer = [0; 2048];
    for _ in 0..40 {
        let _ = socket.send(text.as_bytes());
        match socket.recv(&mut buffer) {
            Ok(count) => return Some(String::from_utf8_lossy(&buffer[..count]).into_owned()),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
                std::thread::sleep(Duration::from_millis(100))
            }
            Err(_) => {}
        }
    }
    None
}

/// The host's own addresses that are not loopback: the first of each family.
pub fn host_addresses() -> Vec<IpAddr> {
    let probe = |target: &str, from: &str| {
        let socket = UdpSocket::bind(from).ok()?;
        socket.connect(target).ok()?;
        Some(socket.local_addr().ok()?.ip()).filter(|ip| !ip.is_loopback() && !ip.is_unspecified())
    };
    // Nothing is sent: connecting a UDP socket only looks up the route.
    [probe("192.0.2.200:9", "0.0.0.0:0"), probe("[2001:db8::200]:9", "[::]:0")].into_iter().flatten().collect()
}
