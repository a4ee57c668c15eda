//! ConfigMaps, Secrets and claims, typed.

use dwell_spec::settings::{SettingsKind, SettingsObject};
use hyper::Method;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use serde_json::Value;

use super::failure::ClientFailure;
use super::http::Client;
use super::target::Target;

impl Client {
    /// Keeps a ConfigMap or Secret in its `metadata.namespace`, in place of the one of its name. Returns when it is on
    /// disk.
    ///
    /// # Errors
    /// `Kind::Invalid` if it is refused; else what broke.
    pub async fn put_settings(&self, object: &SettingsObject) -> Result<(), ClientFailure> {
        let meta = object.metadata();
        let (namespace, name) = (meta.namespace.as_deref().unwrap_or("default"), meta.name.as_deref());
        let body = serde_json::to_vec(object).map_err(|e| ClientFailure::Malformed("encode it".into(), Some(e)))?;
        let target = target(object.kind(), namespace, name.unwrap_or_default());
        let _: Value = self.call(Method::PUT, &target, Some(body)).await?;
        Ok(())
    }

    /// Forgets a ConfigMap or Secret.
    ///
    /// # Errors
    /// `Kind::NotFound`; else what broke.
    pub async fn delete_settings(&self, kind: SettingsKind, namespace: &str, name: &str) -> Result<(), ClientFailure> {
        let _: Value = self.call(Method::DELETE, &target(kind, namespace, name), None).await?;
        Ok(())
    }

    /// Makes a claim in its `metadata.namespace`, unless it is there.
    ///
    /// # Errors
    /// `Kind::Invalid` if it is refused; else what broke.
    pub async fn put_claim(&self, claim: &PersistentVolumeClaim) -> Result<(), ClientFailure> {
        let namespace = claim.metadata.namespace.as_deref().unwrap_or("default");
        let name = claim.metadata.name.as_deref().unwrap_or_default();
        let body = serde_json::to_vec(claim).map_err(|e| ClientFailure::Malformed("encode it".into(), Some(e)))?;
        let target = Target::new("/api/v1/namespaces", &[namespace, "persistentvolumeclaims", name]);
        let _: Value = self.call(Method::PUT, &target, Some(body)).await?;
        Ok(())
    }

    /// Removes a claim with everything in it.
    ///
    /// # Errors
    /// `Kind::NotFound`, `Kind::Conflict`; else what broke.
    pub async fn delete_claim(&self, namespace: &str, name: &str) -> Result<(), ClientFailure> {
        let target = Target::new("/api/v1/namespaces", &[namespace, "persistentvolumeclaims", name]);
        let _: Value = self.call(Method::DELETE, &target, None).await?;
        Ok(())
    }
}

fn target(kind: SettingsKind, namespace: &str, name: &str) -> Target {
    let plural = format!("{}s", kind.word());
    Target::new("/api/v1/namespaces", &[namespace, &plural, name])
}
