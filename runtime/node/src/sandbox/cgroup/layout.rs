//! What the host mounts of cgroups, and where in it our subtree belongs. Text in, decision out; no writes.
//!
//! Below the group that a service manager delegated to us (it says so in an extended attribute), else at the top of
//! the hierarchy. Version 1 groups go to the top always: delegation there is by convention only.

use std::fs;
use std::path::{Path, PathBuf};

/// Controllers that limits are written to.
const LIMITING: [&str; 5] = ["cpu", "memory", "pids", "devices", "hugetlb"];
/// Needed as well where there is no version 2, for accounting and killing.
const STANDING_IN: [&str; 2] = ["cpuacct", "freezer"];
/// Everything that a version 1 hierarchy can hold, among its mount's other options.
const KNOWN: [&str; 14] = [
    "cpuset",
    "cpu",
    "cpuacct",
    "blkio",
    "memory",
    "devices",
    "freezer",
    "net_cls",
    "perf_event",
    "net_prio",
    "hugetlb",
    "pids",
    "rdma",
    "misc",
];
/// Version 2's own names; devices are a program there.
const VERSION_2: [&str; 4] = ["cpu", "memory", "pids", "hugetlb"];

/// A version 1 hierarchy that is driven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hierarchy {
    /// All controllers bound to it; joined by commas, its name.
    pub controllers: Vec<String>,
    /// The directory below which our subtree goes.
    pub parent: PathBuf,
}

/// The version 2 hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version2 {
    /// The directory below which our subtree goes.
    pub parent: PathBuf,
    /// Whether that is our own group, delegated by a service manager, in which this process lives.
    pub delegated: bool,
    /// Controllers to enable: those wanted that the parent offers and version 1 has not taken.
    pub controllers: Vec<String>,
}

/// Everything mounted that matters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Layout {
    /// Version 1, in the order of mounting.
    pub v1: Vec<Hierarchy>,
    /// Version 2, if mounted.
    pub v2: Option<Version2>,
}

impl Layout {
    /// Reads `/proc/self/mountinfo` and `/proc/self/cgroup`; what cannot be read counts as not there.
    pub fn detect() -> Self {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let mut layout = Self::parse(&mounts);
        if let Some(v2) = &mut layout.v2 {
            let group = own_group(&own).map(|path| v2.parent.join(path));
            if let Some(group) = group.and_then(|group| delegated(&group)) {
                *v2 = Version2 { parent: group, delegated: true, controllers: Vec::new() };
            }
            let offered = fs::read_to_string(v2.parent.join("cgroup.controllers")).unwrap_or_default();
            let wanted = VERSION_2.iter().filter(|name| offered.split_whitespace().any(|one| one == **name));
            v2.controllers = wanted.map(|name| (*name).to_owned()).collect();
        }
        layout
    }

    /// The hierarchies in the text of `/proc/self/mountinfo`.
    pub fn parse(mounts: &str) -> Self {
        let mounted: Vec<_> = mounts.lines().filter_map(mount).collect();
        let v2 = mounted.iter().find(|mount| mount.kind == "cgroup2").map(|mount| Version2 {
            parent: mount.point.into(),
            delegated: false,
            controllers: Vec::new(),
        });
        let mut v1: Vec<Hierarchy> = Vec::new();
        for mount in mounted.iter().filter(|mount| mount.kind == "cgroup") {
            let wanted = |name: &&str| LIMITING.contains(name) || v2.is_none() && STANDING_IN.contains(name);
            let held = || mount.options.split(',').filter(|name| KNOWN.contains(name));
            let controllers: Vec<String> = held().map(str::to_owned).collect();
            let seen = v1.iter().any(|one| one.controllers == controllers);
            if held().any(|name| wanted(&name)) && !seen {
                v1.push(Hierarchy { controllers, parent: mount.point.into() });
            }
        }
        Self { v1, v2 }
    }

    /// Name of each version 1 hierarchy that is driven: `memory`, `cpu,cpuacct`, …
    pub fn v1_names(&self) -> Vec<String> {
        self.v1.iter().map(|hierarchy| hierarchy.controllers.join(",")).collect()
    }

