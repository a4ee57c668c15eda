//! Masked and read-only paths.
//!
//! Everything goes by descriptor: the path is opened once without following any link, what is below `/proc` must be of
//! a real procfs (CVE-2025-52881), the `/dev/null` that covers files must be that device (CVE-2025-31133), and the cover
//! is attached to the very descriptor that was checked. A path that does not exist needs no cover.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use dwell_sys::fs::open_plain_in_root;
use dwell_sys::mount::{self, Attributes};
use rustix::fs::{FileType, OFlags, PROC_SUPER_MAGIC, fstat, fstatfs, major, minor};
use rustix::io::Errno;

/// Rights of the tmpfs that covers directories.
const EMPTY: Attributes = Attributes::MOUNT_ATTR_RDONLY
    .union(Attributes::MOUNT_ATTR_NOSUID)
    .union(Attributes::MOUNT_ATTR_NODEV)
    .union(Attributes::MOUNT_ATTR_NOEXEC);

/// What covers: made at the first use, cloned from then on.
#[derive(Default)]
pub struct Covers {
    null: Option<OwnedFd>,
    empty: Option<OwnedFd>,
}

impl Covers {
    /// Covers a file with `/dev/null`, a directory with an empty read-only tmpfs.
    pub fn mask(&mut self, root: BorrowedFd<'_>, path: &str) -> Result<(), Errno> {
        let Some(target) = find(root, path)? else {
            return Ok(());
        };
        if FileType::from_raw_mode(fstat(&target)?.st_mode).is_dir() {
            return self.mask_directory(target.as_fd());
        }
        let cover = mount::clone_tree(self.null(root)?, "", false)?;
        mount::attach(cover.as_fd(), target.as_fd())
    }

    /// The first directory gets the tmpfs itself, every further one a clone: before Linux 6.15 only a mount that is
    /// attached can be cloned.
    fn mask_directory(&mut self, target: BorrowedFd<'_>) -> Result<(), Errno> {
        if let Some(empty) = &self.empty {
            let cover = mount::clone_tree(empty.as_fd(), "", false)?;
            return mount::attach(cover.as_fd(), target);
        }
        let empty = mount::tmpfs(4096, 0o555, EMPTY)?;
        mount::attach(empty.as_fd(), target)?;
        self.empty = Some(empty);
        Ok(())
    }

    /// Makes a path read-only: in place if it is a mount of its own, else by covering it with a read-only copy.
    pub fn read_only(&mut self, root: BorrowedFd<'_>, path: &str) -> Result<(), Errno> {
        let Some(target) = find(root, path)? else {
            return Ok(());
        };
        match mount::set_attr(target.as_fd(), Attributes::MOUNT_ATTR_RDONLY, false) {
            Err(Errno::INVAL) => {
                let copy = mount::clone_readonly(target.as_fd(), true)?;
                mount::attach(copy.as_fd(), target.as_fd())
            }
            result => result,
        }
    }

    fn null(&mut self, root: BorrowedFd<'_>) -> Result<BorrowedFd<'_>, Errno> {
        if self.null.is_none() {
            self.null = Some(open_null(root)?);
        }
        self.null.as_ref().map(AsFd::as_fd).ok_or(Errno::BADF)
    }
}

fn find(root: BorrowedFd<'_>, path: &str) -> Result<Option<OwnedFd>, Errno> {
    let found = match open_plain_in_root(root, path, OFlags::PATH) {
        Err(Errno::NOENT) => return Ok(None),
        result => result?,
    };
    if path.starts_with("/proc/") && fstatfs(&found)?.f_type != PROC_SUPER_MAGIC {
        return Err(Errno::XDEV);
    }
    Ok(Some(found))
}

fn open_null(root: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    let null = open_plain_in_root(root, "/dev/null", OFlags::PATH)?;
    let stat = fstat(&null)?;
    let is_null =
        FileType::from_raw_mode(stat.st_mode).is_char_device() && (major(stat.st_rdev), minor(stat.st_rdev)) == (1, 3);
    if is_null { Ok(null) } else { Err(Errno::NODEV) }
}
