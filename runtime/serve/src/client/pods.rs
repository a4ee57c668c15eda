//! The verbs on Pods, typed.

use dwell::PodUsage;
use hyper::Method;
use k8s_openapi::List;
use k8s_openapi::api::core::v1::{EphemeralContainer, Event, Pod};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};

use super::failure::ClientFailure;
use super::http::Client;
use super::target::Target;
use super::watch::PodWatch;
use crate::api::forward::PROTOCOL;

impl Client {
    /// Asks the node to run the Pod in its `metadata.namespace`. Returns when the wish is on disk, with uid and status.
    ///
    /// # Errors
    /// `Kind::Conflict` if the name is taken, `Kind::Invalid` if the manifest is refused; else what broke.
    pub async fn create_pod(&self, pod: &Pod) -> Result<Pod, ClientFailure> {
        let namespace = pod.metadata.namespace.as_deref().unwrap_or("default");
        let body = serde_json::to_vec(pod).map_err(|e| ClientFailure::Malformed("encode the Pod".into(), Some(e)))?;
        self.call(Method::POST, &Target::pods(namespace, &[]), Some(body)).await
    }

    /// One Pod as it is now.
    ///
    /// # Errors
    /// `Kind::NotFound`; else what broke.
    pub async fn pod(&self, namespace: &str, name: &str) -> Result<Pod, ClientFailure> {
        self.call(Method::GET, &Target::pods(namespace, &[name]), None).await
    }

    /// All Pods of all namespaces.
    ///
    /// # Errors
    /// What broke.
    pub async fn pods(&self) -> Result<Vec<Pod>, ClientFailure> {
        let list: List<Pod> = self.call(Method::GET, &Target::new("/api/v1/pods", &[]), None).await?;
        Ok(list.items)
    }

    /// Stops and removes the Pod; returns at once. `grace` in seconds replaces the Pod's own, 0 kills.
    ///
    /// # Errors
    /// `Kind::NotFound`; else what broke.
    pub async fn delete_pod(&self, namespace: &str, name: &str, grace: Option<u32>) -> Result<Pod, ClientFailure> {
        let target = Target::pods(namespace, &[name]).query_some("gracePeriodSeconds", grace);
        self.call(Method::DELETE, &target, None).await
    }

    /// Stops the Pod and keeps its record; returns at once. `grace` in seconds replaces the Pod's own, 0 kills.
    ///
    /// # Errors
    /// `Kind::NotFound`, `Kind::Conflict`; else what broke.
    pub async fn stop_pod(&self, namespace: &str, name: &str, grace: Option<u32>) -> Result<(), ClientFailure> {
        self.post(Target::dwell_pod(namespace, name, "stop").query_some("gracePeriodSeconds", grace)).await
    }

    /// Ends the Pod's members in order and starts them again.
    ///
    /// # Errors
    /// `Kind::NotFound`, `Kind::Conflict`; else what broke.
    pub async fn restart_pod(&self, namespace: &str, name: &str) -> Result<(), ClientFailure> {
        self.post(Target::dwell_pod(namespace, name, "restart")).await
    }

    /// Sends a signal (a name without `SIG`, or a number) to one member, or to all.
    ///
    /// # Errors
    /// `Kind::NotFound`, `Kind::Conflict`, `Kind::Invalid`; else what broke.
    pub async fn kill_pod(
        &self,
        namespace: &str,
        name: &str,
        signal: &str,
        container: Option<&str>,
    ) -> Result<(), ClientFailure> {
        let target = Target::dwell_pod(namespace, name, "kill").query("signal", signal);
        self.post(target.query_some("container", container)).await
    }

    /// Adds containers to a Pod that runs; returns when the wish is on disk.
    ///
    /// # Errors
    /// `Kind::NotFound`, `Kind::Conflict` (it does not run), `Kind::Invalid`; else what broke.
    pub async fn add_containers(
        &self,
        namespace: &str,
        name: &str,
        containers: &[EphemeralContainer],
    ) -> Result<Pod, ClientFailure> {
        let body = json!({"spec": {"ephemeralContainers": containers}}).to_string().into_bytes();
        self.call(Method::PATCH, &Target::pods(namespace, &[name, "ephemeralcontainers"]), Some(body)).await
    }