    /// The version that limits `controller` here: 1, 2, or none.
    pub fn version_of(&self, controller: &str) -> Option<u8> {
        let holds = |list: &[String]| list.iter().any(|name| name == controller);
        if self.v1.iter().any(|hierarchy| holds(&hierarchy.controllers)) {
            return Some(1);
        }
        let v2 = self.v2.as_ref()?;
        (holds(&v2.controllers) || controller == "devices").then_some(2)
    }
}

struct Mount<'a> {
    point: &'a str,
    kind: &'a str,
    options: &'a str,
}

/// One line: `36 35 98:0 /root /mount/point rw,… shared:1 - type source super,options`.
fn mount(line: &str) -> Option<Mount<'_>> {
    let (before, after) = line.split_once(" - ")?;
    let mut after = after.split(' ');
    let (kind, options) = (after.next()?, after.nth(1)?);
    Some(Mount { point: before.split(' ').nth(4)?, kind, options })
}

/// This process's version 2 group, relative to the hierarchy's top.
fn own_group(text: &str) -> Option<&Path> {
    let path = text.lines().find_map(|line| line.strip_prefix("0::/"))?;
    (!path.is_empty() && !path.starts_with("..")).then(|| Path::new(path))
}

/// The group itself, or the one above if an earlier node moved this process into its leaf.
fn delegated(group: &Path) -> Option<PathBuf> {
    let above = group.parent().filter(|_| group.ends_with(super::root::NODE));
    std::iter::once(group).chain(above).find(|group| is_delegated(group)).map(Path::to_owned)
}

fn is_delegated(group: &Path) -> bool {
    let says = |name| {
        let mut value = [0; 4];
        rustix::fs::getxattr(group, name, &mut value).is_ok_and(|length| value[..length] == *b"1")
    };
    says("trusted.delegate") || says("user.delegate")
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
        32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu\n\
        33 31 0:30 / /sys/fs/cgroup/cpuacct rw,relatime - cgroup cgroup rw,cpuacct\n\
        35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n\
        36 31 0:33 / /sys/fs/cgroup/devices rw,relatime - cgroup cgroup rw,devices\n\
        37 31 0:34 / /sys/fs/cgroup/freezer rw,relatime - cgroup cgroup rw,freezer\n\
        39 31 0:36 / /sys/fs/cgroup/pids rw,relatime shared:7 - cgroup cgroup rw,pids\n\
        40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd\n";
    const UNIFIED: &str = "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";

    #[test]
    fn with_both_versions_accounting_and_freezing_are_left_to_the_second() {
        let layout = Layout::parse(&format!("{HYBRID}{UNIFIED}"));
        assert_eq!(layout.v1_names(), ["cpu", "memory", "devices", "pids"]);
        assert_eq!(layout.v2.unwrap().parent, Path::new("/sys/fs/cgroup/unified"));
    }

    #[test]
    fn without_the_second_all_are_driven() {
        let layout = Layout::parse(HYBRID);
        assert_eq!(layout.v1_names(), ["cpu", "cpuacct", "memory", "devices", "freezer", "pids"]);
        assert_eq!(layout.v2, None);
    }

    #[test]
    fn controllers_mounted_together_are_one_hierarchy() {
        let both = "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n";
        assert_eq!(Layout::parse(both).v1_names(), ["cpu,cpuacct"]);
        assert_eq!(Layout::parse(&format!("{both}{UNIFIED}")).v1_names(), ["cpu,cpuacct"]);
    }

    #[test]
    fn a_pure_second_version_has_no_first() {
        let layout = Layout::parse("30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n");
        assert!(layout.v1.is_empty());
        assert_eq!(own_group("0::/system.slice/dwell.service\n"), Some(Path::new("system.slice/dwell.service")));
        assert_eq!(own_group("0::/\n"), None);
        assert_eq!(own_group("0::/../outside\n"), None);
    }
}
