//! An inventory of what dwell could leave behind: processes, zombies, mounts, network devices, addresses, routes,
//! firewall rules, cgroups of every hierarchy, files. Two of them compare to what came and what went.
//!
//! On the host itself only what bears the node's marks is listed, since others live there too. In a `World` of its own
//! (own pid, mount and network namespaces) everything is listed, and nothing needs a mark but cgroups.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use dwell::layout::Layout;

/// How long the kernel may take to remove dead namespaces with what is in them.
const PATIENCE: Duration = Duration::from_secs(30);
/// What PID 1 of a world does all the time.
pub const PULSE: &str = "sleep 0.2";
/// Depth of cgroups and files that are listed.
const DEPTH: u32 = 12;

/// What there is, one line a thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inventory(BTreeSet<String>);

/// Where to look.
#[derive(Debug, Clone)]
pub struct Scope {
    state: PathBuf,
    id: String,
    world: Option<i32>,
    files: bool,
}

impl Scope {
    /// What the node of a state folder could leave on this host.
    pub fn host(state: &Path) -> Scope {
        Scope { state: state.to_owned(), id: Layout::at(Some(state.to_owned())).id(), world: None, files: true }
    }

    /// Leaves files out, for whoever knows that some stay.
    pub fn without_files(self) -> Scope {
        Scope { files: false, ..self }
    }

    /// Everything in the namespaces of a process, which is PID 1 of its own.
    pub fn world(state: &Path, pid: i32) -> Scope {
        Scope { world: Some(pid), ..Scope::host(state) }
    }

    /// Takes an inventory.
    pub fn take(&self) -> Inventory {
        let mut lines = BTreeSet::new();
        self.processes(&mut lines);
        self.mounts(&mut lines);
        self.cgroups(&mut lines);
        self.network(&mut lines);
        if self.files {
            self.files(&mut lines);
        }
        Inventory(lines)
    }

