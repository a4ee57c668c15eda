//! One group: the same directory in every hierarchy that is driven.
//!
//! Reading never fails loudly for what a host does not offer (`None`); killing and removing may be repeated, and
//! removing waits at most a tenth of a second.

use std::fs;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, Signal, kill_process};

use super::CgroupError;

const REMOVE_ATTEMPTS: u32 = 20;
const REMOVE_PAUSE: Duration = Duration::from_millis(5);
const KILL_ATTEMPTS: usize = 5;
/// Groups inside a member's group that are looked for. Only a privileged member can make any; an end of them there must be.
const MOST_BELOW: usize = 10_000;

/// One group, whether or not it exists at the moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Version 1: controllers of a hierarchy, and the directory in it.
    pub(super) v1: Vec<(Vec<String>, PathBuf)>,
    /// Version 2.
    pub(super) v2: Option<PathBuf>,
}

impl Group {
    pub(super) fn child(&self, name: &str) -> Self {
        let v1 = self.v1.iter().map(|(controllers, dir)| (controllers.clone(), dir.join(name))).collect();
        Self { v1, v2: self.v2.as_ref().map(|dir| dir.join(name)) }
    }

    /// Every directory of it.
    pub(super) fn dirs(&self) -> impl Iterator<Item = &PathBuf> {
        self.v1.iter().map(|(_, dir)| dir).chain(&self.v2)
    }

    fn v1_dir(&self, controller: &str) -> Option<&PathBuf> {
        self.v1.iter().find(|(list, _)| list.iter().any(|one| one == controller)).map(|(_, dir)| dir)
    }

    /// The `tasks` file of every version 1 hierarchy, by the hierarchy's name, open for writing: whoever writes `0` to
    /// one moves itself there.
    ///
    /// # Errors
    /// `File` when the group is gone.
    pub fn all_tasks(&self) -> Result<Vec<(String, OwnedFd)>, CgroupError> {
        let tasks =
            |(list, dir): &(Vec<String>, PathBuf)| Ok((list.join(","), open(&dir.join("tasks"), OFlags::WRONLY)?));
        self.v1.iter().map(tasks).collect()
    }

    /// The group's version 2 directory, for `CLONE_INTO_CGROUP`; `None` where version 2 is not mounted.
    ///
    /// # Errors
    /// `File` when the group is gone.
    pub fn v2_dir(&self) -> Result<Option<OwnedFd>, CgroupError> {
        self.v2.as_ref().map(|dir| open(dir, OFlags::RDONLY | OFlags::DIRECTORY)).transpose()
    }

    /// Sends SIGKILL to every process in the group and below it, including those being born. Returns at once; the
    /// processes are gone a moment later. A group that is gone has none.
    ///
    /// # Errors
    /// `File` when a hierarchy that is there refuses.
    pub fn kill(&self) -> Result<(), CgroupError> {
        match (&self.v2, self.v1_dir("freezer")) {
            (Some(dir), _) => unless_gone(write(&dir.join("cgroup.kill"), "1")),
            (None, Some(dir)) => unless_gone(kill_frozen(dir)),
            (None, None) => self.dirs().take(1).try_for_each(|dir| unless_gone(kill_listed(dir))),
        }
    }

    /// Processes killed in this very group because memory ran out, since it was made.
    pub fn oom_kills(&self) -> Option<u64> {
        match self.v1_dir("memory") {
            Some(dir) => field(&dir.join("memory.oom_control"), "oom_kill"),
            None => field(&self.v2.as_ref()?.join("memory.events"), "oom_kill"),
        }
    }

    /// Bytes in use.
    pub fn memory_current(&self) -> Option<u64> {
        self.number("memory", "memory.usage_in_bytes", "memory.current")
    }

    /// Bytes in use, but for pages of files that the kernel can drop at once.
    pub fn memory_working_set(&self) -> Option<u64> {
        let droppable = match self.v1_dir("memory") {
            Some(dir) => field(&dir.join("memory.stat"), "total_inactive_file"),
            None => field(&self.v2.as_ref()?.join("memory.stat"), "inactive_file"),
        };
        Some(self.memory_current()?.saturating_sub(droppable.unwrap_or(0)))
    }

    /// The most bytes that were ever in use (version 2: since 5.19).
    pub fn memory_peak(&self) -> Option<u64> {
        self.number("memory", "memory.max_usage_in_bytes", "memory.peak")
    }

    /// Processes and threads in the group and below.
    pub fn pids_current(&self) -> Option<u64> {
        self.number("pids", "pids.current", "pids.current")
    }

    /// Nanoseconds of CPU time used so far.
    pub fn cpu_usage_ns(&self) -> Option<u64> {
        match self.v1_dir("cpuacct") {
            Some(dir) => number(&dir.join("cpuacct.usage")),
            None => field(&self.v2.as_ref()?.join("cpu.stat"), "usage_usec").map(|micros| micros * 1000),
        }
    }

