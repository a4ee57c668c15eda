//! The token that a cluster puts into every Pod.
//!
//! `kubectl get pod -o yaml` shows a projected volume `kube-api-access-…` that the API server's admission added, and its
//! mounts. It means something in a cluster only, so it is taken out with a warning, and the Pod can be run.

use super::node::{Node, Value};
use super::problem::{Cause, Problem};

/// How admission names the volume (plugin/pkg/admission/serviceaccount).
const VOLUME: &str = "kube-api-access-";
/// Where it is mounted.
const MOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// Takes the token's volume and mounts out of a Pod; the warning, if there was one.
pub fn strip(pod: &mut Node) -> Option<Problem> {
    let spec = pod.get_mut("spec")?;
    let (index, volume) = spec.get("volumes")?.items().iter().enumerate().find(|(_, volume)| is_token(volume))?;
    let mut warning =
        Problem::new(Cause::ClusterOnly, format!("spec.volumes[{index}]"), "ignored: the token for a cluster's API");
    warning.at = (volume.at.line > 0).then_some(volume.at);
    let name = volume.get("name")?.text()?.to_owned();
    retain(spec, "volumes", |volume| !is_token(volume));
    for list in ["containers", "initContainers"] {
        let Some(Value::List(containers)) = spec.get_mut(list).map(|node| &mut node.value) else {
            continue;
        };
        containers.iter_mut().for_each(|container| retain(container, "volumeMounts", |mount| !mounts(mount, &name)));
    }
    Some(warning)
}

fn is_token(volume: &Node) -> bool {
    volume.get("projected").is_some()
        && volume.get("name").and_then(Node::text).is_some_and(|name| name.starts_with(VOLUME))
}

fn mounts(mount: &Node, name: &str) -> bool {
    let is = |key: &str, text: &str| mount.get(key).and_then(Node::text) == Some(text);
    is("name", name) && is("mountPath", MOUNT)
}

fn retain(node: &mut Node, key: &str, keep: impl Fn(&Node) -> bool) {
    if let Some(Value::List(items)) = node.get_mut(key).map(|node| &mut node.value) {
        items.retain(keep);
    }
}
