//! Operations that mount: each makes a detached mount with its rights and attaches it where the root to be has, or
//! gets, a directory.
//!
//! Where the kernel's own file systems go no symbolic link is followed: an image whose `/proc`, `/sys` or `/dev` is a
//! link is refused (CVE-2023-27561, CVE-2026-41579). Volumes and files follow links inside the root, as users expect.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use dwell_sys::fs::{Target, ensure_in_root, ensure_plain_dir_in_root};
use dwell_sys::mount::{self, Attributes, instance};
use rustix::io::Errno;
use rustix::mount::{MountPropagationFlags, UnmountFlags, mount_change, unmount};

use crate::nodes;

/// What is nobody's program, setuid or device.
const INERT: Attributes =
    Attributes::MOUNT_ATTR_NOSUID.union(Attributes::MOUNT_ATTR_NODEV).union(Attributes::MOUNT_ATTR_NOEXEC);

/// Nothing propagates between this namespace and the host's.
pub fn make_private() -> Result<(), Errno> {
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
}

/// A detached tmpfs that will hold mount points and nothing else.
pub fn empty_root(size: u64) -> Result<OwnedFd, Errno> {
    mount::tmpfs(size, 0o755, INERT)
}

/// Over the host's root, and into it.
pub fn attach_root(root: BorrowedFd<'_>) -> Result<(), Errno> {
    mount::attach_over_root(root)?;
    rustix::process::fchdir(root)
}

/// The root to be becomes `/`; the host's root is gone from this namespace.
pub fn pivot(root: BorrowedFd<'_>) -> Result<(), Errno> {
    rustix::process::fchdir(root)?;
    rustix::process::pivot_root(".", ".")?;
    unmount(".", UnmountFlags::DETACH)?;
    rustix::process::chdir("/")
}

/// Nothing can be written to the root's own mount; others below keep their rights.
pub fn seal(root: BorrowedFd<'_>) -> Result<(), Errno> {
    mount::set_attr(root, Attributes::MOUNT_ATTR_RDONLY, false)
}

/// What the node opened, at a path of the member.
pub fn attach(root: BorrowedFd<'_>, source: BorrowedFd<'_>, target: &str, is_dir: bool) -> Result<(), Errno> {
    let kind = if is_dir { Target::Directory } else { Target::File };
    let target = ensure_in_root(root, target, kind)?;
    // The planner refuses such paths by their names; an image's link may still lead there.
    if rustix::fs::fstatfs(&target)?.f_type == rustix::fs::PROC_SUPER_MAGIC {
        return Err(Errno::PERM);
    }
    mount::attach(source, target.as_fd())
}

pub fn proc(root: BorrowedFd<'_>, target: &str) -> Result<(), Errno> {
    place(root, target, &instance("proc", &[], INERT)?)
}

pub fn sysfs(root: BorrowedFd<'_>, target: &str, writable: bool) -> Result<(), Errno> {
    place(root, target, &instance("sysfs", &[], inert(writable))?)
}

fn inert(writable: bool) -> Attributes {
    if writable { INERT } else { INERT | Attributes::MOUNT_ATTR_RDONLY }
}

/// `controller` is one v1 hierarchy: a name, or several joined by commas.
pub fn cgroup(
    root: BorrowedFd<'_>,
    target: &str,
    v2: bool,
    controller: Option<&str>,
    writable: bool,
) -> Result<(), Errno> {
    let names = controller.unwrap_or("").split(',').filter(|name| !name.is_empty());
    let options: Vec<(&str, Option<&str>)> = names.map(|name| (name, None)).collect();
    let kind = if v2 { "cgroup2" } else { "cgroup" };
    place(root, target, &instance(kind, &options, inert(writable))?)
}

/// Device nodes work in `/dev` only.
pub fn tmpfs(root: BorrowedFd<'_>, target: &str, size: u64, mode: u32, noexec: bool) -> Result<(), Errno> {
    let mut attributes = Attributes::MOUNT_ATTR_NOSUID;
    attributes.set(Attributes::MOUNT_ATTR_NODEV, target != "/dev");
    attributes.set(Attributes::MOUNT_ATTR_NOEXEC, noexec);
    place(root, target, &mount::tmpfs(size, mode, attributes)?)
}

pub fn mqueue(root: BorrowedFd<'_>, target: &str) -> Result<(), Errno> {
    place(root, target, &instance("mqueue", &[], INERT)?)
}

/// Also the `ptmx` link beside it, relative, as devpts(5) wants it.
pub fn devpts(root: BorrowedFd<'_>, target: &str) -> Result<(), Errno> {
    place(root, target, &mount::devpts()?)?;
    let (parent, name) = nodes::split(target);
    nodes::symlink(root, &format!("{parent}/ptmx"), &format!("{name}/ptmx"))
}

fn place(root: BorrowedFd<'_>, target: &str, made: &OwnedFd) -> Result<(), Errno> {
    let target = ensure_plain_dir_in_root(root, target)?;
    mount::attach(made.as_fd(), target.as_fd())
}
