//! Visiting all that lies below a folder that others may change meanwhile, and may have filled with bad intent: follows no
//! link, leaves neither the folder nor its file system, and needs a bounded stack and few descriptors however deep it is.

use std::ffi::{CStr, OsStr};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rustix::fs::{Dir, Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;

/// Bytes of a path after which the folder that it leads to is held open, and paths begin anew from there.
const LONG: usize = 1024;
/// Folders that are held open at once; deeper than some sixteen thousand bytes of path nobody works.
const HELD: usize = 16;

/// Calls `visit` with the folder and the name of each entry, and goes on below those for which it says so and that are
/// folders of the same file system. What goes away meanwhile is passed over.
///
/// # Errors
/// Those of `visit`; `ENAMETOOLONG` where something lies too deep; what else the file system said.
pub fn walk(top: BorrowedFd<'_>, mut visit: impl FnMut(BorrowedFd<'_>, &CStr) -> io::Result<bool>) -> io::Result<()> {
    let mut waiting = vec![Place { base: Rc::new(top.try_clone_to_owned()?), bases: 0, path: PathBuf::from(".") }];
    while let Some(place) = waiting.pop() {
        let Some(folder) = open(place.base.as_fd(), &place.path)? else { continue };
        let place = place.shortened(folder.as_fd())?;
        for entry in Dir::read_from(&folder)? {
            let entry = match entry {
                Err(Errno::NOENT) => break,
                entry => entry?,
            };
            let name = entry.file_name();
            if !matches!(name.to_bytes(), b"." | b"..") && visit(folder.as_fd(), name)? {
                waiting.push(place.join(name));
            }
        }
    }
    Ok(())
}

/// A folder by its way from one that is held open.
struct Place {
    base: Rc<OwnedFd>,
    bases: usize,
    path: PathBuf,
}

impl Place {
    fn join(&self, name: &CStr) -> Place {
        let path = self.path.join(OsStr::from_bytes(name.to_bytes()));
        Place { base: self.base.clone(), bases: self.bases, path }
    }

    fn shortened(self, folder: BorrowedFd<'_>) -> io::Result<Place> {
        if self.path.as_os_str().len() < LONG {
            return Ok(self);
        }
        if self.bases == HELD {
            return Err(Errno::NAMETOOLONG.into());
        }
        Ok(Place { base: Rc::new(folder.try_clone_to_owned()?), bases: self.bases + 1, path: PathBuf::from(".") })
    }
}

/// `None` if it is gone, is none any more, or belongs to another file system.
fn open(base: BorrowedFd<'_>, path: &Path) -> io::Result<Option<OwnedFd>> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    match openat2(base, path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty(), resolve) {
        Ok(fd) => Ok(Some(fd)),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::XDEV) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File};
    use std::os::unix::fs::symlink;

    fn names(top: &Path) -> io::Result<Vec<String>> {
        let mut found = Vec::new();
        walk(File::open(top)?.as_fd(), |_, name| {
            found.push(name.to_string_lossy().into_owned());
            Ok(true)
        })?;
        found.sort();
        Ok(found)
    }

    #[test]
    fn everything_is_visited_once_and_no_link_followed() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("top/a/b")).unwrap();
        fs::write(dir.path().join("top/a/b/file"), "x").unwrap();
        fs::write(dir.path().join("outside"), "x").unwrap();
        symlink("..", dir.path().join("top/a/up")).unwrap();
        symlink("../..", dir.path().join("top/out")).unwrap();
        assert_eq!(names(&dir.path().join("top")).unwrap(), ["a", "b", "file", "out", "up"]);
    }

    fn deep(levels: usize) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let mut at: OwnedFd = File::open(dir.path()).unwrap().into();
        for _ in 0..levels {
            rustix::fs::mkdirat(&at, "d", Mode::RWXU).unwrap();
            at = rustix::fs::openat(&at, "d", OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).unwrap();
        }
        rustix::fs::mkdirat(&at, "end", Mode::RWXU).unwrap();
        dir
    }

    #[test]
    fn a_deep_tree_is_walked_to_its_end_and_a_much_deeper_one_refused() {
        let dir = deep(5000);
        assert_eq!(names(dir.path()).unwrap().last().map(String::as_str), Some("end"));
        crate::remove::remove_tree(&dir.path().join("d")).unwrap();
        let dir = deep(10_000);
        assert_eq!(names(dir.path()).unwrap_err().raw_os_error(), Some(Errno::NAMETOOLONG.raw_os_error()));
        crate::remove::remove_tree(&dir.path().join("d")).unwrap();
    }
}
