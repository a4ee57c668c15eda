//! Opening and making things below a directory that somebody hostile may have filled.
//!
//! Every walk is one `openat2`, so that a symbolic link, a `..` or a rename in the middle cannot lead out
//! (CVE-2024-45310, CVE-2026-41579 and their kind). Two scopes: *beneath* (an absolute link is an error: folders of
//! the host) and *in root* (an absolute link means the root's own: images). Magic links (`/proc/self/fd/N`) never
//! count (CVE-2024-21626).

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, fstat, mkdirat, openat2, readlinkat};
use rustix::io::Errno;
use rustix::path::Arg;

/// `openat2` answers EAGAIN when something was renamed or mounted during the walk; then it is tried again.
const RETRIES: u32 = 100;
/// The kernel's own limit of symbolic links in one walk.
const MAX_LINKS: u32 = 40;

/// Opens `path` below `dir`; leaving it in any way is EXDEV.
///
/// # Errors
/// Those of `openat2`.
pub fn open_beneath(dir: BorrowedFd<'_>, path: impl Arg + Copy, flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
    open(dir, path, flags, mode, ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS)
}

/// As `open_beneath`, but any symbolic link on the way is ELOOP.
///
/// # Errors
/// Those of `openat2`.
pub fn open_plain_beneath(dir: BorrowedFd<'_>, path: impl Arg + Copy, flags: OFlags) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    open(dir, path, flags, Mode::empty(), resolve)
}

/// Opens `path` as if `root` were `/`: absolute links and `..` stay inside.
///
/// # Errors
/// Those of `openat2`; ELOOP also for a magic link.
pub fn open_in_root(root: BorrowedFd<'_>, path: impl Arg + Copy, flags: OFlags) -> Result<OwnedFd, Errno> {
    open(root, path, flags, Mode::empty(), ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS)
}

/// As `open_in_root`, but any symbolic link on the way is ELOOP.
///
/// # Errors
/// Those of `openat2`.
pub fn open_plain_in_root(root: BorrowedFd<'_>, path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    open(root, path, flags, Mode::empty(), resolve)
}

fn open(
    dir: BorrowedFd<'_>,
    path: impl Arg + Copy,
    flags: OFlags,
    mode: Mode,
    resolve: ResolveFlags,
) -> Result<OwnedFd, Errno> {
    for _ in 0..RETRIES {
        match openat2(dir, path, flags | OFlags::CLOEXEC, mode, resolve) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            result => return result,
        }
    }
    Err(Errno::AGAIN)
}

/// What a mount point must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// A directory, made as 0755 with everything above it.
    Directory,
    /// A file, made empty as 0644, directories above it as 0755.
    File,
}

/// An `O_PATH` descriptor of `path` in `root`, made if it is missing. Links in an image are followed inside the root,
/// dangling ones too (`/etc/resolv.conf` often is one), so what is made is where a reader will look.
///
/// # Errors
/// Those of `openat2`, `mkdirat`; ENOTDIR and EISDIR when something of the other kind is there; ELOOP.
pub fn ensure_in_root(root: BorrowedFd<'_>, path: &str, target: Target) -> Result<OwnedFd, Errno> {
    let found = match open_in_root(root, path, OFlags::PATH) {
        Err(Errno::NOENT) => make_in_root(root, path, target)?,
        result => result?,
    };
    let is_dir = FileType::from_raw_mode(fstat(&found)?.st_mode).is_dir();
    match (target, is_dir) {
        (Target::Directory, false) => Err(Errno::NOTDIR),
        (Target::File, true) => Err(Errno::ISDIR),
        _ => Ok(found),
    }
}

