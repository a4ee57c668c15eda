//! The node: one per state folder, holding its lock; knows every Pod of the folder, and gives each one driver.
//!
//! It writes a wish down before it answers, and answers before it is done: what becomes of a Pod is followed by
//! `watch`. It starts no thread but the runtime's and those that wait for the disk, sets no signal handler, no umask, no
//! working directory and reads no environment, so that a program can hold one beside its own work. Dropping it changes
//! nothing for the Pods.

use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use dwell_spec::manifest::problem::{Cause, Problem};
use dwell_spec::pod as checked;
use dwell_spec::settings::{Settings, SettingsKind, SettingsObject};
use dwell_spec::status::SaidCondition;
use dwell_sys::complain::complain;
use k8s_openapi::api::core::v1::{EphemeralContainer, Event, PersistentVolumeClaim, Pod, PodCondition, PodStatus};
use tokio::sync::{broadcast, oneshot};

use crate::blocking::{blocking, settled};
use crate::host;
use crate::layout::Layout;
use crate::pod::neighbours;
use crate::pod::request::{Attached, ExecRequest, ExecSession, Refusal, Reply, Request};
use crate::pod::shared::{PodHandle, Shared};
use crate::pod::usage::PodUsage;
use crate::pod::{record, recover};
use crate::supervise::journal::Journal;

pub use accept::{read_added, read_conditions, read_pod};
pub use connection::Connection;

pub use crate::pod::shared::WorkerExecutable;
use crate::{EventKind, NodeError, NodeErrorKind, PodEvent, SignalName};

mod accept;
mod claims;
pub mod connection;
pub mod copy;
mod events;
pub mod failure;
pub mod logs;
mod open;

/// A driver that does not answer for as long has something better to do.
const USAGE_TIMEOUT: Duration = Duration::from_secs(2);

/// How to open a node.
#[derive(Debug)]
pub struct NodeConfig {
    /// Its state folder.
    pub layout: Layout,
    /// What runs Wasm members; without it they are refused.
    pub worker: Option<WorkerExecutable>,
}

/// A running node. Every method may be cancelled by dropping its future: the request then may or may not be carried
/// out, and `get` tells.
#[derive(Debug)]
pub struct Node {
    shared: Arc<Shared>,
    _lock: File,
}

fn said(condition: PodCondition) -> SaidCondition {
    let PodCondition { type_, status, reason, message, .. } = condition;
    SaidCondition { kind: type_, status, reason, message }
}

impl Node {
    /// Takes the state folder's lock, finds every Pod of it, and goes on supervising them. Must be called within a
    /// tokio runtime, which runs the Pods' drivers.
    ///
    /// # Errors
    /// Another node holds the folder; the folder, the host's cgroups or its network cannot be used.
    pub async fn open(config: NodeConfig) -> Result<Arc<Node>, NodeError> {
        let lock = open::take_lock(&config.layout)?;
        let shared = Arc::new(open::shared(config).await?);
        recover::recover(&shared).await;
        claims::remove_rest(&shared);
        tokio::spawn(neighbours::keep(Arc::downgrade(&shared), shared.neighbours.clone()));
        shared.neighbours.notify_one();
        Ok(Arc::new(Node { shared, _lock: lock }))
    }

    /// Accepts a Pod: checks it, writes it down durably, and starts it. Returns as soon as it is on disk.
    ///
    /// # Errors
    /// `Invalid` with a cause per field, `AlreadyExists`, or `Internal` when it could not be written.
    pub async fn run(&self, pod: Pod) -> Result<Arc<Pod>, NodeError> {
        let mut checked = accept::check(&pod)?;
        let pod = accept::with_identity(pod, &mut checked);
        let handle = self.accept(pod, checked)?;
        let object = handle.object();
        let (layout, uid) = (self.shared.layout.clone(), handle.uid.clone());
        let sync = move || record::sync(&layout.pod(&uid), &[layout.journal(&uid), layout.pod_object(&uid)]);
        match blocking(sync).await.flatten() {
            Ok(()) => Ok(object),
            // Removed again before it reached the disk: nothing was lost.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(object),
            Err(error) => Err(NodeError::internal("write the Pod to the disk", error)),
        }
    }

