//! Looking into an image's directory without being led out of it.
//!
//! The image is hostile: any name in it may be a symbolic link, a FIFO or a device. Every look-up is one `openat2`
//! confined to the directory, opens nothing but the path first, and reads only regular files, with a bound.

use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags};

/// Bytes of `passwd` and `group` that are read; the rest is ignored.
const ACCOUNT_FILE_MAX: u64 = 256 * 1024;

/// Opens the image's directory.
///
/// # Errors
/// Not found, not a directory, or what `open` said.
pub fn open_root(path: &Path) -> io::Result<OwnedFd> {
    Ok(rustix::fs::open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?)
}

/// Opens a regular file of the image for reading; links are followed within the image.
///
/// # Errors
/// Not found, or not a regular file.
pub fn open_file(root: BorrowedFd<'_>, path: &str) -> io::Result<std::fs::File> {
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let found = rustix::fs::openat2(root, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve)?;
    require_regular(&found)?;
    reopen_for_reading(found.as_fd())
}

/// Fails unless the descriptor is a regular file.
///
/// # Errors
/// `InvalidInput` with what it is instead.
pub fn require_regular(fd: impl AsFd) -> io::Result<()> {
    match FileType::from_raw_mode(rustix::fs::fstat(fd)?.st_mode) {
        FileType::RegularFile => Ok(()),
        other => Err(io::Error::new(io::ErrorKind::InvalidInput, format!("not a regular file but {other:?}"))),
    }
}

/// A readable descriptor of what an `O_PATH` descriptor names.
///
/// # Errors
/// What `open` said.
pub fn reopen_for_reading(fd: BorrowedFd<'_>) -> io::Result<std::fs::File> {
    let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
    Ok(rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK, Mode::empty())?.into())
}

/// The text of an account file of the image, if there is one that can be read as text.
pub fn account_file(root: BorrowedFd<'_>, path: &str) -> Option<String> {
    let mut text = Vec::new();
    open_file(root, path).ok()?.take(ACCOUNT_FILE_MAX).read_to_end(&mut text).ok()?;
    Some(String::from_utf8_lossy(&text).into_owned())
}

/// Finds a command as `execvp` would: as it is when it holds a slash, else along `search` (colon separated).
/// `None` when no regular file of that name is there.
pub fn find_command(
    root: BorrowedFd<'_>,
    command: &str,
    working_dir: &str,
    search: &str,
) -> Option<(String, std::fs::File)> {
    let candidates: Vec<String> = if command.starts_with('/') {
        vec![command.to_owned()]
    } else if command.contains('/') {
        vec![format!("{working_dir}/{command}")]
    } else {
        search.split(':').filter(|dir| !dir.is_empty()).map(|dir| format!("{dir}/{command}")).collect()
    };
    candidates.into_iter().find_map(|path| open_file(root, &path).ok().map(|file| (path, file)))
}

/// Whether the file begins with WebAssembly's magic bytes.
///
/// # Errors
/// What `read` said.
pub fn is_wasm(file: &std::fs::File) -> io::Result<bool> {
    use std::os::unix::fs::FileExt;
    let mut magic = [0u8; 4];
    let read = file.read_at(&mut magic, 0)?;
    Ok(read == 4 && &magic == b"\0asm")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn image() -> (tempfile::TempDir, OwnedFd) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("bin")).unwrap();
        std::fs::write(dir.path().join("bin/app"), b"\0asm\x01\0\0\0").unwrap();
        let root = open_root(dir.path()).unwrap();
        (dir, root)
    }

    #[test]
    fn a_command_is_found_along_the_search_path_and_recognised() {
        let (_dir, root) = image();
        let (path, file) = find_command(root.as_fd(), "app", "/", "/usr/bin:/bin").unwrap();
        assert_eq!(path, "/bin/app");
        assert!(is_wasm(&file).unwrap());
    }

    #[test]
    fn links_stay_inside_the_image() {
        let (dir, root) = image();
        symlink("/../../../../etc/passwd", dir.path().join("bin/evil")).unwrap();
        assert!(open_file(root.as_fd(), "/bin/evil").is_err(), "led to the host's /etc/passwd");
        symlink("/bin/app", dir.path().join("bin/good")).unwrap();
        assert!(open_file(root.as_fd(), "/bin/good").is_ok(), "an absolute link resolves inside the image");
    }

    #[test]
    fn a_fifo_is_refused_without_waiting_for_a_writer() {
        let (dir, root) = image();
        rustix::fs::mknodat(rustix::fs::CWD, dir.path().join("etc-passwd"), FileType::Fifo, Mode::RUSR, 0).unwrap();
        assert_eq!(open_file(root.as_fd(), "/etc-passwd").unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
}
