//! Changes of a Pod that is there: `PUT` its whole, `PATCH` what is to be otherwise; with `/resize` or without.
//!
//! A patch is made to what the Pod is at this moment; if that is no longer so when it is to be carried out, it is made
//! again. Must never carry out half of one.

use std::sync::Arc;

use dwell::{Node, NodeError, NodeErrorKind};
use dwell_spec::manifest;
use hyper::Request;
use hyper::body::Incoming;
use k8s_openapi::api::core::v1::Pod;
use serde_json::Value;

use super::answer::{self, Answer};
use super::merge::{self, PatchKind};
use super::pods::{answered, json};
use super::route::Key;

/// How often a patch is made anew to a Pod that others change.
const ATTEMPTS: u32 = 5;

/// `PUT …/pods/NAME[/resize]`
pub async fn put(node: &Arc<Node>, key: &Key, body: Incoming) -> Answer {
    match json(body).await {
        Ok(json) => answered(update(node, key, json, None).await),
        Err(refused) => *refused,
    }
}

/// `PATCH …/pods/NAME[/resize]`
pub async fn patch(node: &Arc<Node>, key: &Key, request: Request<Incoming>) -> Answer {
    let kind = request.headers().get("content-type").and_then(|kind| kind.to_str().ok()).map(str::to_owned);
    let Some(kind) = PatchKind::of(kind.as_deref()) else { return answer::unsupported_patch() };
    let patch = match json(request.into_body()).await {
        Ok(json) => json,
        Err(refused) => return *refused,
    };
    for _ in 1..ATTEMPTS {
        let before = node.get(&key.namespace, &key.name).ok();
        match patched(node, key, kind, &patch).await {
            Err(error) if error.kind() == NodeErrorKind::Conflict && is_another(node, key, before.as_deref()) => {}
            outcome => return answered(outcome),
        }
    }
    answered(patched(node, key, kind, &patch).await)
}

/// Whether somebody has changed it meanwhile: what else stands in the way would stand there again.
fn is_another(node: &Arc<Node>, key: &Key, before: Option<&Pod>) -> bool {
    let now = node.get(&key.namespace, &key.name).ok();
    match (before, now.as_deref()) {
        (Some(before), Some(now)) => !manifest::asks_the_same(before, now),
        (before, now) => before.is_some() != now.is_some(),
    }
}

async fn patched(node: &Arc<Node>, key: &Key, kind: PatchKind, patch: &Value) -> Result<Arc<Pod>, NodeError> {
    let now = node.get(&key.namespace, &key.name)?;
    let invalid = |message: String| NodeError::new(NodeErrorKind::BadRequest, message);
    let mut json = serde_json::to_value(&*now).map_err(|error| NodeError::internal("read the Pod", error))?;
    // How it fares is not to be patched here.
    let map = json.as_object_mut();
    map.into_iter().for_each(|map| drop(map.remove("status")));
    merge::apply(kind, &mut json, patch).map_err(|why| invalid(format!("apply the patch: {why}")))?;
    json.as_object_mut().into_iter().for_each(|map| drop(map.remove("status")));
    update(node, key, json, Some(now)).await
}

async fn update(node: &Arc<Node>, key: &Key, json: Value, on: Option<Arc<Pod>>) -> Result<Arc<Pod>, NodeError> {
    let mut pod = dwell::read_pod(&json)?;
    let is_ours =
        |part: &Option<String>, ours: &str| part.as_deref().is_none_or(|part| part.is_empty() || part == ours);
    if !is_ours(&pod.metadata.name, &key.name) || !is_ours(&pod.metadata.namespace, &key.namespace) {
        let message = "the Pod's name and namespace are those of the request, and never change".to_owned();
        return Err(NodeError::new(NodeErrorKind::BadRequest, message));
    }
    (pod.metadata.name, pod.metadata.namespace) = (Some(key.name.clone()), Some(key.namespace.clone()));
    node.update(pod, on).await
}
