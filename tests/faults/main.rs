//! What must hurt nobody: killed nodes, killed everything else at any moment, system calls that fail, impatient users,
//! a full disk. Afterwards an inventory of the host is as it was before.
//!
//! The seed of every random choice is printed, and `DWELL_SEED=N` repeats a run (as far as the scheduler allows).

mod bench;
mod chaos;
mod clients;
mod disk;
mod half_written;
mod inject;
mod numbered;
mod random;
mod side_by_side;
mod soak;

use dwell_tests::node::Node;

/// A container that runs a shell script.
fn shell_container(node: &Node, name: &str, script: &str) -> String {
    let root = dwell_tests::rootfs::busybox(&node.files());
    format!("  - name: {name}\n    image: rootfs:{}\n    command: [sh, -c, {script:?}]\n", root.display())
}

/// A container that runs a guest.
fn wasm_container(name: &str, guest: &str, args: &str) -> String {
    format!("  - name: {name}\n    image: wasm:{}\n    args: [{args}]\n", dwell_tests::guest::path(guest).display())
}

/// A Pod of such containers.
fn pod(name: &str, policy: &str, grace_seconds: u32, containers: &[String]) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  restartPolicy: {policy}\n  \
         terminationGracePeriodSeconds: {grace_seconds}\n  containers:\n{}",
        containers.concat()
    )
}
