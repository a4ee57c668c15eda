//! A `v1.Pod` to a checked `Pod`: the API server's validation and defaults, and dwell's own rules.
//!
//! Sources: pkg/apis/core/validation and pkg/apis/core/v1/defaults.go; the words are theirs where the rule is. All
//! problems are collected. Whatever the Pod came from, it first goes through the strict walk (see `walk`), so that a
//! checked Pod never lacks something that was asked for.

use k8s_openapi::api::core::v1;

use super::node::Node;
use super::problem::{Cause, Problem};
use super::walk;
use crate::pod::{Pod, RestartPolicy};

mod annotations;
pub(super) mod claims;
mod container;
mod env;
mod env_source;
mod ephemeral;
pub(super) mod huge_pages;
mod life;
mod metadata;
pub(super) mod names;
mod naming;
mod ports;
mod projected;
mod resize;
mod resources;
mod restart_rules;
mod rights;
mod selectors;
mod settings;
mod sysctls;
mod users;
mod volumes;

/// What is wrong, in the order in which it was found.
pub(super) type Problems = Vec<Problem>;

/// Seconds of grace when none is given.
const DEFAULT_GRACE: u32 = 30;

impl TryFrom<&v1::Pod> for Pod {
    type Error = Vec<Problem>;

    fn try_from(source: &v1::Pod) -> Result<Self, Vec<Problem>> {
        let json = serde_json::to_value(source).map_err(|error| {
            vec![Problem::new(Cause::Malformed, "", format!("the Pod cannot be written as JSON: {error}"))]
        })?;
        let mut problems = walk::pod(&Node::from_json(&json)).problems;
        let (pod, found) = check(source);
        problems.extend(found);
        if problems.is_empty() { Ok(pod) } else { Err(problems) }
    }
}

/// The rules alone, without the walk. The Pod means something only if there are no problems.
pub(super) fn check(source: &v1::Pod) -> (Pod, Problems) {
    let mut problems = Problems::new();
    let Some(spec) = &source.spec else {
        problems.push(Problem::required("spec", ""));
        return (checked(source, &v1::PodSpec::default(), &mut Problems::new()), problems);
    };
    let pod = checked(source, spec, &mut problems);
    (pod, problems)
}

/// What a Pod may not have before it runs.
pub(super) fn not_at_first(source: &v1::Pod) -> Option<Problem> {
    let added = source.spec.as_ref()?.ephemeral_containers.as_deref().unwrap_or_default();
    let problem = Problem::forbidden("spec.ephemeralContainers", "cannot be set on create");
    (!added.is_empty()).then(|| problem.with_hint("`dwell debug POD --image IMAGE` adds one to a Pod that runs"))
}

fn checked(source: &v1::Pod, spec: &v1::PodSpec, out: &mut Problems) -> Pod {
    let meta = metadata::check(&source.metadata, out);
    let restart_policy = restart_policy(spec.restart_policy.as_deref(), "spec.restartPolicy", out);
    let grace = grace(spec.termination_grace_period_seconds, out);
    let deadline = deadline(spec.active_deadline_seconds, out);
    let naming = naming::names_of(spec, &meta.name, &meta.namespace, out);
    os(spec.os.as_ref(), out);
    if spec.share_process_namespace == Some(true) && spec.host_pid == Some(true) {
        let why = "ShareProcessNamespace and HostPID cannot both be enabled";
        out.push(Problem::invalid("spec.shareProcessNamespace", "true", why));
    }
    let pages = huge_pages::sizes(spec);
    let volumes = volumes::check(spec.volumes.as_deref().unwrap_or_default(), &pages, out);
    let mut containers = container::All::new(source, spec, &volumes, grace, out);
    let init_containers = containers.check(spec.init_containers.as_deref().unwrap_or_default(), "initContainers", out);
    let regular = containers.check(&spec.containers, "containers", out);
    if spec.containers.is_empty() {
        out.push(Problem::required("spec.containers", ""));
    }
    let added = spec.ephemeral_containers.as_deref().unwrap_or_default();
    let ephemeral_containers = ephemeral::check(&mut containers, added, [&init_containers, &regular], out);
    let resources = resources::of_pod(spec, &init_containers, &regular, out);
    runtime_class(spec.runtime_class_name.as_deref(), out);
    ports::check_host_ports(&init_containers, &regular, out);
    annotations::check(&meta.annotations, &containers.names, out);
    Pod {
        name: meta.name,
        namespace: meta.namespace,
        uid: source.metadata.uid.clone().unwrap_or_default(),
        labels: meta.labels,
        annotations: meta.annotations,
        hostname: naming.hostname,
        own_names: naming.own_names,
        host_aliases: naming::aliases(spec.host_aliases.as_deref(), out),
        dns: naming::dns(spec, out),
        host_network: spec.host_network.unwrap_or(false),
        share_process_namespace: spec.share_process_namespace.unwrap_or(false),
        host_pid: spec.host_pid.unwrap_or(false),
        host_ipc: spec.host_ipc.unwrap_or(false),
        host_users: users::check(spec, out),
        sysctls: sysctls::check(spec, out),
        service_account_name: account(spec),
        restart_policy: restart_policy.unwrap_or(RestartPolicy::Always),
        termination_grace_period_seconds: grace,
        active_deadline_seconds: deadline,
        readiness_gates: readiness_gates(spec, out),
        resources,
        volume_group: containers.volume_group,
        volumes,
        init_containers,
        containers: regular,
        ephemeral_containers,
    }
}

