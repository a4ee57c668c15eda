//! `dwell debug POD --image IMAGE … -- args`: what was typed, and the Pod, become the container that is added to it.
//!
//! The profiles are kubectl's. A container that looks at another one's processes gets that one's volumes as well, at the
//! same places: of a Wasm member they are all that there is to see, and its root holds no shell. Whole volumes only, and
//! without propagation, since more may not be added to a Pod that runs.

use k8s_openapi::api::core::v1;

use super::{RunArgs, ShortFormError, flags, literal, some};
use crate::image_ref;

/// What was typed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DebugArgs {
    /// The name of the container that is added.
    pub name: String,
    /// `--target`
    pub target: Option<String>,
    /// `--profile`; when absent, what suits the image.
    pub profile: Option<Profile>,
    /// What it has in common with `dwell run`: image, arguments, variables, streams, where relative paths start.
    pub run: RunArgs,
}

/// What the container may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// A member's rights, and tracing.
    General,
    /// A member's rights.
    Baseline,
    /// What a careful cluster allows: no root, no capabilities.
    Restricted,
    /// A member's rights, and the Pod's network.
    Netadmin,
    /// Everything.
    Sysadmin,
}

/// The container, and what is to be said about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Debugger {
    /// What is added.
    pub container: v1::EphemeralContainer,
    /// Volumes that it sees: name and place.
    pub mounted: Vec<(String, String)>,
    /// Places of the target's that it does not see, since only a part of a volume is mounted there.
    pub left_out: Vec<String>,
}

/// The container that was typed, for this Pod.
///
/// # Errors
/// When a flag's value cannot be read. (Everything else is checked by the node.)
pub fn to_debugger(typed: &DebugArgs, pod: &v1::Pod) -> Result<Debugger, ShortFormError> {
    let run = &typed.run;
    let image = image_ref::resolve(run.image.as_deref().ok_or(ShortFormError::OneImage)?, &run.base_dir);
    let is_module = image.starts_with("wasm:");
    let (mounts, left_out) = typed.target.as_deref().map(|name| mounts(pod, name, is_module)).unwrap_or_default();
    let mounted = mounts.iter().map(|mount| (mount.name.clone(), mount.mount_path.clone())).collect();
    let profile = typed.profile.or((!is_module).then_some(Profile::General));
    let container = v1::EphemeralContainer {
        name: typed.name.clone(),
        image: Some(image),
        args: some(run.args.iter().map(|arg| literal(arg)).collect()),
        env: some(flags::env(run)?),
        volume_mounts: some(mounts),
        security_context: profile.and_then(security),
        target_container_name: typed.target.clone(),
        stdin: run.stdin.then_some(true),
        tty: run.tty.then_some(true),
        ..v1::EphemeralContainer::default()
    };
    Ok(Debugger { container, mounted, left_out })
}

/// Where a native container has what its image brings: a volume there would hide it. (The first is the root.)
const OF_THE_IMAGE: [&str; 7] = ["", "/bin", "/etc", "/lib", "/lib64", "/sbin", "/usr"];

/// The target's mounts, and the places of those that cannot be added. What would hide the image is found below `/mnt`.
fn mounts(pod: &v1::Pod, target: &str, is_module: bool) -> (Vec<v1::VolumeMount>, Vec<String>) {
    let containers = pod.spec.iter().flat_map(|spec| spec.init_containers.iter().flatten().chain(&spec.containers));
    let of_target = containers.filter(|one| one.name == target).flat_map(|one| one.volume_mounts.iter().flatten());
    let given = |text: &Option<String>| text.as_deref().is_some_and(|text| !text.is_empty());
    let (parts, whole): (Vec<_>, Vec<_>) =
        of_target.partition(|mount| given(&mount.sub_path) || given(&mount.sub_path_expr));
    let added = |mount: &v1::VolumeMount| v1::VolumeMount {
        mount_path: match mount.mount_path.trim_end_matches('/') {
            path if !is_module && OF_THE_IMAGE.contains(&path) => format!("/mnt/{}", mount.name),
            _ => mount.mount_path.clone(),
        },
        mount_propagation: None,
        ..mount.clone()
    };
    (whole.into_iter().map(added).collect(), parts.into_iter().map(|mount| mount.mount_path.clone()).collect())
}

