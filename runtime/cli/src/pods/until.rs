//! Waiting until something has become of a Pod, by the node's watch; through the node's own end, too.

use std::time::Duration;

use dwell::layout::Layout;
use dwell_serve::client::{Client, ClientFailure, Kind, PodEvent};
use k8s_openapi::api::core::v1::Pod;

use super::condition::Condition;
use super::records::{is_finished, key, uid};
use crate::failure::Failure;

/// Between two attempts to find a node again.
const PAUSE: Duration = Duration::from_millis(20);
/// Attempts without any event in between.
const ATTEMPTS: u32 = 50;

/// What is waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Until {
    /// The Pod has ended, or is gone.
    Finished,
    /// Its record is gone.
    Gone,
    /// Its object says so.
    Meets(Condition),
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Became {
    /// What was waited for.
    Wanted,
    /// The Pod is gone, and something else was waited for.
    Gone,
}

/// Waits for one Pod. A Pod of the same name with another uid means that this one is gone.
///
/// # Errors
/// No node could be reached or started any more.
pub async fn wait_for(layout: &Layout, pod: &Pod, until: &Until) -> Result<Became, Failure> {
    let mut failure = None;
    for _ in 0..ATTEMPTS {
        match watch_until(layout, pod, until).await {
            Ok(Some(became)) => return Ok(became),
            Ok(None) => {}
            Err(e) if e.kind() == Kind::NoNode => failure = Some(e),
            Err(e) => return Err(e.into()),
        }
        tokio::time::sleep(PAUSE).await;
    }
    Err(failure.map_or_else(|| Failure::new("the node keeps closing its watch"), Failure::from))
}

/// What came of it, unless the node closed the watch before.
async fn watch_until(layout: &Layout, pod: &Pod, until: &Until) -> Result<Option<Became>, ClientFailure> {
    let client = Client::connect_or_start(layout).await?;
    let (namespace, name) = key(pod);
    let mut watch = client.watch_pod(namespace, name).await?;
    match client.pod(namespace, name).await {
        Err(e) if e.kind() == Kind::NotFound => return Ok(Some(gone(until))),
        other => {
            let now = PodEvent::Modified(Box::new(other?));
            if let Some(became) = what_became(&now, pod, until) {
                return Ok(Some(became));
            }
        }
    }
    while let Some(event) = watch.next().await? {
        if let Some(became) = what_became(&event, pod, until) {
            return Ok(Some(became));
        }
    }
    Ok(None)
}

fn what_became(event: &PodEvent, pod: &Pod, until: &Until) -> Option<Became> {
    if matches!(event, PodEvent::Deleted(_)) || uid(event.pod()) != uid(pod) {
        return Some(gone(until));
    }
    let came_about = match until {
        Until::Finished => is_finished(event.pod()),
        Until::Gone => false,
        Until::Meets(condition) => condition.is_met(event.pod()),
    };
    came_about.then_some(Became::Wanted)
}

/// Who is gone has ended, too.
fn gone(until: &Until) -> Became {
    if matches!(until, Until::Meets(_)) { Became::Gone } else { Became::Wanted }
}
