//! Pods of one node find one another by name, whichever came first, with and without the node.

use dwell_tests::node::{Node, wait_until};

use crate::{guest, native};

fn pod(namespace: &str, name: &str, spec: &str, containers: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec:\n  \
         terminationGracePeriodSeconds: 1\n{spec}  containers:\n{containers}"
    )
}

fn running(node: &Node, namespace: &str, name: &str) -> String {
    let key = format!("{namespace}/{name}");
    let pod = node.wait_for_phase(&key, "Running");
    pod["status"]["podIP"].as_str().expect("an address").to_owned()
}

fn hosts(node: &Node, pod: &str) -> String {
    node.dwell(&["exec", pod, "-c", "app", "--", "cat", "/etc/hosts"]).ok()
}

/// What a module beside the Wasm member finds; nothing for no address.
fn looked_up(node: &Node, pod: &str, name: &str) -> Vec<String> {
    let said = node.dwell(&["exec", pod, "-c", "module", "--", "net.wasm", "resolve", name]);
    said.out.lines().map(str::to_owned).collect()
}

#[test]
fn those_that_come_later_are_found_too_by_both_kinds() {
    let node = Node::new();
    let first = native(&node, "app", "exec sleep 600", "") + &guest("module", "net.wasm", "[serve, '7100']", "");
    node.start(&pod("apps", "first", "", &first));
    running(&node, "apps", "first");
    let serves = native(&node, "app", "while :; do echo served | nc -l -p 7000; done", "");
    node.start(&pod("apps", "web", "", &serves));
    let address = running(&node, "apps", "web");
    let line = format!("{address}\tweb\tweb.apps\t# dwell\n");
    assert!(wait_until(|| hosts(&node, "apps/first").ends_with(&line)), "{}", hosts(&node, "apps/first"));
    let ask = ["exec", "apps/first", "-c", "app", "--", "nc", "web", "7000"];
    assert_eq!(node.dwell(&ask).ok(), "served\n");
    assert_eq!(looked_up(&node, "apps/first", "web"), [&*address]);
    assert_eq!(looked_up(&node, "apps/first", "web.apps"), [&*address]);
    // From elsewhere by its full name only; and a set's member by those of its kind.
    let set = "  hostname: db-0\n  subdomain: db\n";
    node.start(&pod("other", "far", set, &first));
    let far = running(&node, "other", "far");
    assert_eq!(looked_up(&node, "other/far", "web.apps"), [&*address], "at its first moment");
    assert_eq!(looked_up(&node, "other/far", "web"), [""; 0]);
    let full = "db-0.db.other.svc.cluster.local";
    assert!(wait_until(|| looked_up(&node, "apps/first", full) == [&*far]));
    // Names go on without the node, and go with the Pod.
    node.dwell(&["rm", "-f", "apps/web"]).ok();
    assert!(wait_until(|| looked_up(&node, "apps/first", "web").is_empty()));
    assert!(!hosts(&node, "apps/first").contains(&format!("\n{line}")));
}

#[test]
fn a_node_that_was_killed_meanwhile_brings_them_up_to_date() {
    let node = Node::new();
    for name in ["one", "two"] {
        node.start(&pod("default", name, "", &native(&node, "app", "exec sleep 600", "")));
    }
    let (_, two) = (running(&node, "default", "one"), running(&node, "default", "two"));
    let line = format!("{two}\ttwo\ttwo.default\t# dwell\n");
    assert!(wait_until(|| hosts(&node, "one").contains(&line)));
    node.dwell(&["exec", "one", "--", "sh", "-c", "sed -i d /etc/hosts 2>/dev/null; true"]).ok();
    node.dwell(&["exec", "two", "--", "sh", "-c", "sleep 0.1"]).ok();
    assert!(node.kill_node(), "there is a node");
    node.dwell(&["restart", "two"]).ok();
    let again = running(&node, "default", "two");
    assert_eq!(again, two, "a restart keeps the sandbox");
    assert!(hosts(&node, "one").contains(&line), "{}", hosts(&node, "one"));
    node.dwell(&["rm", "-f", "two"]).ok();
    node.start(&pod("default", "three", "", &native(&node, "app", "exec sleep 600", "")));
    let three = running(&node, "default", "three");
    assert!(wait_until(|| hosts(&node, "one").ends_with(&format!("{three}\tthree\tthree.default\t# dwell\n"))));
    assert!(!hosts(&node, "one").contains(&format!("\n{line}")));
}
