//! Removing a tree that somebody hostile may have filled: with a bounded stack, few descriptors and no long path, however
//! deep it is. (Removing level by level from above takes a stack frame and a descriptor a level, and a member that made
//! ten thousand directories in one another ended whoever removed them.)
//!
//! ```text
//! top/a/b/c…   a is opened, its files are removed, its directories become top's: top/a, top/1 (was b), …
//!              a is empty and goes; again, until top is empty
//! ```
//! Follows no symbolic link. Must never be given a tree that somebody still changes: it would not end.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, Mode, OFlags, RenameFlags, openat, renameat_with, unlinkat};
use rustix::io::Errno;

/// Removes whatever the path names, with everything below it. What is not there is in order.
///
/// # Errors
/// What the file system said; the rest of the tree stays, and a further call goes on with it.
pub fn remove_tree(path: &Path) -> io::Result<()> {
    let top = match open_directory(CWD, path) {
        Ok(top) => top,
        Err(Errno::NOENT) => return Ok(()),
        Err(Errno::NOTDIR | Errno::LOOP) => return Ok(absent(unlinkat(CWD, path, AtFlags::empty()))?),
        Err(errno) => return Err(errno.into()),
    };
    let mut removal = Removal { top: top.as_fd(), serial: 0 };
    while removal.pass()? {}
    Ok(absent(unlinkat(CWD, path, AtFlags::REMOVEDIR))?)
}

struct Removal<'a> {
    top: BorrowedFd<'a>,
    /// Of the names that lifted directories get.
    serial: u64,
}

impl Removal<'_> {
    /// Removes what lies in the top now; whether there was anything.
    fn pass(&mut self) -> Result<bool, Errno> {
        let (mut found, mut removed) = (false, false);
        for name in entries(self.top)? {
            let name = name?;
            found = true;
            if !is_gone(self.top, name.file_name())? {
                self.lift_out_of(name.file_name())?;
                // Not empty: something was passed over, and comes next time.
                match unlinkat(self.top, name.file_name(), AtFlags::REMOVEDIR) {
                    Err(Errno::NOTEMPTY | Errno::EXIST) => continue,
                    other => absent(other)?,
                }
            }
            removed = true;
        }
        if found && !removed { Err(Errno::NOTEMPTY) } else { Ok(found) }
    }

    /// Empties a directory of the top: what is in it goes, or becomes the top's.
    fn lift_out_of(&mut self, name: &CStr) -> Result<(), Errno> {
        let directory = open_directory(self.top, name)?;
        for child in entries(directory.as_fd())? {
            let child = child?;
            if !is_gone(directory.as_fd(), child.file_name())? {
                self.lift(directory.as_fd(), child.file_name())?;
            }
        }
        Ok(())
    }

    fn lift(&mut self, from: BorrowedFd<'_>, name: &CStr) -> Result<(), Errno> {
        loop {
            self.serial += 1;
            let to = format!("{:x}.removed", self.serial);
            match renameat_with(from, name, self.top, to.as_str(), RenameFlags::NOREPLACE) {
                Err(Errno::EXIST) => {}
                outcome => return absent(outcome),
            }
        }
    }
}

/// Removes an entry unless it is a directory with something in it.
fn is_gone(directory: BorrowedFd<'_>, name: &CStr) -> Result<bool, Errno> {
    match unlinkat(directory, name, AtFlags::empty()) {
        Err(Errno::ISDIR | Errno::PERM) => {}
        outcome => return absent(outcome).map(|()| true),
    }
    match unlinkat(directory, name, AtFlags::REMOVEDIR) {
        Err(Errno::NOTEMPTY | Errno::EXIST) => Ok(false),
        outcome => absent(outcome).map(|()| true),
    }
}

type Entry = Result<rustix::fs::DirEntry, Errno>;

fn entries(directory: BorrowedFd<'_>) -> Result<impl Iterator<Item = Entry>, Errno> {
    let own = |entry: &Entry| entry.as_ref().is_ok_and(|entry| matches!(entry.file_name().to_bytes(), b"." | b".."));
    Ok(Dir::read_from(directory)?.filter(move |entry| !own(entry)))
}

fn open_directory<P: rustix::path::Arg>(at: BorrowedFd<'_>, path: P) -> Result<OwnedFd, Errno> {
    openat(at, path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
}

fn absent(outcome: Result<(), Errno>) -> Result<(), Errno> {
    match outcome {
        Err(Errno::NOENT) => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    struct Scratch(std::path::PathBuf);

    impl Scratch {
        fn new(name: &str) -> Scratch {
            let path = std::env::temp_dir().join(format!("dwell-remove-{}-{name}", std::process::id()));
            fs::create_dir(&path).unwrap();
            Scratch(path)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = remove_tree(&self.0);
        }
    }

    /// A member nested 14,000 directories; the node overflowed its stack while it removed them, and so did the next one.
    #[test]
    fn depth_costs_neither_stack_nor_descriptors() {
        let scratch = Scratch::new("deep");
        let top = scratch.0.join("top");
        fs::create_dir(&top).unwrap();
        let mut at = open_directory(CWD, &top).unwrap();
        for _ in 0..20_000 {
            rustix::fs::mkdirat(&at, "d", Mode::RWXU).unwrap();
            at = open_directory(at.as_fd(), "d").unwrap();
        }
        drop(at);
        let small = std::thread::Builder::new().stack_size(32 * 1024);
        small
            .spawn({
                let top = top.clone();
                move || remove_tree(&top)
            })
            .unwrap()
            .join()
            .unwrap()
            .unwrap();
        assert!(!top.exists());
    }

    #[test]
    fn everything_goes_and_links_lead_nowhere() {
        let scratch = Scratch::new("all");
        let (top, beside) = (scratch.0.join("top"), scratch.0.join("beside"));
        fs::create_dir_all(top.join("a/b/c")).unwrap();
        fs::create_dir_all(top.join("1.removed/x/2.removed")).unwrap();
        fs::create_dir(&beside).unwrap();
        fs::write(beside.join("kept"), "").unwrap();
        for at in ["file", "a/file", "a/b/file", "1.removed/x/file"] {
            fs::write(top.join(at), "").unwrap();
        }
        for at in ["link", "a/b/c/link"] {
            std::os::unix::fs::symlink(&beside, top.join(at)).unwrap();
        }
        for number in 0..300 {
            fs::create_dir_all(top.join(format!("many/{number}/{number}"))).unwrap();
        }
        remove_tree(&top).unwrap();
        assert!(!top.exists() && beside.join("kept").exists());
        remove_tree(&top).expect("what is gone is in order");
        std::os::unix::fs::symlink(&beside, &top).unwrap();
        remove_tree(&top).unwrap();
        assert!(beside.join("kept").exists(), "the link alone");
    }
}
