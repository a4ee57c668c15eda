//! What became of a Pod: plain values that supervision produces, and their translation to `v1.PodStatus`.
//!
//! Pure: no clock (times are handed in as nanoseconds since 1970), no IO. The rules are the kubelet's: the phase is
//! `getPhase` (kubelet_pods.go), the conditions are those of pkg/kubelet/status/generate.go. A container that was
//! never begun is `waiting`, and one in back-off is `waiting` with its last end in `last_state`: the phase depends on
//! exactly that, so supervision must keep it.
//!
//! Supervision fills a `PodStatus`; `to_v1_status` (feature `manifest`) is what `-o yaml` and the API show.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::pod::{Container, Pod, Resources};

mod phase;
#[cfg(feature = "manifest")]
mod v1;
#[cfg(feature = "manifest")]
pub use v1::to_v1_status;

/// Where a Pod is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// Something is still to be begun.
    Pending,
    /// At least one container runs, or will be restarted.
    Running,
    /// Every container ended with 0 and none will be restarted.
    Succeeded,
    /// Every container ended, at least one badly, and none will be restarted.
    Failed,
    /// Its state could not be learnt.
    Unknown,
}

impl Phase {
    /// As Kubernetes spells it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Running => "Running",
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
            Self::Unknown => "Unknown",
        }
    }
}

/// Why a container is not running (yet, or just now).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum WaitingReason {
    /// Its Pod is being set up, or itself.
    ContainerCreating,
    /// Init containers come first.
    PodInitializing,
    /// It ended, and the next start is delayed.
    CrashLoopBackOff,
    /// The image could not be had.
    ErrImagePull,
    /// The image could not be had, and the next try is delayed.
    ImagePullBackOff,
    /// The image is not here and may not be pulled.
    ErrImageNeverPull,
    /// `image:` is no image name.
    InvalidImageName,
    /// Something that the container refers to is missing.
    CreateContainerConfigError,
    /// Its walls could not be built.
    CreateContainerError,
    /// Its program could not be started.
    RunContainerError,
    /// Its postStart hook failed.
    PostStartHookError,
}

impl WaitingReason {
    /// As Kubernetes spells it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ContainerCreating => "ContainerCreating",
            Self::PodInitializing => "PodInitializing",
            Self::CrashLoopBackOff => "CrashLoopBackOff",
            Self::ErrImagePull => "ErrImagePull",
            Self::ImagePullBackOff => "ImagePullBackOff",
            Self::ErrImageNeverPull => "ErrImageNeverPull",
            Self::InvalidImageName => "InvalidImageName",
            Self::CreateContainerConfigError => "CreateContainerConfigError",
            Self::CreateContainerError => "CreateContainerError",
            Self::RunContainerError => "RunContainerError",
            Self::PostStartHookError => "PostStartHookError",
        }
    }
}

/// Why a container ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum TerminatedReason {
    /// Exit status 0.
    Completed,
    /// Any other exit status, or a signal.
    Error,
    /// The kernel ended it at its memory limit.
    OomKilled,
    /// Its program could not be executed.
    ContainerCannotRun,
    /// It was set up but not started.
    StartError,
    /// `activeDeadlineSeconds` passed.
    DeadlineExceeded,
    /// The node needed the room.
    Evicted,
    /// Its end was not seen by anybody.
    ContainerStatusUnknown,
    /// A word of dwell's own: `Trap`, `StackOverflow`, `MissingImport`, …
    Other(String),
}

impl From<&str> for TerminatedReason {
    fn from(word: &str) -> Self {
        let known = [
            Self::Completed,
            Self::Error,
            Self::OomKilled,
            Self::ContainerCannotRun,
            Self::StartError,
            Self::DeadlineExceeded,
            Self::Evicted,
            Self::ContainerStatusUnknown,
        ];
        let found = known.into_iter().find(|reason| reason.as_str() == word);
        found.unwrap_or_else(|| Self::Other(word.to_owned()))
    }
}

impl TerminatedReason {
    /// As Kubernetes spells it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Other(word) => word,
            Self::Completed => "Completed",
            Self::Error => "Error",
            Self::OomKilled => "OOMKilled",
            Self::ContainerCannotRun => "ContainerCannotRun",
            Self::StartError => "StartError",
            Self::DeadlineExceeded => "DeadlineExceeded",
            Self::Evicted => "Evicted",
            Self::ContainerStatusUnknown => "ContainerStatusUnknown",
        }
    }
}

/// The end of one run of a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terminated {
    /// Exit status; 128 + signal for a signal.
    pub exit_code: i32,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Why.
    pub reason: TerminatedReason,
    /// For people; empty when there is nothing to add.
    pub message: String,
    /// Nanoseconds since 1970; 0 when it never ran.
    pub started_at_ns: i64,
    /// Nanoseconds since 1970.
    pub finished_at_ns: i64,
    /// The id of the run that ended, without `dwell://`.
    pub id: Option<String>,
}

/// What a container does now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ContainerState {
    /// Not running.
    Waiting {
        /// Why.
        reason: WaitingReason,
        /// For people; empty when there is nothing to add.
        message: String,
    },
    /// Running.
    Running {
        /// Nanoseconds since 1970.
        started_at_ns: i64,
    },
    /// Ended; whether for good is the restart policy's business.
    Terminated(Terminated),
}

