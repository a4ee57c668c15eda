//! Plans: what will be done, as values. A pure function makes each from a checked Pod and facts; IO follows them.
//!
//! ```text
//! Pod + HostFacts ─plan_pod→ PodPlan
//! Pod + Container + HostFacts + ContainerFacts + PodIp ─plan_container→ ContainerPlan ┬ InitPlan    (init replays it)
//! the same, running, + ExecRequest ─plan_exec→ ExecPlan                               └ WorkerPlan  (the worker's own)
//! ```
//!
//! The shapes alone are enough for init and the worker; the planners come with the feature `manifest`.

mod codec;
pub mod container;
pub mod init;
pub mod pod;
pub mod relay;
pub mod worker;

pub use codec::DecodeError;

#[cfg(feature = "manifest")]
mod bpf;
#[cfg(feature = "manifest")]
mod describe;
#[cfg(feature = "manifest")]
mod describe_op;
#[cfg(feature = "manifest")]
mod environment;
#[cfg(feature = "manifest")]
mod joined;
#[cfg(feature = "manifest")]
mod kind;
#[cfg(feature = "manifest")]
mod limits;
#[cfg(feature = "manifest")]
pub mod mounts;
#[cfg(feature = "manifest")]
mod native;
#[cfg(feature = "manifest")]
pub mod neighbours;
#[cfg(feature = "manifest")]
mod origin;
#[cfg(feature = "manifest")]
mod planner;
#[cfg(feature = "manifest")]
pub mod pod_files;
#[cfg(feature = "manifest")]
pub mod projection;
#[cfg(feature = "manifest")]
mod refusal;
#[cfg(feature = "manifest")]
mod resolver;
#[cfg(feature = "manifest")]
mod seccomp_file;
#[cfg(feature = "manifest")]
pub mod seccomp_profile;
#[cfg(feature = "manifest")]
mod steps;
#[cfg(feature = "manifest")]
mod syscall_numbers;
#[cfg(feature = "manifest")]
mod user;
#[cfg(feature = "manifest")]
pub mod users;
#[cfg(feature = "manifest")]
mod values;
#[cfg(feature = "manifest")]
mod wasm;
#[cfg(feature = "manifest")]
mod worker_layout;

#[cfg(feature = "manifest")]
pub use environment::DEFAULT_PATH;
#[cfg(feature = "manifest")]
pub use joined::{ExecPlan, ExecRequest, plan_exec};
#[cfg(feature = "manifest")]
pub use limits::{container as container_limits, pod as pod_limits};
#[cfg(feature = "manifest")]
pub use planner::{plan_container, plan_pod};
#[cfg(feature = "manifest")]
pub use refusal::{PlanError, Problem};
#[cfg(feature = "manifest")]
pub use values::{in_file, resolved};
#[cfg(feature = "manifest")]
pub use wasm::{NO_HUGE_PAGES, NO_SCTP};
#[cfg(feature = "manifest")]
pub use worker_layout::{granted, no_grant, place};

#[cfg(all(test, feature = "manifest"))]
pub(crate) mod samples;
#[cfg(all(test, feature = "manifest"))]
mod tests;
