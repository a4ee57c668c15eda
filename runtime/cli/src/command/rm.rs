//! `dwell rm`: remove finished Pods; with `-f` stop and remove those that run. `configmap/NAME`, `secret/NAME` and
//! `persistentvolumeclaim/NAME` (`pvc/NAME`) name what is kept beside them; Pods that run keep what they cannot be without.

use dwell::layout::Layout;
use dwell_serve::client::{Client, Kind};
use dwell_spec::settings::SettingsKind;
use k8s_openapi::api::core::v1::Pod;

use super::{Outcome, print};
use crate::args::{Grace, PodNames};
use crate::failure::Failure;
use crate::output::progress::Progress;
use crate::pods::records::{is_finished, key, shown};
use crate::pods::until::{Until, wait_for};
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
pub async fn run(mut args: RmArgs, layout: &Layout) -> Outcome {
    let (kept, pods): (Vec<_>, Vec<_>) = args.names.pods.into_iter().partition(|name| kept_named(name).is_some());
    args.names.pods = pods;
    if !args.names.pods.is_empty() || args.names.all {
        remove_pods(&args, layout).await?;
    }
    // What Pods use goes after them.
    if !kept.is_empty() {
        remove_kept(&kept, args.names.namespace.as_deref(), layout).await?;
    }
    Ok(0)
}

async fn remove_pods(args: &RmArgs, layout: &Layout) -> Result<(), Failure> {
    let pods = node::supervised_pods(layout).await?;
    let chosen = select::many(&pods, &args.names.pods, args.names.namespace.as_deref(), args.names.all)?;
    let chosen: Vec<&Pod> =
        chosen.into_iter().filter(|pod| args.force || !args.names.all || is_finished(pod)).collect();
    if chosen.is_empty() {
        return Ok(());
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
        Progress::new().during(format!("removing {}", shown(pod)), wait_for(layout, pod, &Until::Gone)).await?;
        print(&format!("{}\n", shown(pod)))?;
    }
    Ok(())
}

/// What is kept beside Pods.
#[derive(Clone, Copy)]
enum Kept {
    Settings(SettingsKind),
    Claim,
}

impl Kept {
    fn word(self) -> &'static str {
        match self {
            Self::Settings(kind) => kind.word(),
            Self::Claim => "persistentvolumeclaim",
        }
    }
}

fn kept_named(name: &str) -> Option<(Kept, &str)> {
    let (kind, name) = name.split_once('/')?;
    let kinds = [Kept::Settings(SettingsKind::ConfigMap), Kept::Settings(SettingsKind::Secret), Kept::Claim];
    let kind = if kind == "pvc" { Kept::Claim.word() } else { kind };
    kinds.into_iter().find(|known| known.word() == kind).map(|kind| (kind, name))
}

async fn remove_kept(names: &[String], namespace: Option<&str>, layout: &Layout) -> Result<(), Failure> {
    let (client, namespace) = (node::connect(layout).await?, namespace.unwrap_or("default"));
    let mut failed: Option<Failure> = None;
    for (kept, name) in names.iter().filter_map(|name| kept_named(name)) {
        let removed = match kept {
            Kept::Settings(kind) => client.delete_settings(kind, namespace, name).await,
            Kept::Claim => client.delete_claim(namespace, name).await,
        };
        match removed {
            Ok(()) => print(&format!("{}/{name}\n", kept.word()))?,
            // The others go all the same.
            Err(error) => {
                if let Some(before) = failed.replace(error.into()) {
                    before.report();
                }
            }
        }
    }
    failed.map_or(Ok(()), Err)
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