    /// Keeps a ConfigMap or a Secret, in place of the one of its name: as variables for containers that start from now
    /// on, and in volumes of running Pods soon after.
    ///
    /// # Errors
    /// `Invalid` with a cause per field, or `Internal` when it could not be written.
    pub async fn put_settings(&self, object: SettingsObject) -> Result<(), NodeError> {
        let settings =
            Settings::try_from(&object).map_err(|problems| NodeError::invalid_settings(&object, problems))?;
        if !self.shared.settings.may_become(&object, &settings) {
            let problem = Problem::new(Cause::Forbidden, "data", "field is immutable when `immutable` is set");
            return Err(NodeError::invalid_settings(&object, vec![problem]));
        }
        let shared = self.shared.clone();
        let kept = blocking(move || shared.settings.put(&object, settings)).await.flatten();
        kept.map_err(|error| NodeError::internal("keep it", error))?;
        self.refresh().await;
        Ok(())
    }

    /// Tells every Pod that may still run that a ConfigMap or Secret has changed.
    async fn refresh(&self) {
        let living: Vec<_> = self.shared.pods().by_key.values().filter(|pod| !pod.is_finished()).cloned().collect();
        for pod in living {
            // One that is gone meanwhile needs nothing.
            let _ = pod.requests.send(Request::Refresh).await;
        }
    }

    /// Forgets a ConfigMap or a Secret.
    ///
    /// # Errors
    /// `NotFound`; `Internal` when its file could not be removed.
    pub async fn remove_settings(&self, kind: SettingsKind, namespace: &str, name: &str) -> Result<(), NodeError> {
        let (shared, of, called) = (self.shared.clone(), namespace.to_owned(), name.to_owned());
        match blocking(move || shared.settings.remove(kind, &of, &called)).await.flatten() {
            Ok(true) => {
                self.refresh().await;
                Ok(())
            }
            Ok(false) => {
                let message = format!("no {} named {namespace}/{name}", kind.word());
                Err(NodeError::new(NodeErrorKind::NotFound, message))
            }
            Err(error) => Err(NodeError::internal("remove its file", error)),
        }
    }

    /// Keeps a claim (`persistentVolumeClaim`): makes its folder, unless it is there already. Pods that name it do so
    /// themselves.
    ///
    /// # Errors
    /// `Invalid` with a cause per field; `Internal` when the file system does not want to.
    pub async fn keep_claim(&self, claim: &PersistentVolumeClaim) -> Result<(), NodeError> {
        let checked = dwell_spec::manifest::check_claim(claim);
        let (namespace, name) = checked.map_err(|problems| NodeError::invalid_claim(claim, problems))?;
        claims::keep(&self.shared, &namespace, &name).await
    }

    /// Removes a claim (`persistentVolumeClaim`) with everything in it.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` while a Pod that may still run names it; `Internal` when the file system does not want to.
    pub async fn remove_claim(&self, namespace: &str, name: &str) -> Result<(), NodeError> {
        claims::remove(&self.shared, namespace, name).await
    }

    /// The Pod as it is now.
    ///
    /// # Errors
    /// `NotFound`, with what there is.
    pub fn get(&self, namespace: &str, name: &str) -> Result<Arc<Pod>, NodeError> {
        self.find(namespace, name).map(|handle| handle.object())
    }

    /// How the Pod fares now: phase, conditions, containers, addresses, as a kubelet writes them.
    ///
    /// # Errors
    /// As `get`.
    pub fn status(&self, namespace: &str, name: &str) -> Result<PodStatus, NodeError> {
        self.get(namespace, name).map(|pod| pod.status.clone().unwrap_or_default())
    }

    /// Every Pod of a namespace, or of all.
    pub fn list(&self, namespace: Option<&str>) -> Vec<Arc<Pod>> {
        let pods = self.shared.pods();
        pods.by_key
            .values()
            .filter(|pod| namespace.is_none_or(|ns| pod.namespace == ns))
            .map(|pod| pod.object())
            .collect()
    }

