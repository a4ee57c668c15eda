//! Overlays by descriptor, and what takes their place in kernels that want paths.
//!
//! ```text
//! descriptors ──refused──► /proc/self/fd/N ──the lower is detached──► attached in a mount namespace of a thread, for as long
//! as the overlay takes to be made
//! ```
//! Layers as descriptors came with Linux 6.13, detached ones later still; before, the kernel clones a layer only out of the
//! caller's mount namespace (clone_private_mount() in fs/namespace.c). Which way a kernel goes is tried, never read off its
//! version. No name is walked but magic links to descriptors, and nothing is ever attached in the node's own namespace.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags, ResolveFlags, open, openat2};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_fd, fsconfig_set_flag,
    fsconfig_set_string, fsmount, fsopen,
};

use super::{attach, clone_tree};
use crate::namespace::in_own_mounts;
use crate::remove::remove_tree;

/// What the kernel makes in a working directory (fs/overlayfs/super.c).
const MADE_IN_WORK: [&str; 3] = ["work", "index", "incompat"];

/// A detached overlay over a directory: writes go to `upper` in the directory `layer`, whose `work` is the kernel's. Both are
/// there and empty.
///
/// It is `volatile`: the kernel never flushes `upper`, neither for a member's `fsync` nor at the unmount (which on
/// ext4 would wait for the journal). That is right for a layer which is new at every start and thrown away at its end,
/// and for nothing else. `work` cannot be mounted again afterwards.
///
/// # Errors
/// Those of `fsopen`, `fsconfig` and `fsmount`. Kernels before 6.13 take layers as paths, so there `/proc` must be
/// mounted.
pub fn overlay(lower: BorrowedFd<'_>, layer: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    match by_descriptor(lower, layer) {
        Err(errno) if may_want_paths(errno) => by_path(lower, layer),
        result => result,
    }
}

/// The same over a detached mount, a mapped one, say. The mount is used up. Blocks for a moment in older kernels.
///
/// # Errors
/// As `overlay`; where a mount namespace is needed, those of making one, too.
pub fn overlay_over_detached(lower: OwnedFd, layer: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    match by_descriptor(lower.as_fd(), layer) {
        Err(errno) if may_want_paths(errno) => {
            empty_work(layer)?;
            by_attached_path(lower.as_fd(), layer)
        }
        result => Ok(result?),
    }
}

fn may_want_paths(errno: Errno) -> bool {
    matches!(errno, Errno::INVAL | Errno::OPNOTSUPP)
}

fn by_descriptor(lower: BorrowedFd<'_>, layer: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    let (upper, work) = opened(layer)?;
    let context = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_fd(context.as_fd(), "lowerdir+", lower)?;
    fsconfig_set_fd(context.as_fd(), "upperdir", upper)?;
    fsconfig_set_fd(context.as_fd(), "workdir", work)?;
    finish(context)
}

/// The kernel walks `/proc/self/fd/N`, a magic link to the very directory: nothing hostile is in that path, and nothing that
/// an option would have to escape.
pub(super) fn by_path(lower: BorrowedFd<'_>, layer: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    let (upper, work) = opened(layer)?;
    let context = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
    for (key, fd) in [("lowerdir", lower), ("upperdir", upper.as_fd()), ("workdir", work.as_fd())] {
        fsconfig_set_string(context.as_fd(), key, format!("/proc/self/fd/{}", fd.as_raw_fd()))?;
    }
    finish(context)
}

/// Attached one over the other on the root, where no directory has to be found for them: a magic link leads beneath what
/// covers it. The overlay keeps clones of its own, and the rest goes with the thread.
pub(super) fn by_attached_path(lower: BorrowedFd<'_>, layer: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    // Where it is, it is in another namespace than the thread's.
    let layer = clone_tree(layer, "", false)?;
    let made = in_own_mounts(|| {
        let root = open("/", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        attach(lower, root.as_fd())?;
        attach(layer.as_fd(), root.as_fd())?;
        by_path(lower, layer.as_fd())
    })?;
    Ok(made?)
}

fn finish(context: OwnedFd) -> Result<OwnedFd, Errno> {
    fsconfig_set_flag(context.as_fd(), "volatile")?;
    fsconfig_create(context.as_fd())?;
    fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())
}

/// `upper` and `work`, which must be of one mount.
fn opened(layer: BorrowedFd<'_>) -> Result<(OwnedFd, OwnedFd), Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let open = |name| openat2(layer, name, flags, Mode::empty(), ResolveFlags::BENEATH | ResolveFlags::NO_XDEV);
    Ok((open("upper")?, open("work")?))
}

/// A kernel that takes descriptors but no detached layer has begun to work there, and would not take it twice.
pub(super) fn empty_work(layer: BorrowedFd<'_>) -> io::Result<()> {
    let work = format!("/proc/self/fd/{}/work", layer.as_raw_fd());
    MADE_IN_WORK.iter().try_for_each(|name| remove_tree(&Path::new(&work).join(name)))
}
