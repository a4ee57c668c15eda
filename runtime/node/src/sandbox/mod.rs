//! A Pod's sandbox: its pause, with the namespaces that pause owns, in the Pod's cgroup.
//!
//! ```text
//! begin: cgroup, run folder, listening socket, pause started ──hello──► Sandbox ──end──► pause killed, all members dead
//! ```
//! The listening socket exists before pause does, so that "connection refused" always means that pause is dead.
//! Must never know of Pods' rules: it is given plain data, and gives back descriptors.

pub mod cgroup;
pub mod keeper;
#[allow(dead_code, missing_docs, reason = "pause's own side is in the same file")]
#[path = "../../../../pause/src/protocol.rs"]
pub mod protocol;
mod sysctl;
pub mod users;

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use dwell_spec::plan::container::CgroupLimits;
use dwell_spec::plan::pod::SandboxPlan;
use dwell_sys::{memfd, process};
use rustix::fs::{Mode, OFlags};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use rustix::process::Signal;
use tokio::net::unix::pipe::Receiver;

use crate::layout::Layout;
use crate::tidy::tidy;
use cgroup::{CgroupRoot, PodCgroup};
use keeper::{Keeper, KeeperError};
use users::Namespaces;

/// As a kubelet gave it to its own pause.
const PAUSE_SCORE: &str = "-998";

/// How long a killed pause may take to be gone.
const END_TIMEOUT: Duration = Duration::from_secs(10);

/// What a sandbox is made from.
#[derive(Debug)]
pub struct SandboxConfig<'a> {
    /// The state folder.
    pub layout: &'a Layout,
    /// The Pod's uid.
    pub uid: &'a str,
    /// `NAMESPACE/NAME`, as `ps` shows it.
    pub title: String,
    /// The namespaces.
    pub plan: &'a SandboxPlan,
    /// Limits of the Pod's cgroup.
    pub limits: &'a CgroupLimits,
}

/// A pause that was started and has not spoken yet.
#[derive(Debug)]
pub struct Begun {
    keeper: Keeper,
    cgroup: PodCgroup,
    /// Until pause has entered them.
    namespaces: Option<Namespaces>,
}

/// A living sandbox.
#[derive(Debug)]
pub struct Sandbox {
    /// The connection to pause.
    pub keeper: Keeper,
    /// The Pod's cgroup.
    pub cgroup: PodCgroup,
    pidfd: OwnedFd,
}

impl Sandbox {
    /// Makes the cgroup, the folder and the socket, and starts pause; does not wait for it.
    ///
    /// # Errors
    /// Names the step. What was made stays for whoever clears up after the Pod.
    pub fn begin(
        config: &SandboxConfig<'_>,
        cgroups: &CgroupRoot,
        pause: &OwnedFd,
        namespaces: Option<Namespaces>,
    ) -> Result<Begun, SandboxError> {
        let cgroup = cgroups
            .create_pod(config.uid, config.limits)
            .map_err(|error| failed("make the Pod's cgroup", io::Error::other(error)))?;
        let listener = listen(config.layout, config.uid).map_err(|error| failed("listen for nodes to come", error))?;
        let (ours, theirs) = connected_pair().map_err(|error| failed("make a connection to pause", error))?;
        let join = namespaces.as_ref().map(Namespaces::pidfd);
        start_pause(config, &cgroup, pause, [&listener, &theirs], join)
            .map_err(|error| failed("start pause", error))?;
        let keeper = Keeper::new(ours).map_err(|error| failed("use the connection to pause", error))?;
        Ok(Begun { keeper, cgroup, namespaces })
    }

    /// Takes over a sandbox that an earlier node made.
    pub fn adopt(keeper: Keeper, pidfd: OwnedFd, cgroup: PodCgroup) -> Sandbox {
        Sandbox { keeper, cgroup, pidfd }
    }

    /// A descriptor of the Pod's network namespace.
    ///
    /// # Errors
    /// pause is gone.
    pub fn network_namespace(&self) -> io::Result<OwnedFd> {
        namespace_of(&self.pidfd, "net")
    }

    /// A descriptor of the user namespace that owns the Pod's network namespace: its own, or the host's.
    ///
    /// # Errors
    /// pause is gone.
    pub fn user_namespace(&self) -> io::Result<OwnedFd> {
        Ok(dwell_sys::namespace::owner_of(self.network_namespace()?.as_fd())?)
    }

    /// pause, to wait for its end.
    ///
    /// # Errors
    /// The node has no descriptor left.
    pub fn keeper_pidfd(&self) -> io::Result<OwnedFd> {
        self.pidfd.try_clone()
    }

    /// Sets kernel parameters (name with dots, value) in the Pod's network and IPC namespaces.
    ///
    /// # Errors
    /// Names the parameter that the kernel refused.
    pub fn set_sysctls(&self, users: Option<u32>, sysctls: &[(String, String)]) -> Result<(), String> {
        if sysctls.is_empty() {
            return Ok(());
        }
        let open =
            |kind| namespace_of(&self.pidfd, kind).map_err(|error| format!("open the Pod's {kind} namespace: {error}"));
        sysctl::set(open("net")?.as_fd(), open("ipc")?.as_fd(), users, sysctls)
    }

