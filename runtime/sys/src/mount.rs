//! Mounts by descriptor: made detached, given their rights, and only then attached (open_tree(2), fsopen(2),
//! mount_setattr(2), move_mount(2)). No path of the host or of an image is walked here: what is mounted and where are
//! descriptors that somebody opened with a scope (see `fs`).

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, fsconfig_create, fsconfig_set_flag,
    fsconfig_set_string, fsmount, fsopen, move_mount, open_tree,
};

mod overlay;

pub use overlay::{overlay, overlay_over_detached};
/// Rights of a mount.
pub use rustix::mount::MountAttrFlags as Attributes;

/// `struct mount_attr`.
#[repr(C)]
struct MountAttr {
    set: u64,
    clear: u64,
    propagation: u64,
    user_namespace: u64,
}

/// Adds `attributes` to a mount, and to every mount below it if `recursive`.
///
/// # Errors
/// Those of `mount_setattr`: EPERM, EINVAL when the descriptor is not the root of a mount.
pub fn set_attr(mount: BorrowedFd<'_>, attributes: Attributes, recursive: bool) -> Result<(), Errno> {
    change(
        mount,
        MountAttr { set: u64::from(attributes.bits()), clear: 0, propagation: 0, user_namespace: 0 },
        recursive,
    )
}

/// Maps the ids of a detached mount that nobody has seen yet: on its file system those that are 0, 1, … in the namespace.
///
/// # Errors
/// EINVAL where the file system cannot be mapped, or is mapped already; EPERM.
pub fn map_ids(mount: BorrowedFd<'_>, users: BorrowedFd<'_>) -> Result<(), Errno> {
    let set = u64::from(MountAttrFlags::MOUNT_ATTR_IDMAP.bits());
    let user_namespace = users.as_raw_fd().cast_unsigned().into();
    change(mount, MountAttr { set, clear: 0, propagation: 0, user_namespace }, false)
}

/// What becomes of mounts that are made below one, there and where it was cloned from (mount_namespaces(7)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Propagation {
    /// Neither side sees the other's.
    Private,
    /// Those of the original are seen here.
    Slave,
    /// As it is: a clone of a shared mount shares.
    Kept,
}

/// Adds `attributes` to a mount and settles its propagation, both for every mount below it, too, if `recursive`.
///
/// # Errors
/// As `set_attr`.
pub fn restrict(
    mount: BorrowedFd<'_>,
    attributes: Attributes,
    propagation: Propagation,
    recursive: bool,
) -> Result<(), Errno> {
    let propagation = match propagation {
        Propagation::Private => libc::MS_PRIVATE,
        Propagation::Slave => libc::MS_SLAVE,
        Propagation::Kept => 0,
    };
    change(mount, MountAttr { set: u64::from(attributes.bits()), clear: 0, propagation, user_namespace: 0 }, recursive)
}

/// Whether the mount that a file lies on is shared (what is mounted below it is seen by its peers, and by it what they
/// mount) or, enough for `Slave`, the slave of one that is.
///
/// # Errors
/// Those of reading `/proc`.
pub fn can_be(propagation: Propagation, inside: BorrowedFd<'_>) -> std::io::Result<bool> {
    let enough: &[&str] = match propagation {
        Propagation::Private => return Ok(true),
        Propagation::Slave => &["shared:", "master:"],
        Propagation::Kept => &["shared:"],
    };
    let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", inside.as_raw_fd()))?;
    let id = info.lines().find_map(|line| line.strip_prefix("mnt_id:")).map(str::trim).unwrap_or_default().to_owned();
    let mounts = std::fs::read_to_string("/proc/self/mountinfo")?;
    let own = mounts.lines().find(|line| line.split(' ').next() == Some(id.as_str()));
    // Optional fields stand between the sixth and a lone hyphen.
    let mut optional = own.into_iter().flat_map(|line| line.split(' ').skip(6).take_while(|field| *field != "-"));
    Ok(optional.any(|field| enough.iter().any(|kind| field.starts_with(kind))))
}

fn change(mount: BorrowedFd<'_>, attr: MountAttr, recursive: bool) -> Result<(), Errno> {
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the path is a constant and `attr` lives across the call, with its size given.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            std::ptr::from_ref(&attr),
            size_of::<MountAttr>(),
        )
    };
    if result == 0 {
        return Ok(());
    }
    Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO))
}

/// A detached copy of the mount at `dir`/`path` (empty: `dir` itself, a file too), seen from there down. A last
/// component that is a symbolic link is not followed, but `path` is an ordinary walk: hand hostile paths to `fs` first.
///
/// # Errors
/// Those of `open_tree`: EINVAL when `dir` lies in another mount namespace.
pub fn clone_tree(dir: BorrowedFd<'_>, path: &str, recursive: bool) -> Result<OwnedFd, Errno> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH
        | OpenTreeFlags::AT_SYMLINK_NOFOLLOW;
    flags.set(OpenTreeFlags::AT_RECURSIVE, recursive);
    open_tree(dir, path, flags)
}

