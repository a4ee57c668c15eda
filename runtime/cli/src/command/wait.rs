//! Waiting until Pods have ended or are gone, by the node's watch; through the node's own end, too.

use std::time::Duration;

use dwell::layout::Layout;
use dwell_serve::client::{Client, ClientFailure, Kind, PodEvent};
use k8s_openapi::api::core::v1::Pod;

use crate::failure::Failure;
use crate::pods::records::{is_finished, key, uid};

/// Between two attempts to find a node again.
const PAUSE: Duration = Duration::from_millis(20);
/// Attempts without any event in between.
const ATTEMPTS: u32 = 50;

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// The Pod has ended, or is gone.
    Finished,
    /// Its record is gone.
    Gone,
}

/// Waits for one Pod. A Pod of the same name with another uid means that this one is gone.
///
/// # Errors
/// No node could be reached or started any more.
pub async fn wait_for(layout: &Layout, pod: &Pod, until: Until) -> Result<(), Failure> {
    let mut failure = None;
    for _ in 0..ATTEMPTS {
        match watch_until(layout, pod, until).await {
            Ok(true) => return Ok(()),
            Ok(false) => {}
            Err(e) if e.kind() == Kind::NoNode => failure = Some(e),
            Err(e) => return Err(e.into()),
        }
        tokio::time::sleep(PAUSE).await;
    }
    Err(failure.map_or_else(|| Failure::new("the node keeps closing its watch"), Failure::from))
}

/// Whether it came about before the node closed the watch.
async fn watch_until(layout: &Layout, pod: &Pod, until: Until) -> Result<bool, ClientFailure> {
    let client = Client::connect_or_start(layout).await?;
    let (namespace, name) = key(pod);
    let mut watch = client.watch_pod(namespace, name).await?;
    match client.pod(namespace, name).await {
        Err(e) if e.kind() == Kind::NotFound => return Ok(true),
        Ok(now) if has_come_about(&PodEvent::Modified(Box::new(now.clone())), pod, until) => {
            return Ok(true);
        }
        other => drop(other?),
    }
    while let Some(event) = watch.next().await? {
        if has_come_about(&event, pod, until) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn has_come_about(event: &PodEvent, pod: &Pod, until: Until) -> bool {
    let gone = matches!(event, PodEvent::Deleted(_)) || uid(event.pod()) != uid(pod);
    gone || (until == Until::Finished && is_finished(event.pod()))
}
