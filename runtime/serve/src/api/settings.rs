//! What is kept beside Pods, over HTTP: make or replace a ConfigMap or Secret, forget one (their values are never
//! answered); make or remove a claim.

use std::sync::Arc;

use dwell::Node;
use dwell_spec::settings::{SettingsKind, SettingsObject};
use hyper::body::Incoming;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::answer::{self, Answer};
use super::pods::whole;
use super::route::Key;

/// `PUT …/configmaps/NAME`, `PUT …/secrets/NAME`
pub async fn put(node: &Arc<Node>, kind: SettingsKind, key: &Key, body: Incoming) -> Answer {
    let bytes = match whole(body).await {
        Ok(bytes) => bytes,
        Err(refused) => return *refused,
    };
    let object = match SettingsObject::from_json(kind, &bytes) {
        Ok(object) => object,
        Err(error) => return answer::bad_request(&format!("read a {} from the request's body: {error}", kind.word())),
    };
    match is_of(object.metadata(), key) {
        true => answered(node.put_settings(object).await),
        false => answer::bad_request(OTHER),
    }
}

/// `PUT …/persistentvolumeclaims/NAME`
pub async fn put_claim(node: &Arc<Node>, key: &Key, body: Incoming) -> Answer {
    let bytes = match whole(body).await {
        Ok(bytes) => bytes,
        Err(refused) => return *refused,
    };
    match serde_json::from_slice::<PersistentVolumeClaim>(&bytes) {
        Ok(claim) if is_of(&claim.metadata, key) => answered(node.keep_claim(&claim).await),
        Ok(_) => answer::bad_request(OTHER),
        Err(error) => answer::bad_request(&format!("read a persistentvolumeclaim from the request's body: {error}")),
    }
}

const OTHER: &str = "its name and namespace are not those of the request";

fn is_of(meta: &ObjectMeta, key: &Key) -> bool {
    meta.name.as_deref() == Some(&key.name) && meta.namespace.as_deref().unwrap_or("default") == key.namespace
}

/// `DELETE …/configmaps/NAME`, `DELETE …/secrets/NAME`
pub async fn remove(node: &Arc<Node>, kind: SettingsKind, key: &Key) -> Answer {
    answered(node.remove_settings(kind, &key.namespace, &key.name).await)
}

/// `DELETE …/persistentvolumeclaims/NAME`
pub async fn remove_claim(node: &Arc<Node>, key: &Key) -> Answer {
    answered(node.remove_claim(&key.namespace, &key.name).await)
}

fn answered(result: Result<(), dwell::NodeError>) -> Answer {
    match result {
        Ok(()) => answer::success(),
        Err(error) => answer::failure(&error),
    }
}
