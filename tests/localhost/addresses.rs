//! UDP both ways, and both families by number.

use serde_json::json;

use crate::{Held, Kind, Native, Wasm, net, pod, shared};

/// One server, and a client for each address; the output of each client is what it was sent.
fn datagrams(server: Kind, client: Kind, name: &str) {
    let (node, held) = (shared(), Held::new());
    let port = held.port.to_string();
    let clients = ["127.0.0.1", "::1", "localhost"];
    let mut containers = vec![net(&node, server, "server", &["udp-serve", &port], json!({}))];
    for (number, address) in clients.iter().enumerate() {
        let text = format!("by {address}");
        containers.push(net(
            &node,
            client,
            &format!("client-{number}"),
            &["udp-ask", address, &port, &text],
            json!({}),
        ));
    }
    node.start(&pod(name, &containers, json!({})));
    for (number, address) in clients.iter().enumerate() {
        crate::wait_for_line(&node, name, &format!("client-{number}"), &format!("by {address}"));
    }
    held.assert_untouched();
    node.dwell(&["rm", "-f", name]).ok();
}

#[test]
fn udp_from_native_to_wasm() {
    datagrams(Wasm, Native, "udp-to-wasm");
}

#[test]
fn udp_from_wasm_to_native() {
    datagrams(Native, Wasm, "udp-to-native");
}

/// TCP by each number of localhost.
fn by_number(server: Kind, client: Kind, name: &str) {
    let (node, held) = (shared(), Held::new());
    let port = held.port.to_string();
    let containers = [
        net(&node, server, "server", &["serve", &port, "2"], json!({})),
        net(&node, client, "four", &["ask", "127.0.0.1", &port, "over IPv4"], json!({})),
        net(&node, client, "six", &["ask", "::1", &port, "over IPv6"], json!({})),
    ];
    let out = node.run(&pod(name, &containers, json!({}))).ok();
    assert!(out.contains("over IPv4\n") && out.contains("over IPv6\n"), "{out}");
    held.assert_untouched();
    node.dwell(&["rm", name]).ok();
}

#[test]
fn both_families_from_native_to_wasm() {
    by_number(Wasm, Native, "numbers-to-wasm");
}

#[test]
fn both_families_from_wasm_to_native() {
    by_number(Native, Wasm, "numbers-to-native");
}
