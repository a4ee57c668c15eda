//! Each property of a birth, with the parent arranged so that the property does not hold by itself.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Mode, OFlags, open};
use rustix::process::{WaitId, WaitIdOptions, waitid};

use super::*;

fn busybox() -> OwnedFd {
    open("/bin/busybox", OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).expect("busybox-static is installed")
}

fn run(script: &CStr, fds: &[(BorrowedFd<'_>, RawFd)]) -> i32 {
    let argv = [c"sh", c"-c", script];
    let (_, pidfd) = spawn_vfork(busybox().as_fd(), &argv, &[c"A=b"], fds, None).expect("starts");
    let status = waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED).expect("waits").expect("has ended");
    status.exit_status().unwrap_or(-1)
}

fn output(pass: impl Fn(BorrowedFd<'_>)) -> String {
    let (mut reader, writer) = std::io::pipe().expect("pipe");
    pass(writer.as_fd());
    drop(writer);
    let mut text = String::new();
    reader.read_to_string(&mut text).expect("reads");
    text
}

#[test]
fn argv_env_and_status_arrive() {
    assert_eq!(run(c"test \"$A\" = b && exit 7", &[]), 7);
}

#[test]
fn only_listed_descriptors_are_open() {
    let kept = File::open("/dev/null").expect("opens");
    // Not close-on-exec on purpose: it must be closed all the same.
    let leaked = rustix::io::fcntl_dupfd_cloexec(&kept, 50).expect("dups");
    rustix::io::fcntl_setfd(&leaked, rustix::io::FdFlags::empty()).expect("clears");
    let text = output(|out| {
        let argv = [c"ls", c"/proc/self/fd"];
        let fds = [(kept.as_fd(), 0), (out, 1), (kept.as_fd(), 9)];
        let (_, pidfd) = spawn_vfork(busybox().as_fd(), &argv, &[], &fds, None).expect("starts");
        waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED).expect("waits");
    });
    assert_eq!(text, "0\n1\n2\n9\n", "2 is the one that ls itself opened");
}

#[test]
fn overlapping_sources_and_targets_swap() {
    let (mut first, first_end) = std::io::pipe().expect("pipe");
    let (mut second, second_end) = std::io::pipe().expect("pipe");
    let (a, b) = (first_end.as_raw_fd(), second_end.as_raw_fd());
    let script = std::ffi::CString::new(format!("echo one >&{b}; echo two >&{a}")).expect("no nul");
    assert_eq!(run(&script, &[(first_end.as_fd(), b), (second_end.as_fd(), a)]), 0);
    drop((first_end, second_end));
    let (mut one, mut two) = (String::new(), String::new());
    first.read_to_string(&mut one).expect("reads");
    second.read_to_string(&mut two).expect("reads");
    assert_eq!((one.as_str(), two.as_str()), ("one\n", "two\n"));
}

#[test]
fn exec_errno_comes_back_and_nothing_is_left() {
    let folder = File::open("/").expect("opens");
    let error = spawn_vfork(folder.as_fd(), &[c"x"], &[], &[], None).expect_err("a folder is no program");
    assert_eq!(error, Errno::ACCESS);
}

#[test]
fn ignored_signals_and_masks_do_not_leak() {
    // Rust ignores SIGPIPE; block one signal besides.
    let before = set_mask_for_test(1 << (libc::SIGUSR1 - 1));
    let text = output(|out| {
        let argv = [c"grep", c"-E", c"Sig(Blk|Ign)", c"/proc/self/status"];
        let (_, pidfd) = spawn_vfork(busybox().as_fd(), &argv, &[], &[(out, 1)], None).expect("starts");
        waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED).expect("waits");
    });
    set_mask_for_test(before);
    assert_eq!(text, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
}

fn set_mask_for_test(mask: u64) -> u64 {
    crate::signal::set_mask(mask).expect("sets")
}
