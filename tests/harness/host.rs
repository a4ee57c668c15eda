//! Commands of the host's, for what a test prepares and for its controls: what somebody does who has the host's rights
//! and none of dwell's guards.

use std::process::Command;

/// What a command says, both streams.
///
/// # Panics
/// When it cannot be started.
pub fn host(command: &[&str]) -> String {
    let output = Command::new(command[0]).args(&command[1..]).output().expect("the command runs");
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

/// What a script says.
///
/// # Panics
/// When there is no shell.
pub fn host_script(script: &str) -> String {
    host(&["sh", "-c", script])
}

/// What a script says whose mounts and processes are its own, and go with it.
///
/// # Panics
/// Without unshare(1).
pub fn host_apart(script: &str) -> String {
    let mut command = vec!["unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child"];
    command.extend(["sh", "-c", script]);
    host(&command)
}
