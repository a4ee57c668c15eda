//! A checked Pod: what is left of a manifest once every value has been parsed and every rule applied.
//!
//! Made only by `TryFrom<&k8s_openapi::api::core::v1::Pod>` (in `manifest`), so a value of these types is a promise:
//! names are valid DNS labels, mounts name existing volumes, quantities are in plain units, and nothing that dwell
//! does not honour was in the source. Pure data; must never hold a path that was walked or a descriptor.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

mod life;
#[cfg(feature = "manifest")]
mod plain;
mod projected;
mod rights;
mod sysctl;
mod values;
mod volumes;

pub use life::{
    Action, Hooks, HttpGet, LAST_WORDS_PATH, LastWords, Probe, ProbeKind, Probes, Question, RestartAction, RestartRule,
    Timing,
};
pub use projected::{KeyFile, Projection};
pub use rights::{Groups, Rights, SeccompChoice, VolumeGroup};
pub use sysctl::separators_swapped;
pub use values::{EnvFrom, EnvValue, FileKey, PodField, ResourceAmount, ResourceField, SettingsKey, SettingsName};
pub use volumes::{HostPathKind, Medium, Propagation, SubPath, Volume, VolumeMount, VolumeSource, sub_path_fault};

/// One Pod, ready to be planned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pod {
    /// `metadata.name`: a DNS subdomain of at most 253 characters.
    pub name: String,
    /// `metadata.namespace`; `default` when none was given.
    pub namespace: String,
    /// `metadata.uid`; empty until the node gives it one.
    pub uid: String,
    /// `metadata.labels`.
    pub labels: BTreeMap<String, String>,
    /// `metadata.annotations`.
    pub annotations: BTreeMap<String, String>,
    /// The name in the Pod's UTS namespace: `spec.hostname` or the Pod's name, cut to 63 characters, unless the full name
    /// or another was asked for.
    pub hostname: String,
    /// The names of the Pod's addresses in its `/etc/hosts`, the canonical one first.
    pub own_names: Vec<String>,
    /// `spec.hostAliases`.
    pub host_aliases: Vec<HostAlias>,
    /// `spec.dnsPolicy` and `spec.dnsConfig`.
    pub dns: Dns,
    /// Whether members share the host's network instead of one of their own.
    pub host_network: bool,
    /// Whether all members share the Pod's pid namespace (`spec.shareProcessNamespace`).
    pub share_process_namespace: bool,
    /// Whether members live among the host's processes (`spec.hostPID`).
    pub host_pid: bool,
    /// Whether members share the host's System V and POSIX communication (`spec.hostIPC`).
    pub host_ipc: bool,
    /// Whether members' ids are the host's; else the Pod has a user namespace of its own (`spec.hostUsers: false`).
    pub host_users: bool,
    /// Kernel parameters of the Pod's own namespaces: name with dots, value.
    pub sysctls: Vec<(String, String)>,
    /// `spec.serviceAccountName`; `default` when none was given.
    pub service_account_name: String,
    /// What happens to a member that ends.
    pub restart_policy: RestartPolicy,
    /// Seconds between the stop signal and SIGKILL; 30 when none was given.
    pub termination_grace_period_seconds: u32,
    /// `spec.activeDeadlineSeconds`: after how many it is ended, and has failed.
    pub active_deadline_seconds: Option<u32>,
    /// Types of conditions that others must have set before the Pod is ready.
    pub readiness_gates: Vec<String>,
    /// What all containers may use together (`spec.resources`), where it is said.
    pub resources: Option<Resources>,
    /// The Pod's volumes, names unique.
    pub volumes: Vec<Volume>,
    /// Who owns them.
    pub volume_group: Option<VolumeGroup>,
    /// Run one after the other, each to its end, before `containers`; a sidecar (`restart_policy: Always`) is started in
    /// its turn and lives on beside them.
    pub init_containers: Vec<Container>,
    /// The members; at least one.
    pub containers: Vec<Container>,
    /// Added while the Pod ran, to look around in it: begun once, never again.
    pub ephemeral_containers: Vec<Container>,
}

impl Pod {
    /// Whether each member is PID 1 of a pid namespace of its own.
    pub fn members_are_alone(&self) -> bool {
        !self.share_process_namespace && !self.host_pid
    }

    /// Whether the container gets a pid namespace of its own.
    pub fn is_alone(&self, container: &Container) -> bool {
        self.members_are_alone() && container.target.is_none()
    }

