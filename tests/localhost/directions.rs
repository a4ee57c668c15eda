//! All four directions over the Pod's localhost by TCP: 100 MB there and back with a checksum, and fifty connections at
//! once, while the host itself listens on the very same port.

use dwell_tests::node::Node;
use serde_json::json;

use crate::{Held, Kind, Native, Wasm, net, pod, shared, wait_for_line};

const BYTES: &str = "104857600";
const COUNT: &str = "50";

/// Server of one kind, clients of another; the server ends after its last client.
fn talk(server: Kind, client: Kind, name: &str) {
    let (node, held) = (shared(), Held::new());
    let port = held.port.to_string();
    let containers = [
        net(&node, server, "server", &["serve", &port, "51"], json!({})),
        net(&node, client, "bulk", &["bulk", "localhost", &port, BYTES], json!({})),
        net(&node, client, "many", &["many", "localhost", &port, COUNT], json!({})),
    ];
    node.start(&pod(name, &containers, json!({})));
    wait_for_line(&node, name, "many", "50 connections at once, all answered");
    assert_bulk(&node, name);
    let ended =
        node.wait_for(name, "its end", |pod| ["Succeeded", "Failed"].iter().any(|end| pod["status"]["phase"] == *end));
    assert_eq!(ended["status"]["phase"], "Succeeded", "{ended:#}");
    held.assert_untouched();
    node.dwell(&["rm", name]).ok();
}

fn assert_bulk(node: &Node, name: &str) {
    node.wait_for(name, "the transfer", |pod| {
        let statuses = pod["status"]["containerStatuses"].as_array().cloned().unwrap_or_default();
        statuses.iter().any(|status| status["name"] == "bulk" && status["state"]["terminated"].is_object())
    });
    let said = node.dwell(&["logs", "-c", "bulk", name]);
    assert!(said.out.starts_with("104857600 bytes there and back, crc32 "), "{said:#?}");
}

#[test]
fn native_to_wasm() {
    talk(Wasm, Native, "native-to-wasm");
}

#[test]
fn wasm_to_native() {
    talk(Native, Wasm, "wasm-to-native");
}

#[test]
fn wasm_to_wasm() {
    talk(Wasm, Wasm, "wasm-to-wasm");
}

#[test]
fn native_to_native() {
    talk(Native, Native, "native-to-native");
}

#[test]
fn a_client_without_a_server_in_its_pod_finds_nobody_although_the_host_listens() {
    let (node, held) = (shared(), Held::new());
    let port = held.port.to_string();
    let script = format!(
        "nc -w 1 127.0.0.1 {port} </dev/null && echo there; nc -w 1 ::1 {port} </dev/null && echo there; echo done"
    );
    let root = crate::net_rootfs(&node);
    let container =
        json!({"name": "main", "image": format!("rootfs:{}", root.display()), "command": ["sh", "-c", script]});
    assert_eq!(node.run(&pod("alone", &[container], json!({}))).ok(), "done\n");
    held.assert_untouched();
    node.dwell(&["rm", "alone"]).ok();
}
