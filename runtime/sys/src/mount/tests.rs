//! Detached mounts need no namespace of their own: they go with their descriptor.

use std::io::{Read, Write};
use std::path::PathBuf;

use rustix::fs::{open, openat};

use super::*;

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("dwell-mount-{name}-{}", std::process::id()));
        for part in ["lower", "upper", "work"] {
            std::fs::create_dir_all(path.join(part)).expect("makes");
        }
        std::fs::write(path.join("lower/file"), "image").expect("writes");
        Self(path)
    }

    fn open(&self, part: &str) -> OwnedFd {
        open(self.0.join(part), OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).expect("opens")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn write_through(mount: &OwnedFd, name: &str) -> Result<(), Errno> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC;
    let file = openat(mount, name, flags, Mode::from_raw_mode(0o644))?;
    std::fs::File::from(file).write_all(b"changed").expect("writes");
    Ok(())
}

type Make = fn(&[BorrowedFd<'_>], BorrowedFd<'_>, BorrowedFd<'_>) -> Result<OwnedFd, Errno>;

#[test]
fn overlay_takes_writes_and_spares_the_image_both_ways() {
    for (name, make) in [("fd", overlay as Make), ("path", overlay_by_path as Make)] {
        let folder = Folder::new(name);
        let (lower, upper, work) = (folder.open("lower"), folder.open("upper"), folder.open("work"));
        let mount = make(&[lower.as_fd()], upper.as_fd(), work.as_fd()).expect("mounts");
        write_through(&mount, "file").expect("writes");
        drop(mount);
        assert_eq!(std::fs::read(folder.0.join("lower/file")).expect("reads"), b"image");
        assert_eq!(std::fs::read(folder.0.join("upper/file")).expect("reads"), b"changed");
    }
}

#[test]
fn readonly_clone_refuses_writes() {
    let folder = Folder::new("ro");
    let dir = folder.open("lower");
    let plain = clone_tree(dir.as_fd(), "", true).expect("clones");
    write_through(&plain, "file").expect("control: a plain clone takes writes");
    let sealed = clone_readonly(dir.as_fd(), true).expect("clones");
    assert_eq!(write_through(&sealed, "file"), Err(Errno::ROFS));
}

#[test]
fn tmpfs_keeps_its_size() {
    let mount = tmpfs(4096, 0o700, Attributes::MOUNT_ATTR_NODEV).expect("mounts");
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::CLOEXEC;
    let file = openat(&mount, "f", flags, Mode::from_raw_mode(0o600)).expect("makes");
    let mut file = std::fs::File::from(file);
    file.write_all(&[0; 4096]).expect("fits");
    assert!(file.write_all(&[0; 4096]).is_err());
}

#[test]
fn terminal_of_a_detached_devpts_works() {
    let mount = devpts().expect("mounts");
    let (master, slave) = open_terminal(mount.as_fd()).expect("opens");
    assert!(rustix::termios::isatty(&slave));
    std::fs::File::from(slave.try_clone().expect("dups")).write_all(b"hello\n").expect("writes");
    // It comes in pieces where another processor reads along.
    let (mut text, mut master) = ([0; 7], std::fs::File::from(master));
    master.read_exact(&mut text).expect("reads");
    assert_eq!(&text, b"hello\r\n");
}
