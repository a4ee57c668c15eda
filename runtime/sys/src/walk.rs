//! Visiting all that lies below a folder that others may change meanwhile, and may have filled with bad intent: follows no
//! link, leaves neither the folder nor its file system, and takes a bounded stack, few descriptors and little memory
//! however much there is. A folder is entered as soon as it is met, so that there is no time to move it away.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Dir, Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;

/// Folders within one another that are entered; each holds a descriptor.
const DEEPEST: usize = 256;

/// Calls `visit` with the folder and the name of each entry, and enters those for which it says so and that are folders of
/// the same file system. What goes away meanwhile is passed over. Says whether everything was visited: `false` where
/// something lay too deep.
///
/// # Errors
/// Those of `visit`; what else the file system said.
pub fn walk(top: BorrowedFd<'_>, mut visit: impl FnMut(BorrowedFd<'_>, &CStr) -> io::Result<bool>) -> io::Result<bool> {
    let (mut levels, mut whole) = (Vec::new(), true);
    levels.extend(enter(top, c".")?);
    while let Some(level) = levels.last_mut() {
        let Some(entry) = level.entries.read() else {
            levels.pop();
            continue;
        };
        let entry = match entry {
            // The folder itself is gone.
            Err(Errno::NOENT) => continue,
            entry => entry?,
        };
        let (folder, name) = (level.folder.as_fd(), entry.file_name());
        if matches!(name.to_bytes(), b"." | b"..") || !visit(folder, name)? {
            continue;
        }
        match levels.len() < DEEPEST {
            true => levels.extend(enter(levels[levels.len() - 1].folder.as_fd(), name)?),
            false => whole = false,
        }
    }
    Ok(whole)
}

struct Level {
    folder: OwnedFd,
    entries: Dir,
}

/// `None` if it is gone, is no folder any more, or belongs to another file system.
fn enter(at: BorrowedFd<'_>, name: &CStr) -> io::Result<Option<Level>> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match openat2(at, name, flags, Mode::empty(), resolve) {
        Ok(folder) => Ok(Some(Level { entries: Dir::new(folder.try_clone()?)?, folder })),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::XDEV) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File};
    use std::os::unix::fs::symlink;
    use std::path::Path;

    fn names(top: &Path) -> (Vec<String>, bool) {
        let mut found = Vec::new();
        let whole = walk(File::open(top).unwrap().as_fd(), |_, name| {
            found.push(name.to_string_lossy().into_owned());
            Ok(true)
        });
        found.sort();
        (found, whole.unwrap())
    }

    #[test]
    fn everything_is_visited_once_and_no_link_followed() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("top/a/b")).unwrap();
        fs::create_dir_all(dir.path().join("top/c")).unwrap();
        fs::write(dir.path().join("top/a/b/file"), "x").unwrap();
        fs::write(dir.path().join("outside"), "x").unwrap();
        symlink("..", dir.path().join("top/a/up")).unwrap();
        symlink("../..", dir.path().join("top/out")).unwrap();
        let all = ["a", "b", "c", "file", "out", "up"].map(str::to_owned).to_vec();
        assert_eq!(names(&dir.path().join("top")), (all, true));
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
    fn a_deep_tree_is_walked_to_its_end_and_of_a_deeper_one_that_is_told() {
        let (found, whole) = names(deep(200).path());
        assert_eq!((found.last().map(String::as_str), whole), (Some("end"), true));
        let dir = deep(5000);
        let (found, whole) = names(dir.path());
        assert_eq!((found.len(), whole), (DEEPEST, false));
        crate::remove::remove_tree(&dir.path().join("d")).unwrap();
    }
}
