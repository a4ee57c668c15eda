//! Who a container runs as and what it may do: `securityContext` of the container over that of the Pod.
//!
//! Source: ValidateSecurityContext, validateSeccompProfileField. What a Wasm member cannot have is refused here where
//! the image says that it is one, and by the planner where only looking into the image tells.

use k8s_openapi::api::core::v1;

use super::users::UNMASKED;
use super::{Problems, id};
use crate::capabilities;
use crate::manifest::problem::Problem;
use crate::manifest::suggest;
use crate::pod::{Groups, ImageRef, Rights, SeccompChoice, VolumeGroup, sub_path_fault};

const SECCOMP_TYPES: [&str; 3] = ["Localhost", "RuntimeDefault", "Unconfined"];

/// `supplementalGroups` and their policy, and the group of the volumes.
pub fn groups(pod: Option<&v1::PodSecurityContext>, volumes: Option<VolumeGroup>, out: &mut Problems) -> Groups {
    let Some(pod) = pod else { return Groups::default() };
    let listed = pod.supplemental_groups.iter().flatten().enumerate();
    let more =
        listed.filter_map(|(n, gid)| id(Some(*gid), &format!("spec.securityContext.supplementalGroups[{n}]"), out));
    let mut more: Vec<u32> = more.collect();
    let path = "spec.securityContext.supplementalGroupsPolicy";
    let strict = match pod.supplemental_groups_policy.as_deref() {
        None | Some("" | "Merge") => false,
        Some("Strict") => true,
        Some(other) => {
            out.push(Problem::unsupported(path, other, &["Merge", "Strict"]));
            false
        }
    };
    more.extend(volumes.map(|group| group.gid).filter(|gid| !more.contains(gid)));
    Groups { more, strict }
}

/// `fsGroup` and its policy.
pub fn volume_group(pod: Option<&v1::PodSecurityContext>, out: &mut Problems) -> Option<VolumeGroup> {
    let pod = pod?;
    let gid = id(pod.fs_group, "spec.securityContext.fsGroup", out);
    let on_root_mismatch = match pod.fs_group_change_policy.as_deref() {
        None | Some("Always") => false,
        Some("OnRootMismatch") => true,
        Some(other) => {
            let path = "spec.securityContext.fsGroupChangePolicy";
            out.push(Problem::unsupported(path, other, &["Always", "OnRootMismatch"]));
            false
        }
    };
    gid.map(|gid| VolumeGroup { gid, on_root_mismatch })
}

/// The Pod's own `seccompProfile`, which containers without one inherit.
pub fn pod_seccomp(pod: Option<&v1::PodSecurityContext>, out: &mut Problems) -> Option<SeccompChoice> {
    let profile = pod.and_then(|pod| pod.seccomp_profile.as_ref());
    profile.map(|profile| seccomp(profile, "spec.securityContext.seccompProfile", out))
}

/// What the container may do. `path` is the container's.
pub fn rights(
    source: &v1::Container,
    image: &ImageRef,
    inherited: (Option<SeccompChoice>, Option<bool>),
    path: &str,
    out: &mut Problems,
) -> Rights {
    let path = format!("{path}.securityContext");
    let none = v1::SecurityContext::default();
    let own = source.security_context.as_ref().unwrap_or(&none);
    let own_seccomp = own.seccomp_profile.as_ref().map(|p| seccomp(p, &format!("{path}.seccompProfile"), out));
    let rights = Rights {
        capabilities: capabilities_of(own, &path, out),
        every_capability: adds_all(own),
        may_gain_privileges: own.allow_privilege_escalation.unwrap_or(false),
        seccomp: own_seccomp.or(inherited.0).unwrap_or_default(),
        must_not_be_root: own.run_as_non_root.or(inherited.1).unwrap_or(false),
        privileged: own.privileged.unwrap_or(false),
        unmasked: own.proc_mount.as_deref() == Some(UNMASKED),
    };
    if rights.privileged && own.allow_privilege_escalation == Some(false) {
        let why = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true";
        out.push(Problem::forbidden(&path, why));
    }
    if let (ImageRef::Wasm(_), Some((field, why))) = (image, rights.not_for_wasm()) {
        out.push(Problem::refused(format!("{path}.{field}"), why));
    }
    rights
}

fn adds_all(own: &v1::SecurityContext) -> bool {
    let added = own.capabilities.iter().flat_map(|listed| listed.add.iter().flatten());
    added.filter_map(|name| capabilities::by_name(name)).any(|mask| mask == capabilities::ALL)
}

fn capabilities_of(own: &v1::SecurityContext, path: &str, out: &mut Problems) -> u64 {
    let Some(listed) = &own.capabilities else { return capabilities::DEFAULT };
    let mut masks = |names: &Option<Vec<String>>, list: &str| -> Vec<u64> {
        let names = names.iter().flatten().enumerate();
        names.filter_map(|(n, name)| capability(name, &format!("{path}.capabilities.{list}[{n}]"), out)).collect()
    };
    let (add, drop) = (masks(&listed.add, "add"), masks(&listed.drop, "drop"));
    let admin = add.iter().any(|mask| capabilities::holds(*mask, capabilities::CAP_SYS_ADMIN));
    if own.allow_privilege_escalation == Some(false) && admin {
        let why = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN";
        out.push(Problem::forbidden(path, why));
    }
    capabilities::changed(&add, &drop)
}

fn capability(name: &str, path: &str, out: &mut Problems) -> Option<u64> {
    let mask = capabilities::by_name(name);
    if mask.is_none() {
        let near = suggest::nearest(&name.to_ascii_uppercase(), capabilities::all_names());
        let hint = near.map(|near| format!("did you mean {near}?"));
        out.push(Problem { hint, ..Problem::invalid(path, name, "not a capability of Linux") });
    }
    mask
}

fn seccomp(profile: &v1::SeccompProfile, path: &str, out: &mut Problems) -> SeccompChoice {
    let file = format!("{path}.localhostProfile");
    if profile.localhost_profile.is_some() && profile.type_ != "Localhost" {
        out.push(Problem::forbidden(&file, "can only be set when seccomp type is Localhost"));
    }
    match profile.type_.as_str() {
        "RuntimeDefault" => {}
        "Unconfined" => return SeccompChoice::Unconfined,
        "Localhost" => match profile.localhost_profile.as_deref().unwrap_or_default() {
            "" => out.push(Problem::required(file, "must be set when seccomp type is Localhost")),
            path => {
                out.extend(sub_path_fault(path).map(|fault| Problem::invalid(file, path, fault)));
                return SeccompChoice::File(path.to_owned());
            }
        },
        "" => out.push(Problem::required(format!("{path}.type"), "type is required when seccompProfile is set")),
        other => out.push(Problem::unsupported(format!("{path}.type"), other, &SECCOMP_TYPES)),
    }
    SeccompChoice::Default
}
