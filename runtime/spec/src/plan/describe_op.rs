//! One operation as one line, one descriptor as a few words: the part of a plan's text that init acts on.

use std::fmt::{self, Display, Formatter};

use super::container::{FdSource, MountFlags};
use super::init::{Op, Slot};
use super::wasm::UNKNOWN_DIGEST;
use crate::pod::Propagation;

/// An operation, with the descriptors that its slots mean.
pub(super) struct Line<'a> {
    pub op: &'a Op,
    pub sources: &'a [FdSource],
}

impl Display for Line<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.op {
            Op::EnterCgroup { controller, .. } => {
                write!(f, "enter the container's {controller} cgroup")
            }
            Op::JoinNamespaces { namespaces, .. } => {
                write!(f, "join the member's namespaces {namespaces:?}")
            }
            Op::MakeAs { uid, gid } => write!(f, "what is made from here on is {uid}:{gid}'s"),
            Op::JoinUsers { first, .. } => write!(f, "enter the Pod's user namespace, where {first} is root"),
            Op::Unshare { namespaces } => write!(f, "new namespaces {namespaces:?}"),
            Op::MakeMountsPrivate => f.write_str("make all mounts private"),
            Op::AttachRoot { mount } => write!(f, "root: {}", source(self.sources, *mount)),
            Op::TmpfsRoot { size } => write!(f, "root: an empty tmpfs of {size} bytes"),
            Op::Attach { mount, target, .. } => {
                write!(f, "{target}: {}", source(self.sources, *mount))
            }
            _ => self.mounts(f),
        }
    }
}

impl Line<'_> {
    fn mounts(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.op {
            Op::MountProc { target } => write!(f, "{target}: proc"),
            Op::MountSysfs { target, writable } => write!(f, "{target}: sysfs{}", unless_writable(*writable)),
            Op::MountCgroup { target, controller, writable, .. } => {
                let which = controller.as_ref().map_or(String::new(), |c| format!(" ({c})"));
                write!(f, "{target}: own cgroups{which}{}", unless_writable(*writable))
            }
            Op::MountTmpfs { target, size, mode, noexec } => {
                write!(f, "{target}: tmpfs of {size} bytes, mode {mode:o}{}", if *noexec { ", noexec" } else { "" })
            }
            Op::MountMqueue { target } => write!(f, "{target}: mqueue"),
            Op::MountDevpts { target } => write!(f, "{target}: devpts"),
            Op::MakeDevice { path, device, mode, .. } => {
                let kind = if device.block { "block device" } else { "device" };
                write!(f, "{path}: {kind} {}:{}, mode {mode:o}", device.major, device.minor)
            }
            Op::BindConsole { target } => write!(f, "{target}: the member's terminal"),
            Op::MakeSymlink { path, to } => write!(f, "{path}: link to {to}"),
            Op::Mask { path } => write!(f, "{path}: covered"),
            Op::ReadOnly { path } => write!(f, "{path}: read-only"),
            Op::PivotRoot => f.write_str("make that root /, and let go of the host's"),
            Op::SealRoot => f.write_str("make / read-only"),
            _ => self.process(f),
        }
    }

    fn process(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.op {
            Op::NewSessionKeyring => f.write_str("new session keyring"),
            Op::SetRlimit { resource, soft, hard } => {
                let hard = if *hard == u64::MAX { "as high as it is".to_owned() } else { hard.to_string() };
                write!(f, "rlimit {}: {soft}, hard limit {hard}", rlimit(*resource))
            }
            Op::ChownStdio { uid, gid } => write!(f, "give stdio to {uid}:{gid}"),
            Op::ControllingTerminal => f.write_str("new session, stdin its controlling terminal"),
            Op::ChangeDirectory { path, .. } => write!(f, "change into {path}"),
            Op::SetUser { uid, gid, groups } => {
                write!(f, "become {uid}:{gid} with groups {groups:?}")
            }
            Op::SetCapabilities { bounding, effective } => {
                write!(f, "capabilities {effective:016x}, bounded by {bounding:016x}")
            }
            Op::NoNewPrivileges => f.write_str("no new privileges"),
            Op::Seccomp { program } => write!(f, "system call filter of {} instructions", program.len() / 8),
            Op::SetOomScore { score } => write!(f, "out-of-memory score {score}"),
            Op::SetUmask { mask } => write!(f, "umask {mask:04o}"),
            other => write!(f, "{other:?}"),
        }
    }
}

/// What the node opens for a slot.
pub(super) fn source(sources: &[FdSource], slot: Slot) -> String {
    match sources.get(usize::from(slot.0)) {
        Some(FdSource::OverlayRoot { image_dir }) => {
            format!("overlay over {image_dir}, writes in a layer of its own")
        }
        Some(FdSource::ReadOnlyRoot { image_dir }) => format!("{image_dir}, read-only"),
        Some(FdSource::Volume { name, part: None, flags }) => format!("volume {name} ({})", rights(flags)),
        Some(FdSource::Volume { name, part: Some(part), flags }) => {
            format!("{part} of volume {name} ({})", rights(flags))
        }
        Some(FdSource::Hosts) => "the Pod's hosts, to read".to_owned(),
        Some(FdSource::SharedMemory { flags }) => format!("the Pod's shared memory ({})", rights(flags)),
        Some(FdSource::LastWords { flags }) => format!("the file for last words ({})", rights(flags)),
        Some(FdSource::PodFile { name, flags }) => format!("the Pod's {name} ({})", rights(flags)),
        Some(FdSource::CompiledModule { digest }) if digest == UNKNOWN_DIGEST => {
            format!("module, {UNKNOWN_DIGEST}")
        }
        Some(FdSource::CompiledModule { digest }) => format!("compiled module {digest}, read-only"),
        Some(FdSource::CgroupTasks { controller }) => format!("tasks of {controller}"),
        Some(FdSource::WorkerExecutable) => "the worker".to_owned(),
        Some(FdSource::WorkerPlan) => "its plan".to_owned(),
        Some(FdSource::Report) => "the report".to_owned(),
        Some(FdSource::Devpts) => "devpts with the member's terminal".to_owned(),
        Some(FdSource::TargetPidfd) => "the member".to_owned(),
        Some(FdSource::Users) => "the Pod's user namespace".to_owned(),
        None => format!("slot {} (missing)", slot.0),
    }
}

fn unless_writable(writable: bool) -> &'static str {
    if writable { "" } else { ", read-only" }
}

fn rights(flags: &MountFlags) -> String {
    let named = [(flags.noexec, "noexec"), (flags.nosuid, "nosuid"), (flags.nodev, "nodev")];
    let first = if flags.read_only { "read-only" } else { "read-write" };
    let rights = named.iter().filter(|(set, _)| *set).fold(first.to_owned(), |text, (_, name)| text + ", " + name);
    match flags.propagation {
        Propagation::None => rights,
        Propagation::HostToContainer => rights + ", with later mounts of the host",
        Propagation::Bidirectional => rights + ", with later mounts of either side",
    }
}

fn rlimit(resource: u32) -> String {
    match resource {
        4 => "core".to_owned(),
        7 => "nofile".to_owned(),
        other => other.to_string(),
    }
}
