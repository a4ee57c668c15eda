//! The `InitPlan`: the closed list of set-up operations that `init` replays before it executes a member.
//!
//! Written by the planner, shown by `dwell plan`, encoded with postcard behind a version, carried in a sealed memory
//! file that pause passes on without reading. A plan refers to what the node opened by `Slot`: the position of a
//! descriptor in the birth message. `init` receives slot `n` as descriptor `FIRST_SLOT_FD + n`.
//! Nothing here does IO, and no operation names a host path: a plan can only reach what its slots are.

use serde::{Deserialize, Serialize};

use crate::facts::DeviceNumber;

/// Grows when the encoding changes; `init` refuses another version by name.
pub const INIT_PLAN_VERSION: u32 = 4;

/// Descriptor of the sealed plan in `init`.
pub const PLAN_FD: i32 = 3;

/// Descriptor of the report file in `init` (write only, at the start of an empty file).
pub const REPORT_FD: i32 = 4;

/// Slot 0 is this descriptor; slots follow without gaps.
pub const FIRST_SLOT_FD: i32 = 5;

/// Bytes of a report at most; the rest is cut.
pub const REPORT_MAX: usize = 4096;

/// A descriptor handed over at birth, by position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Slot(pub u16);

/// Everything `init` does, in order, and what it executes at the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InitPlan {
    /// Replayed first to last; the first failure ends the start.
    pub ops: Vec<Op>,
    /// What becomes of `init`.
    pub exec: Exec,
}

/// One set-up operation. Paths are absolute inside the member's future root and are resolved beneath it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Op {
    /// Write `0` to this already open `tasks` (v1) file: the process moves itself, without an RCU grace period.
    EnterCgroup { tasks: Slot, controller: String },
    /// Enter namespaces of the process behind this pidfd (exec into a running member).
    JoinNamespaces { pidfd: Slot, namespaces: Vec<Namespace> },
    /// What is made from here on belongs to these ids of the host (`setfsuid`, `setfsgid`), with every capability kept.
    MakeAs { uid: u32, gid: u32 },
    /// Enter the Pod's user namespace, whose ids 0, 1, … are the host's from `first` on. Everything that needs the host's
    /// root comes before it.
    JoinUsers { namespace: Slot, first: u32 },
    /// Make new namespaces for this process.
    Unshare { namespaces: Vec<Namespace> },
    /// `MS_REC|MS_PRIVATE` on `/`: nothing propagates in or out.
    MakeMountsPrivate,
    /// Attach the detached mount as the root to be, and make it the working directory.
    AttachRoot { mount: Slot },
    /// A new tmpfs as the root to be (Wasm members); made read-only by `SealRoot`.
    TmpfsRoot { size: u64 },
    /// Attach a detached mount at `target`, making the mount point if it is missing (a directory, or an empty file).
    Attach { mount: Slot, target: String, is_dir: bool },
    /// A new proc of this pid namespace.
    MountProc { target: String },
    /// A new sysfs.
    MountSysfs { target: String, writable: bool },
    /// A new view of this process's own cgroups.
    MountCgroup { target: String, v2: bool, controller: Option<String>, writable: bool },
    /// A new tmpfs; nosuid always, nodev everywhere but at `/dev`.
    MountTmpfs { target: String, size: u64, mode: u32, noexec: bool },
    /// A new mqueue.
    MountMqueue { target: String },
    /// A new devpts (gid 5, ptmxmode 0666) and the `ptmx` link beside it.
    MountDevpts { target: String },
    /// A device node, with the directories above it (0755) that are missing.
    MakeDevice { path: String, device: DeviceNumber, mode: u32, owner: (u32, u32) },
    /// Standard input (a terminal of the devpts attached before) also at this path, as `/dev/console`.
    BindConsole { target: String },
    /// A symbolic link.
    MakeSymlink { path: String, to: String },
    /// Cover the path (if it exists) with the /dev/null made before or an empty read-only tmpfs.
    Mask { path: String },
    /// Remount the path (if it exists) read-only, in place.
    ReadOnly { path: String },
    /// `pivot_root(".", ".")` and detach the old root.
    PivotRoot,
    /// Remount `/` read-only.
    SealRoot,
    /// A new, empty session keyring.
    NewSessionKeyring,
    /// Soft and hard limit; above the hard limit of this process it is clamped.
    SetRlimit { resource: u32, soft: u64, hard: u64 },
    /// Those standard streams that are pipes or terminals belong to the member's user, so that `/dev/stdout` opens.
    ChownStdio { uid: u32, gid: u32 },
    /// `setsid`, and descriptor 0 becomes the controlling terminal.
    ControllingTerminal,
    /// Make the directory (0755, owner as given) if it is missing, beneath the root, and change into it.
    ChangeDirectory { path: String, create_as: Option<(u32, u32)> },
    /// `setgroups`, `setresgid`, `setresuid`.
    SetUser { uid: u32, gid: u32, groups: Vec<u32> },
    /// Bounding, permitted, effective, inheritable and ambient set: exactly these bits (inheritable and ambient are
    /// always empty). Split around `SetUser` by init itself.
    SetCapabilities { bounding: u64, effective: u64 },
    /// `PR_SET_NO_NEW_PRIVS`.
    NoNewPrivileges,
    /// A classic BPF program, as the kernel takes it (8 bytes an instruction, native order).
    Seccomp { program: Vec<u8> },
    /// `umask`
    SetUmask { mask: u32 },
    /// `oom_score_adj`. One that is lower than this process may go is left as it is.
    SetOomScore { score: i32 },
}

/// A kind of namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Namespace {
    /// Mount
    Mount,
    /// Cgroup
    Cgroup,
    /// Network
    Network,
    /// IPC
    Ipc,
    /// UTS
    Uts,
}

/// How the member is executed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Exec {
    /// Search `path` (the member's `PATH`) for `argv[0]` unless it holds a slash, then execute.
    /// Not found is status 127; found but refused is 126; both with a sentence in the report.
    Path { argv: Vec<String>, env: Vec<String>, path: String },
    /// Execute the descriptor in `program` (the worker); every slot in `keep` stays open, in that order from
    /// descriptor 3.
    Descriptor { program: Slot, argv: Vec<String>, env: Vec<String>, keep: Vec<Slot> },
}

/// Exit status of `init` when an operation failed.
pub const STATUS_SETUP: i32 = 125;
/// Exit status when the program exists but may not or cannot be executed.
pub const STATUS_REFUSED: i32 = 126;
/// Exit status when the program does not exist.
pub const STATUS_NOT_FOUND: i32 = 127;

/// What `init` leaves in its report file when it ends by itself: one line of JSON, at most `REPORT_MAX` bytes. An
/// empty report means that the member was executed (or init was killed). To the node it is hostile text: the member's
/// worker writes to the same file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InitReport {
    /// The operation's name as in `Op` (`MountProc`), `Exec`, or `ReadPlan`.
    pub op: String,
    /// What it was applied to; empty when there is no path.
    pub path: String,
    /// 0 when it was not the kernel that refused.
    pub errno: i32,
    /// One plain sentence.
    pub message: String,
}
