//! An inventory of what dwell could leave behind on a host: processes, zombies, mounts, network devices, addresses,
//! firewall tables, cgroups of every hierarchy, files. Two of them compare to what came and what went.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

/// What there is, one line a thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inventory(BTreeSet<String>);

impl Inventory {
    /// Takes one. `marker` limits processes, cgroups, devices and tables to those whose text contains it (a state
    /// folder's path or id), so that tests may run side by side; mounts and files are those below `folder`.
    pub fn take(folder: &Path, markers: &[&str]) -> Inventory {
        let mut lines = BTreeSet::new();
        let marked = |text: &str| markers.iter().any(|marker| text.contains(marker));
        processes(&mut lines, &marked);
        mounts(&mut lines, folder);
        cgroups(&mut lines, &marked);
        network(&mut lines, &marked);
        Inventory(lines)
    }

    /// What is here and was not there.
    pub fn since(&self, before: &Inventory) -> Vec<String> {
        self.0.difference(&before.0).cloned().collect()
    }
}

fn processes(lines: &mut BTreeSet<String>, marked: &dyn Fn(&str) -> bool) {
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        let read = |name: &str| std::fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
        let command = String::from_utf8_lossy(&read("cmdline")).replace('\0', " ");
        let stat = String::from_utf8_lossy(&read("stat")).into_owned();
        let cgroup = String::from_utf8_lossy(&read("cgroup")).into_owned();
        let name = stat.split(['(', ')']).nth(1).unwrap_or_default().to_owned();
        let zombie = stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z'));
        let ours = ["pause", "init", "relay", "dwell", "dwell-worker", "dwell-compile"].contains(&name.as_str());
        if marked(&command) || marked(&cgroup) || (zombie && ours) {
            lines.insert(format!("process {pid} {name} {}{}", command.trim(), if zombie { " (zombie)" } else { "" }));
        }
    }
}

fn mounts(lines: &mut BTreeSet<String>, folder: &Path) {
    let folder = folder.display().to_string();
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    lines.extend(mounts.lines().filter(|line| line.contains(&folder)).map(|line| format!("mount {line}")));
}

fn cgroups(lines: &mut BTreeSet<String>, marked: &dyn Fn(&str) -> bool) {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    for mount in mounts.lines() {
        let words: Vec<&str> = mount.split(' ').collect();
        if words.get(2).is_some_and(|kind| kind.starts_with("cgroup")) {
            walk(Path::new(words[1]), lines, marked, 0);
        }
    }
}

fn walk(folder: &Path, lines: &mut BTreeSet<String>, marked: &dyn Fn(&str) -> bool, depth: u32) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if depth < 8 && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            let path = entry.path();
            if marked(&path.display().to_string()) {
                lines.insert(format!("cgroup {}", path.display()));
            }
            walk(&path, lines, marked, depth + 1);
        }
    }
}

fn network(lines: &mut BTreeSet<String>, marked: &dyn Fn(&str) -> bool) {
    for (what, command) in [
        ("device", &["ip", "-o", "link"][..]),
        ("address", &["ip", "-o", "address"]),
        ("route", &["ip", "route"]),
        ("table", &["nft", "list", "tables"]),
    ] {
        let output = Command::new(command[0]).args(&command[1..]).output();
        let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
        lines.extend(text.lines().filter(|line| marked(line)).map(|line| format!("{what} {}", line.trim())));
    }
}
