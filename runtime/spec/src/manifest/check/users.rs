//! `hostUsers`, and what goes with it: a user namespace of the Pod's own shares nothing else with the host.
//!
//! Source: validateHostUsers, ValidateProcMountType.

use k8s_openapi::api::core::v1;

use super::Problems;
use crate::manifest::problem::Problem;

/// The other `procMount`.
pub const UNMASKED: &str = "Unmasked";

/// Whether ids are the host's.
pub fn check(spec: &v1::PodSpec, out: &mut Problems) -> bool {
    let host_users = spec.host_users.unwrap_or(true);
    if !host_users {
        let shared = [("hostNetwork", spec.host_network), ("hostPID", spec.host_pid), ("hostIPC", spec.host_ipc)];
        let shared = shared.iter().filter(|(_, shares)| *shares == Some(true));
        out.extend(shared.map(|(field, _)| {
            Problem::forbidden(
                format!("spec.{field}"),
                "when `hostUsers` is false, the Pod shares nothing else with the host",
            )
        }));
    }
    for (list, containers) in
        [("initContainers", spec.init_containers.as_deref()), ("containers", Some(&spec.containers[..]))]
    {
        for (n, container) in containers.unwrap_or_default().iter().enumerate() {
            let (security, mounts) = (container.security_context.as_ref(), container.volume_mounts.as_deref());
            of_container(security, mounts, &format!("spec.{list}[{n}]"), host_users, out);
        }
    }
    for (n, added) in spec.ephemeral_containers.iter().flatten().enumerate() {
        let (security, mounts) = (added.security_context.as_ref(), added.volume_mounts.as_deref());
        of_container(security, mounts, &format!("spec.ephemeralContainers[{n}]"), host_users, out);
    }
    host_users
}

fn of_container(
    security: Option<&v1::SecurityContext>,
    mounts: Option<&[v1::VolumeMount]>,
    path: &str,
    host_users: bool,
    out: &mut Problems,
) {
    let field = format!("{path}.securityContext.procMount");
    match security.and_then(|security| security.proc_mount.as_deref()) {
        None | Some("Default") => {}
        Some(UNMASKED) if host_users => {
            out.push(Problem::invalid(field, UNMASKED, "`hostUsers` must be false to use `Unmasked`"));
        }
        Some(UNMASKED) => {}
        Some(other) => out.push(Problem::unsupported(field, other, &["Default", UNMASKED])),
    }
    for (n, mount) in mounts.unwrap_or_default().iter().enumerate() {
        if !host_users && mount.mount_propagation.as_deref() == Some("Bidirectional") {
            let why = "when `hostUsers` is false, nothing that a member mounts is seen by the host";
            out.push(Problem::forbidden(format!("{path}.volumeMounts[{n}].mountPropagation"), why));
        }
    }
}
