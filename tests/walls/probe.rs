//! The program beside this file, compiled once per node, in the members' root file system.

use std::path::{Path, PathBuf};
use std::process::Command;

use dwell_tests::node::Node;
use dwell_tests::rootfs;

/// Compiles it to `/bin/probe` of the node's busybox root; returns where it lies on the host.
pub fn install(node: &Node) -> PathBuf {
    let program = rootfs::busybox(&node.files()).join("bin/probe");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("walls/probe.c");
    let cc = Command::new("cc").args(["-static", "-O1", "-o"]).arg(&program).arg(source).status();
    assert!(cc.expect("a C compiler").success(), "cc failed");
    program
}

/// What a command says on the host, both streams.
pub fn host(command: &[&str]) -> String {
    let output = Command::new(command[0]).args(&command[1..]).output().expect("the command runs");
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

/// What a script says on the host.
pub fn host_script(script: &str) -> String {
    host(&["sh", "-c", script])
}
