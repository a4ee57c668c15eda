//! What one start of one container consists of: descriptors to open, and the plan that `init` replays over them.
//!
//! `sources[n]` becomes slot `n`. The node opens each source (that is IO), the planner alone decides which and how.
//! Made for every start anew, since a later image or volume may hold something else by then.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::init::{InitPlan, Slot};
use super::worker::WorkerPlan;
use crate::pod::{MemberKind, Propagation};

/// One start of one container, decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerPlan {
    /// The container's name.
    pub name: String,
    /// Native or Wasm.
    pub kind: MemberKind,
    /// What decided the kind, for people: `image: wasm:FILE`, `magic \0asm of /bin/app`, …
    pub kind_because: String,
    /// Descriptors to open, in slot order.
    pub sources: Vec<FdSource>,
    /// What init does with them.
    pub init: InitPlan,
    /// What the worker is told (Wasm members); carried by the `FdSource::WorkerPlan` slot.
    pub worker: Option<WorkerPlan>,
    /// Limits of the container's cgroup.
    pub cgroup: CgroupLimits,
    /// What standard input, output and error are.
    pub stdio: Stdio,
    /// Whether the member gets a pid namespace of its own (nested in the Pod's).
    pub own_pid_namespace: bool,
    /// The member in whose pid namespace it is born instead.
    pub joins: Option<String>,
    /// The host's id of the member's root, if the Pod has a user namespace: its mounts are mapped, too.
    pub users: Option<u32>,
}

/// The Pod's shared memory among its volumes in memory; no volume of a manifest has such a name.
pub const SHARED_MEMORY: &str = ".shm";

/// One descriptor that the node opens for a start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum FdSource {
    /// A detached overlay mount over the image's directory, writable layer new for this start.
    OverlayRoot { image_dir: String },
    /// A detached read-only, recursive clone of the image's directory.
    ReadOnlyRoot { image_dir: String },
    /// A detached clone of a volume (or of a part of it), with rights.
    Volume { name: String, part: Option<String>, flags: MountFlags },
    /// The Pod's own file: `hosts`, `hostname` or `resolv.conf`, as a detached bind.
    PodFile { name: String, flags: MountFlags },
    /// The Pod's `hosts`, opened to be read.
    Hosts,
    /// The Pod's shared memory, a tmpfs that is kept with the volumes under the name `SHARED_MEMORY`.
    SharedMemory { flags: MountFlags },
    /// The file for the container's last words, new for this start, as a detached bind.
    LastWords { flags: MountFlags },
    /// The compiled module, as a detached read-only bind.
    CompiledModule { digest: String },
    /// The `tasks` file of the container's cgroup of this v1 controller, open for writing.
    CgroupTasks { controller: String },
    /// The worker's executable, from a read-only clone of its mount.
    WorkerExecutable,
    /// The sealed `WorkerPlan`.
    WorkerPlan,
    /// A second descriptor of the report file.
    Report,
    /// A detached devpts whose first terminal is the member's stdio.
    Devpts,
    /// A pidfd of the member that is joined (exec).
    TargetPidfd,
    /// The Pod's user namespace.
    Users,
}

/// Rights of a mount, enforced by the kernel (`mount_setattr` before it is attached).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountFlags {
    /// `MOUNT_ATTR_RDONLY`, recursive
    pub read_only: bool,
    /// `MOUNT_ATTR_NOEXEC`
    pub noexec: bool,
    /// `MOUNT_ATTR_NOSUID`
    pub nosuid: bool,
    /// `MOUNT_ATTR_NODEV`
    pub nodev: bool,
    /// A device, which is the host's whoever the Pod's users are: never mapped.
    pub device: bool,
    /// What becomes of later mounts.
    pub propagation: Propagation,
}

/// Limits of one cgroup, in the kernel's terms but no version's syntax.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CgroupLimits {
    /// Bytes.
    pub memory: Option<u64>,
    /// CPU time per 100 ms, in microseconds.
    pub cpu_quota_us: Option<u64>,
    /// Relative weight as v1 `cpu.shares` (2 to 262144).
    pub cpu_shares: Option<u64>,
    /// Processes and threads.
    pub pids: Option<u64>,
    /// Bytes of huge pages, by the size of a page in bytes; a size that is not here is the group's above.
    pub huge_pages: BTreeMap<u64, u64>,
    /// Devices that may be opened or made; everything else is refused.
    pub devices: Vec<DeviceRule>,
}

/// One entry of the device allow-list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceRule {
    /// A block device instead of a character device.
    pub block: bool,
    /// `None` is every major.
    pub major: Option<u32>,
    /// `None` is every minor.
    pub minor: Option<u32>,
    /// Letters of `rwm`.
    pub access: String,
}

/// What a member's standard streams are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stdio {
    /// stdin is /dev/null, stdout and stderr are logged.
    Logged,
    /// As `Logged`, with a pipe for stdin whose other end pause keeps.
    LoggedWithInput,
    /// A terminal, whose master pause keeps and logs.
    Terminal,
}

/// Convenience for planners: pushes a source and returns its slot.
pub fn push_source(sources: &mut Vec<FdSource>, source: FdSource) -> Slot {
    sources.push(source);
    Slot((sources.len() - 1) as u16)
}
