//! Pods for tests, in as few words as a test needs.

use std::path::Path;

use crate::node::Node;
use crate::{guest, rootfs};

/// A Pod being written down.
pub struct Manifest {
    name: String,
    metadata: String,
    spec: String,
    init: String,
    containers: String,
}

impl Manifest {
    /// Nothing in it yet; `restartPolicy: Never`.
    pub fn new(name: &str) -> Manifest {
        let [metadata, spec, init, containers] = std::array::from_fn(|_| String::new());
        Manifest { name: name.to_owned(), metadata, spec, init, containers }
    }

    /// A line of `spec`.
    pub fn spec(mut self, line: &str) -> Manifest {
        self.spec += &format!("  {line}\n");
        self
    }

    /// An annotation.
    pub fn annotation(mut self, key: &str, value: &str) -> Manifest {
        self.metadata += &format!("    {key}: {value:?}\n");
        self
    }

    /// A container.
    pub fn with(mut self, container: String) -> Manifest {
        self.containers += &container;
        self
    }

    /// A container that ends before the others begin.
    pub fn first(mut self, container: String) -> Manifest {
        self.init += &container;
        self
    }

    /// As YAML.
    pub fn text(&self) -> String {
        let heading = |heading: &str, text: &str| match text {
            "" => String::new(),
            text => format!("{heading}:\n{text}"),
        };
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata:\n  name: {}\n{}spec:\n  restartPolicy: Never\n  \
             terminationGracePeriodSeconds: 1\n{}{}{}",
            self.name,
            heading("  annotations", &self.metadata),
            self.spec,
            heading("  initContainers", &self.init),
            heading("  containers", &self.containers),
        )
    }
}

/// A native container that runs a script in busybox; `more` are further lines of it, `key: value` each.
pub fn native(node: &Node, name: &str, script: &str, more: &[&str]) -> String {
    rooted(&rootfs::busybox(&node.files()), name, &["sh", "-c", script], more)
}

/// A container of a root file system of the test's own.
pub fn rooted(root: &Path, name: &str, command: &[&str], more: &[&str]) -> String {
    container(name, &format!("rootfs:{}", root.display()), "command", command, more)
}

/// A Wasm container.
pub fn wasm(name: &str, guest_name: &str, args: &[&str], more: &[&str]) -> String {
    container(name, &format!("wasm:{}", guest::path(guest_name).display()), "args", args, more)
}

fn container(name: &str, image: &str, field: &str, words: &[&str], more: &[&str]) -> String {
    let more: String = more.iter().map(|line| format!("    {line}\n")).collect();
    let words: Vec<String> = words.iter().map(|word| serde_json::to_string(word).expect("a string")).collect();
    format!("  - name: {name}\n    image: {image}\n    {field}: [{}]\n{more}", words.join(", "))
}

/// A Pod of one native container.
pub fn shell(node: &Node, name: &str, script: &str) -> String {
    Manifest::new(name).with(native(node, "main", script, &[])).text()
}
