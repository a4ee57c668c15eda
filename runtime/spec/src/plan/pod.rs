//! What a Pod needs before its first container: sandbox, network, host ports, files, cgroup.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::container::CgroupLimits;
use crate::pod::{Protocol, Volume};

/// One Pod, decided as far as it can be before anything exists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodPlan {
    /// `metadata.namespace`
    pub namespace: String,
    /// `metadata.name`
    pub name: String,
    /// The namespaces that pause owns.
    pub sandbox: SandboxPlan,
    /// Ports of the host that lead into the Pod.
    pub host_ports: Vec<HostPort>,
    /// What the node opens or makes once for the Pod.
    pub volumes: Vec<Volume>,
    /// Text of the Pod's `resolv.conf`.
    pub resolv_conf: String,
    /// Limits of the Pod's own cgroup, above those of its containers.
    pub cgroup: CgroupLimits,
}

/// Namespaces of a Pod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxPlan {
    /// Name set in the Pod's UTS namespace; with `host_network` the host's own UTS namespace is kept.
    pub hostname: String,
    /// No network namespace of its own.
    pub host_network: bool,
    /// All members live in the Pod's pid namespace and see pause as PID 1.
    pub share_process_namespace: bool,
    /// No pid namespace of its own: pause and members are among the host's processes.
    pub host_pid: bool,
    /// No IPC namespace of its own.
    pub host_ipc: bool,
    /// A user namespace of its own, which owns its network, IPC and UTS namespaces.
    pub own_users: bool,
    /// Kernel parameters that are set in its namespaces before anybody lives there: name with dots, value.
    pub sysctls: Vec<(String, String)>,
}

/// One port of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct HostPort {
    /// The one address bound; every address of the host when absent.
    pub host_ip: Option<IpAddr>,
    /// 1 to 65535
    pub host_port: u16,
    /// 1 to 65535
    pub container_port: u16,
    /// TCP, UDP or SCTP
    pub protocol: Protocol,
}
