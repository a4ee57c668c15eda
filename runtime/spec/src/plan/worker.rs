//! What the worker is told: a `WorkerPlan`, in a sealed memory file (JSON), descriptor 3 of the worker.
//!
//! Paths are those of the member's own empty root, which the planner laid out: `/module` and one directory a grant.
//! The guest sees only `guest` names.

use serde::{Deserialize, Serialize};

/// Descriptor of the plan in the worker.
pub const WORKER_PLAN_FD: i32 = 3;
/// Descriptor of the Pod's `hosts` in the worker (read only); it changes as other Pods come and go.
pub const WORKER_HOSTS_FD: i32 = 5;
/// Descriptor of the report file in the worker (write only).
pub const WORKER_REPORT_FD: i32 = 4;
/// Bytes of a module's source at most; nobody reads further.
pub const SOURCE_MAX: u64 = 256 << 20;
/// Bytes of the Pod's `hosts` at most, for who writes it and who reads it: a thousand Pods with long names.
pub const HOSTS_MAX: usize = 1 << 20;
/// Where the compiled module is mounted in the worker's root.
pub const MODULE_PATH: &str = "/module";

/// Everything a Wasm member is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerPlan {
    /// What the module is, as the compile process found it.
    pub kind: ModuleKind,
    /// Arguments; `argv[0]` is the module's file name.
    pub args: Vec<String>,
    /// `NAME=value`, in order.
    pub env: Vec<(String, String)>,
    /// Directories granted, in the order in which the guest finds them.
    pub preopens: Vec<Preopen>,
    /// `initial-cwd`; also given as `PWD`, and what relative paths resolve against.
    pub working_dir: Option<String>,
    /// Addresses an HTTP handler listens on (the Pod's own network).
    pub listen: Vec<std::net::SocketAddr>,
    /// Whether sockets and name look-up are granted at all.
    pub network: bool,
    /// Text of the Pod's `resolv.conf`.
    pub resolv_conf: String,
    /// Linear memories and tables together, bytes.
    pub memory_limit: Option<u64>,
    /// Whether stdin is connected.
    pub stdin: bool,
    /// Whether stdio is a terminal.
    pub tty: bool,
    /// Seconds an HTTP handler may drain after SIGTERM.
    pub drain_seconds: u32,
}

/// One granted directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preopen {
    /// Path in the worker's root: `/0`, `/1`, …
    pub dir: String,
    /// Set when the grant holds single files: the first one's name in `dir`. `guest` is the directory that they are seen
    /// in.
    pub file: Option<String>,
    /// The name under which the guest sees it.
    pub guest: String,
    /// Whether writes are allowed (the kernel enforces it as well).
    pub writable: bool,
}

/// What a module turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ModuleKind {
    /// A core module that exports `_start`.
    Preview1Command,
    /// A component that exports `wasi:cli/run`.
    Preview2Command,
    /// A component that exports `wasi:http/incoming-handler`.
    HttpHandler,
}

/// What the compile process says of a module, kept beside the compiled entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModuleInfo {
    /// What it is.
    pub kind: ModuleKind,
    /// Bytes of the source.
    pub source_bytes: u64,
    /// `sha256:…` of the source as it was read to be compiled: whoever may write to it may have changed it since it was
    /// looked at.
    #[serde(default)]
    pub source_digest: String,
    /// Imports, `module.name` or interface names.
    pub imports: Vec<String>,
    /// Exports.
    pub exports: Vec<String>,
}

/// What a worker or the compile process leaves in its report file: one JSON object. Hostile text to whoever reads it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerReport {
    /// A CamelCase word: `Trap`, `MissingImport`, `OOMKilled`, `CompileFailed`, `InvalidModule`, …
    pub reason: String,
    /// One or more plain sentences; at most `REPORT_MAX` bytes with the rest.
    pub message: String,
}
