//! A member as the host sees it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::node::{Node, wait_until};

/// A process of a Pod's container.
pub struct Member {
    /// In the host's namespace.
    pub pid: i32,
}

impl Member {
    /// The first process of a running container, once it executes this program.
    #[track_caller]
    pub fn of(node: &Node, pod: &str, container: &str, program: &str) -> Member {
        let uid = node.pod(pod)["metadata"]["uid"].as_str().expect("a uid").to_owned();
        let group = format!("{uid}/{container}");
        let is_it = |pid: i32| read(pid, "cgroup").contains(&group) && program_of(pid) == program && born_by_pause(pid);
        let find = || all().find(|pid| is_it(*pid));
        assert!(wait_until(|| find().is_some()), "{pod} has no {program}");
        Member { pid: find().expect("it was there") }
    }

    /// The Pod's keeper.
    #[track_caller]
    pub fn pause(node: &Node, pod: &str) -> Member {
        let uid = node.pod(pod)["metadata"]["uid"].as_str().expect("a uid").to_owned();
        let find = || all().find(|pid| read(*pid, "cgroup").contains(&uid) && read(*pid, "comm").trim() == "pause");
        Member { pid: find().expect("a Pod has a pause") }
    }

    /// A file of its folder in `/proc`.
    pub fn proc(&self, name: &str) -> String {
        read(self.pid, name)
    }

    /// A path in its folder in `/proc`.
    pub fn path(&self, name: &str) -> PathBuf {
        Path::new("/proc").join(self.pid.to_string()).join(name)
    }

    /// The value of a line of its status.
    pub fn status(&self, key: &str) -> String {
        field(&self.proc("status"), key)
    }

    /// What its open descriptors are, by number.
    pub fn descriptors(&self) -> Vec<(i32, String)> {
        let entries = fs::read_dir(self.path("fd")).expect("the member lives").flatten();
        let name = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().parse().expect("a number");
        // One that was closed while they were listed is not open.
        let link = |entry: &fs::DirEntry| fs::read_link(entry.path()).ok().map(|link| link.display().to_string());
        let mut found: Vec<_> = entries.filter_map(|entry| Some((name(&entry), link(&entry)?))).collect();
        found.sort();
        found
    }

    /// Which namespace of this kind it is in.
    pub fn namespace(&self, kind: &str) -> PathBuf {
        fs::read_link(self.path("ns").join(kind)).expect("the member lives")
    }

    /// Runs a script as the host's root in the member's mounts, processes and network: all its walls but filter,
    /// capabilities, limits and keyring.
    pub fn inside(&self, script: &str) -> String {
        self.inside_as(script, &[])
    }

    /// The same with further options of nsenter(1).
    pub fn inside_as(&self, script: &str, options: &[&str]) -> String {
        let pid = self.pid.to_string();
        let mut command = Command::new("nsenter");
        command.args(["-t", &pid, "-m", "-p", "-n", "-i", "-u"]).args(options);
        command.args(["--", "/bin/busybox", "sh", "-c", script]);
        let output = command.env("PATH", "/bin").output().expect("nsenter runs");
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    }

    /// Folder of its group in a hierarchy that has this controller.
    pub fn cgroup(&self, controller: &str) -> PathBuf {
        let mounts = fs::read_to_string("/proc/self/mounts").expect("there are mounts");
        let groups = self.proc("cgroup");
        let own = |wanted: &str| {
            groups.lines().find_map(|line| {
                let mut parts = line.splitn(3, ':').skip(1);
                parts.next()?.split(',').any(|name| name == wanted).then(|| parts.next().unwrap_or("/").to_owned())
            })
        };
        let mount = |v1: bool| {
            mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>()).find_map(|words| {
                let named = words[3].split(',').any(|name| name == controller);
                let wanted = if v1 { words[2] == "cgroup" && named } else { words[2] == "cgroup2" };
                wanted.then(|| words[1].to_owned())
            })
        };
        let version_1 = mount(true).zip(own(controller));
        let (root, path) = version_1.or_else(|| mount(false).zip(own(""))).expect("the controller is somewhere");
        Path::new(&root).join(path.trim_start_matches('/'))
    }
}

/// The value of a line `KEY:\tVALUE`.
pub fn field(text: &str, key: &str) -> String {
    let value = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    value.unwrap_or_else(|| panic!("no {key} in {text}")).trim().to_owned()
}

fn all() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").expect("there is a /proc").flatten();
    let mut pids: Vec<i32> = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    pids.sort_unstable();
    pids.into_iter()
}

/// Whether it is a member itself and not something that a member started.
fn born_by_pause(pid: i32) -> bool {
    let status = read(pid, "status");
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:")?.trim().parse().ok());
    parent.is_some_and(|parent| read(parent, "comm").trim() == "pause")
}

/// The first word of its command line, without its folder.
fn program_of(pid: i32) -> String {
    let line = read(pid, "cmdline");
    let word = line.split('\0').next().unwrap_or_default();
    word.rsplit('/').next().unwrap_or_default().to_owned()
}

fn read(pid: i32, name: &str) -> String {
    let bytes = fs::read(Path::new("/proc").join(pid.to_string()).join(name)).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}
