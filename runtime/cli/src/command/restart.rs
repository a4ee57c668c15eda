//! `dwell restart`: the members end in order and start again, in the same Pod.

use dwell::layout::Layout;

use super::{Outcome, print};
use crate::args::PodNames;
use crate::output::progress::Progress;
use crate::pods::records::{key, shown};
use crate::pods::{node, select};

/// Arguments of `dwell restart`.
#[derive(Debug, clap::Args)]
pub struct RestartArgs {
    #[command(flatten)]
    names: PodNames,
}

/// Restarts Pods.
pub async fn run(args: RestartArgs, layout: &Layout) -> Outcome {
    let pods = node::supervised_pods(layout).await?;
    let chosen = select::many(&pods, &args.names.pods, args.names.namespace.as_deref(), args.names.all)?;
    if chosen.is_empty() {
        return Ok(0);
    }
    let client = node::connect(layout).await?;
    for pod in chosen {
        let restarting = client.restart_pod(key(pod).0, key(pod).1);
        Progress::new().during(format!("restarting {}", shown(pod)), restarting).await?;
        print(&format!("{}\n", shown(pod)))?;
    }
    Ok(0)
}
