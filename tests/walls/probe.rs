//! The program beside this file, compiled with the tests, in the members' root file system.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use dwell_tests::node::Node;
use dwell_tests::rootfs;

pub use dwell_tests::host::{host, host_script};

/// Writes it to `/bin/probe` of the node's busybox root; returns where it lies on the host.
pub fn install(node: &Node) -> PathBuf {
    let program = rootfs::busybox(&node.files()).join("bin/probe");
    std::fs::write(&program, include_bytes!(concat!(env!("OUT_DIR"), "/probe"))).expect("write the probe");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("make it executable");
    program
}