/// Makes what is missing below `root` without following any link, and returns the directory (`O_PATH`).
///
/// # Errors
/// ELOOP when a component is a symbolic link; those of `openat2` and `mkdirat`.
pub fn ensure_plain_dir_in_root(root: BorrowedFd<'_>, path: &str) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY;
    match open_plain_in_root(root, path, flags) {
        Err(Errno::NOENT) => {}
        result => return result,
    }
    let mut at = open_plain_in_root(root, ".", flags)?;
    for name in components(path) {
        at = enter_plain(at.as_fd(), name)?;
    }
    Ok(at)
}

fn enter_plain(dir: BorrowedFd<'_>, name: &str) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY;
    match open_plain_in_root(dir, name, flags) {
        Err(Errno::NOENT) => {
            mkdir_if_missing(dir, name)?;
            open_plain_in_root(dir, name, flags)
        }
        result => result,
    }
}

fn mkdir_if_missing(dir: BorrowedFd<'_>, name: &str) -> Result<(), Errno> {
    match mkdirat(dir, name, Mode::from_raw_mode(0o755)) {
        Err(Errno::EXIST) => Ok(()),
        result => result,
    }
}

fn components(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|part| !part.is_empty() && *part != ".")
}

/// The slow way: resolves link by link what the kernel could not, because its end does not exist yet. Each step is
/// opened from the root anew without following anything, so a racing rename can mislead it only inside the root.
fn make_in_root(root: BorrowedFd<'_>, path: &str, target: Target) -> Result<OwnedFd, Errno> {
    let mut resolved: Vec<String> = Vec::new();
    let mut rest: VecDeque<String> = components(path).map(str::to_owned).collect();
    let mut links = 0;
    while let Some(name) = rest.pop_front() {
        if name == ".." {
            resolved.pop();
            continue;
        }
        let kind = if rest.is_empty() { target } else { Target::Directory };
        if let Some(link) = step(root, &resolved, &name, kind)? {
            links += 1;
            if links > MAX_LINKS {
                return Err(Errno::LOOP);
            }
            if link.starts_with('/') {
                resolved.clear();
            }
            let parts: Vec<&str> = components(&link).collect();
            parts.into_iter().rev().for_each(|part| rest.push_front(part.to_owned()));
        } else {
            resolved.push(name);
        }
    }
    open_plain_in_root(root, &joined(&resolved), OFlags::PATH)
}

/// Looks at one name: `Some(text)` for a symbolic link, `None` once it exists as anything else.
fn step(root: BorrowedFd<'_>, above: &[String], name: &str, kind: Target) -> Result<Option<String>, Errno> {
    let parent = open_plain_in_root(root, &joined(above), OFlags::PATH | OFlags::DIRECTORY)?;
    match open_plain_in_root(parent.as_fd(), name, OFlags::PATH | OFlags::NOFOLLOW) {
        Ok(found) => link_text(&found),
        Err(Errno::NOENT) => make_one(parent.as_fd(), name, kind).map(|()| None),
        Err(errno) => Err(errno),
    }
}

fn link_text(found: &OwnedFd) -> Result<Option<String>, Errno> {
    if !FileType::from_raw_mode(fstat(found)?.st_mode).is_symlink() {
        return Ok(None);
    }
    let text = readlinkat(found, "", Vec::new())?;
    text.into_string().map(Some).map_err(|_| Errno::ILSEQ)
}

fn make_one(parent: BorrowedFd<'_>, name: &str, kind: Target) -> Result<(), Errno> {
    if kind == Target::Directory {
        return mkdir_if_missing(parent, name);
    }
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    match open_with_mode(parent, name, flags, 0o644) {
        Err(Errno::EXIST) => Ok(()),
        result => result.map(drop),
    }
}

fn open_with_mode(parent: BorrowedFd<'_>, name: &str, flags: OFlags, mode: u32) -> Result<OwnedFd, Errno> {
    open_beneath(parent, name, flags, Mode::from_raw_mode(mode))
}

fn joined(parts: &[String]) -> String {
    if parts.is_empty() { ".".to_owned() } else { parts.join("/") }
}

