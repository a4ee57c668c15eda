//! Detached mounts need no namespace of their own: they go with their descriptor.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::fs::{open, openat};

use super::*;

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        // The usual folder may be in memory, which not every kernel maps.
        let path = Path::new("/var/tmp").join(format!("dwell-mount-{name}-{}", std::process::id()));
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

/// A user namespace whose root is this id of the host, and the process that keeps it.
struct Users {
    namespace: OwnedFd,
    keeper: std::process::Child,
}

const FIRST: u32 = 0x7100_0000;

impl Users {
    fn new() -> Self {
        let mut keeper = Command::new("unshare");
        let keeper = keeper.args(["--user", "sh", "-c", "echo; read end"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut keeper = keeper.spawn().expect("starts");
        keeper.stdout.as_mut().expect("is piped").read_exact(&mut [0]).expect("it is inside");
        let of_keeper = |file: &str| format!("/proc/{}/{file}", keeper.id());
        for map in ["gid_map", "uid_map"] {
            std::fs::write(of_keeper(map), format!("0 {FIRST} 65536")).expect("maps");
        }
        let namespace = open(of_keeper("ns/user"), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).expect("opens");
        Self { namespace, keeper }
    }

    fn map(&self, dir: &OwnedFd) -> OwnedFd {
        let mapped = clone_tree(dir.as_fd(), "", false).expect("clones");
        map_ids(mapped.as_fd(), self.namespace.as_fd()).expect("maps");
        mapped
    }
}

impl Drop for Users {
    fn drop(&mut self) {
        // Its input ends.
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}

fn owner(mount: &OwnedFd, name: &str) -> u32 {
    rustix::fs::statat(mount, name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW).expect("is there").st_uid
}

type Make = fn(BorrowedFd<'_>, BorrowedFd<'_>) -> Result<OwnedFd, Errno>;

#[test]
fn overlay_takes_writes_and_spares_the_image_both_ways() {
    for (name, make) in [("fd", overlay as Make), ("path", overlay::by_path as Make)] {
        let folder = Folder::new(name);
        let mount = make(folder.open("lower").as_fd(), folder.open("").as_fd()).expect("mounts");
        write_through(&mount, "file").expect("writes");
        drop(mount);
        assert_eq!(std::fs::read(folder.0.join("lower/file")).expect("reads"), b"image");
        assert_eq!(std::fs::read(folder.0.join("upper/file")).expect("reads"), b"changed");
    }
}

type MakeOver = fn(OwnedFd, BorrowedFd<'_>) -> std::io::Result<OwnedFd>;

/// Once, kernels before 6.15 made none over a mapped image.
#[test]
fn overlay_over_a_mapped_image_both_ways() {
    let attached: MakeOver = |lower, layer| overlay::by_attached_path(lower.as_fd(), layer);
    let mounts = || std::fs::read_to_string("/proc/self/mounts").expect("reads");
    for (name, make) in [("mapped:fd,1", overlay_over_detached as MakeOver), ("mapped:path,\\1", attached)] {
        let (folder, users) = (Folder::new(name), Users::new());
        let mount = make(users.map(&folder.open("lower")), folder.open("").as_fd()).expect("mounts");
        assert_eq!((owner(&mount, "file"), owner(&folder.open("lower"), "file")), (FIRST, 0), "{name}");
        write_through(&mount, "file").expect("writes");
        assert!(!mounts().contains(name), "nothing of it is attached here");
        drop(mount);
        assert_eq!(std::fs::read(folder.0.join("lower/file")).expect("reads"), b"image");
        assert_eq!(std::fs::read(folder.0.join("upper/file")).expect("reads"), b"changed");
        assert_eq!(owner(&folder.open("upper"), "file"), FIRST, "copied up for its owner");
    }
}

/// A kernel that takes descriptors, but no detached layer, fails when it has made its folders there.
#[test]
fn a_layer_that_was_tried_once_is_taken() {
    let (folder, users) = (Folder::new("tried"), Users::new());
    drop(overlay(folder.open("lower").as_fd(), folder.open("").as_fd()).expect("mounts"));
    let again = |folder: &Folder| overlay::by_path(folder.open("lower").as_fd(), folder.open("").as_fd());
    assert_eq!(again(&folder).err(), Some(Errno::INVAL), "control");
    overlay::empty_work(folder.open("").as_fd()).expect("empties");
    overlay::by_attached_path(users.map(&folder.open("lower")).as_fd(), folder.open("").as_fd()).expect("mounts");
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
