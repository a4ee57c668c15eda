//! One operation after the other. Each arm names the module that knows how.
//!
//! State between operations is what the kernel holds, and here: the root to be, and the two things that cover paths.
//! No path of a plan is walked but from that root, by `dwell_sys::fs`.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use dwell_spec::plan::init::{FIRST_SLOT_FD, InitPlan, Namespace, Op, Slot};
use dwell_sys::namespace::{self, Kinds};
use dwell_sys::{capability, exec, identity, keyring, seccomp};
use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::cover::Covers;
use crate::failure::Failure;
use crate::{mounts, nodes, person};

/// The replay of one plan.
pub struct Replay<'a> {
    plan: &'a InitPlan,
    root: Root,
    covers: Covers,
}

impl<'a> Replay<'a> {
    /// Nothing is done yet.
    pub fn new(plan: &'a InitPlan) -> Self {
        Self { plan, root: Root(None), covers: Covers::default() }
    }

    /// Does operation number `at`.
    ///
    /// # Errors
    /// The failure to report: operation, path, errno.
    pub fn apply(&mut self, at: usize, op: &Op) -> Result<(), Failure> {
        let (name, path) = named(op);
        self.done(at, op).map_err(|errno| Failure::refused(name, path, errno))
    }

    fn done(&mut self, at: usize, op: &Op) -> Result<(), Errno> {
        match op {
            Op::EnterCgroup { tasks, .. } => enter_cgroup(*tasks),
            Op::JoinNamespaces { pidfd, namespaces } => {
                self.root = Root(None);
                namespace::join(descriptor(*pidfd)?, kinds(namespaces))
            }
            Op::MakeAs { uid, gid } => identity::make_as(*uid, *gid),
            Op::JoinUsers { namespace, .. } => namespace::enter_users(descriptor(*namespace)?),
            Op::Unshare { namespaces } => namespace::unshare(kinds(namespaces)),
            Op::MakeMountsPrivate => mounts::make_private(),
            Op::AttachRoot { mount } => self.enter_root(descriptor(*mount)?.try_clone_to_owned()),
            Op::TmpfsRoot { size } => self.enter_root(Ok(mounts::empty_root(*size)?)),
            Op::PivotRoot => mounts::pivot(self.root.open()?),
            Op::SealRoot => mounts::seal(self.root.open()?),
            Op::Mask { path } => self.covers.mask(self.root.open()?, path),
            Op::ReadOnly { path } => self.covers.read_only(self.root.open()?, path),
            _ => self.mount(at, op),
        }
    }

    fn mount(&mut self, at: usize, op: &Op) -> Result<(), Errno> {
        match op {
            Op::Attach { mount, target, is_dir } => {
                mounts::attach(self.root.open()?, descriptor(*mount)?, target, *is_dir)
            }
            Op::MountProc { target } => mounts::proc(self.root.open()?, target),
            Op::MountSysfs { target, writable } => mounts::sysfs(self.root.open()?, target, *writable),
            Op::MountCgroup { target, v2, controller, writable } => {
                mounts::cgroup(self.root.open()?, target, *v2, controller.as_deref(), *writable)
            }
            Op::MountTmpfs { target, size, mode, noexec } => {
                mounts::tmpfs(self.root.open()?, target, *size, *mode, *noexec)
            }
            Op::MountMqueue { target } => mounts::mqueue(self.root.open()?, target),
            Op::MountDevpts { target } => mounts::devpts(self.root.open()?, target),
            Op::MakeDevice { path, device, mode, owner } => {
                nodes::device(self.root.open()?, path, *device, *mode, *owner)
            }
            Op::MakeSymlink { path, to } => nodes::symlink(self.root.open()?, path, to),
            Op::BindConsole { target } => nodes::console(self.root.open()?, target),
            _ => self.process(at, op),
        }
    }

    fn process(&mut self, at: usize, op: &Op) -> Result<(), Errno> {
        match op {
            Op::NewSessionKeyring => keyring::new_session().or_else(without_keys),
            Op::SetOomScore { score } => person::oom_score(*score),
            Op::SetRlimit { resource, soft, hard } => person::rlimit(*resource, *soft, *hard),
            Op::ChownStdio { uid, gid } => person::chown_stdio(*uid, *gid),
            Op::ControllingTerminal => rustix::process::ioctl_tiocsctty(rustix::stdio::stdin()),
            Op::ChangeDirectory { path, create_as } => nodes::change_directory(self.root.open()?, path, *create_as),
            Op::SetUser { uid, gid, groups } => {
                let later = person::capabilities_after(&self.plan.ops[at..]);
                person::set_user(*uid, *gid, groups, later)
            }
            Op::SetCapabilities { bounding, effective } => {
                if !person::user_set_before(&self.plan.ops[..at]) {
                    capability::limit_bounding(*bounding)?;
                }
                capability::set(*effective)
            }
            Op::NoNewPrivileges => rustix::thread::set_no_new_privs(true),
            Op::Seccomp { program } => seccomp::install(program),
            Op::SetUmask { mask } => {
                rustix::process::umask(rustix::fs::Mode::from_raw_mode(*mask));
                Ok(())
            }
            // Every other operation is an arm above; this one only satisfies the compiler.
            _ => Err(Errno::NOSYS),
        }
    }

