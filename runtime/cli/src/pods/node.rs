//! When a command needs a node, and who may use one.

use dwell::layout::Layout;
use dwell_serve::client::{Client, Kind};
use dwell_sys::complain::complain;
use k8s_openapi::api::core::v1::Pod;

use super::records;
use crate::failure::Failure;
use crate::output::progress::Progress;

/// dwell makes namespaces, mounts and cgroups, and its folders are root's own.
///
/// # Errors
/// A plain sentence for everybody else.
pub fn require_root() -> Result<(), Failure> {
    match rustix::process::geteuid().is_root() {
        true => Ok(()),
        false => Err(Failure::new("dwell must be run by root: it makes namespaces, mounts and control groups")
            .with_hint("run the command with sudo")),
    }
}

/// The node, started if there is none.
///
/// # Errors
/// Why none could be reached or started.
pub async fn connect(layout: &Layout) -> Result<Client, Failure> {
    require_root()?;
    let started = Progress::new().during("starting the node", Client::connect_or_start(layout)).await;
    Ok(started?)
}

/// The Pods as their records say; starts a node first if some of them should run and nobody supervises them.
///
/// # Errors
/// The state folder cannot be read. A node that cannot be started is a warning: the records are there all the same.
pub async fn supervised_pods(layout: &Layout) -> Result<Vec<Pod>, Failure> {
    require_root()?;
    let pods = records::read_all(layout)?;
    if pods.iter().all(records::is_finished) || has_node(layout).await {
        return Ok(pods);
    }
    match connect(layout).await {
        Ok(client) => {
            let mut pods = client.pods().await?;
            records::sort(&mut pods);
            Ok(pods)
        }
        Err(failure) => {
            complain(format_args!("warning: nobody supervises these Pods, and a node could not be started:"));
            failure.report();
            Ok(pods)
        }
    }
}

async fn has_node(layout: &Layout) -> bool {
    match Client::connect(layout).await {
        Ok(_) => true,
        Err(failure) => failure.kind() != Kind::NoNode,
    }
}
