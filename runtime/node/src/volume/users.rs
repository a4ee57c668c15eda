//! Whose the volumes of a Pod with users of its own are (`hostUsers: false`): those that the node makes for it.
//!
//! As a rule ids on disk are those that members see, since every mount is mapped. Where a file system cannot be mapped (tmpfs
//! before Linux 6.3), what is made for the Pod alone belongs to the Pod's own ids of the host instead, and is mounted as it is:
//! members see the same. Whether it can is tried on the folder, never read off a version. What others use, too (a hostPath, a
//! claim, an image), must never change hands: mounting it says what is lacking.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use dwell_spec::plan::users;
use dwell_sys::mount;
use rustix::fs::{AtFlags, CWD, Gid, Uid};
use rustix::io::Errno;

/// The user namespace of a Pod's own.
#[derive(Debug, Clone)]
pub struct Users {
    /// The host's id of its root.
    pub first: u32,
    namespace: Arc<OwnedFd>,
}

impl Users {
    /// Its descriptor, and the host's id of its root.
    pub fn new(first: u32, namespace: OwnedFd) -> Users {
        Users { first, namespace: Arc::new(namespace) }
    }

    /// The namespace itself.
    pub fn namespace(&self) -> BorrowedFd<'_> {
        self.namespace.as_fd()
    }

    /// Whose ids a folder of the Pod has on its file system. If they are the host's, the folder becomes the Pod's.
    ///
    /// # Errors
    /// The folder's mount cannot be cloned, or its owner cannot be changed.
    pub(super) fn take(&self, folder: BorrowedFd<'_>) -> io::Result<Ids> {
        let tried = mount::clone_tree(folder, "", false)?;
        match mount::map_ids(tried.as_fd(), self.namespace()) {
            Ok(()) => Ok(Ids::AsSeen),
            Err(Errno::INVAL) => {
                let ids = Ids::OfHost { first: self.first };
                ids.give(folder).map(|()| ids)
            }
            Err(errno) => Err(errno.into()),
        }
    }
}

/// Which ids stand on the file system of a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Ids {
    /// Those that members see.
    #[default]
    AsSeen,
    /// Those that the host has for them.
    OfHost {
        /// The host's id of the Pod's root.
        first: u32,
    },
}

impl Ids {
    /// An id of the Pod's as it stands there.
    pub(super) fn of(self, id: u32) -> u32 {
        match self {
            Ids::OfHost { first } => users::of_host(first, id).unwrap_or(id),
            Ids::AsSeen => id,
        }
    }

    /// Whether a folder of the node's is what it would be if it were made now.
    pub(super) fn are_of(self, folder: &Path) -> bool {
        std::fs::metadata(folder).is_ok_and(|found| found.uid() == self.of(0))
    }

    /// Gives what the node has made to whom it belongs. What is theirs stays.
    ///
    /// # Errors
    /// What the file system said.
    pub(super) fn give(self, what: BorrowedFd<'_>) -> io::Result<()> {
        self.give_named(what, Path::new(""))
    }

    /// The same by a path where nobody else makes anything; a link itself is given. Before its mode is set: some bits go.
    ///
    /// # Errors
    /// What the file system said.
    pub(super) fn give_at(self, path: &Path) -> io::Result<()> {
        self.give_named(CWD, path)
    }

    fn give_named(self, at: BorrowedFd<'_>, path: &Path) -> io::Result<()> {
        if self == Ids::AsSeen {
            return Ok(());
        }
        let flags = AtFlags::EMPTY_PATH | AtFlags::SYMLINK_NOFOLLOW;
        let found = rustix::fs::statat(at, path, flags)?;
        let (uid, gid) = (Uid::from_raw(self.of(found.st_uid)), Gid::from_raw(self.of(found.st_gid)));
        Ok(rustix::fs::chownat(at, path, Some(uid), Some(gid), flags)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    const HOST: Ids = Ids::OfHost { first: users::FIRST };

    #[test]
    fn what_is_theirs_already_stays_theirs() {
        let dir = tempfile::tempdir().unwrap();
        let file = File::create(dir.path().join("file")).unwrap();
        let owner = || file.metadata().map(|found| (found.uid(), found.gid())).unwrap();
        std::os::unix::fs::fchown(&file, Some(0), Some(7)).unwrap();
        Ids::AsSeen.give(file.as_fd()).unwrap();
        assert_eq!(owner(), (0, 7), "control");
        for _ in 0..2 {
            HOST.give(file.as_fd()).unwrap();
            assert_eq!(owner(), (users::FIRST, users::FIRST + 7));
        }
    }
}