    /// Changes of a Pod what the patch (a strategic merge) says; returns when the wish is on disk and new limits hold.
    ///
    /// # Errors
    /// `Kind::NotFound`, `Kind::Conflict` (it uses more memory than it is to have), `Kind::Invalid`; else what broke.
    pub async fn patch_pod(&self, namespace: &str, name: &str, patch: &Value) -> Result<Pod, ClientFailure> {
        let body = patch.to_string().into_bytes();
        self.call(Method::PATCH, &Target::pods(namespace, &[name]), Some(body)).await
    }

    /// Makes a Pod that is there what it is to be now; as `patch_pod`.
    ///
    /// # Errors
    /// As `patch_pod`; `Kind::Invalid` also for what may not change of a Pod.
    pub async fn put_pod(&self, pod: &Pod) -> Result<Pod, ClientFailure> {
        let body = serde_json::to_vec(pod).map_err(|e| ClientFailure::Malformed("encode the Pod".into(), Some(e)))?;
        let part = |part: &Option<String>| part.clone().unwrap_or_default();
        let (namespace, name) = (part(&pod.metadata.namespace), part(&pod.metadata.name));
        let namespace = if namespace.is_empty() { "default" } else { &namespace };
        self.call(Method::PUT, &Target::pods(namespace, &[&name]), Some(body)).await
    }

    /// Every change of one Pod, beginning with `Added` if it exists.
    ///
    /// # Errors
    /// What broke.
    pub async fn watch_pod(&self, namespace: &str, name: &str) -> Result<PodWatch, ClientFailure> {
        let target = Target::pods(namespace, &[]).query("fieldSelector", &format!("metadata.name={name}"));
        self.watch(target).await
    }

    /// Every change of every Pod, beginning with an `Added` for each that exists.
    ///
    /// # Errors
    /// What broke.
    pub async fn watch_all_pods(&self) -> Result<PodWatch, ClientFailure> {
        self.watch(Target::new("/api/v1/pods", &[])).await
    }

    async fn watch(&self, target: Target) -> Result<PodWatch, ClientFailure> {
        let target = target.query("watch", "1");
        let response = self.send(Method::GET, &target, None).await?;
        Ok(PodWatch::new(super::http::described(&Method::GET, &target), response.into_body()))
    }

    /// What this host offers and what is missing, as the node sees it.
    ///
    /// # Errors
    /// What broke.
    pub async fn check(&self) -> Result<Value, ClientFailure> {
        self.call(Method::GET, &Target::new("/dwell/v1/check", &[]), None).await
    }

    /// A connection to a TCP port inside the Pod.
    ///
    /// # Errors
    /// `Kind::NotFound`, `Kind::Conflict` (not running), `Kind::Other` (nobody answers there); else what broke.
    pub async fn connect_port(
        &self,
        namespace: &str,
        name: &str,
        port: u16,
    ) -> Result<impl AsyncRead + AsyncWrite + Unpin + use<>, ClientFailure> {
        let target = Target::dwell_pod(namespace, name, "connect").query("port", &port.to_string());
        self.upgrade(&target, PROTOCOL).await
    }

    /// What happened to all Pods, in the order in which it last happened.
    ///
    /// # Errors
    /// What broke.
    pub async fn events(&self) -> Result<Vec<Event>, ClientFailure> {
        let list: List<Event> = self.call(Method::GET, &Target::new("/api/v1/events", &[]), None).await?;
        Ok(list.items)
    }

    /// What every Pod that lives uses.
    ///
    /// # Errors
    /// What broke.
    pub async fn usage(&self) -> Result<Vec<PodUsage>, ClientFailure> {
        self.call(Method::GET, &Target::new("/dwell/v1/usage", &[]), None).await
    }

    /// The node itself: pid, version, folders, Pods.
    ///
    /// # Errors
    /// What broke.
    pub async fn info(&self) -> Result<Value, ClientFailure> {
        self.call(Method::GET, &Target::new("/dwell/v1/info", &[]), None).await
    }

    /// The node's version, as Kubernetes shapes it.
    ///
    /// # Errors
    /// What broke.
    pub async fn version(&self) -> Result<Value, ClientFailure> {
        self.call(Method::GET, &Target::new("/version", &[]), None).await
    }

    /// Asks the node to leave; its Pods go on.
    ///
    /// # Errors
    /// What broke.
    pub async fn shutdown(&self) -> Result<(), ClientFailure> {
        self.post(Target::new("/dwell/v1/shutdown", &[])).await
    }

    /// The answer's body is of no interest.
    async fn post(&self, target: Target) -> Result<(), ClientFailure> {
        self.send(Method::POST, &target, None).await.map(|_| ())
    }
}
