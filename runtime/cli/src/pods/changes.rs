//! Every change of one Pod, by the node's watch; through the node's own end, too.

use std::time::Duration;

use dwell::layout::Layout;
use dwell_serve::client::{Client, ClientFailure, Kind, PodEvent, PodWatch};
use k8s_openapi::api::core::v1::Pod;

use super::records::{key, uid};
use crate::failure::Failure;

/// Between two attempts to find a node again.
const PAUSE: Duration = Duration::from_millis(20);
/// Attempts without any event in between.
const ATTEMPTS: u32 = 50;

/// The changes of one Pod.
#[derive(Debug)]
pub struct Changes<'a> {
    layout: &'a Layout,
    pod: &'a Pod,
    connected: Option<(Client, PodWatch)>,
    attempts: u32,
}

/// What a look or a watch brings.
#[derive(Debug)]
pub enum Change {
    /// The Pod as it is now.
    To(Box<Pod>),
    /// It is gone.
    Gone,
    /// The node has closed the watch: look again.
    Closed,
}

impl<'a> Changes<'a> {
    /// Of this Pod; one of the same name with another uid means that it is gone.
    pub fn of(layout: &'a Layout, pod: &'a Pod) -> Self {
        Self { layout, pod, connected: None, attempts: 0 }
    }

    /// The node that tells of them; none before the first look, and after the watch was closed.
    pub fn client(&self) -> Option<&Client> {
        self.connected.as_ref().map(|(client, _)| client)
    }

    /// The Pod as it is now at first, and after each change; `None` once it is gone.
    ///
    /// # Errors
    /// As `look`.
    pub async fn next(&mut self) -> Result<Option<Pod>, Failure> {
        loop {
            let change = if self.connected.is_some() { self.changed().await? } else { self.look().await? };
            match change {
                Change::To(pod) => return Ok(Some(*pod)),
                Change::Gone => return Ok(None),
                Change::Closed => {}
            }
        }
    }

    /// Finds a node, or starts one, and looks at the Pod. What was begun is lost when the future is dropped.
    ///
    /// # Errors
    /// No node could be reached or started any more.
    pub async fn look(&mut self) -> Result<Change, Failure> {
        loop {
            let failure = match self.connect().await {
                Ok(now) => return Ok(self.of_ours(PodEvent::Modified(Box::new(now)))),
                Err(e) if e.kind() == Kind::NotFound => return Ok(Change::Gone),
                Err(e) if e.kind() == Kind::NoNode => e,
                Err(e) => return Err(e.into()),
            };
            self.count(Some(failure))?;
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// The next change; pends where nothing was looked at yet. Dropping the future loses nothing.
    ///
    /// # Errors
    /// The node keeps closing its watch.
    pub async fn changed(&mut self) -> Result<Change, Failure> {
        let Some((_, watch)) = &mut self.connected else { return std::future::pending().await };
        let failure = match watch.next().await {
            Ok(Some(event)) => {
                self.attempts = 0;
                return Ok(self.of_ours(event));
            }
            Ok(None) => None,
            Err(e) if e.kind() == Kind::NoNode => Some(e),
            Err(e) => return Err(e.into()),
        };
        self.connected = None;
        self.count(failure)?;
        Ok(Change::Closed)
    }

    async fn connect(&mut self) -> Result<Pod, ClientFailure> {
        let (namespace, name) = key(self.pod);
        let client = Client::connect_or_start(self.layout).await?;
        let watch = client.watch_pod(namespace, name).await?;
        let now = client.pod(namespace, name).await?;
        self.connected = Some((client, watch));
        Ok(now)
    }

    fn count(&mut self, failure: Option<ClientFailure>) -> Result<(), Failure> {
        self.attempts += 1;
        match self.attempts > ATTEMPTS {
            true => Err(failure.map_or_else(|| Failure::new("the node keeps closing its watch"), Failure::from)),
            false => Ok(()),
        }
    }

    fn of_ours(&self, event: PodEvent) -> Change {
        match event {
            PodEvent::Added(pod) | PodEvent::Modified(pod) if uid(&pod) == uid(self.pod) => Change::To(pod),
            _ => Change::Gone,
        }
    }
}
