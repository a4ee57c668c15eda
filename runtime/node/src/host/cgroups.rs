//! Cgroups: which version holds which controller, what is not limited, and how fast processes move.

use std::fs;

use crate::sandbox::cgroup::Layout;

use super::{CheckItem, State, huge_pages};

const WANTED: [(&str, &str); 4] = [
    ("memory", "memory limits are not kept"),
    ("cpu", "CPU limits are not kept"),
    ("pids", "a member may take every process number"),
    ("devices", "members may open the host's disks"),
];

pub fn check() -> Vec<CheckItem> {
    let layout = Layout::detect();
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let swaps = fs::read_to_string("/proc/swaps").unwrap_or_default();
    let mut items = vec![controllers(&layout), moving(&mounts)];
    items.extend(killing(&layout));
    items.push(swap(&layout, &swaps));
    items.extend(huge_pages::check(&layout));
    items
}

fn controllers(layout: &Layout) -> CheckItem {
    if layout.v1.is_empty() && layout.v2.is_none() {
        return CheckItem::lacking("cgroups", State::Missing, "not mounted")
            .costs("no Pod can be limited or ended")
            .remedy("`mount -t cgroup2 cgroup2 /sys/fs/cgroup`");
    }
    let (held, missing): (Vec<_>, Vec<_>) = WANTED.iter().partition(|(name, _)| layout.version_of(name).is_some());
    let place = |(name, _): &&(&str, &str)| format!("{name} v{}", layout.version_of(name).unwrap_or(0));
    let found = held.iter().map(place).collect::<Vec<_>>().join(", ");
    if missing.is_empty() {
        return CheckItem::ok("cgroups", found);
    }
    let costs: Vec<_> = missing.iter().map(|(_, costs)| *costs).collect();
    let names: Vec<_> = missing.iter().map(|(name, _)| *name).collect();
    CheckItem::lacking("cgroups", State::Degraded, format!("{found}; without {}", names.join(", ")))
        .costs(costs.join("; "))
        .remedy(
            "enable these controllers (`cgroup_enable=` on the kernel's command line, `Delegate=yes` of the service)",
        )
}

fn moving(mounts: &str) -> CheckItem {
    let quick = mounts.lines().any(|line| line.contains(" - cgroup") && line.contains("favordynmods"));
    match quick {
        true => CheckItem::ok("favordynmods", "on: moving processes between cgroups is fast"),
        false => CheckItem::ok("favordynmods", "off: dwell does not need it and leaves it so"),
    }
}

fn killing(layout: &Layout) -> Option<CheckItem> {
    layout.v2.is_none().then(|| {
        CheckItem::lacking("cgroup v2", State::Degraded, "not mounted")
            .costs("ending a Pod freezes it first, and members enter their groups by themselves")
            .remedy("`mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified`")
    })
}

fn swap(layout: &Layout, swaps: &str) -> CheckItem {
    if swaps.lines().count() < 2 {
        return CheckItem::ok("swap", "off");
    }
    let memory = layout.v1.iter().find(|one| one.controllers.iter().any(|name| name == "memory"));
    let counted = memory.is_none_or(|one| fs::exists(one.parent.join("memory.memsw.usage_in_bytes")).unwrap_or(false));
    match counted {
        true => CheckItem::ok("swap", "on, and kept from members with a memory limit"),
        false => CheckItem::lacking("swap", State::Degraded, "on, and not counted by this kernel")
            .costs("a member may use swap beyond its memory limit")
            .remedy("boot with `swapaccount=1`, or `swapoff -a`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_with_its_cost() {
        let item = controllers(&Layout::parse("30 23 0:26 / /sys/fs/cgroup rw - cgroup cgroup rw,memory\n"));
        assert_eq!(item.state, State::Degraded);
        assert!(item.costs.contains("CPU limits") && !item.costs.contains("memory limits"), "{item:?}");
        assert_eq!(controllers(&Layout::default()).state, State::Missing);
        assert!(!moving("30 23 0:26 / /x rw - cgroup2 cgroup2 rw,favordynmods").found.starts_with("off"));
        assert_eq!(swap(&Layout::default(), "Filename\n").found, "off");
    }
}
