//! `dwell rm`: remove finished Pods; with `-f` stop and remove those that run.

use dwell::layout::Layout;
use dwell_serve::client::{Client, Kind};
use k8s_openapi::api::core::v1::Pod;

use super::wait::{Until, wait_for};
use super::{Outcome, print};
use crate::args::{Grace, PodNames};
use crate::failure::Failure;
use crate::output::progress::Progress;
use crate::pods::records::{is_finished, key, shown};
use crate::pods::{node, select};

/// Arguments of `dwell rm`.
#[derive(Debug, clap::Args)]
pub struct RmArgs {
    #[command(flatten)]
    names: PodNames,
    /// Stop Pods that run, and remove them
    #[arg(short, long)]
    force: bool,
    #[command(flatten)]
    grace: Grace,
}

/// Removes Pods; prints the name of each once it is gone.
pub async fn run(args: RmArgs, layout: &Layout) -> Outcome {
    let pods = node::supervised_pods(layout).await?;
    let chosen = select::many(&pods, &args.names.pods, args.names.namespace.as_deref(), args.names.all)?;
    let chosen: Vec<&Pod> =
        chosen.into_iter().filter(|pod| args.force || !args.names.all || is_finished(pod)).collect();
    if chosen.is_empty() {
        return Ok(0);
    }
    let client = node::connect(layout).await?;
    if !args.force {
        refuse_running(&client, &chosen).await?;
    }
    for pod in &chosen {
        match client.delete_pod(key(pod).0, key(pod).1, args.grace.seconds).await {
            Err(e) if e.kind() == Kind::NotFound => {}
            other => drop(other?),
        }
    }
    for pod in chosen {
        Progress::new().during(format!("removing {}", shown(pod)), wait_for(layout, pod, Until::Gone)).await?;
        print(&format!("{}\n", shown(pod)))?;
    }
    Ok(0)
}

/// The node knows best: a record may be older than the last request, or could not be written on a full disk.
async fn refuse_running(client: &Client, chosen: &[&Pod]) -> Result<(), Failure> {
    for pod in chosen {
        let now = match client.pod(key(pod).0, key(pod).1).await {
            Err(e) if e.kind() == Kind::NotFound => continue,
            other => other?,
        };
        if !is_finished(&now) {
            let hint = format!("`dwell stop {0}` first, or `dwell rm -f {0}`", shown(pod));
            return Err(Failure::new(format!("{} still runs", shown(pod))).with_hint(hint));
        }
    }
    Ok(())
}
