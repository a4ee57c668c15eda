//! Operations on single names: device nodes, links, the console, the working directory.
//!
//! Nodes, links and the console are made in directories that init itself mounted, opened without following any link.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use dwell_spec::facts::DeviceNumber;
use dwell_sys::fs::{Target, ensure_in_root, ensure_plain_dir_in_root, open_in_root, open_plain_in_root};
use dwell_sys::mount;
use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, Uid, chownat, fstat, fstatfs, major, makedev, mknodat, openat, symlinkat,
};
use rustix::io::Errno;

/// `DEVPTS_SUPER_MAGIC`
const DEVPTS_MAGIC: rustix::fs::FsWord = 0x1cd1;
/// First and last major number of a devpts' terminals.
const TERMINAL_MAJORS: std::ops::RangeInclusive<u32> = 136..=143;

/// A device, and the directories above it.
pub fn device(
    root: BorrowedFd<'_>,
    path: &str,
    device: DeviceNumber,
    mode: u32,
    (uid, gid): (u32, u32),
) -> Result<(), Errno> {
    let (parent, name) = split(path);
    let parent = ensure_plain_dir_in_root(root, parent)?;
    let kind = if device.block { FileType::BlockDevice } else { FileType::CharacterDevice };
    mknodat(&parent, name, kind, Mode::from_raw_mode(mode), makedev(device.major, device.minor))?;
    chownat(&parent, name, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)), AtFlags::SYMLINK_NOFOLLOW)
}

/// A symbolic link; `to` is text for whoever reads it.
pub fn symlink(root: BorrowedFd<'_>, path: &str, to: &str) -> Result<(), Errno> {
    let (parent, name) = split(path);
    symlinkat(to, directory(root, parent)?, name)
}

/// The terminal behind descriptor 0, taken by descriptor and checked to be one of a devpts, never by a path that an
/// image could have put something at (CVE-2025-52565).
pub fn console(root: BorrowedFd<'_>, target: &str) -> Result<(), Errno> {
    let stdin = rustix::stdio::stdin();
    if !is_terminal(stdin)? || fstatfs(stdin)?.f_type != DEVPTS_MAGIC {
        return Err(Errno::NOTTY);
    }
    let copy = mount::clone_tree(stdin, "", false)?;
    let (parent, name) = split(target);
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = openat(directory(root, parent)?, name, flags, Mode::from_raw_mode(0o620))?;
    mount::attach(copy.as_fd(), file.as_fd())
}

/// Whether `file` is a terminal of a devpts, by its device number.
pub fn is_terminal(file: BorrowedFd<'_>) -> Result<bool, Errno> {
    let stat = fstat(file)?;
    let is_device = FileType::from_raw_mode(stat.st_mode).is_char_device();
    Ok(is_device && TERMINAL_MAJORS.contains(&major(stat.st_rdev)))
}

/// Into a directory of the root, made with this owner if it is missing. A magic link is refused and the result checked
/// to be inside the root (CVE-2024-21626, CVE-2026-55686).
pub fn change_directory(root: BorrowedFd<'_>, path: &str, create_as: Option<(u32, u32)>) -> Result<(), Errno> {
    let found = match (open_in_root(root, path, OFlags::PATH | OFlags::DIRECTORY), create_as) {
        (Err(Errno::NOENT), Some(owner)) => made(root, path, owner)?,
        (result, _) => result?,
    };
    rustix::process::fchdir(&found)?;
    let inside = rustix::process::getcwd(Vec::new())?.as_bytes().starts_with(b"/");
    if inside { Ok(()) } else { Err(Errno::XDEV) }
}

fn made(root: BorrowedFd<'_>, path: &str, (uid, gid): (u32, u32)) -> Result<OwnedFd, Errno> {
    let made = ensure_in_root(root, path, Target::Directory)?;
    let owner = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
    chownat(&made, "", owner.0, owner.1, AtFlags::EMPTY_PATH)?;
    Ok(made)
}

fn directory(root: BorrowedFd<'_>, path: &str) -> Result<OwnedFd, Errno> {
    open_plain_in_root(root, path, OFlags::PATH | OFlags::DIRECTORY)
}

/// Directory (`/` at least) and last component of a path.
pub fn split(path: &str) -> (&str, &str) {
    match path.trim_end_matches('/').rsplit_once('/') {
        Some(("", name)) => ("/", name),
        Some(parts) => parts,
        None => ("/", path),
    }
}
