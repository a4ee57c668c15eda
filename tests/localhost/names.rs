//! Names: localhost, the Pod's own, the other names of its hosts file; and one that does not exist.

use std::collections::BTreeSet;

use dwell_tests::node::Node;
use serde_json::{Value, json};

use crate::{Kind, Native, Wasm, net, pod, shared};

/// What `net resolve NAME` says in a Pod of this name, as one set; and the Pod's addresses at that time.
struct Resolved {
    code: i64,
    found: BTreeSet<String>,
    err: String,
    own: BTreeSet<String>,
}

fn resolved(node: &Node, kind: Kind, pod_name: &str, name: &str) -> Resolved {
    let keep = json!({"name": "keep", "image": crate::image(node, Native), "command": ["sleep", "600"]});
    let containers = [net(node, kind, "main", &["resolve", name], json!({})), keep];
    node.start(&pod(pod_name, &containers, json!({"hostname": "harbour"})));
    let status = |pod: &Value| pod["status"]["containerStatuses"][0]["state"]["terminated"].clone();
    let pod = node.wait_for(pod_name, "an answer", |pod| status(pod).is_object());
    let said = node.dwell(&["logs", "-c", "main", pod_name]);
    let ips = pod["status"]["podIPs"].as_array().cloned().unwrap_or_default();
    let own = ips.iter().filter_map(|ip| ip["ip"].as_str().map(str::to_owned)).collect();
    node.dwell(&["rm", "-f", pod_name]).ok();
    Resolved {
        code: status(&pod)["exitCode"].as_i64().unwrap_or(-1),
        found: said.out.lines().map(str::to_owned).collect(),
        err: said.err,
        own,
    }
}

fn names_of(kind: Kind, prefix: &str) {
    let node = shared();
    let ask = |what: &str, name: &str| resolved(&node, kind, &format!("{prefix}-{what}"), name);
    let local = ask("local", "localhost");
    let is_local = |address: &String| ["127.0.0.1", "::1"].contains(&address.as_str());
    assert!(
        local.code == 0 && local.found.contains("127.0.0.1") && local.found.iter().all(is_local),
        "{:?} {}",
        local.found,
        local.err
    );
    let own = ask("own", "harbour");
    assert_eq!((own.code, own.own.len()), (0, 2), "a Pod has an address of each family: {:?} {}", own.own, own.err);
    // A C library may leave out a family that it thinks unusable; what it names must be the Pod's.
    assert!(
        !own.found.is_empty() && own.found.is_subset(&own.own),
        "the Pod's own name is its addresses: {:?}",
        own.found
    );
    let hosts = ask("hosts", "ip6-allrouters");
    assert_eq!((hosts.code, hosts.found), (0, BTreeSet::from(["fe00::2".to_owned()])), "{}", hosts.err);
    let wrong = ask("wrong", "nobody.invalid");
    assert!(
        wrong.code == 1 && wrong.found.is_empty() && !wrong.err.is_empty(),
        "{} {:?} {}",
        wrong.code,
        wrong.found,
        wrong.err
    );
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
