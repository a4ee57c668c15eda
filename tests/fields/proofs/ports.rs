//! Ports of the host, by TCP and UDP, on one address or all; and the port that a guest's server listens on.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use dwell_tests::node::wait_until;
use serde_json::{Value, json};

use crate::bench::{Bench, shared};

/// A port of the host's that is free for both; somebody may take it before the Pod does, which is seen.
fn free_port() -> u16 {
    let sockets = || {
        let stream = std::net::TcpListener::bind("0.0.0.0:0").ok()?;
        let port = stream.local_addr().ok()?.port();
        UdpSocket::bind(("0.0.0.0", port)).ok().map(|_| port)
    };
    (0..100).find_map(|_| sockets()).expect("a free port")
}

/// What comes back for a line, if anybody listens.
fn ask(to: SocketAddr) -> Option<String> {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect_timeout(&to, Duration::from_secs(5)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    stream.write_all(b"hello\n").ok()?;
    stream.shutdown(std::net::Shutdown::Write).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

fn ask_udp(to: SocketAddr) -> bool {
    let socket = UdpSocket::bind("0.0.0.0:0").expect("a socket");
    let _ = socket.set_read_timeout(Some(Duration::from_millis(300)));
    let asked = socket.connect(to).and_then(|()| socket.send(b"hello"));
    asked.is_ok() && socket.recv(&mut [0; 16]).is_ok()
}

fn server(bench: &Bench, kind: &str, name: &str, args: &[&str], port: &Value) -> Value {
    let more = json!({"args": args, "ports": [port]});
    if kind == "wasm" {
        return bench.container(name, "net.wasm", &more);
    }
    let mut container = bench.container(name, "native", &more);
    container["command"] = json!(["net"]);
    container
}

/// One port leads to the server on all addresses, one on a single address only, one by UDP; the fourth leads to a port
/// where nobody listens, since it is the container's port that counts.
fn lead(kind: &str) {
    let bench = shared();
    let [all, one, datagrams, wrong] = [(); 4].map(|()| free_port());
    let port = |inside: u16, host: u16, more: Value| {
        let mut port = json!({"containerPort": inside, "hostPort": host});
        crate::merge::merge(&mut port, &more);
        port
    };
    let mut first = server(&bench, kind, "tcp", &["serve", "7000"], &port(7000, all, json!({})));
    let ports = first["ports"].as_array_mut().expect("a list");
    ports.push(port(7000, one, json!({"hostIP": "127.0.0.2"})));
    ports.push(port(7009, wrong, json!({})));
    let second =
        server(&bench, kind, "udp", &["udp-serve", "7001"], &port(7001, datagrams, json!({"protocol": "UDP"})));
    let name = format!("ports-{kind}");
    bench.start(&bench.pod(&name, &[first, second], &json!({})));
    bench.node.printed(&name, "tcp", "listening on 7000\n");
    bench.node.printed(&name, "udp", "listening on 7001\n");
    let at = |address: [u8; 4], port: u16| SocketAddr::from((address, port));
    let heard = |to: SocketAddr| ask(to).is_some_and(|answer| answer.starts_with("hello\n"));
    assert!(wait_until(|| heard(at([127, 0, 0, 1], all))), "the server is reached");
    assert!(wait_until(|| heard(at([127, 0, 0, 2], one))), "at its address");
    assert!(!heard(at([127, 0, 0, 1], one)), "and at no other");
    assert!(!heard(at([127, 0, 0, 1], wrong)), "nobody listens there");
    assert!(wait_until(|| ask_udp(at([127, 0, 0, 1], datagrams))), "datagrams, too");
    assert!(!heard(at([127, 0, 0, 1], datagrams)), "and nothing else");
    assert!(!ask_udp(at([127, 0, 0, 1], all)), "no datagrams where none were asked for");
    bench.remove(&name);
    assert!(wait_until(|| !heard(at([127, 0, 0, 1], all))), "control: it was the Pod that answered");
}

pub fn ports_of_the_host_lead_to_a_native_server() {
    lead("native");
}

/// A server of HTTP does not choose its port itself: it listens on the first that its container names.
pub fn ports_of_the_host_lead_to_a_wasm_server() {
    lead("wasm");
    let bench = shared();
    let web = |name: &str, ports: Value| bench.container(name, "http.wasm", &json!({"ports": ports}));
    let all = [web("named", json!([{"containerPort": 8123}])), web("plain", json!([]))];
    bench.start(&bench.pod("ports-http", &all, &json!({})));
    let pod = bench.node.wait_for("ports-http", "an address", |pod| pod["status"]["podIP"].is_string());
    let address = pod["status"]["podIP"].as_str().expect("an address").parse().expect("an address");
    let open = |port: u16| std::net::TcpStream::connect(SocketAddr::new(address, port)).is_ok();
    assert!(wait_until(|| open(8123) && open(8080)), "both listen, each on its own port");
    assert!(!open(8124), "control");
    bench.remove("ports-http");
}
