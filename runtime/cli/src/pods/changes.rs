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

impl<'a> Changes<'a> {
    /// Of this Pod; one of the same name with another uid means that it is gone.
    pub fn of(layout: &'a Layout, pod: &'a Pod) -> Self {
        Self { layout, pod, connected: None, attempts: 0 }
    }

    /// The node that tells of them, while there is one.
    pub fn client(&self) -> Option<&Client> {
        self.connected.as_ref().map(|(client, _)| client)
    }

    /// The Pod as it is now at first, and after each change; `None` once it is gone. Dropping the future loses nothing.
    ///
    /// # Errors
    /// No node could be reached or started any more.
    pub async fn next(&mut self) -> Result<Option<Pod>, Failure> {
        loop {
            let failure = match self.step().await {
                Ok(Some(event)) => {
                    self.attempts = 0;
                    return Ok(self.of_ours(event));
                }
                Ok(None) => None,
                Err(e) if e.kind() == Kind::NotFound => return Ok(None),
                Err(e) if e.kind() == Kind::NoNode => Some(e),
                Err(e) => return Err(e.into()),
            };
            self.connected = None;
            self.attempts += 1;
            if self.attempts > ATTEMPTS {
                return Err(failure.map_or_else(|| Failure::new("the node keeps closing its watch"), Failure::from));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// The next event; of a new watch the Pod as it is. Nothing when the node has closed the watch.
    async fn step(&mut self) -> Result<Option<PodEvent>, ClientFailure> {
        if let Some((_, watch)) = &mut self.connected {
            return watch.next().await;
        }
        let (namespace, name) = key(self.pod);
        let client = Client::connect_or_start(self.layout).await?;
        let watch = client.watch_pod(namespace, name).await?;
        let now = client.pod(namespace, name).await?;
        self.connected = Some((client, watch));
        Ok(Some(PodEvent::Modified(Box::new(now))))
    }

    fn of_ours(&self, event: PodEvent) -> Option<Pod> {
        match event {
            PodEvent::Added(pod) | PodEvent::Modified(pod) if uid(&pod) == uid(self.pod) => Some(*pod),
            _ => None,
        }
    }
}
