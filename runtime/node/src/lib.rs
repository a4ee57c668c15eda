//! dwell's engine as a library: Pods on one Linux machine, whose members are native processes and WebAssembly modules
//! that share `localhost` and volumes.
//!
//! `Node::open` takes a state folder; then `run`, `status`, `watch`, `exec`, `attach`, `logs`, `stats`, `update`, `stop` and
//! `remove` are what a caller needs: `examples/embed` does each once. A Pod is a value of `k8s_openapi`, or made from JSON by
//! `read_pod`. It lives in processes of its own: the node, and the program that holds it, may end or be replaced at any
//! moment, and the next `open` of the folder goes on. Wasm members are run by the installed `dwell` binary
//! (`WorkerExecutable::open`).
//!
//! Every future may be dropped: the request then may or may not be carried out, and `get` tells. Nothing here changes the
//! process that it runs in: no signal handler, no umask, no working directory, no environment; only where a version 2 control
//! group was delegated to it does `Node::open` move it into a group of that one, since Pods must not be its children.
//!
//! Inside: `pod → supervise → container → sandbox`, and `pod → {network, volume, image, settings, probe, archive}`. The leaves never
//! see one another; the Pod hands them plain data.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod archive;
mod blocking;
mod chain;
mod clock;
pub mod container;
pub mod embedded;
pub mod host;
mod image;
pub mod layout;
pub mod network;
mod node;
mod pod;
mod probe;
mod report;
pub mod sandbox;
mod settings;
mod supervise;
mod tidy;
mod volume;

use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;

pub use chain::chain;
pub use container::filters::find as filters;
pub use dwell_spec::signal::SignalName;
pub use image::look::facts as image_facts;
pub use node::copy::Packed;
pub use node::failure::{NodeError, NodeErrorKind};
pub use node::logs::Logs;
pub use node::{Connection, Node, NodeConfig, WorkerExecutable, read_added, read_conditions, read_pod};
pub use pod::request::{Attached, ExecEnd, ExecRequest, ExecSession};
pub use pod::usage::{MemberUsage, PodUsage, Usage};
pub use volume::devices::{at as host_device, list as host_devices};

/// One change of one Pod.
#[derive(Debug, Clone)]
pub struct PodEvent {
    /// What happened.
    pub kind: EventKind,
    /// The Pod afterwards (before, when it was deleted).
    pub object: Arc<Pod>,
}

/// What happened to a Pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// It was accepted.
    Added,
    /// Its status or its wish changed.
    Modified,
    /// Its record is gone.
    Deleted,
}

impl EventKind {
    /// Kubernetes' word.
    pub fn word(self) -> &'static str {
        match self {
            EventKind::Added => "ADDED",
            EventKind::Modified => "MODIFIED",
            EventKind::Deleted => "DELETED",
        }
    }
}
