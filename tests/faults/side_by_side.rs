//! Two nodes with different state folders, and Pods of the same names: neither knows of the other.

use dwell_tests::inventory::Scope;
use dwell_tests::node::Node;

use crate::{pod, shell_container};

#[test]
fn two_nodes_with_pods_of_the_same_names_do_not_meet() {
    let nodes = [Node::new(), Node::new()];
    let befores = nodes.each_ref().map(|node| Scope::host(&node.state_dir()).without_files().take());
    for (number, node) in nodes.iter().enumerate() {
        let script = format!("echo I am {number}; exec sleep 600");
        node.start(&pod("twin", "Always", 1, &[shell_container(node, "main", &script)]));
        node.wait_for_phase("twin", "Running");
    }
    let [first, second] = nodes.each_ref().map(|node| node.pod("twin")["status"]["podIP"].clone());
    assert!(first.is_string() && second.is_string() && first != second, "{first} {second}");
    let scopes = nodes.each_ref().map(|node| Scope::host(&node.state_dir()).without_files());
    assert!(scopes[0].take().mentions("device "), "control: an inventory sees a living Pod's network");

    nodes[0].dwell(&["rm", "-f", "twin"]).ok();
    nodes[0].end();
    let left = scopes[0].differences(&befores[0]);
    assert!(left.is_empty(), "{left:#?}");
    assert_eq!(nodes[1].pod("twin")["status"]["phase"], "Running");
    assert_eq!(nodes[1].dwell(&["exec", "twin", "--", "echo", "here"]).ok(), "here\n");
    assert_eq!(nodes[1].printed("twin", "main", "I am 1\n"), "I am 1\n");
    assert!(nodes[1].kill_node());
    assert_eq!(nodes[1].dwell(&["exec", "twin", "--", "echo", "again"]).ok(), "again\n");
    nodes[1].end();
    let left = scopes[1].differences(&befores[1]);
    assert!(left.is_empty(), "{left:#?}");
}

#[test]
fn a_host_port_of_the_other_node_is_taken() {
    let nodes = [Node::new(), Node::new()];
    let port = 21_000 + std::process::id() % 8_000;
    let manifest = |node: &Node| {
        let container = shell_container(node, "main", "exec sleep 600")
            + &format!("    ports: [{{containerPort: 80, hostPort: {port}}}]\n");
        pod("port", "Never", 1, &[container])
    };
    nodes[0].start(&manifest(&nodes[0]));
    nodes[0].wait_for_phase("port", "Running");
    let said = nodes[1].run(&manifest(&nodes[1]));
    assert_eq!(said.code, 125, "{said:#?}");
    assert!(said.err.contains(&port.to_string()), "{said:#?}");
    nodes[0].dwell(&["rm", "-f", "port"]).ok();
    nodes[1].dwell(&["rm", "-f", "port"]).ok();
    nodes[1].start(&manifest(&nodes[1]));
    nodes[1].wait_for_phase("port", "Running");
}