/// Source: kubectl pkg/cmd/debug/profiles.go.
fn security(profile: Profile) -> Option<v1::SecurityContext> {
    let with = |add: &[&str]| v1::SecurityContext {
        capabilities: Some(v1::Capabilities { add: some(add.iter().map(|&cap| cap.to_owned()).collect()), drop: None }),
        ..v1::SecurityContext::default()
    };
    Some(match profile {
        Profile::Baseline => return None,
        Profile::General => with(&["SYS_PTRACE"]),
        Profile::Netadmin => with(&["NET_ADMIN", "NET_RAW"]),
        Profile::Sysadmin => v1::SecurityContext { privileged: Some(true), ..v1::SecurityContext::default() },
        Profile::Restricted => v1::SecurityContext {
            run_as_non_root: Some(true),
            allow_privilege_escalation: Some(false),
            capabilities: Some(v1::Capabilities { add: None, drop: Some(vec!["ALL".to_owned()]) }),
            seccomp_profile: Some(v1::SeccompProfile { type_: "RuntimeDefault".to_owned(), localhost_profile: None }),
            ..v1::SecurityContext::default()
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(image: &str) -> DebugArgs {
        let run = RunArgs { image: Some(image.into()), base_dir: "/here".into(), ..RunArgs::default() };
        DebugArgs { name: "debugger-x".into(), target: Some("app".into()), profile: None, run }
    }

    fn pod() -> v1::Pod {
        let mount = |name: &str, path: &str, part: Option<&str>| v1::VolumeMount {
            name: name.into(),
            mount_path: path.into(),
            sub_path: part.map(str::to_owned),
            mount_propagation: Some("HostToContainer".into()),
            read_only: Some(true),
            ..v1::VolumeMount::default()
        };
        let mounts = vec![mount("root", "/", None), mount("data", "/data", None), mount("data", "/part", Some("p"))];
        let app = v1::Container { name: "app".into(), volume_mounts: Some(mounts), ..v1::Container::default() };
        let spec = v1::PodSpec { containers: vec![app, v1::Container::default()], ..v1::PodSpec::default() };
        v1::Pod { spec: Some(spec), ..v1::Pod::default() }
    }

    #[test]
    fn a_target_lends_its_whole_volumes_with_its_rights() {
        let made = to_debugger(&typed("rootfs:tools"), &pod()).unwrap();
        assert_eq!(made.container.image.as_deref(), Some("rootfs:/here/tools"));
        let places = [("root".to_owned(), "/mnt/root".to_owned()), ("data".to_owned(), "/data".to_owned())];
        assert_eq!(made.mounted, places);
        assert_eq!(made.left_out, ["/part"]);
        let mounts = made.container.volume_mounts.unwrap();
        assert!(mounts.iter().all(|mount| mount.read_only == Some(true) && mount.mount_propagation.is_none()));
        let add = made.container.security_context.unwrap().capabilities.unwrap().add;
        assert_eq!(add, Some(vec!["SYS_PTRACE".to_owned()]));
    }

    #[test]
    fn a_module_keeps_the_places_and_gets_no_rights_it_could_not_have() {
        let made = to_debugger(&typed("wasm:look.wasm"), &pod()).unwrap();
        assert_eq!(made.mounted[0].1, "/");
        assert_eq!(made.container.security_context, None);
    }

    #[test]
    fn without_a_target_nothing_is_mounted() {
        let made = to_debugger(&DebugArgs { target: None, ..typed("rootfs:/t") }, &pod()).unwrap();
        assert_eq!((made.mounted, made.container.volume_mounts), (vec![], None));
    }
}