    /// Whose pid namespace it is born in, if that is another container's.
    pub fn joined_by<'a>(&self, container: &'a Container) -> Option<&'a str> {
        container.target.as_deref().filter(|_| self.members_are_alone())
    }

    /// Bytes of memory that the container may use: its own limit, else the Pod's.
    pub fn memory_limit_of(&self, container: &Container) -> Option<u64> {
        container.resources.memory_limit.or(self.resources.as_ref().and_then(|whole| whole.memory_limit))
    }

    /// What its containers may use together of something: the Pod's own limit; else the larger of what all containers and
    /// sidecars have, and any init container with the sidecars before it; nothing where one of them has none (as the
    /// kubelet computes it).
    pub fn limit(&self, of: fn(&Resources) -> Option<u64>) -> Option<u64> {
        let limit = |container: &Container| of(&container.resources);
        let each_has_one = self.init_containers.iter().chain(&self.containers).all(|one| limit(one).is_some());
        let sum = || each_has_one.then(|| self.at_one_time(|one| limit(one).unwrap_or(0)));
        self.resources.as_ref().and_then(of).or_else(sum)
    }

    /// Bytes of huge pages that its containers may have at one time, by the size of a page in bytes: the Pod's own where it
    /// says so, else the sum. A size that is asked for in any amount is there, others are not.
    pub fn huge_pages(&self) -> BTreeMap<u64, u64> {
        let whole = self.resources.iter().flat_map(|whole| &whole.huge_pages);
        let mut all: BTreeMap<u64, u64> = whole.map(|(page, bytes)| (*page, *bytes)).collect();
        for page in self.init_containers.iter().chain(&self.containers).flat_map(|one| one.resources.huge_pages.keys())
        {
            let of = |one: &Container| one.resources.huge_pages.get(page).copied().unwrap_or(0);
            all.entry(*page).or_insert_with(|| self.at_one_time(of));
        }
        all
    }

    /// Those of one size that a container with these resources may have: its own, else the Pod's, else none.
    pub fn huge_pages_of(&self, resources: &Resources, page: u64) -> u64 {
        let whole = || self.resources.as_ref().and_then(|whole| whole.huge_pages.get(&page));
        resources.huge_pages.get(&page).or_else(whole).copied().unwrap_or(0)
    }

    /// Every container: init containers, members, those that were added.
    pub fn all(&self) -> impl Iterator<Item = &Container> {
        self.init_containers.iter().chain(&self.containers).chain(&self.ephemeral_containers)
    }

    /// The init containers that live beside the members.
    pub fn sidecars(&self) -> impl Iterator<Item = &Container> {
        self.init_containers.iter().filter(|container| container.is_sidecar())
    }

    /// The most that its containers have of something at one time.
    pub fn at_one_time(&self, of: impl Fn(&Container) -> u64) -> u64 {
        at_one_time(&self.init_containers, &self.containers, of)
    }
}

/// All members with the sidecars, or any init container with the sidecars before it (as the kubelet adds them up).
pub fn at_one_time(inits: &[Container], members: &[Container], of: impl Fn(&Container) -> u64) -> u64 {
    let (mut sidecars, mut most) = (0u64, 0u64);
    for container in inits {
        let with_those_before = sidecars.saturating_add(of(container));
        if container.is_sidecar() {
            sidecars = with_those_before;
        }
        most = most.max(with_those_before);
    }
    most.max(members.iter().map(of).fold(sidecars, u64::saturating_add))
}

impl Container {
    /// Whether it is a sidecar; asked of an init container.
    pub fn is_sidecar(&self) -> bool {
        self.restart_policy == Some(RestartPolicy::Always)
    }
}

/// One more line of `/etc/hosts`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostAlias {
    /// The address.
    pub ip: std::net::IpAddr,
    /// Its names.
    pub names: Vec<String>,
}

/// Where names are looked up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dns {
    /// Whether the host's `resolv.conf` comes first; without it (`dnsPolicy: None`) only what follows counts.
    pub from_host: bool,
    /// More servers.
    pub servers: Vec<std::net::IpAddr>,
    /// More search domains.
    pub searches: Vec<String>,
    /// Options, with or without a value; one that the host has too is replaced.
    pub options: Vec<(String, Option<String>)>,
}

impl Default for Dns {
    fn default() -> Self {
        Self { from_host: true, servers: Vec::new(), searches: Vec::new(), options: Vec::new() }
    }
}

impl Dns {
    /// Whether it adds anything to the host's.
    pub fn is_the_hosts(&self) -> bool {
        *self == Self::default()
    }
}

/// `spec.restartPolicy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RestartPolicy {
    /// Restart whatever the exit status.
    Always,
    /// Restart after a status other than 0.
    OnFailure,
    /// Never restart.
    Never,
}

impl RestartPolicy {
    /// Whether who ended with this exit status is started again.
    #[must_use]
    pub fn restarts_after(self, exit_code: i32) -> bool {
        match self {
            Self::Always => true,
            Self::OnFailure => exit_code != 0,
            Self::Never => false,
        }
    }
}