    /// Every Pod, and every change from then on, without a gap.
    pub fn watch(&self) -> (Vec<Arc<Pod>>, broadcast::Receiver<PodEvent>) {
        let pods = self.shared.pods();
        let changes = self.shared.events.subscribe();
        (pods.by_key.values().map(|pod| pod.object()).collect(), changes)
    }

    /// Asks every member to stop, and kills what is left after the grace period (the Pod's own when `None`). The
    /// record stays. Returns once the wish is on disk.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn stop(
        &self,
        namespace: &str,
        name: &str,
        grace_seconds: Option<u32>,
    ) -> Result<Option<Arc<Pod>>, NodeError> {
        self.ask(namespace, name, |reply| Request::Stop { grace_seconds, remove: false, reply }).await?;
        Ok(self.get(namespace, name).ok())
    }

    /// As `stop`, and forgets the Pod afterwards.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn remove(
        &self,
        namespace: &str,
        name: &str,
        grace_seconds: Option<u32>,
    ) -> Result<Option<Arc<Pod>>, NodeError> {
        let before = self.get(namespace, name)?;
        self.ask(namespace, name, |reply| Request::Stop { grace_seconds, remove: true, reply }).await?;
        Ok(Some(self.get(namespace, name).unwrap_or(before)))
    }

    /// Stops every member and starts the Pod again from its init containers, in the same sandbox. Returns once the old
    /// members have ended.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn restart(&self, namespace: &str, name: &str) -> Result<Option<Arc<Pod>>, NodeError> {
        self.ask(namespace, name, |reply| Request::Restart { reply }).await?;
        Ok(self.get(namespace, name).ok())
    }

    /// Sends a signal to one member, or to all living ones.
    ///
    /// # Errors
    /// `NotFound`, `Conflict` when it is not running.
    pub async fn kill(
        &self,
        namespace: &str,
        name: &str,
        container: Option<&str>,
        signal: SignalName,
    ) -> Result<Option<Arc<Pod>>, NodeError> {
        let container = container.map(str::to_owned);
        self.ask(namespace, name, |reply| Request::Kill { container, signal: signal.number(), reply }).await?;
        Ok(self.get(namespace, name).ok())
    }

    /// Runs a program inside a living native member.
    ///
    /// # Errors
    /// `NotFound`, `Conflict` when it is not running, `BadRequest` when the request makes no sense.
    pub async fn exec(&self, namespace: &str, name: &str, request: ExecRequest) -> Result<ExecSession, NodeError> {
        self.ask(namespace, name, |reply| Request::Exec { request, reply }).await
    }

    /// Adds containers to a Pod that runs, to look around in it: they are begun at once (one with a target once that
    /// runs), once only, and count neither for the Pod's phase nor for its end. Of those that are there already nothing
    /// may be different. Returns once the wish is on disk.
    ///
    /// # Errors
    /// `NotFound`, `Conflict` when the Pod is not meant to run any more, `Invalid` with a cause per field.
    pub async fn add_containers(
        &self,
        namespace: &str,
        name: &str,
        containers: Vec<EphemeralContainer>,
    ) -> Result<Arc<Pod>, NodeError> {
        self.ask(namespace, name, |reply| Request::Add { containers, reply }).await?;
        self.get(namespace, name)
    }

    /// Makes of a Pod what it is to be now: images, resources, labels, annotations, tolerations and a shorter
    /// `activeDeadlineSeconds` may be others. A member of another image (or whose `resizePolicy` says so) makes room for the
    /// new one; the others, the Pod's address and its volumes stay. With `based_on` it must still be that, but for its
    /// status; a `metadata.uid` in `pod` must be the Pod's. Returns once the wish is on disk and new limits hold.
    ///
    /// # Errors
    /// `NotFound`, `Invalid` with a cause per field, `Conflict` when it is otherwise by now, is being removed, or uses more
    /// memory than it is to have.
    pub async fn update(&self, pod: Pod, based_on: Option<Arc<Pod>>) -> Result<Arc<Pod>, NodeError> {
        let part = |part: &Option<String>| part.clone().filter(|part| !part.is_empty());
        let namespace = part(&pod.metadata.namespace).unwrap_or_else(|| "default".to_owned());
        let name = part(&pod.metadata.name).unwrap_or_default();
        let wanted = Box::new(pod);
        self.ask(&namespace, &name, |reply| Request::Change { wanted, based_on, reply }).await?;
        self.get(&namespace, &name)
    }

    /// Takes down what somebody says of the Pod's conditions, for its readiness gates above all. Returns once it is on disk.
    ///
    /// # Errors
    /// `NotFound`, `Invalid` with a cause per field, `BadRequest` for too many of them.
    pub async fn set_conditions(
        &self,
        namespace: &str,
        name: &str,
        conditions: Vec<PodCondition>,
    ) -> Result<Arc<Pod>, NodeError> {
        let pod = self.get(namespace, name)?;
        dwell_spec::manifest::check_conditions(&conditions).map_err(|problems| NodeError::invalid(&pod, problems))?;
        let said = conditions.into_iter().map(said).collect();
        self.ask(namespace, name, |reply| Request::Hear { said, reply }).await?;
        self.get(namespace, name)
    }

    /// A copy of a member's standard input or terminal.
    ///
    /// # Errors
    /// As `exec`.
    pub async fn attach(&self, namespace: &str, name: &str, container: Option<&str>) -> Result<Attached, NodeError> {
        let container = container.map(str::to_owned);
        self.ask(namespace, name, |reply| Request::Attach { container, reply }).await
    }

    /// Closes a member's standard input for good; no error if it is gone already.
    pub async fn close_stdin(&self, namespace: &str, name: &str, container: &str) {
        if let Ok(handle) = self.find(namespace, name) {
            let _ = handle.requests.send(Request::CloseStdin { container: container.to_owned() }).await;
        }
    }

    /// What happened to the Pods of a namespace, or to all: the newest of each, in the order in which it last happened.
    pub fn events(&self, namespace: Option<&str>) -> Vec<Event> {
        let pods: Vec<_> = self.shared.pods().by_key.values().cloned().collect();
        let of_namespace = |pod: &&Arc<PodHandle>| namespace.is_none_or(|namespace| pod.namespace == namespace);
        let told = |pod: &Arc<PodHandle>| events::objects(pod, &self.shared.facts.hostname);
        let mut all: Vec<(u64, Event)> = pods.iter().filter(of_namespace).flat_map(told).collect();
        all.sort_by_key(|(last_ns, _)| *last_ns);
        all.into_iter().map(|(_, event)| event).collect()
    }

    /// What every Pod that lives uses, by namespace and name. One whose driver is busy for longer than two seconds is left
    /// out. Dropping the future loses nothing.
    pub async fn stats(&self) -> Vec<PodUsage> {
        let living: Vec<_> = self.shared.pods().by_key.values().filter(|pod| !pod.is_finished()).cloned().collect();
        let mut asked = Vec::new();
        for pod in living {
            let (reply, answer) = oneshot::channel();
            if pod.requests.try_send(Request::Usage { reply }).is_ok() {
                asked.push(answer);
            }
        }
        let deadline = tokio::time::Instant::now() + USAGE_TIMEOUT;
        let mut found = Vec::new();
        for answer in asked {
            if let Ok(Ok(Ok(usage))) = tokio::time::timeout_at(deadline, answer).await {
                found.extend(usage);
            }
        }
        found
    }

    fn find(&self, namespace: &str, name: &str) -> Result<Arc<PodHandle>, NodeError> {
        let pods = self.shared.pods();
        let found = pods.by_key.get(&(namespace.to_owned(), name.to_owned())).cloned();
        found.ok_or_else(|| NodeError::no_pod(namespace, name, pods.by_key.keys()))
    }

    fn accept(&self, pod: Pod, checked: checked::Pod) -> Result<Arc<PodHandle>, NodeError> {
        let now = crate::clock::now_ns();
        let mut journal = Journal::new(&checked, &self.shared.boot_id, now);
        let (namespace, name, host) = (&checked.namespace, &checked.name, &self.shared.facts.hostname);
        let words = format!("Successfully assigned {namespace}/{name} to {host}");
        journal.events.tell(None, "Scheduled", words, now);
        let (handle, requests) = PodHandle::new(pod);
        let key = (handle.namespace.clone(), handle.name.clone());
        {
            let mut pods = self.shared.pods();
            if pods.leaving {
                return Err(NodeError::new(NodeErrorKind::Unavailable, "this node is leaving".into()));
            }
            if pods.by_key.contains_key(&key) {
                return Err(NodeError::exists(&key.0, &key.1));
            }
            pods.by_key.insert(key.clone(), handle.clone());
        }
        if let Err(error) = self.shared.write_down(&handle, &journal) {
            self.shared.pods().by_key.remove(&key);
            let _ = dwell_sys::remove::remove_tree(&self.shared.layout.pod(&handle.uid));
            return Err(NodeError::internal("write the Pod down", error));
        }
        self.shared.announce(EventKind::Added, handle.object());
        self.shared.supervise(handle.clone(), requests, checked, journal, None);
        Ok(handle)
    }

    async fn ask<T>(
        &self,
        namespace: &str,
        name: &str,
        request: impl FnOnce(Reply<T>) -> Request,
    ) -> Result<T, NodeError> {
        let handle = self.find(namespace, name)?;
        let (reply, answer) = oneshot::channel();
        let sent = handle.requests.send(request(reply)).await;
        let answer = if sent.is_ok() { answer.await } else { Ok(Err(Refusal::Gone)) };
        answer.unwrap_or(Err(Refusal::Gone)).map_err(|refusal| NodeError::refused(namespace, name, refusal))
    }

    /// Whether no Pod may still run.
    pub fn is_idle(&self) -> bool {
        self.shared.pods().by_key.values().all(|pod| pod.is_finished())
    }

    /// Completes once no Pod could run for that long, without a gap.
    pub async fn idle_for(&self, period: Duration) {
        loop {
            let change = self.shared.changed.notified();
            if !self.is_idle() {
                change.await;
            } else if tokio::time::timeout(period, change).await.is_err() && self.is_idle() {
                return;
            }
        }
    }

    /// Refuses new Pods from now on if no Pod may still run; `false` if one may.
    pub fn begin_leaving(&self) -> bool {
        let mut pods = self.shared.pods();
        pods.leaving = pods.by_key.values().all(|pod| pod.is_finished());
        pods.leaving
    }

    /// Asks whoever waits in `shutdown_requested` to end this node's process.
    pub fn shutdown(&self) {
        self.shared.shutdown.notify_one();
    }

    /// Whether a Pod's driver panicked. Nothing of the Pod is lost, but this node cannot go on with it: another one
    /// finds it as it finds those of a node that was killed.
    pub fn is_broken(&self) -> bool {
        self.shared.broken.load(std::sync::atomic::Ordering::Acquire)
    }

    /// Completes when `shutdown` was called, or when the node is broken.
    pub async fn shutdown_requested(&self) {
        self.shared.shutdown.notified().await;
    }

    /// Gives back what only a node without Pods may: its bridge, its firewall table, its cgroup. With living Pods it
    /// only ends what it has begun.
    pub async fn close(&self) {
        if self.begin_leaving() {
            let shared = self.shared.clone();
            if let Err(error) = blocking(move || open::give_back(&shared)).await {
                complain(format_args!("give back what the node has of the host: {error}"));
            }
        }
        settled().await;
    }

    /// What this node is: version, process, folders, Pods.
    pub fn info(&self) -> serde_json::Value {
        let layout = &self.shared.layout;
        serde_json::json!({
            "version": env!("CARGO_PKG_VERSION"), "pid": std::process::id(), "id": layout.id(),
            "lib": layout.lib(), "run": layout.run(), "pods": self.shared.pods().by_key.len(),
        })
    }

    /// What the host offers and lacks.
    pub async fn check(&self) -> Vec<host::CheckItem> {
        let layout = self.shared.layout.clone();
        blocking(move || host::check(&layout)).await.unwrap_or_default()
    }
}
