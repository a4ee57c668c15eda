//! Names: localhost, the Pod's own, the other names of its hosts file; and one that does not exist.

use std::collections::BTreeSet;

use dwell_tests::node::Node;
use serde_json::json;

use crate::{Kind, Native, Wasm, net, pod, shared};

/// What `net resolve NAME` says in a Pod of this name, as one set.
fn resolved(node: &Node, kind: Kind, pod_name: &str, name: &str) -> (i32, BTreeSet<String>, String) {
    let said = node.run(&pod(
        pod_name,
        &[net(node, kind, "main", &["resolve", name], json!({}))],
        json!({"hostname": "harbour"}),
    ));
    (said.code, said.out.lines().map(str::to_owned).collect(), said.err)
}

fn addresses(node: &Node, pod_name: &str) -> BTreeSet<String> {
    let pod = node.pod(pod_name);
    let ips = pod["status"]["podIPs"].as_array().cloned().unwrap_or_default();
    ips.iter().filter_map(|ip| ip["ip"].as_str().map(str::to_owned)).collect()
}

fn names_of(kind: Kind, prefix: &str) {
    let node = shared();
    let local = format!("{prefix}-local");
    let (code, found, err) = resolved(&node, kind, &local, "localhost");
    assert_eq!(code, 0, "{err}");
    assert!(
        found.contains("127.0.0.1") && found.iter().all(|address| ["127.0.0.1", "::1"].contains(&address.as_str())),
        "{found:?}"
    );
    let own = format!("{prefix}-own");
    let (code, found, err) = resolved(&node, kind, &own, "harbour");
    assert_eq!(code, 0, "{err}");
    let expected = addresses(&node, &own);
    assert_eq!(expected.len(), 2, "a Pod has an address of each family");
    assert_eq!(found, expected, "the Pod's own name is its addresses");
    let hosts = format!("{prefix}-hosts");
    let (code, found, err) = resolved(&node, kind, &hosts, "ip6-allrouters");
    assert_eq!((code, found), (0, BTreeSet::from(["fe00::2".to_owned()])), "{err}");
    let wrong = format!("{prefix}-wrong");
    let (code, found, err) = resolved(&node, kind, &wrong, "nobody.invalid");
    assert!(code == 1 && found.is_empty() && !err.is_empty(), "{code} {found:?} {err}");
    node.dwell(&["rm", &local, &own, &hosts, &wrong]).ok();
}

#[test]
fn a_native_member_finds_names() {
    names_of(Native, "native");
}

#[test]
fn a_wasm_member_finds_names() {
    names_of(Wasm, "wasm");
}

#[test]
fn the_pods_own_name_reaches_its_server_from_both_kinds() {
    let node = shared();
    let containers = [
        net(&node, Native, "native-server", &["serve", "7001", "2"], json!({})),
        net(&node, Wasm, "wasm-server", &["serve", "7002", "2"], json!({})),
        net(&node, Native, "a", &["ask", "self-named", "7001", "native to native"], json!({})),
        net(&node, Native, "b", &["ask", "self-named", "7002", "native to wasm"], json!({})),
        net(&node, Wasm, "c", &["ask", "self-named", "7001", "wasm to native"], json!({})),
        net(&node, Wasm, "d", &["ask", "self-named", "7002", "wasm to wasm"], json!({})),
    ];
    let out = node.run(&pod("self-named", &containers, json!({}))).ok();
    for line in ["native to native", "native to wasm", "wasm to native", "wasm to wasm"] {
        assert!(out.contains(line), "{line}: {out}");
    }
    node.dwell(&["rm", "self-named"]).ok();
}
