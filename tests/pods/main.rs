//! Real Pods, driven by the real command: what a user meets first.
//!
//! Each module is one subject; each test has a node of its own.

mod added;
mod beside;
mod changes;
mod claims;
mod ends;
mod events;
mod filters;
mod hooks;
mod host;
mod huge_pages;
mod library;
mod life;
mod members;
mod neighbours;
mod probes;
mod projected;
mod resources;
mod rights;
mod settings;
mod sidecars;
mod streams;
mod sub_paths;
mod supervision;
mod users;
mod values;
mod volumes;
mod wasm;

use dwell_tests::node::Node;

/// A Pod of one native container, `main`, that runs a shell script.
fn shell(node: &Node, name: &str, policy: &str, script: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  restartPolicy: {policy}\n  \
         terminationGracePeriodSeconds: 5\n  containers:\n{}",
        native(node, "main", script, "")
    )
}

/// A native container that runs a shell script; `more` are further lines of it.
fn native(node: &Node, name: &str, script: &str, more: &str) -> String {
    let root = dwell_tests::rootfs::busybox(&node.files());
    format!("  - name: {name}\n    image: rootfs:{}\n    command: [sh, -c, {script:?}]\n{more}", root.display())
}

/// A container of a guest; `more` are further lines of it.
fn guest(name: &str, file: &str, args: &str, more: &str) -> String {
    let path = dwell_tests::guest::path(file);
    format!("  - name: {name}\n    image: wasm:{}\n    args: {args}\n{more}", path.display())
}

/// The same Pod with these lines before its containers.
fn before_containers(pod: &str, lines: &str) -> String {
    pod.replacen("  containers:\n", &format!("{lines}  containers:\n"), 1)
}

/// What the node answers to a merge of a Pod's part, as kubectl sends it.
fn patch(node: &Node, part: &str, body: &serde_json::Value) -> String {
    patch_as("strategic-merge-patch", node, part, body)
}

/// The same with a patch of another kind.
fn patch_as(kind: &str, node: &Node, part: &str, body: &serde_json::Value) -> String {
    use std::io::{Read, Write};
    let body = body.to_string();
    let mut stream = std::os::unix::net::UnixStream::connect(node.state_dir().join("run/dwell.sock")).unwrap();
    let kind = format!("content-type: application/{kind}+json\r\nconnection: close");
    let head = format!("PATCH /api/v1/namespaces/default/pods/{part} HTTP/1.1\r\nhost: x\r\n{kind}");
    write!(stream, "{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}
