//! The program beside this file, compiled with the tests, in the members' root file system.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use dwell_tests::node::Node;
use dwell_tests::rootfs;

/// Writes it to `/bin/probe` of the node's busybox root; returns where it lies on the host.
pub fn install(node: &Node) -> PathBuf {
    let program = rootfs::busybox(&node.files()).join("bin/probe");
    std::fs::write(&program, include_bytes!(concat!(env!("OUT_DIR"), "/probe"))).expect("write the probe");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("make it executable");
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