    /// Kills every member by the Pod's cgroup and waits until none is left.
    pub async fn end_members(&self) {
        let deadline = tokio::time::Instant::now() + END_TIMEOUT;
        tidy("kill the Pod's members", || self.cgroup.group.kill());
        while self.cgroup.group.is_alive() && tokio::time::Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Kills pause, and with it every member, and waits until they are gone.
    pub async fn end(self) {
        tidy("kill the Pod's pause", || match rustix::process::pidfd_send_signal(&self.pidfd, Signal::KILL) {
            Err(rustix::io::Errno::SRCH) => Ok(()),
            other => other,
        });
        let _ = tokio::time::timeout(END_TIMEOUT, until_dead(self.pidfd)).await;
    }
}

impl Begun {
    /// Waits for pause's first words.
    ///
    /// # Errors
    /// The step of its set-up that failed, or that it ended.
    pub async fn hello(mut self) -> Result<Sandbox, KeeperError> {
        let hello = self.keeper.hello().await?;
        drop(self.namespaces);
        protect(&hello.pidfd);
        Ok(Sandbox { keeper: self.keeper, cgroup: self.cgroup, pidfd: hello.pidfd })
    }
}

/// The kernel is to end pause last of all in its Pod, whoever has used up the memory. As far as this host lets us.
fn protect(pause: &OwnedFd) {
    if let Ok(pid) = process::number(pause.as_fd()) {
        let _ = std::fs::write(format!("/proc/{pid}/oom_score_adj"), PAUSE_SCORE);
    }
}

fn listen(layout: &Layout, uid: &str) -> io::Result<OwnedFd> {
    let path = layout.pause_socket(uid);
    let folder = path.parent().unwrap_or(Path::new("/"));
    std::os::unix::fs::DirBuilderExt::mode(std::fs::DirBuilder::new().recursive(true), 0o700).create(folder)?;
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    bind_in(&socket, folder, "pause.sock")?;
    rustix::net::listen(&socket, 8)?;
    Ok(socket)
}

/// A descriptor of a process's namespace, of a kind as `/proc` names it.
fn namespace_of(pidfd: &OwnedFd, kind: &str) -> io::Result<OwnedFd> {
    let pid = dwell_sys::process::number(pidfd.as_fd())?;
    let path = format!("/proc/{pid}/ns/{kind}");
    let namespace = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    // If the process still lives, the number was its own all the time.
    rustix::process::pidfd_send_signal(pidfd, Signal::CONT)?;
    Ok(namespace)
}

/// A socket's address holds 107 bytes at most, so long paths are reached through their folder's descriptor.
fn bind_in(socket: &OwnedFd, folder: &Path, name: &str) -> io::Result<()> {
    let folder = rustix::fs::open(folder, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let address = SocketAddrUnix::new(format!("/proc/self/fd/{}/{name}", folder.as_raw_fd()))?;
    Ok(rustix::net::bind(socket, &address)?)
}

fn connected_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?)
}

fn start_pause(
    config: &SandboxConfig<'_>,
    cgroup: &PodCgroup,
    pause: &OwnedFd,
    [listener, connection]: [&OwnedFd; 2],
    join: Option<BorrowedFd<'_>>,
) -> io::Result<()> {
    let tasks = cgroup.pause_tasks().map_err(io::Error::other)?;
    let directory = cgroup.pause_directory().map_err(io::Error::other)?;
    let setup = keeper::setup_block(config.plan, tasks.len(), directory.is_some());
    let setup = memfd::sealed("pause-setup", &setup)?;
    let mut fds: Vec<(BorrowedFd<'_>, i32)> = vec![(listener.as_fd(), 3), (connection.as_fd(), 4), (setup.as_fd(), 5)];
    let groups = tasks.iter().chain(directory.iter()).map(|fd| fd.as_fd());
    fds.extend(groups.chain(join).zip(6..));
    let title = CString::new(config.title.as_str())?;
    let (_, pidfd) = process::spawn_vfork(pause.as_fd(), &[c"pause", &title], &[], &fds, None)?;
    reap_later(pidfd);
    Ok(())
}

/// Completes when the process has ended. (A pidfd becomes readable then; `Receiver` is tokio's safe way to watch any
/// descriptor.)
///
/// # Errors
/// The descriptor cannot be watched.
pub(crate) async fn until_dead(pidfd: OwnedFd) -> io::Result<Receiver> {
    let pidfd = Receiver::from_owned_fd_unchecked(pidfd)?;
    pidfd.readable().await?;
    Ok(pidfd)
}

/// What was started only makes the real pause and ends; its status says nothing that pause's own words do not.
fn reap_later(pidfd: OwnedFd) {
    tokio::spawn(async move {
        let Ok(ended) = until_dead(pidfd).await else { return };
        let child = rustix::process::WaitId::PidFd(ended.as_fd());
        let _ = rustix::process::waitid(child, rustix::process::WaitIdOptions::EXITED);
    });
}

fn failed(what: &'static str, source: io::Error) -> SandboxError {
    SandboxError { what, source }
}

/// A sandbox that could not be made.
#[derive(Debug)]
pub struct SandboxError {
    what: &'static str,
    source: io::Error,
}

impl std::fmt::Display for SandboxError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.what)
    }
}

impl std::error::Error for SandboxError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}