/// A detached copy of what `fd` refers to, through which nothing can be written and nothing propagates.
///
/// # Errors
/// As `clone_tree` and `set_attr`.
pub fn clone_readonly(fd: BorrowedFd<'_>, recursive: bool) -> Result<OwnedFd, Errno> {
    let copy = clone_tree(fd, "", recursive)?;
    restrict(copy.as_fd(), Attributes::MOUNT_ATTR_RDONLY, Propagation::Private, recursive)?;
    Ok(copy)
}

/// Attaches a detached mount on what `target` refers to.
///
/// # Errors
/// Those of `move_mount`: ENOTDIR when one is a file and the other a directory.
pub fn attach(mount: BorrowedFd<'_>, target: BorrowedFd<'_>) -> Result<(), Errno> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(mount, "", target, "", flags)
}

/// Attaches a detached mount over this process's root directory.
///
/// # Errors
/// Those of `move_mount`.
pub fn attach_over_root(mount: BorrowedFd<'_>) -> Result<(), Errno> {
    move_mount(mount, "", rustix::fs::CWD, "/", MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
}

/// A new, detached instance of a file system. `options` are (key, value), a flag has none.
///
/// # Errors
/// Those of `fsopen` (ENODEV: not in this kernel), `fsconfig` (EINVAL: an option) and `fsmount`.
pub fn instance(kind: &str, options: &[(&str, Option<&str>)], attributes: Attributes) -> Result<OwnedFd, Errno> {
    let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    for (key, value) in options {
        match value {
            Some(value) => fsconfig_set_string(context.as_fd(), *key, *value)?,
            None => fsconfig_set_flag(context.as_fd(), *key)?,
        }
    }
    fsconfig_create(context.as_fd())?;
    fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)
}

/// A new, detached tmpfs of at most `size` bytes (0: no limit of its own) whose root has `mode`.
///
/// # Errors
/// As `instance`.
pub fn tmpfs(size: u64, mode: u32, attributes: Attributes) -> Result<OwnedFd, Errno> {
    let (size, mode) = (size.to_string(), format!("{mode:o}"));
    instance("tmpfs", &[("size", Some(&size)), ("mode", Some(&mode))], attributes)
}

/// A new, detached devpts: terminals of group 5 (tty), `ptmx` open to all.
///
/// # Errors
/// As `instance`.
pub fn devpts() -> Result<OwnedFd, Errno> {
    let options = [("newinstance", None), ("ptmxmode", Some("0666")), ("mode", Some("0620")), ("gid", Some("5"))];
    instance("devpts", &options, Attributes::MOUNT_ATTR_NOSUID | Attributes::MOUNT_ATTR_NOEXEC)
}

/// The devpts at `/dev/pts` of a process, found within its own root and known by its kind, whatever else stands there.
///
/// # Errors
/// Those of `openat2`; ENOENT when another kind of file system is there; ESRCH when the process has ended.
pub fn devpts_of(pidfd: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    const DEVPTS_MAGIC: rustix::fs::FsWord = 0x1cd1;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let devpts = crate::fs::open_plain_in_root(root_of(pidfd)?.as_fd(), "dev/pts", flags)?;
    if rustix::fs::fstatfs(&devpts)?.f_type == DEVPTS_MAGIC { Ok(devpts) } else { Err(Errno::NOENT) }
}

/// The root directory of a process; only a path.
///
/// # Errors
/// Those of `open`; ESRCH when the process has ended.
pub fn root_of(pidfd: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    let pid = crate::process::number(pidfd)?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::open(format!("/proc/{pid}/root"), flags, Mode::empty())?;
    // Still the same process: its number cannot have been another's meanwhile.
    crate::process::number(pidfd)?;
    Ok(root)
}

/// Master and slave of a new terminal of a devpts, attached or not. Neither becomes a controlling terminal.
///
/// # Errors
/// ENOSPC at the kernel's limit of terminals; those of `openat2` and `ioctl_tty`.
pub fn open_terminal(devpts: BorrowedFd<'_>) -> Result<(OwnedFd, OwnedFd), Errno> {
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let master = openat2(devpts, "ptmx", flags, Mode::empty(), resolve)?;
    rustix::pty::unlockpt(&master)?;
    let slave = rustix::pty::ioctl_tiocgptpeer(&master, rustix::pty::OpenptFlags::from_bits_retain(flags.bits()))?;
    Ok((master, slave))
}

#[cfg(test)]
mod tests;
