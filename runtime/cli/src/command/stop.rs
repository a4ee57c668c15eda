//! `dwell stop`: ask for an ordered stop of each Pod, all at once, then wait for each.

use dwell::layout::Layout;

use super::{Outcome, print};
use crate::args::{Grace, PodNames};
use crate::output::progress::Progress;
use crate::pods::records::{is_finished, key, shown};
use crate::pods::until::{Until, wait_for};
use crate::pods::{node, select};

/// Arguments of `dwell stop`.
#[derive(Debug, clap::Args)]
pub struct StopArgs {
    #[command(flatten)]
    names: PodNames,
    #[command(flatten)]
    grace: Grace,
}

/// Stops Pods; prints the name of each once it has ended.
pub async fn run(args: StopArgs, layout: &Layout) -> Outcome {
    let pods = node::supervised_pods(layout).await?;
    let chosen = select::many(&pods, &args.names.pods, args.names.namespace.as_deref(), args.names.all)?;
    let chosen: Vec<_> = chosen.into_iter().filter(|pod| !args.names.all || !is_finished(pod)).collect();
    if chosen.is_empty() {
        return Ok(0);
    }
    let client = node::connect(layout).await?;
    for pod in chosen.iter().filter(|pod| !is_finished(pod)) {
        client.stop_pod(key(pod).0, key(pod).1, args.grace.seconds).await?;
    }
    for pod in chosen {
        let waiting = wait_for(layout, pod, &Until::Finished);
        Progress::new().during(format!("stopping {}", shown(pod)), waiting).await?;
        print(&format!("{}\n", shown(pod)))?;
    }
    Ok(0)
}
