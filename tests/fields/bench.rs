//! Where the Pods of all rows run: one node whose cache has every guest, a root file system with busybox, `net` and some
//! guests, and a folder of the host's.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, Weak};

use dwell_tests::node::Node;
use dwell_tests::{guest, rootfs};
use serde_json::{Value, json};

/// Guests that lie in the root file system too, below `/guests`.
const IN_ROOT: [&str; 5] = ["env.wasm", "files.wasm", "sleep.wasm", "exit.wasm", "hello.wasm"];
/// A filter of system calls that lets nobody make a directory.
const NO_MKDIR: &str =
    r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}]}"#;

/// A node, and what its Pods find.
#[derive(Debug)]
pub struct Bench {
    /// The node.
    pub node: Node,
    root: PathBuf,
}

/// The one of the tests that run at this time; the last of them ends it.
#[must_use]
pub fn shared() -> Arc<Bench> {
    static BENCH: Mutex<Weak<Bench>> = Mutex::new(Weak::new());
    let mut held = BENCH.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    if let Some(bench) = held.upgrade() {
        return bench;
    }
    let bench = Arc::new(Bench::new());
    *held = Arc::downgrade(&bench);
    bench
}

impl Bench {
    fn new() -> Bench {
        let node = Node::new();
        let root = rootfs::busybox(&node.files());
        std::fs::create_dir(root.join("guests")).expect("make a folder");
        for name in IN_ROOT {
            std::fs::copy(guest::path(name), root.join("guests").join(name)).expect("copy a guest");
        }
        std::fs::copy(guest::path("net"), root.join("bin/net")).expect("copy the native tool");
        std::fs::create_dir(node.files().join("folder")).expect("make a folder");
        node.file("folder/note", "of the host\n");
        node.file("big", &"x".repeat(1_000_000));
        let filters = node.state_dir().join("lib/seccomp");
        std::fs::create_dir_all(&filters).expect("make a folder");
        std::fs::write(filters.join("no-mkdir.json"), NO_MKDIR).expect("write a filter");
        Bench { node, root }
    }

    /// The text with what this run's places are called.
    #[must_use]
    pub fn filled(&self, text: &str) -> String {
        let space = |name: &str| std::fs::read_link(format!("/proc/self/ns/{name}")).expect("a namespace");
        let names = ["net", "pid", "ipc"].map(|name| (format!("${{HOST:{name}}}"), space(name).display().to_string()));
        let text = text.replace("${ROOT}", &self.image("native")).replace("${FILES}", &self.files());
        names.iter().fold(text, |text, (from, to)| text.replace(from, to))
    }

    /// Parses JSON of a row, with its placeholders filled.
    #[must_use]
    pub fn json(&self, text: &str) -> Value {
        serde_json::from_str(&self.filled(text)).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    fn files(&self) -> String {
        self.node.files().display().to_string()
    }

    /// The image of a native member, or of a guest by its file's name.
    #[must_use]
    pub fn image(&self, kind: &str) -> String {
        match kind {
            "native" => format!("rootfs:{}", self.root.display()),
            guest => format!("wasm:{}", guest::path(guest).display()),
        }
    }

    /// A container: `kind` is `native` or a guest's file.
    #[must_use]
    pub fn container(&self, name: &str, kind: &str, more: &Value) -> Value {
        let mut container = json!({"name": name, "image": self.image(kind)});
        crate::merge::merge(&mut container, more);
        container
    }

    /// A native container that runs a script.
    #[must_use]
    pub fn shell(&self, name: &str, script: &str, more: &Value) -> Value {
        let mut container = self.container(name, "native", more);
        container["command"] = json!(["sh", "-c", script.replace("$(", "$$(")]);
        container
    }

    /// A Pod that nobody waits for when it is removed.
    #[must_use]
    pub fn pod(&self, name: &str, containers: &[Value], spec: &Value) -> Value {
        let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec":
            {"restartPolicy": "Never", "terminationGracePeriodSeconds": 0, "containers": containers}});
        crate::merge::merge(&mut pod["spec"], spec);
        pod
    }

    /// Starts one and leaves it running.
    #[track_caller]
    pub fn start(&self, pod: &Value) {
        self.node.start(&pod.to_string());
    }

    /// Removes one, whatever it does.
    pub fn remove(&self, name: &str) {
        let _ = self.node.dwell(&["rm", "-f", "--grace-period", "0", name]);
    }

    /// Whether an event of a container has this in its message.
    #[must_use]
    pub fn told(&self, pod: &str, container: &str, message: &str) -> bool {
        let said = self.node.dwell(&["events", "-o", "json", pod]).ok();
        let events: Value = serde_json::from_str(&said).unwrap_or_default();
        let field = format!("{{{container}}}");
        let of = |value: &Value, text: &str| value.as_str().is_some_and(|value| value.contains(text));
        let is_it = |event: &Value| of(&event["involvedObject"]["fieldPath"], &field) && of(&event["message"], message);
        events.as_array().is_some_and(|events| events.iter().any(is_it))
    }

    /// All that a container has written.
    #[must_use]
    pub fn log(&self, pod: &str, container: &str) -> String {
        let said = self.node.dwell(&["logs", "-c", container, pod]);
        said.out + &said.err
    }
}

impl Drop for Bench {
    /// Of a test that failed there may be Pods with much time to end.
    fn drop(&mut self) {
        let _ = self.node.dwell(&["rm", "-f", "--all", "--grace-period", "0"]);
    }
}

/// The status of a container, of whichever list.
#[must_use]
pub fn status<'a>(pod: &'a Value, container: &str) -> &'a Value {
    let lists = ["containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"];
    let all = lists.iter().flat_map(|list| pod["status"][*list].as_array().into_iter().flatten());
    all.into_iter().find(|status| status["name"] == container).unwrap_or(&Value::Null)
}