/// One container of a Pod, init or regular.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Container {
    /// A DNS label, unique in the Pod.
    pub name: String,
    /// Where the member's program comes from.
    pub image: ImageRef,
    /// Replaces the image's entry point; empty means the image's own. `$(VAR)` is expanded when it is planned.
    pub command: Vec<String>,
    /// Replaces the image's arguments. `$(VAR)` is expanded when it is planned.
    pub args: Vec<String>,
    /// `workingDir`: absolute.
    pub working_dir: Option<String>,
    /// Where more variables come from, before `env`.
    pub env_from: Vec<EnvFrom>,
    /// Environment in the manifest's order.
    pub env: Vec<(String, EnvValue)>,
    /// Declared ports.
    pub ports: Vec<ContainerPort>,
    /// What is mounted where, in the manifest's order; mount paths unique.
    pub mounts: Vec<VolumeMount>,
    /// Limits and requests.
    pub resources: Resources,
    /// `runAsUser` of the container, else of the Pod; else a `USER` asked for by name or number on the command line.
    pub user: Option<UserRef>,
    /// `runAsGroup` likewise.
    pub group: Option<u32>,
    /// The Pod's `supplementalGroups`.
    pub groups: Groups,
    /// What it may do beyond that.
    pub rights: Rights,
    /// `securityContext.readOnlyRootFilesystem`.
    pub read_only_root: bool,
    /// What happens when it ends, if not what the Pod's policy says.
    pub restart_policy: Option<RestartPolicy>,
    /// What comes before that.
    pub restart_rules: Vec<RestartRule>,
    /// What it takes to give it more or less.
    pub resize: Resize,
    /// What it is asked while it lives.
    pub probes: Probes,
    /// What is done after its start and before its stop.
    pub hooks: Hooks,
    /// The signal that asks it to stop, by its name; SIGTERM when absent.
    pub stop_signal: Option<String>,
    /// What it says of its end.
    pub last_words: LastWords,
    /// Whether standard input stays open for clients to write to.
    pub stdin: bool,
    /// Whether standard input closes after the first client leaves.
    pub stdin_once: bool,
    /// Whether the member's stdio is a terminal.
    pub tty: bool,
    /// The member whose processes it is to see (`targetContainerName` of an ephemeral container).
    pub target: Option<String>,
    /// Annotations `module.wasm.image/variant` and `run.oci.handler` asked for this kind, if any.
    pub kind_hint: Option<MemberKind>,
}

/// Who the member runs as.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum UserRef {
    /// A uid; the group comes from `group`, else from the image's passwd, else 0.
    Id(u32),
    /// A name (`user` or `user:group`) that the image's own passwd and group files resolve.
    Name(String),
}

/// What a member is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum MemberKind {
    /// A process executed from a root file system.
    Native,
    /// A WebAssembly module or component, run by the worker.
    Wasm,
}

/// `image:` as this machine understands it. Paths are absolute here: relative ones were resolved against the
/// manifest's folder by whoever read the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ImageRef {
    /// `rootfs:DIR`: a plain directory as root file system.
    Rootfs(String),
    /// `wasm:FILE`: one module or component.
    Wasm(String),
}

/// A declared port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerPort {
    /// `name`, if any.
    pub name: Option<String>,
    /// 1 to 65535.
    pub container_port: u16,
    /// The port on the host, if it is to be reachable there.
    pub host_port: Option<u16>,
    /// The one host address it is bound to; all when absent.
    pub host_ip: Option<std::net::IpAddr>,
    /// TCP, UDP or SCTP.
    pub protocol: Protocol,
}

impl ContainerPort {
    /// Whether a port of the host leads here by SCTP.
    #[must_use]
    pub fn leads_sctp(&self) -> bool {
        self.protocol == Protocol::Sctp && self.host_port.is_some()
    }
}

/// Transport protocol of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Protocol {
    /// TCP
    Tcp,
    /// UDP
    Udp,
    /// SCTP
    Sctp,
}

impl Protocol {
    /// As manifests write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Sctp => "SCTP",
        }
    }
}

/// `resizePolicy`: whether a member begins anew when what it may use changes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resize {
    /// For another CPU limit or request.
    pub cpu_restarts: bool,
    /// For another memory limit or request.
    pub memory_restarts: bool,
}

/// Requests and limits, in plain units.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resources {
    /// Thousandths of a CPU.
    pub cpu_limit_millis: Option<u64>,
    /// Thousandths of a CPU.
    pub cpu_request_millis: Option<u64>,
    /// Bytes.
    pub memory_limit: Option<u64>,
    /// Bytes.
    pub memory_request: Option<u64>,
    /// Bytes on disk: the writable layer and the logs.
    pub storage_limit: Option<u64>,
    /// Bytes on disk; told to whoever asks, and kept for nobody.
    #[serde(default)]
    pub storage_request: Option<u64>,
    /// Bytes of huge pages, by the size of a page in bytes; limit and request are one.
    pub huge_pages: BTreeMap<u64, u64>,
    /// Processes and threads (annotation `dwell.dev/pids-limit`).
    pub pids_limit: Option<u64>,
}
