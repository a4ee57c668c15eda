//! The engine inside another program: the example, as it stands there; and what a program keeps that holds a node.

#[path = "../../examples/embed/main.rs"]
#[allow(dead_code, reason = "its main is another program's")]
mod embed;

use dwell_tests::node::{Node, binary};

/// What belongs to the whole process: signal handlers, umask, working directory, environment.
fn of_the_process() -> (Vec<String>, std::path::PathBuf, Vec<(String, String)>) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let lines =
        status.lines().filter(|line| ["Umask:", "SigCgt:", "SigIgn:"].iter().any(|name| line.starts_with(name)));
    (lines.map(str::to_owned).collect(), std::env::current_dir().unwrap(), std::env::vars().collect())
}

#[test]
fn the_example_does_what_it_says_and_changes_nothing_of_its_process() {
    let node = Node::new();
    let folder = node.files().join("embedded");
    let (root, module) = (dwell_tests::rootfs::busybox(&node.files()), dwell_tests::guest::path("sleep.wasm"));
    let before = of_the_process();
    assert_eq!(before.0.len(), 3, "control: {before:?}");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut out = Vec::new();
    let done = runtime.block_on(embed::tour(&mut out, (&binary(), &root, &module), &folder));
    let out = String::from_utf8(out).unwrap();
    done.unwrap_or_else(|error| panic!("{error}: {out}"));
    assert_eq!(of_the_process(), before);
    let lines: Vec<&str> = out.lines().collect();
    assert!(lines[0].starts_with("embedded runs at 10."), "{out}");
    let rest = [
        "exec: hello",
        "embedded",
        "log: ready",
        "stats: server (native), module (wasm)",
        "changed, and restarted 0 times",
        "embedded is gone",
    ];
    assert_eq!(lines[1..], rest, "{out}");
    let left = std::fs::read_dir(folder.join("lib/pods")).map(|entries| entries.count()).unwrap_or_default();
    assert_eq!(left, 0, "nothing is left of it");
}
