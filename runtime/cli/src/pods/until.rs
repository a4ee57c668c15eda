//! Waiting until something has become of a Pod.

use dwell::layout::Layout;
use k8s_openapi::api::core::v1::Pod;

use super::changes::Changes;
use super::condition::Condition;
use super::records::is_finished;
use crate::failure::Failure;

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

/// Waits for one Pod.
///
/// # Errors
/// As `Changes::next`.
pub async fn wait_for(layout: &Layout, pod: &Pod, until: &Until) -> Result<Became, Failure> {
    let mut changes = Changes::of(layout, pod);
    while let Some(now) = changes.next().await? {
        let came_about = match until {
            Until::Finished => is_finished(&now),
            Until::Gone => false,
            Until::Meets(condition) => condition.is_met(&now),
        };
        if came_about {
            return Ok(Became::Wanted);
        }
    }
    // Who is gone has ended, too.
    Ok(if matches!(until, Until::Meets(_)) { Became::Gone } else { Became::Wanted })
}
