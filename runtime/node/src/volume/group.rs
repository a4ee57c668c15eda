//! Giving a volume to a group (`fsGroup`), with the bits that the kubelet sets: the group may read and write (only read,
//! where nobody may write), enter directories, and what is made in them is the group's, too.
//!
//! A claim was filled by members, and others may change it meanwhile: every step is beneath the volume's own folder,
//! follows no link, and acts on what it has opened. The folder itself comes last, so that a start that was cut off is
//! done again where only the folder is looked at (`OnRootMismatch`).

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use dwell_spec::pod::VolumeGroup;
use dwell_sys::complain::complain;
use dwell_sys::walk::walk;
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags};
use rustix::io::Errno;

/// Gives the folder alone to the group: for one that is new. What a member has made of it since stays.
///
/// # Errors
/// What the file system said.
pub fn give_new_folder(folder: BorrowedFd<'_>, gid: u32) -> io::Result<()> {
    let found = rustix::fs::fstat(folder)?;
    let was_given = found.st_gid == gid && Mode::from_raw_mode(found.st_mode).contains(Mode::SGID);
    if was_given { Ok(()) } else { give_folder(folder, gid, true) }
}

/// Gives the folder alone to the group.
///
/// # Errors
/// What the file system said.
pub fn give_folder(folder: BorrowedFd<'_>, gid: u32, writable: bool) -> io::Result<()> {
    give(folder, gid, writable)?;
    Ok(())
}

/// Gives the folder and all that is in it to the group, as its policy says.
///
/// # Errors
/// What the file system said. What was given stays given.
pub fn give_tree(folder: BorrowedFd<'_>, group: VolumeGroup, writable: bool) -> io::Result<()> {
    let found = rustix::fs::fstat(folder)?;
    let is_given = found.st_gid == group.gid && bits(FileType::Directory, writable) & !found.st_mode == 0;
    if group.on_root_mismatch && is_given {
        return Ok(());
    }
    let mut kept = 0u64;
    let whole = walk(folder, |directory, name| {
        let Some(child) = open(directory, name)? else { return Ok(false) };
        match give(child.as_fd(), group.gid, writable) {
            Ok(kind) => Ok(kind == FileType::Directory),
            // As the kubelet does: one file that nobody can change keeps no Pod from starting.
            Err(Errno::PERM | Errno::ROFS) => {
                kept += 1;
                Ok(false)
            }
            Err(errno) => Err(errno.into()),
        }
    })?;
    if kept > 0 || !whole {
        let deep = if whole { "" } else { ", and what lies too deep" };
        complain(format_args!("{kept} files cannot be given to group {}{deep}: they stay as they are", group.gid));
    }
    give_folder(folder, group.gid, writable)
}

/// Gives one thing to the group; what it is.
fn give(what: BorrowedFd<'_>, gid: u32, writable: bool) -> Result<FileType, Errno> {
    let found = rustix::fs::fstat(what)?;
    let kind = FileType::from_raw_mode(found.st_mode);
    if found.st_gid != gid {
        rustix::fs::chownat(what, "", None, Some(Gid::from_raw(gid)), AtFlags::EMPTY_PATH)?;
    }
    let wanted = (found.st_mode | bits(kind, writable)) & 0o7777;
    // A change of hands takes set-id bits away.
    if kind != FileType::Symlink && (found.st_gid != gid || wanted != found.st_mode & 0o7777) {
        // By its number, since a descriptor that only names a file takes no mode.
        rustix::fs::chmod(format!("/proc/self/fd/{}", what.as_raw_fd()), Mode::from_raw_mode(wanted))?;
    }
    Ok(kind)
}

/// What its group may do with each, besides.
pub(super) fn bits(kind: FileType, writable: bool) -> u32 {
    let read_write = if writable { 0o660 } else { 0o440 };
    if kind == FileType::Directory { read_write | 0o2110 } else { read_write }
}

fn open(directory: BorrowedFd<'_>, name: &std::ffi::CStr) -> io::Result<Option<OwnedFd>> {
    match rustix::fs::openat(directory, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()) {
        Ok(fd) => Ok(Some(fd)),
        // Gone meanwhile.
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File};
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
    use std::path::Path;

    const OURS: u32 = 4321;

    fn group(on_root_mismatch: bool) -> VolumeGroup {
        VolumeGroup { gid: OURS, on_root_mismatch }
    }

    fn look(path: &Path) -> (u32, u32) {
        let found = fs::symlink_metadata(path).unwrap();
        (found.gid(), found.mode() & 0o7777)
    }

    fn filled() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("v/a/b")).unwrap();
        for (path, mode) in [("v/file", 0o600), ("v/a/b/tool", 0o4711)] {
            fs::write(dir.path().join(path), "x").unwrap();
            fs::set_permissions(dir.path().join(path), fs::Permissions::from_mode(mode)).unwrap();
        }
        fs::set_permissions(dir.path().join("v/a"), fs::Permissions::from_mode(0o700)).unwrap();
        fs::write(dir.path().join("outside"), "x").unwrap();
        fs::set_permissions(dir.path().join("outside"), fs::Permissions::from_mode(0o600)).unwrap();
        symlink("../outside", dir.path().join("v/link")).unwrap();
        symlink("..", dir.path().join("v/up")).unwrap();
        dir
    }

    #[test]
    fn everything_in_it_is_the_groups_and_nothing_outside() {
        let dir = filled();
        let (at, top) = (|path: &str| dir.path().join(path), File::open(dir.path().join("v")).unwrap());
        let before = (look(&at("outside")), look(dir.path()));
        give_tree(top.as_fd(), group(false), true).unwrap();
        assert_eq!((look(&at("v/file")), look(&at("v/a"))), ((OURS, 0o660), (OURS, 0o2770)));
        assert_eq!((look(&at("v/a/b")).0, look(&at("v/a/b/tool"))), (OURS, (OURS, 0o4771)));
        assert_eq!((look(&at("v")), look(&at("v/link")).0), ((OURS, 0o2775), OURS));
        assert_eq!((look(&at("outside")), look(dir.path())), before);
        fs::write(at("v/a/new"), "").unwrap();
        assert_eq!(look(&at("v/a/new")).0, OURS, "what is made in it is the group's");
    }

    #[test]
    fn the_policy_looks_at_the_folder_alone() {
        let dir = filled();
        let (at, top) = (|path: &str| dir.path().join(path), File::open(dir.path().join("v")).unwrap());
        give_folder(top.as_fd(), OURS, true).unwrap();
        give_tree(top.as_fd(), group(true), true).unwrap();
        assert_ne!(look(&at("v/file")).0, OURS, "it was the group's already");
        give_tree(top.as_fd(), group(false), false).unwrap();
        assert_eq!((look(&at("v/file")), look(&at("v/a"))), ((OURS, 0o640), (OURS, 0o2750)), "nobody may write there");
    }
}
