//! Two nodes side by side: the same Pod name, the same ports inside, nothing shared.

use std::net::SocketAddr;

use dwell_tests::node::{Node, wait_until};
use serde_json::json;

use crate::{Native, ask, free_port, net, pod};

fn address(node: &Node, name: &str, family: usize) -> SocketAddr {
    let pod = node
        .wait_for(name, "two addresses", |pod| pod["status"]["podIPs"].as_array().is_some_and(|ips| ips.len() == 2));
    let ip = pod["status"]["podIPs"][family]["ip"].as_str().expect("an address").to_owned();
    SocketAddr::new(ip.parse().expect("an address"), 7000)
}

#[test]
fn two_nodes_run_the_same_pod_side_by_side() {
    let (one, other) = (Node::new(), Node::new());
    let ports = [free_port(), free_port()];
    for (node, port) in [&one, &other].into_iter().zip(ports) {
        let served = json!({"ports": [{"containerPort": 7000, "hostPort": port}]});
        node.start(&pod("twin", &[net(node, Native, "main", &["serve", "7000"], served)], json!({})));
    }
    for family in 0..2 {
        let (first, second) = (address(&one, "twin", family), address(&other, "twin", family));
        assert_ne!(first, second, "both Pods have the same address");
        for to in [first, second] {
            assert!(wait_until(|| ask(to, "hello\n").is_some_and(|answer| answer.starts_with("hello\n"))), "{to}");
        }
    }
    assert_ne!(one.pod("twin")["metadata"]["uid"], other.pod("twin")["metadata"]["uid"]);
    // What one node takes down is its own.
    one.dwell(&["rm", "-f", "twin"]).ok();
    assert_eq!(one.dwell(&["ps", "-o", "name"]).ok(), "");
    assert_eq!(other.dwell(&["ps", "-o", "name"]).ok(), "pod/twin\n");
    let local = |port: u16| SocketAddr::new([127, 0, 0, 1].into(), port);
    for to in [address(&other, "twin", 0), address(&other, "twin", 1), local(ports[1])] {
        assert!(
            ask(to, "hello\n").is_some_and(|answer| answer.starts_with("hello\n")),
            "{to} fell with the other node's Pod"
        );
    }
    assert_eq!(ask(local(ports[0]), "hello\n"), None);
}

#[test]
fn a_host_port_of_one_node_is_taken_for_the_other() {
    let (one, other) = (Node::new(), Node::new());
    let port = free_port();
    let manifest = |node: &Node, name: &str| {
        pod(
            name,
            &[net(
                node,
                Native,
                "main",
                &["serve", "7000"],
                json!({"ports": [{"containerPort": 7000, "hostPort": port}]}),
            )],
            json!({}),
        )
    };
    one.start(&manifest(&one, "holder"));
    crate::wait_for_line(&one, "holder", "main", "listening on 7000");
    let said = other.run(&manifest(&other, "wants"));
    assert!(said.code == 125 && said.err.contains(&port.to_string()), "{said:#?}");
}
