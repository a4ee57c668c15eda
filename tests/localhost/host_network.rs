//! `hostNetwork: true`: the host's own localhost, addresses and names, for both kinds.

use std::net::{SocketAddr, TcpListener};

use dwell_tests::node::wait_until;
use serde_json::{Value, json};

use crate::{Kind, Native, Wasm, ask, free_port, host_addresses, net, pod, shared};

fn serves_on_the_host(kind: Kind, name: &str) {
    let (node, port) = (shared(), free_port());
    node.start(&pod(
        name,
        &[net(&node, kind, "main", &["serve", &port.to_string()], json!({}))],
        json!({"hostNetwork": true}),
    ));
    let loopback = ["127.0.0.1", "::1"].map(|address| address.parse().expect("an address"));
    for address in loopback.into_iter().chain(host_addresses()) {
        let to = SocketAddr::new(address, port);
        assert!(wait_until(|| ask(to, "hello\n").is_some_and(|answer| answer.starts_with("hello\n"))), "{to}");
    }
    let status = node.pod(name)["status"].clone();
    assert_eq!(status["podIP"], status["hostIP"], "{status:#}");
    node.dwell(&["rm", "-f", name]).ok();
    assert!(wait_until(|| ask(SocketAddr::new([127, 0, 0, 1].into(), port), "x").is_none()), "it still serves");
}

#[test]
fn a_native_server_is_on_the_host() {
    serves_on_the_host(Native, "native-on-host");
}

#[test]
fn a_wasm_server_is_on_the_host() {
    serves_on_the_host(Wasm, "wasm-on-host");
}

/// A member asks a server of the host's own over localhost; without hostNetwork it would find nobody (see `directions`).
fn reaches_the_host(kind: Kind, name: &str) {
    is_heard_by_the_host(kind, name, ("127.0.0.1:0", "127.0.0.1"), json!({"hostNetwork": true}));
}

/// A server of the host's own listens on the one address, and a member asks at the other.
fn is_heard_by_the_host(kind: Kind, name: &str, (listens_on, asked_at): (&str, &str), more: Value) {
    let node = shared();
    let listener = TcpListener::bind(listens_on).expect("a port");
    let port = listener.local_addr().expect("an address").port().to_string();
    let server = std::thread::spawn(move || {
        use std::io::{Read, Write};
        let (mut stream, _) = listener.accept().expect("a member comes");
        let mut asked = String::new();
        stream.read_to_string(&mut asked).expect("it asks");
        stream.write_all(format!("the host heard {asked}").as_bytes()).expect("it is answered");
    });
    let container = net(&node, kind, "main", &["ask", asked_at, &port, "something"], json!({}));
    let out = node.run(&pod(name, &[container], more)).ok();
    assert_eq!(out, "the host heard something\n");
    server.join().expect("the server ends");
    node.dwell(&["rm", name]).ok();
}

#[test]
fn a_native_member_reaches_the_hosts_localhost() {
    reaches_the_host(Native, "native-to-host");
}

#[test]
fn a_wasm_member_reaches_the_hosts_localhost() {
    reaches_the_host(Wasm, "wasm-to-host");
}

#[test]
fn names_of_the_hosts_file_are_known_to_both_kinds() {
    let hosts = std::fs::read_to_string("/etc/hosts").expect("the host has a hosts file");
    let lines =
        hosts.lines().map(|line| line.split('#').next().unwrap_or_default().split_whitespace().collect::<Vec<_>>());
    let special = |words: &Vec<&str>| words.len() > 1 && words[1] != "localhost" && !words[1].starts_with("ip6-");
    let Some(words) = lines.into_iter().find(special) else { return };
    let node = shared();
    for (kind, name) in [(Native, "native-host-names"), (Wasm, "wasm-host-names")] {
        let container = net(&node, kind, "main", &["resolve", words[1]], json!({}));
        let said = node.run(&pod(name, &[container], json!({"hostNetwork": true})));
        assert!(said.code == 0 && said.out.lines().any(|line| line == words[0]), "{kind:?}: {words:?}: {said:#?}");
        node.dwell(&["rm", name]).ok();
    }
}

#[test]
fn the_host_has_a_name_in_pods_of_both_kinds() {
    for (kind, name) in [(Native, "native-by-name"), (Wasm, "wasm-by-name")] {
        let at = ("0.0.0.0:0", "host.containers.internal");
        is_heard_by_the_host(kind, name, at, json!({}));
        is_heard_by_the_host(kind, &format!("{name}-too"), at, json!({"hostNetwork": true}));
    }
}
