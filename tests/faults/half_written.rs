//! A node that was killed between two writes: the record that it keeps says more than the object that readers see.
//!
//! Which of the two it had written is chosen here: the object is put back to what it was before. (A soak found one
//! Pod among a thousand that was on its way for ever.)

use std::path::PathBuf;

use dwell_tests::node::Node;
use serde_json::{Value, json};

use crate::{pod, shell_container};

/// The object of this Pod as readers find it while the Pod is not finished.
fn object_file(node: &Node, pod: &Value) -> PathBuf {
    let uid = pod["metadata"]["uid"].as_str().expect("a uid");
    node.state_dir().join("run/pods").join(uid).join("pod.json")
}

/// As the node had written it when the member was not born yet.
fn earlier(pod: &Value) -> String {
    let mut earlier = pod.clone();
    earlier["status"]["phase"] = json!("Pending");
    earlier["status"]["containerStatuses"][0]["state"] = json!({"waiting": {"reason": "ContainerCreating"}});
    earlier.to_string()
}

#[test]
fn what_was_written_down_is_made_known_by_the_next_node() {
    let node = Node::new();
    node.start(&pod("runs", "Never", 1, &[shell_container(&node, "main", "exec sleep 600")]));
    let before = node.wait_for_phase("runs", "Running");
    assert!(node.kill_node());
    let file = object_file(&node, &before);
    assert!(file.exists(), "control: that is where it lies");
    std::fs::write(&file, earlier(&before)).unwrap();
    let after = node.wait_for_phase("runs", "Running");
    assert!(after["status"]["containerStatuses"][0]["state"]["running"].is_object(), "{after:#}");
    assert_eq!(after["status"]["containerStatuses"][0]["restartCount"], 0, "{after:#}");
}

#[test]
fn the_end_of_a_pod_is_made_known_though_its_old_object_lies_there_still() {
    let node = Node::new();
    node.start(&pod("stays", "Never", 1, &[shell_container(&node, "main", "exec sleep 600")]));
    node.start(&pod("ends", "Never", 1, &[shell_container(&node, "main", "exit 3")]));
    let before = node.wait_for_phase("ends", "Failed");
    assert!(node.kill_node());
    let file = object_file(&node, &before);
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, earlier(&before)).unwrap();
    let after = node.wait_for_phase("ends", "Failed");
    assert_eq!(after["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"], 3, "{after:#}");
    assert!(dwell_tests::node::wait_until(|| !file.parent().unwrap().exists()), "what a run leaves is gone");
}