/// Opens a path of the host that the operator chose; the only walk here without a scope.
///
/// # Errors
/// Those of `openat2`.
pub fn open_host(path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
    open(CWD, path, flags, Mode::empty(), ResolveFlags::empty())
}

/// An `O_PATH` descriptor of a path of the host, its last link followed.
///
/// # Errors
/// Those of `openat2`.
pub fn open_path(path: &str) -> Result<OwnedFd, Errno> {
    open_host(path, OFlags::PATH)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::path::{Path, PathBuf};

    use super::*;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("dwell-fs-{name}-{}", std::process::id()));
            std::fs::create_dir_all(path.join("root")).expect("makes");
            Self(path)
        }

        fn root(&self) -> OwnedFd {
            open_host(self.0.join("root").to_str().expect("utf-8"), OFlags::PATH | OFlags::DIRECTORY).expect("opens")
        }

        fn at(&self, path: &str) -> PathBuf {
            self.0.join("root").join(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn same(fd: &OwnedFd, path: &Path) -> bool {
        use std::os::unix::fs::MetadataExt;
        let there = std::fs::metadata(path).expect("exists");
        let here = fstat(fd).expect("stats");
        (there.dev(), there.ino()) == (here.st_dev, here.st_ino)
    }

    #[test]
    fn absolute_and_climbing_links_end_in_the_root() {
        let folder = Folder::new("links");
        symlink("/made/here", folder.at("absolute")).expect("links");
        symlink("../../../climbed", folder.at("climbing")).expect("links");
        let made = ensure_in_root(folder.root().as_fd(), "/absolute", Target::Directory).expect("makes");
        assert!(same(&made, &folder.at("made/here")));
        let made = ensure_in_root(folder.root().as_fd(), "/climbing/x", Target::File).expect("makes");
        assert!(same(&made, &folder.at("climbed/x")));
        assert!(!folder.0.join("climbed").exists());
    }

    #[test]
    fn dangling_relative_link_gets_its_end() {
        let folder = Folder::new("dangling");
        std::fs::create_dir(folder.at("etc")).expect("makes");
        symlink("../run/stub.conf", folder.at("etc/resolv.conf")).expect("links");
        let made = ensure_in_root(folder.root().as_fd(), "/etc/resolv.conf", Target::File).expect("makes");
        assert!(same(&made, &folder.at("run/stub.conf")));
    }

    #[test]
    fn loops_kinds_and_magic_links_are_errors() {
        let folder = Folder::new("loops");
        symlink("b", folder.at("a")).expect("links");
        symlink("a", folder.at("b")).expect("links");
        std::fs::write(folder.at("file"), "").expect("writes");
        let root = folder.root();
        assert_eq!(ensure_in_root(root.as_fd(), "/a", Target::Directory).expect_err("loops"), Errno::LOOP);
        assert_eq!(ensure_in_root(root.as_fd(), "/file", Target::Directory).expect_err("a file"), Errno::NOTDIR);
        assert_eq!(ensure_in_root(root.as_fd(), "/", Target::File).expect_err("a folder"), Errno::ISDIR);
        let host = open_host("/", OFlags::PATH).expect("opens");
        assert_eq!(open_in_root(host.as_fd(), "/proc/self/cwd/x", OFlags::PATH).expect_err("magic"), Errno::LOOP);
    }

    #[test]
    fn plain_directories_follow_nothing() {
        let folder = Folder::new("plain");
        symlink("/tmp", folder.at("dev")).expect("links");
        let root = folder.root();
        assert_eq!(ensure_plain_dir_in_root(root.as_fd(), "/dev").expect_err("a link"), Errno::LOOP);
        assert_eq!(ensure_plain_dir_in_root(root.as_fd(), "/dev/shm").expect_err("a link"), Errno::LOOP);
        let made = ensure_plain_dir_in_root(root.as_fd(), "/sys/fs/x").expect("makes");
        assert!(same(&made, &folder.at("sys/fs/x")));
    }
}
