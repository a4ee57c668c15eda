//! The two planners. Pure: the same Pod and facts give the same plan, on any machine.

use super::container::ContainerPlan;
use super::pod::{HostPort, PodPlan, SandboxPlan};
use super::refusal::{PlanError, Problem};
use super::{kind, limits, native, pod_files, values, wasm};
use crate::facts::{ContainerFacts, HostFacts, PodIp};
use crate::pod::{Container, MemberKind, Pod};

/// What the Pod needs before its first container.
///
/// # Errors
/// Huge pages of a size that the host's kernel does not have.
pub fn plan_pod(pod: &Pod, host: &HostFacts) -> Result<PodPlan, PlanError> {
    if let Some(page) = pod.huge_pages().into_keys().find(|page| !host.huge_pages.contains(page)) {
        let problem = Problem::NoHugePages(page, host.huge_pages.clone());
        return Err(PlanError { container: None, field: "resources.limits", problem });
    }
    Ok(PodPlan {
        namespace: pod.namespace.clone(),
        name: pod.name.clone(),
        sandbox: SandboxPlan {
            hostname: pod.hostname.clone(),
            host_network: pod.host_network,
            share_process_namespace: pod.share_process_namespace,
            host_pid: pod.host_pid,
            host_ipc: pod.host_ipc,
            own_users: !pod.host_users,
            sysctls: pod.sysctls.clone(),
        },
        host_ports: host_ports(pod),
        volumes: pod.volumes.clone(),
        resolv_conf: pod_files::resolv_conf(pod, host),
        cgroup: limits::pod(pod, host),
    })
}

/// On the host's own network a port is simply there, so nothing leads to it.
fn host_ports(pod: &Pod) -> Vec<HostPort> {
    if pod.host_network {
        return Vec::new();
    }
    let ports = pod.sidecars().chain(&pod.containers).flat_map(|container| &container.ports);
    ports
        .filter_map(|port| {
            port.host_port.map(|host_port| HostPort {
                host_ip: port.host_ip,
                host_port,
                container_port: port.container_port,
                protocol: port.protocol,
            })
        })
        .collect()
}

/// One start of one container.
///
/// # Errors
/// See `Problem`.
pub fn plan_container(
    pod: &Pod,
    container: &Container,
    host: &HostFacts,
    facts: &ContainerFacts,
    ip: PodIp,
) -> Result<ContainerPlan, PlanError> {
    let container = values::resolved(pod, container, host, facts, ip)?;
    match kind::decide(&container, facts)? {
        (MemberKind::Native, because) => native::plan(pod, &container, host, facts, because),
        (MemberKind::Wasm, because) => wasm::plan(pod, &container, host, facts, because),
    }
}