    /// Whether a process lives in it or below. One that is dead and was not waited for yet (by a host whose PID 1 waits for
    /// nobody, say) counts no longer, other than in `pids_current`.
    pub fn is_alive(&self) -> bool {
        self.dirs().next().is_some_and(|dir| processes(dir).is_ok_and(|pids| !pids.is_empty()))
    }

    /// Whether no hierarchy has it any more.
    pub fn is_gone(&self) -> bool {
        !self.dirs().any(|dir| dir.exists())
    }

    /// Removes the group and all below it, waiting up to a tenth of a second for processes that are on their way
    /// out. May be repeated.
    ///
    /// # Errors
    /// `Busy` when some remain; `File` otherwise. Every hierarchy is tried in any case.
    pub fn remove(&self) -> Result<(), CgroupError> {
        let mut attempts = REMOVE_ATTEMPTS;
        let outcomes: Vec<_> = self.dirs().map(|dir| remove_patiently(dir, &mut attempts)).collect();
        outcomes.into_iter().collect()
    }

    fn number(&self, controller: &str, v1: &str, v2: &str) -> Option<u64> {
        match self.v1_dir(controller) {
            Some(dir) => number(&dir.join(v1)),
            None => number(&self.v2.as_ref()?.join(v2)),
        }
    }
}

fn remove_patiently(dir: &Path, attempts: &mut u32) -> Result<(), CgroupError> {
    loop {
        match remove_tree(dir) {
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy && *attempts > 0 => {
                *attempts -= 1;
                thread::sleep(REMOVE_PAUSE);
            }
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
                return Err(CgroupError::Busy { path: dir.to_owned() });
            }
            outcome => return outcome.map_err(failed("remove", dir)),
        }
    }
}

/// The deepest first; of those that cannot be removed, the first is told.
fn remove_tree(dir: &Path) -> io::Result<()> {
    match remove_one(dir) {
        Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
            let outcomes: Vec<_> = tree(dir).iter().rev().map(|dir| remove_one(dir)).collect();
            outcomes.into_iter().collect()
        }
        outcome => outcome,
    }
}

fn remove_one(dir: &Path) -> io::Result<()> {
    match fs::remove_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        outcome => outcome,
    }
}

/// The group and all below it, each before those in it.
fn tree(top: &Path) -> Vec<PathBuf> {
    let mut found = vec![top.to_owned()];
    let mut looked_at = 0;
    while looked_at < found.len() && found.len() < MOST_BELOW {
        found.extend(children(&found[looked_at]));
        looked_at += 1;
    }
    found
}

/// Groups directly below; none when the directory is gone.
pub(super) fn children(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path()).collect()
}

/// Version 1: nothing can be born while all are frozen, so the list is complete.
fn kill_frozen(dir: &Path) -> Result<(), CgroupError> {
    let state = dir.join("freezer.state");
    write(&state, "FROZEN")?;
    let killed = kill_listed(dir);
    write(&state, "THAWED")?;
    killed?;
    kill_listed(dir)
}

fn kill_listed(dir: &Path) -> Result<(), CgroupError> {
    for _ in 0..KILL_ATTEMPTS {
        let pids = processes(dir)?;
        if pids.is_empty() {
            break;
        }
        for pid in pids {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
    Ok(())
}

/// Processes of the group and of all below it.
fn processes(dir: &Path) -> Result<Vec<Pid>, CgroupError> {
    let mut pids = Vec::new();
    for (index, group) in tree(dir).iter().enumerate() {
        let list = group.join("cgroup.procs");
        match fs::read_to_string(&list) {
            Ok(text) => pids.extend(text.lines().filter_map(|line| Pid::from_raw(line.parse().ok()?))),
            // One below may go at any time, and its processes with it.
            Err(_) if index > 0 => {}
            Err(source) => return Err(failed("read", &list)(source)),
        }
    }
    Ok(pids)
}

fn number(path: &Path) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

fn field(path: &Path, name: &str) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}

pub(super) fn write(path: &Path, value: &str) -> Result<(), CgroupError> {
    let opened = fs::OpenOptions::new().write(true).open(path);
    opened.and_then(|mut file| file.write_all(value.as_bytes())).map_err(failed("write", path))
}

pub(super) fn open(path: &Path, flags: OFlags) -> Result<OwnedFd, CgroupError> {
    let opened = rustix::fs::open(path, flags | OFlags::CLOEXEC, Mode::empty());
    opened.map_err(io::Error::from).map_err(failed("open", path))
}

pub(super) fn failed(attempt: &'static str, path: &Path) -> impl FnOnce(io::Error) -> CgroupError {
    let path = path.to_owned();
    move |source| CgroupError::File { attempt, path, source }
}

fn unless_gone(outcome: Result<(), CgroupError>) -> Result<(), CgroupError> {
    const NO_DEVICE: i32 = rustix::io::Errno::NODEV.raw_os_error();
    match outcome {
        Err(CgroupError::File { source, .. })
            if source.kind() == io::ErrorKind::NotFound || source.raw_os_error() == Some(NO_DEVICE) =>
        {
            Ok(())
        }
        outcome => outcome,
    }
}
