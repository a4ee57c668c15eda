//! Real Pods, driven by the real command: what a user meets first.
//!
//! Each module is one subject; each test has a node of its own.

mod members;
mod projected;
mod rights;
mod settings;
mod sidecars;
mod streams;
mod sub_paths;
mod supervision;
mod values;
mod volumes;
mod wasm;

use dwell_tests::node::Node;

/// A Pod of one native container that runs a shell script.
fn shell(node: &Node, name: &str, policy: &str, script: &str) -> String {
    let root = dwell_tests::rootfs::busybox(&node.files());
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  restartPolicy: {policy}\n  \
         terminationGracePeriodSeconds: 5\n  containers:\n  - name: main\n    image: rootfs:{}\n    \
         command: [sh, -c, {script:?}]\n",
        root.display()
    )
}