    fn enter_root(&mut self, root: std::io::Result<OwnedFd>) -> Result<(), Errno> {
        let root = root.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
        mounts::attach_root(root.as_fd())?;
        self.root = Root(Some(root));
        Ok(())
    }
}

/// The member's root: the mount that was attached for it, else whatever `/` is by now (an exec).
struct Root(Option<OwnedFd>);

impl Root {
    fn open(&mut self) -> Result<BorrowedFd<'_>, Errno> {
        if self.0.is_none() {
            self.0 = Some(dwell_sys::fs::open_host("/", OFlags::PATH | OFlags::DIRECTORY)?);
        }
        self.0.as_ref().map(AsFd::as_fd).ok_or(Errno::BADF)
    }
}

/// The descriptor behind a slot.
///
/// # Errors
/// EBADF when the birth did not bring it.
pub fn descriptor(slot: Slot) -> Result<BorrowedFd<'static>, Errno> {
    exec::inherited(FIRST_SLOT_FD + i32::from(slot.0))
}

fn enter_cgroup(tasks: Slot) -> Result<(), Errno> {
    rustix::io::write(descriptor(tasks)?, b"0").map(drop)
}

/// A kernel without keyrings has none to leak.
fn without_keys(errno: Errno) -> Result<(), Errno> {
    if errno == Errno::NOSYS { Ok(()) } else { Err(errno) }
}

fn kinds(namespaces: &[Namespace]) -> Kinds {
    namespaces.iter().fold(Kinds::empty(), |kinds, namespace| {
        kinds
            | match namespace {
                Namespace::Mount => Kinds::MOUNT,
                Namespace::Cgroup => Kinds::CONTROL_GROUP,
                Namespace::Network => Kinds::NETWORK,
                Namespace::Ipc => Kinds::INTER_PROCESS_COMMUNICATION,
                Namespace::Uts => Kinds::HOST_NAME_AND_NIS_DOMAIN_NAME,
            }
    })
}

/// An operation's name, and the path it is about.
fn named(op: &Op) -> (&'static str, &str) {
    match op {
        Op::EnterCgroup { controller, .. } => ("EnterCgroup", controller),
        Op::JoinNamespaces { .. } => ("JoinNamespaces", ""),
        Op::MakeAs { .. } => ("MakeAs", ""),
        Op::JoinUsers { .. } => ("JoinUsers", ""),
        Op::Unshare { .. } => ("Unshare", ""),
        Op::MakeMountsPrivate => ("MakeMountsPrivate", "/"),
        Op::AttachRoot { .. } => ("AttachRoot", "/"),
        Op::TmpfsRoot { .. } => ("TmpfsRoot", "/"),
        Op::Attach { target, .. } => ("Attach", target),
        Op::MountProc { target } => ("MountProc", target),
        Op::MountSysfs { target, .. } => ("MountSysfs", target),
        Op::MountCgroup { target, .. } => ("MountCgroup", target),
        Op::MountTmpfs { target, .. } => ("MountTmpfs", target),
        Op::MountMqueue { target } => ("MountMqueue", target),
        Op::MountDevpts { target } => ("MountDevpts", target),
        Op::MakeDevice { path, .. } => ("MakeDevice", path),
        Op::BindConsole { target } => ("BindConsole", target),
        Op::MakeSymlink { path, .. } => ("MakeSymlink", path),
        Op::Mask { path } => ("Mask", path),
        Op::ReadOnly { path } => ("ReadOnly", path),
        Op::PivotRoot => ("PivotRoot", "/"),
        Op::SealRoot => ("SealRoot", "/"),
        Op::NewSessionKeyring => ("NewSessionKeyring", ""),
        Op::SetRlimit { .. } => ("SetRlimit", ""),
        Op::ChownStdio { .. } => ("ChownStdio", ""),
        Op::ControllingTerminal => ("ControllingTerminal", ""),
        Op::ChangeDirectory { path, .. } => ("ChangeDirectory", path),
        Op::SetUser { .. } => ("SetUser", ""),
        Op::SetCapabilities { .. } => ("SetCapabilities", ""),
        Op::NoNewPrivileges => ("NoNewPrivileges", ""),
        Op::Seccomp { .. } => ("Seccomp", ""),
        Op::SetUmask { .. } => ("SetUmask", ""),
        Op::SetOomScore { .. } => ("SetOomScore", ""),
    }
}