/// One container, init or regular.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerStatus {
    /// The container's name in the manifest.
    pub name: String,
    /// The current run (or the last one), without `dwell://`.
    pub id: Option<String>,
    /// Digest or path of what it runs; empty before it is known.
    pub image_id: String,
    /// Now.
    pub state: ContainerState,
    /// How the run before this one ended.
    pub last_state: Option<Terminated>,
    /// Starts after the first.
    pub restart_count: u32,
    /// Whether traffic may come (running, and every readiness gate of its own passed).
    pub ready: bool,
    /// Whether it runs and its start-up is over.
    pub started: bool,
}

impl ContainerStatus {
    /// A container that was never begun.
    #[must_use]
    pub fn waiting(name: &str, reason: WaitingReason) -> Self {
        Self {
            name: name.to_owned(),
            id: None,
            image_id: String::new(),
            state: ContainerState::Waiting { reason, message: String::new() },
            last_state: None,
            restart_count: 0,
            ready: false,
            started: false,
        }
    }

    fn is_running(&self) -> bool {
        matches!(self.state, ContainerState::Running { .. })
    }

    /// Whether it waits for its start alone, not for the end of a back-off.
    fn is_being_started(&self) -> bool {
        use WaitingReason::{ContainerCreating, PodInitializing};
        matches!(self.state, ContainerState::Waiting { reason: ContainerCreating | PodInitializing, .. })
    }

    /// The exit status of the last end, when it is not running and there was one.
    fn stopped_with(&self) -> Option<i32> {
        match &self.state {
            ContainerState::Terminated(end) => Some(end.exit_code),
            ContainerState::Waiting { .. } => self.last_state.as_ref().map(|end| end.exit_code),
            ContainerState::Running { .. } => None,
        }
    }
}

/// The conditions of a Pod that are found out here, and that nobody else may set.
pub const OWN_CONDITIONS: [&str; 7] = [
    "PodReadyToStartContainers",
    "Initialized",
    "Ready",
    "ContainersReady",
    "PodScheduled",
    "AllContainersRestarting",
    "DisruptionTarget",
];

/// A condition that somebody else has set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SaidCondition {
    /// Its type.
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// One word on why.
    pub reason: Option<String>,
    /// The same for people.
    pub message: Option<String>,
}

/// One Pod, as its supervision sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodStatus {
    /// Whether pause runs and the network stands.
    pub sandbox_ready: bool,
    /// No container will be started again, whatever the restart policy says (stopped, deleted, deadline).
    pub ended: bool,
    /// Something of it lives, also what does not show as running yet.
    pub lives: bool,
    /// A restart rule has every container begin again, and not all have ended yet.
    pub restarting_all: bool,
    /// The Pod's addresses, IPv4 first; the host's with `hostNetwork`.
    pub pod_ips: Vec<IpAddr>,
    /// The host's addresses.
    pub host_ips: Vec<IpAddr>,
    /// When the Pod was accepted, in nanoseconds since 1970.
    pub start_time_ns: Option<i64>,
    /// One word on why the Pod is as it is (`Evicted`, `DeadlineExceeded`), if anything.
    pub reason: Option<String>,
    /// The same for people.
    pub message: Option<String>,
    /// In the manifest's order.
    pub init_containers: Vec<ContainerStatus>,
    /// In the manifest's order.
    pub containers: Vec<ContainerStatus>,
    /// In the order in which they were added.
    pub ephemeral_containers: Vec<ContainerStatus>,
    /// What others say of it.
    pub said: Vec<SaidCondition>,
}

impl PodStatus {
    /// The status of a Pod of which nothing has been begun.
    #[must_use]
    pub fn accepted(pod: &Pod, now_ns: i64) -> Self {
        let reason = if pod.init_containers.is_empty() {
            WaitingReason::ContainerCreating
        } else {
            WaitingReason::PodInitializing
        };
        let waiting = |of: &[Container]| of.iter().map(|c| ContainerStatus::waiting(&c.name, reason)).collect();
        Self {
            start_time_ns: Some(now_ns),
            init_containers: waiting(&pod.init_containers),
            containers: waiting(&pod.containers),
            ..Self::default()
        }
    }
}

fn find<'a>(statuses: &'a [ContainerStatus], name: &str) -> Option<&'a ContainerStatus> {
    statuses.iter().find(|status| status.name == name)
}

/// The Pod's quality of service class, from what it asks for as a whole, else from what its containers ask for
/// (pkg/apis/core/v1/helper/qos).
#[must_use]
pub fn qos_class(pod: &Pod) -> &'static str {
    let of_containers = pod.init_containers.iter().chain(&pod.containers).map(|container| &container.resources);
    let asked: Vec<&Resources> = pod.resources.as_ref().map_or_else(|| of_containers.collect(), |own| vec![own]);
    let all = || asked.iter().copied();
    if all().all(asks_for_nothing) {
        "BestEffort"
    } else if all().all(is_guaranteed) {
        "Guaranteed"
    } else {
        "Burstable"
    }
}

fn asks_for_nothing(r: &Resources) -> bool {
    let asked = [r.cpu_limit_millis, r.cpu_request_millis, r.memory_limit, r.memory_request];
    asked.into_iter().all(|quantity| quantity.unwrap_or(0) == 0)
}

fn is_guaranteed(r: &Resources) -> bool {
    let same = |limit: Option<u64>, request: Option<u64>| limit.is_some_and(|l| l > 0 && request.unwrap_or(l) == l);
    same(r.cpu_limit_millis, r.cpu_request_millis) && same(r.memory_limit, r.memory_request)
}

#[cfg(test)]
mod tests;
