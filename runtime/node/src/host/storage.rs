//! Overlay, and the file system below the state folder.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::fs::{StatVfsMountFlags, statfs, statvfs};

use super::{CheckItem, State};

const OVERLAY: i64 = 0x794c_7630;
const NFS: i64 = 0x6969;
const FUSE: i64 = 0x6573_5546;
const TMPFS: i64 = 0x0102_1994;

pub fn check(state_folder: &Path) -> Vec<CheckItem> {
    vec![overlay(), folder(state_folder)]
}

fn overlay() -> CheckItem {
    let known = fs::read_to_string("/proc/filesystems").unwrap_or_default();
    match known.lines().any(|line| line.split_whitespace().last() == Some("overlay")) {
        true => CheckItem::ok("overlay", "in this kernel"),
        false => CheckItem::lacking("overlay", State::Degraded, "not in this kernel, or not loaded yet")
            .costs("containers with a writable root cannot start")
            .remedy("`modprobe overlay`"),
    }
}

/// The folder, or the nearest one above it that exists.
fn folder(state_folder: &Path) -> CheckItem {
    let nearest: PathBuf = state_folder.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/")).into();
    let (Ok(kind), Ok(mount)) = (statfs(&nearest), statvfs(&nearest)) else {
        return CheckItem::lacking(
            "state folder",
            State::Missing,
            format!("{} cannot be looked at", nearest.display()),
        );
    };
    judge(&nearest, kind.f_type, mount.f_flag)
}

fn judge(path: &Path, kind: i64, flags: StatVfsMountFlags) -> CheckItem {
    let found = format!("{} on {}", path.display(), name(kind));
    let lacking = |state, costs: &str| {
        CheckItem::lacking("state folder", state, found.clone())
            .costs(costs)
            .remedy("move it to a local disk: `--state-dir DIR`")
    };
    if flags.contains(StatVfsMountFlags::RDONLY) {
        return lacking(State::Missing, "it is read-only: no Pod can be kept");
    }
    match kind {
        OVERLAY | NFS | FUSE => lacking(State::Missing, "it cannot hold the writable layer of a container"),
        _ if flags.contains(StatVfsMountFlags::NOEXEC) => {
            lacking(State::Degraded, "it is mounted noexec: programs in a container's writable layer do not run")
        }
        TMPFS => lacking(State::Degraded, "it is memory: Pods do not outlive a boot, and their files use it up"),
        _ => CheckItem::ok("state folder", found),
    }
}

fn name(kind: i64) -> String {
    let known = [
        (0xef53, "ext4"),
        (0x5846_5342, "xfs"),
        (0x9123_683e, "btrfs"),
        (OVERLAY, "overlay"),
        (TMPFS, "tmpfs"),
        (NFS, "nfs"),
        (FUSE, "fuse"),
    ];
    known
        .iter()
        .find(|(number, _)| *number == kind)
        .map_or_else(|| format!("{kind:#x}"), |(_, name)| (*name).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_judged_by_what_holds_it() {
        let state = |kind, flags| judge(Path::new("/x"), kind, flags).state;
        assert_eq!(state(0xef53, StatVfsMountFlags::empty()), State::Ok);
        assert_eq!(state(OVERLAY, StatVfsMountFlags::empty()), State::Missing);
        assert_eq!(state(0xef53, StatVfsMountFlags::NOEXEC), State::Degraded);
        assert_eq!(state(0xef53, StatVfsMountFlags::RDONLY), State::Missing);
        assert_eq!(folder(Path::new("/proc/no/such")).found, "/proc on 0x9fa0");
    }
}
