//! Ports of the host, for servers of both kinds: loopback of both families and the host's own addresses, TCP and UDP;
//! and a port that is taken.

use std::net::{IpAddr, SocketAddr, TcpListener};

use dwell_tests::node::{Node, wait_until};
use serde_json::json;

use crate::{Kind, Native, Wasm, ask, ask_udp, free_port, host_addresses, net, pod, shared};

/// Everywhere that a host port without an address answers.
fn everywhere(port: u16) -> Vec<SocketAddr> {
    let loopback = ["127.0.0.1", "::1"].map(|address| address.parse::<IpAddr>().expect("an address"));
    let own = host_addresses();
    assert!(own.iter().any(IpAddr::is_ipv4), "this host has no IPv4 address of its own");
    loopback.into_iter().chain(own).map(|address| SocketAddr::new(address, port)).collect()
}

fn served(kind: Kind, name: &str) {
    let node = shared();
    let (tcp, udp) = (free_port(), free_port());
    let containers = [
        net(&node, kind, "tcp", &["serve", "7000"], json!({"ports": [{"containerPort": 7000, "hostPort": tcp}]})),
        net(
            &node,
            kind,
            "udp",
            &["udp-serve", "7001"],
            json!({"ports": [{"containerPort": 7001, "hostPort": udp, "protocol": "UDP"}]}),
        ),
    ];
    node.start(&pod(name, &containers, json!({})));
    crate::wait_for_line(&node, name, "tcp", "listening on 7000");
    crate::wait_for_line(&node, name, "udp", "listening on 7001");
    for to in everywhere(tcp) {
        let answer = ask(to, "hello\n");
        assert!(answer.as_deref().is_some_and(|answer| answer.starts_with("hello\ncrc32 ")), "TCP {to}: {answer:?}");
    }
    for to in everywhere(udp) {
        assert_eq!(ask_udp(to, "hello").as_deref(), Some("hello"), "UDP {to}");
    }
    node.dwell(&["rm", "-f", name]).ok();
    // The control: with the Pod gone, nobody answers, so it was the Pod that did.
    assert!(
        wait_until(|| everywhere(tcp).into_iter().all(|to| ask(to, "hello\n").is_none())),
        "somebody still answers"
    );
}

#[test]
fn a_native_server_is_reached_through_host_ports() {
    served(Native, "native-ports");
}

#[test]
fn a_wasm_server_is_reached_through_host_ports() {
    served(Wasm, "wasm-ports");
}

#[test]
fn an_http_component_is_reached_through_a_host_port() {
    let node = shared();
    let port = free_port();
    let web = json!({"name": "web", "image": format!("wasm:{}", dwell_tests::guest::path("http.wasm").display()),
                     "ports": [{"containerPort": 8080, "hostPort": port}]});
    node.start(&pod("web-port", &[web], json!({})));
    for to in everywhere(port) {
        let get = || ask(to, &format!("GET / HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\n\r\n"));
        assert!(wait_until(|| get().is_some_and(|answer| answer.starts_with("HTTP/1.1 200"))), "{to}: {:?}", get());
    }
    node.dwell(&["rm", "-f", "web-port"]).ok();
}

#[test]
fn one_address_is_that_address_only() {
    let node = shared();
    let port = free_port();
    let ports = json!({"ports": [{"containerPort": 7000, "hostPort": port, "hostIP": "127.0.0.1"}]});
    node.start(&pod("one-address", &[net(&node, Native, "main", &["serve", "7000"], ports)], json!({})));
    crate::wait_for_line(&node, "one-address", "main", "listening on 7000");
    let mut all = everywhere(port).into_iter();
    let only = all.next().expect("127.0.0.1 is the first");
    assert!(ask(only, "hello\n").is_some_and(|answer| answer.starts_with("hello\n")), "{only}");
    for to in all {
        assert_eq!(ask(to, "hello\n"), None, "{to} answers, too");
    }
    node.dwell(&["rm", "-f", "one-address"]).ok();
}

/// The Pod cannot start; the reason names the port.
fn assert_conflict(node: &Node, name: &str, port: u16) {
    let said =
        node.dwell(&["run", &node.file(&format!("{name}.yaml"), &server(node, name, port)).display().to_string()]);
    assert_eq!(said.code, 125, "{said:#?}");
    assert!(said.err.contains(&port.to_string()) && said.err.to_lowercase().contains("in use"), "{said:#?}");
}

fn server(node: &Node, name: &str, port: u16) -> String {
    let ports = json!({"ports": [{"containerPort": 7000, "hostPort": port}]});
    pod(name, &[net(node, Native, "main", &["serve", "7000"], ports)], json!({}))
}

#[test]
fn two_pods_cannot_have_the_same_port_and_the_error_names_it() {
    let node = shared();
    let port = free_port();
    node.start(&server(&node, "first", port));
    crate::wait_for_line(&node, "first", "main", "listening on 7000");
    assert_conflict(&node, "second", port);
    let to = SocketAddr::new([127, 0, 0, 1].into(), port);
    assert!(ask(to, "still\n").is_some_and(|answer| answer.starts_with("still\n")), "the first Pod lost its port");
    node.dwell(&["rm", "-f", "first", "second"]).ok();
    // The control: the port is free again, so the same manifest runs.
    node.start(&server(&node, "third", port));
    crate::wait_for_line(&node, "third", "main", "listening on 7000");
    assert!(wait_until(|| ask(to, "third\n").is_some_and(|answer| answer.starts_with("third\n"))));
    node.dwell(&["rm", "-f", "third"]).ok();
}

#[test]
fn a_port_that_another_program_holds_is_an_error_that_names_it() {
    let node = shared();
    let held = TcpListener::bind("0.0.0.0:0").expect("a port");
    assert_conflict(&node, "taken", held.local_addr().expect("an address").port());
    node.dwell(&["rm", "-f", "taken"]).ok();
}
