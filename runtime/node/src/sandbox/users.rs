//! The namespaces of a Pod that has a user namespace of its own (`hostUsers: false`): made by a process that enters it, while
//! pause stays outside, and kept by it until pause has entered them. From then on the network namespace is what keeps the user
//! namespace: whoever needs it asks for that one's owner.
//!
//! What is shared is a socket: the process ends with it, so a node that is killed leaves nothing behind.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use dwell_spec::plan::users::IDS;
use dwell_sys::process;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::process::Pid;

/// It has two system calls to make.
const PATIENCE: Duration = Duration::from_secs(10);

/// A process in such namespaces, for as long as this is kept.
#[derive(Debug)]
pub struct Namespaces {
    pidfd: OwnedFd,
    _socket: OwnedFd,
}

impl Namespaces {
    /// Makes them; ids 0, 1, … inside are the host's from `first` on. Waits for some hundred microseconds.
    ///
    /// # Errors
    /// The host allows no more of them (`user.max_user_namespaces`), or no map of these ids.
    pub fn make(init: BorrowedFd<'_>, first: u32) -> io::Result<Namespaces> {
        let (ours, theirs) = super::connected_pair()?;
        set_socket_timeout(&ours, Timeout::Recv, Some(PATIENCE))?;
        let (pid, pidfd) = process::spawn_vfork(init, &[c"users"], &[], &[(theirs.as_fd(), 0)], None)?;
        drop(theirs);
        match both(&ours, pid, first) {
            Ok(()) => Ok(Namespaces { pidfd, _socket: ours }),
            Err(error) => {
                drop(ours);
                let _ = process::wait_for_exit(pidfd.as_fd());
                Err(error)
            }
        }
    }

    /// Reaps the process once it has ended, as it does when this is dropped. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// No descriptor is left.
    pub fn reap_later(&self) -> io::Result<()> {
        super::reap_later(self.pidfd.try_clone()?);
        Ok(())
    }

    /// The user namespace.
    ///
    /// # Errors
    /// The process has ended.
    pub fn users(&self) -> io::Result<OwnedFd> {
        super::namespace_of(&self.pidfd, "user")
    }

    /// Whose they are.
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

fn both(socket: &OwnedFd, pid: Pid, first: u32) -> io::Result<()> {
    done(socket)?;
    map(pid, first)?;
    rustix::io::write(socket, &[0])?;
    done(socket)
}

/// One step's outcome.
fn done(socket: &OwnedFd) -> io::Result<()> {
    let mut errno = [0];
    match rustix::io::retry_on_intr(|| rustix::io::read(socket, &mut errno))? {
        0 => Err(io::Error::other("the process that makes them ended")),
        _ if errno[0] == 0 => Ok(()),
        _ => Err(io::Error::from_raw_os_error(errno[0].into())),
    }
}

/// The process waits, so the number is its own.
fn map(pid: Pid, first: u32) -> io::Result<()> {
    for file in ["gid_map", "uid_map"] {
        std::fs::write(format!("/proc/{}/{file}", pid.as_raw_nonzero()), format!("0 {first} {IDS}"))?;
    }
    Ok(())
}