    /// Takes one once what has ended is gone (in a world: every process): what later ones are compared with.
    pub fn settled(&self) -> Inventory {
        let began = Instant::now();
        loop {
            let now = self.take();
            let busy = if self.world.is_some() { "process " } else { "(zombie)" };
            if !now.mentions(busy) || began.elapsed() > PATIENCE {
                return now;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// What differs from an earlier inventory once the kernel has had some seconds to clean up; nothing, one hopes.
    pub fn differences(&self, before: &Inventory) -> Vec<String> {
        let began = Instant::now();
        loop {
            let now = self.take();
            let mut differences = now.differences(before);
            differences.retain(|line| !self.is_of_others(line));
            if differences.is_empty() || began.elapsed() > PATIENCE {
                return differences;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// What others have removed meanwhile is theirs: processes of the host; volumes of another node's Pod, whose mounts a
    /// world got with all the others, and loses with their folders.
    fn is_of_others(&self, difference: &str) -> bool {
        let is_volume = difference.starts_with("gone: mount") && difference.contains("/run/pods/");
        (self.world.is_none() && difference.starts_with("gone: process")) || (is_volume && !self.marked(difference))
    }

    /// Bridge, table, links and cgroups of a state folder bear (the beginning of) its id.
    fn marked(&self, text: &str) -> bool {
        text.contains(&self.id[..6]) || text.contains(&*self.state.to_string_lossy())
    }

    fn root(&self) -> PathBuf {
        self.world.map_or_else(|| PathBuf::from("/"), |pid| PathBuf::from(format!("/proc/{pid}/root")))
    }

    fn processes(&self, lines: &mut BTreeSet<String>) {
        let proc = self.root().join("proc");
        for entry in std::fs::read_dir(&proc).into_iter().flatten().flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
            let read = |name: &str| std::fs::read(proc.join(format!("{pid}/{name}"))).unwrap_or_default();
            let text = |name: &str| String::from_utf8_lossy(&read(name)).replace('\0', " ");
            let (command, stat) = (text("cmdline"), text("stat"));
            let name = stat.split(['(', ')']).nth(1).unwrap_or_default().to_owned();
            let zombie = stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z'));
            let listed = match self.world {
                Some(_) => !stat.is_empty() && !is_of_the_world(pid, &name, &command, &stat),
                None => self.marked(&command) || self.marked(&text("cgroup")) || (zombie && is_ours(&name)),
            };
            if listed {
                lines.insert(format!(
                    "process {pid} {name} {}{}",
                    command.trim(),
                    if zombie { " (zombie)" } else { "" }
                ));
            }
        }
    }

    fn mounts(&self, lines: &mut BTreeSet<String>) {
        let of = self.world.map_or_else(|| "self".into(), |pid| pid.to_string());
        let mounts = std::fs::read_to_string(format!("/proc/{of}/mountinfo")).unwrap_or_default();
        let listed = mounts.lines().filter(|line| self.world.is_some() || self.marked(line));
        lines.extend(listed.map(|line| format!("mount {line}")));
    }

    fn cgroups(&self, lines: &mut BTreeSet<String>) {
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        for mount in mounts.lines() {
            let words: Vec<&str> = mount.split(' ').collect();
            if words.get(2).is_some_and(|kind| kind.starts_with("cgroup")) {
                walk(Path::new(words[1]), 0, &mut |path, is_dir| {
                    if is_dir && path.to_string_lossy().contains(&self.id) {
                        lines.insert(format!("cgroup {}", path.display()));
                    }
                });
            }
        }
    }

    fn network(&self, lines: &mut BTreeSet<String>) {
        for (what, command) in [
            ("device", &["ip", "-o", "link"][..]),
            ("address", &["ip", "-o", "address"]),
            ("route", &["ip", "-4", "route", "show", "table", "all"]),
            ("route", &["ip", "-6", "route", "show", "table", "all"]),
            ("table", &["nft", "list", "tables"]),
            ("rule", &["nft", "list", "ruleset"]),
        ] {
            let text = self.run(command);
            // A rule alone bears no mark; on the host the list of tables has to do.
            let listed = text.lines().filter(|line| self.world.is_some() || (what != "rule" && self.marked(line)));
            lines.extend(listed.map(|line| format!("{what} {}", line.trim())));
        }
    }

    fn run(&self, command: &[&str]) -> String {
        let mut words = command.to_vec();
        let target = self.world.map(|pid| pid.to_string());
        if let Some(target) = &target {
            words.splice(0..0, ["nsenter", "-n", "-t", target]);
        }
        let output = Command::new(words[0]).args(&words[1..]).output();
        output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
    }

    fn files(&self, lines: &mut BTreeSet<String>) {
        let root = self.root();
        let shown = |path: &Path| format!("file /{}", path.strip_prefix(&root).unwrap_or(path).display());
        let state = root.join(self.state.strip_prefix("/").unwrap_or(&self.state));
        walk(&state, 0, &mut |path, _| _ = lines.insert(shown(path)));
        for folder in ["tmp", "run", "dev/shm"] {
            walk(&root.join(folder), 0, &mut |path, _| {
                if self.world.is_some() || self.marked(&path.to_string_lossy()) {
                    lines.insert(shown(path));
                }
            });
        }
    }
}

impl Inventory {
    /// What is here and was not there, and the other way round.
    pub fn differences(&self, before: &Inventory) -> Vec<String> {
        let came = self.0.difference(&before.0).map(|line| format!("left behind: {line}"));
        let went = before.0.difference(&self.0).map(|line| format!("gone: {line}"));
        came.chain(went).collect()
    }

    /// Whether any line contains the text: for the control that an inventory sees what it should.
    pub fn mentions(&self, text: &str) -> bool {
        self.count(text) > 0
    }

    /// How many lines contain the text.
    pub fn count(&self, text: &str) -> usize {
        self.0.iter().filter(|line| line.contains(text)).count()
    }
}

/// PID 1 of a world, and the sleeps that it is waiting for (just forked, executed, or to be reaped).
fn is_of_the_world(pid: i32, name: &str, command: &str, stat: &str) -> bool {
    let parent = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1));
    let waited_for = ["sh", "sleep"].contains(&name) && (command.is_empty() || command.contains(PULSE));
    pid == 1 || parent == Some("1") && waited_for
}

fn is_ours(name: &str) -> bool {
    ["pause", "init", "relay", "dwell", "dwell-worker", "dwell-compile"].contains(&name)
}

fn walk(folder: &Path, depth: u32, seen: &mut dyn FnMut(&Path, bool)) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let (path, is_dir) = (entry.path(), entry.file_type().is_ok_and(|kind| kind.is_dir()));
        seen(&path, is_dir);
        if is_dir && depth < DEPTH {
            walk(&path, depth + 1, seen);
        }
    }
}
