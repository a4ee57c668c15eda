//! A world of its own for a node: pid, mount and network namespaces with nothing else in them, `/tmp`, `/run` and
//! `/dev/shm` empty, so that an inventory can be compared line by line, whatever else runs on the host.
//!
//! cgroups and the state folder are the host's. Its PID 1 is a shell that reaps orphans, as a host's does.

use std::io::{BufRead, BufReader};
use std::ops::Deref;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::inventory::{PULSE, Scope};
use crate::node::Node;

const INIT: &str = "for dir in /tmp /run /dev/shm; do mount -t tmpfs world $dir || exit 1; done; ip link set lo up; \
                    echo ready; while :; do PULSE; done";

/// A node in a world of its own; everything in it ends when this is dropped.
#[derive(Debug)]
pub struct World {
    node: Node,
    holder: Child,
    pid: i32,
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

impl World {
    /// A fresh one; no node is started yet.
    pub fn new() -> World {
        let mut holder = Command::new("unshare")
            .args([
                "--pid",
                "--mount",
                "--net",
                "--mount-proc",
                "--propagation",
                "private",
                "--kill-child",
                "sh",
                "-c",
                &INIT.replace("PULSE", PULSE),
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare is installed");
        let mut line = String::new();
        let output = holder.stdout.take().expect("its output is a pipe");
        BufReader::new(output).read_line(&mut line).expect("read from the world");
        assert_eq!(line, "ready\n", "the world was not made");
        let pid = child_of(holder.id() as i32).expect("unshare has forked");
        let prefix = ["nsenter", "-p", "-m", "-n", "-t", &pid.to_string()].map(str::to_owned).to_vec();
        World { node: Node::behind(prefix, format!("/proc/{pid}/root").into()), holder, pid }
    }

    /// PID 1 of the world, as the host sees it.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// For inventories of all of it.
    pub fn scope(&self) -> Scope {
        Scope::world(&self.node.state_dir(), self.pid)
    }

    /// Runs a shell command inside.
    #[track_caller]
    pub fn shell(&self, script: &str) {
        let status = self.enter(&["sh", "-c", script]).status().expect("nsenter is installed");
        assert!(status.success(), "{script}: {status}");
    }

    /// A command inside, not started.
    pub fn enter(&self, words: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["-p", "-m", "-n", "-t", &self.pid.to_string(), "--"]).args(words);
        command
    }
}

/// A process of the host, at one moment.
#[derive(Debug, Clone)]
pub struct Process {
    /// Its number.
    pub pid: i32,
    /// Its parent's.
    pub parent: i32,
    /// Its words, joined by spaces.
    pub command: String,
}

impl Process {
    /// All there are.
    pub fn all() -> Vec<Process> {
        let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        entries.filter_map(|entry| Process::read(entry.file_name().to_str()?.parse().ok()?)).collect()
    }

    /// One, if it is there.
    pub fn read(pid: i32) -> Option<Process> {
        let command = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let parent = stat.rsplit(')').next()?.split_whitespace().nth(1)?.parse().ok()?;
        Some(Process {
            pid,
            parent,
            command: String::from_utf8_lossy(&command).trim_end_matches('\0').replace('\0', " "),
        })
    }
}

impl Deref for World {
    type Target = Node;
    fn deref(&self) -> &Node {
        &self.node
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.node.end();
        let _ = self.holder.kill();
        let _ = self.holder.wait();
        remove_cgroups(&self.node.state_dir());
    }
}

/// After a failed test: what a broken node left, so that the next test begins clean.
fn remove_cgroups(state: &Path) {
    let id = dwell::layout::Layout::at(Some(state.to_owned())).id();
    for mount in std::fs::read_to_string("/proc/self/mounts").unwrap_or_default().lines() {
        let words: Vec<&str> = mount.split(' ').collect();
        if words.get(2).is_some_and(|kind| kind.starts_with("cgroup")) {
            remove_groups(&Path::new(words[1]).join(format!("dwell-{id}")));
        }
    }
}

fn remove_groups(folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_groups(&entry.path());
        }
    }
    let _ = std::fs::remove_dir(folder);
}

/// The first child of a process.
pub fn child_of(pid: i32) -> Option<i32> {
    children_of(pid).first().copied()
}

/// The children of a process with one thread.
pub fn children_of(pid: i32) -> Vec<i32> {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    children.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}