fn account(spec: &v1::PodSpec) -> String {
    let named = spec.service_account_name.clone().filter(|name| !name.is_empty());
    named.unwrap_or_else(|| "default".to_owned())
}

/// `None` when none is given.
fn restart_policy(text: Option<&str>, path: &str, out: &mut Problems) -> Option<RestartPolicy> {
    match text? {
        "" => None,
        "Always" => Some(RestartPolicy::Always),
        "OnFailure" => Some(RestartPolicy::OnFailure),
        "Never" => Some(RestartPolicy::Never),
        other => {
            out.push(Problem::unsupported(path, other, &["Always", "OnFailure", "Never"]));
            None
        }
    }
}

fn grace(seconds: Option<i64>, out: &mut Problems) -> u32 {
    let path = "spec.terminationGracePeriodSeconds";
    match seconds {
        None => DEFAULT_GRACE,
        Some(seconds) if seconds < 0 => {
            out.push(Problem::invalid_number(path, seconds, "must be greater than or equal to 0"));
            DEFAULT_GRACE
        }
        Some(seconds) => u32::try_from(seconds).unwrap_or(u32::MAX),
    }
}

fn deadline(seconds: Option<i64>, out: &mut Problems) -> Option<u32> {
    let seconds = seconds?;
    if !(1..=i64::from(i32::MAX)).contains(&seconds) {
        let why = "must be between 1 and 2147483647, inclusive";
        out.push(Problem::invalid_number("spec.activeDeadlineSeconds", seconds, why));
    }
    u32::try_from(seconds).ok()
}

fn readiness_gates(spec: &v1::PodSpec, out: &mut Problems) -> Vec<String> {
    let gates = spec.readiness_gates.iter().flatten().enumerate();
    let mut one = |(n, gate): (usize, &v1::PodReadinessGate)| {
        let path = format!("spec.readinessGates[{n}].conditionType");
        metadata::report(&path, &gate.condition_type, names::qualified(&gate.condition_type), out);
        gate.condition_type.clone()
    };
    gates.map(&mut one).collect()
}

/// What somebody says of a Pod's conditions: of which type, and whether it is so. Those that dwell finds out itself are its
/// own to say.
pub(super) fn conditions(said: &[v1::PodCondition]) -> Problems {
    let mut out = Problems::new();
    for (n, condition) in said.iter().enumerate() {
        let path = format!("status.conditions[{n}]");
        metadata::report(&format!("{path}.type"), &condition.type_, names::qualified(&condition.type_), &mut out);
        if crate::status::OWN_CONDITIONS.contains(&condition.type_.as_str()) {
            out.push(Problem::forbidden(format!("{path}.type"), "dwell finds that out itself"));
        }
        if !["True", "False", "Unknown"].contains(&condition.status.as_str()) {
            let path = format!("{path}.status");
            out.push(Problem::unsupported(path, &condition.status, &["False", "True", "Unknown"]));
        }
    }
    out
}

/// Names by which clusters ask for what dwell does of itself: it looks at each container. Another one promises other walls.
const RUNTIMES: [&str; 9] = ["dwell", "runc", "crun", "youki", "wasm", "wasm-smart", "wasmtime", "wasi", "crun-wasm"];

fn runtime_class(name: Option<&str>, out: &mut Problems) {
    if let Some(name) = name.filter(|name| !name.is_empty() && !RUNTIMES.contains(name)) {
        out.push(Problem::unsupported("spec.runtimeClassName", name, &RUNTIMES));
    }
}

fn os(os: Option<&v1::PodOS>, out: &mut Problems) {
    match os.map(|os| os.name.as_str()) {
        None | Some("linux") => {}
        Some("") => out.push(Problem::required("spec.os.name", "")),
        Some(other) => out.push(Problem::unsupported("spec.os.name", other, &["linux"])),
    }
}

/// A uid or gid, 0 to 2^31 - 1 as Kubernetes allows.
fn id(value: Option<i64>, path: &str, out: &mut Problems) -> Option<u32> {
    let value = value?;
    if !(0..=i64::from(i32::MAX)).contains(&value) {
        out.push(Problem::invalid_number(path, value, "must be between 0 and 2147483647, inclusive"));
        return None;
    }
    u32::try_from(value).ok()
}

/// Why an absolute path will not do, if so. Slashes are tidied by `tidy`.
fn path_fault(path: &str) -> Option<&'static str> {
    if !path.starts_with('/') {
        Some("must be an absolute path")
    } else if path.split('/').any(|part| part == "..") {
        Some("must not contain '..'")
    } else if path.contains('\0') {
        Some("must not contain a NUL byte")
    } else if path.len() > 4095 {
        Some("must be no more than 4095 bytes")
    } else {
        None
    }
}

/// Absolute, as `tidy_relative`.
fn tidy(path: &str) -> String {
    format!("/{}", tidy_relative(path))
}

/// One slash between parts, none at the ends, no `.`.
fn tidy_relative(path: &str) -> String {
    path.split('/').filter(|part| !part.is_empty() && *part != ".").collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests;
