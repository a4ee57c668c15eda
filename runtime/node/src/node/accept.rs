//! From what a client sent to a Pod that the node can keep: read strictly, checked, with an identity. Changes nothing.

use dwell_spec::pod as checked;
use k8s_openapi::api::core::v1::{EphemeralContainer, Pod, PodCondition, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use serde::Deserialize;

use crate::{NodeError, NodeErrorKind};

/// A Pod as a client sent it, read strictly: a field that there is not is a problem, by its path, not a silence.
///
/// # Errors
/// `Invalid` with a cause per field; `BadRequest` for what is no Pod at all.
pub fn read_pod(json: &serde_json::Value) -> Result<Pod, NodeError> {
    let no_pod = |error: serde_json::Error| NodeError::new(NodeErrorKind::BadRequest, format!("it is no Pod: {error}"));
    let pod = Pod::deserialize(json).map_err(no_pod)?;
    match dwell_spec::manifest::unheard_of(json) {
        problems if problems.is_empty() => Ok(pod),
        problems => Err(NodeError::invalid(&pod, problems)),
    }
}

/// The containers that a client wants to add to a Pod: `spec.ephemeralContainers` of what it sent, read as strictly.
///
/// # Errors
/// `Invalid` with a cause per field; `BadRequest` for what is no such list. None at all is none.
pub fn read_added(json: &serde_json::Value) -> Result<Vec<EphemeralContainer>, NodeError> {
    let list = &json["spec"]["ephemeralContainers"];
    let pod = serde_json::json!({"spec": {"ephemeralContainers": list, "containers": []}});
    let problems = dwell_spec::manifest::unheard_of(&pod);
    if !problems.is_empty() {
        return Err(NodeError::invalid(&Pod::default(), problems));
    }
    let added = Option::<Vec<_>>::deserialize(list);
    added
        .map(Option::unwrap_or_default)
        .map_err(|error| NodeError::new(NodeErrorKind::BadRequest, format!("spec.ephemeralContainers: {error}")))
}

/// What a client says of a Pod's conditions: `status.conditions` of what it sent.
///
/// # Errors
/// `BadRequest` for what is no such list.
pub fn read_conditions(json: &serde_json::Value) -> Result<Vec<PodCondition>, NodeError> {
    let said = Option::<Vec<_>>::deserialize(&json["status"]["conditions"]);
    said.map(Option::unwrap_or_default)
        .map_err(|error| NodeError::new(NodeErrorKind::BadRequest, format!("status.conditions: {error}")))
}

/// # Errors
/// `Invalid` with a cause per field.
pub(super) fn check(pod: &Pod) -> Result<checked::Pod, NodeError> {
    dwell_spec::manifest::check_new(pod).map_err(|problems| NodeError::invalid(pod, problems))
}

/// With the name, the uid and the first status that it has from now on.
pub(super) fn with_identity(mut pod: Pod, checked: &mut checked::Pod) -> Pod {
    pod.metadata.name = Some(checked.name.clone());
    pod.metadata.namespace = Some(checked.namespace.clone());
    checked.uid = new_uid();
    pod.metadata.uid = Some(checked.uid.clone());
    pod.metadata.creation_timestamp = now().map(Time);
    pod.status = Some(PodStatus { phase: Some("Pending".into()), ..PodStatus::default() });
    pod
}

/// Now, in whole seconds, as Kubernetes writes times.
fn now() -> Option<Timestamp> {
    Timestamp::from_second((crate::clock::now_ns() / 1_000_000_000) as i64).ok()
}

/// A random (version 4) UUID.
fn new_uid() -> String {
    let mut bytes = [0u8; 16];
    // Cannot fail for 16 bytes once the kernel's pool is ready, and blocks until then.
    let _ = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}
