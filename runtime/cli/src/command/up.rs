//! `dwell up`: when it returns, the Pods that are meant to run do run. Said again, it changes nothing; made for a machine's
//! start.
//!
//! Without manifests it is about the Pods that the state folder holds and nobody stopped: after a power cut they begin
//! again, as their restart policies say, with their volumes. With manifests, or folders of them, it is about those: a Pod
//! that is missing is made, one that was stopped begins again, and one that is there already becomes what its manifest says,
//! as far as a Pod can change while it runs.

use std::path::Path;
use std::time::Duration;

use dwell::layout::Layout;
use dwell_serve::client::{Client, Kind};
use k8s_openapi::api::core::v1::{Pod, PodSpec};
use tokio::time::Instant;

use super::run::source::{self, Wanted};
use super::run::{keep_all, remove};
use super::wait::duration;
use super::{Outcome, print};
use crate::failure::Failure;
use crate::output::progress::Progress;
use crate::pods::changes::Changes;
use crate::pods::condition::Condition;
use crate::pods::records::{is_finished, key, shown};
use crate::pods::{node, waiting};

/// Arguments of `dwell up`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  dwell up                      what ran before the machine went down runs again
  dwell up /etc/dwell/pods      and what these manifests say does, too")]
pub struct UpArgs {
    /// Manifests (`-` for standard input), or folders of them; without any, the Pods that nobody stopped
    #[arg(value_name = "FILE")]
    files: Vec<String>,
    /// Make Pods anew that are not what their manifests say, and cannot become it while they run
    #[arg(long)]
    replace: bool,
    /// How long to wait until they run: 30s, 5m
    #[arg(long, value_name = "DURATION", default_value = "1m", value_parser = duration)]
    timeout: Duration,
}

/// Prints the names of the Pods that run; 125 if one does not.
pub async fn run(args: UpArgs, layout: &Layout) -> Outcome {
    node::require_root()?;
    let before = node::supervised_pods(layout).await?;
    let files = args.files.iter().map(|file| manifests(file)).collect::<Result<Vec<_>, _>>()?.concat();
    let mut pods: Vec<Pod> = match args.files.is_empty() {
        true => before.into_iter().filter(|pod| !is_finished(pod)).collect(),
        false => Vec::new(),
    };
    if !files.is_empty() {
        let Wanted { pods: wanted, settings, claims } = source::from_manifests(&files)?;
        let client = node::connect(layout).await?;
        keep_all(&client, &settings, &claims).await?;
        for pod in &wanted {
            pods.extend(ensure(&client, layout, pod, args.replace).await?);
        }
    }
    wait_for_all(layout, &pods, Instant::now() + args.timeout).await
}

/// The manifests of a folder by name, or the one that was named.
fn manifests(file: &str) -> Result<Vec<String>, Failure> {
    let path = Path::new(file);
    if !path.is_dir() {
        return Ok(vec![file.to_owned()]);
    }
    let failed = |e: std::io::Error| Failure::new(format!("read the folder {file}")).caused_by(&e);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let is_manifest = path.extension().is_some_and(|kind| kind == "yaml" || kind == "yml" || kind == "json");
        found.extend(path.to_str().filter(|_| is_manifest).map(str::to_owned));
    }
    found.sort();
    Ok(found)
}

/// What a manifest's Pod needs.
#[derive(Debug, PartialEq, Eq)]
enum Need {
    Making,
    Beginning,
    Nothing,
    /// It is there, and not what it should be.
    Changing,
}

/// A Pod that ended by itself has done what it was for; one that always begins again was stopped.
fn need(wanted: &Pod, there: Option<&Pod>) -> Need {
    let Some(there) = there else { return Need::Making };
    match is_the_same(wanted, there) {
        false => Need::Changing,
        true if is_finished(there) && wanted.spec.as_ref().is_some_and(begins_again) => Need::Beginning,
        true => Need::Nothing,
    }
}

fn begins_again(spec: &PodSpec) -> bool {
    spec.restart_policy.as_deref().is_none_or(|policy| policy == "Always")
}

/// Whether it was made from this: what was added while it ran, and what the node gave it, does not count.
fn is_the_same(wanted: &Pod, there: &Pod) -> bool {
    let plain = |pod: &Pod| {
        let added = |spec: &PodSpec| PodSpec { ephemeral_containers: None, ..spec.clone() };
        (pod.spec.as_ref().map(added), pod.metadata.labels.clone(), pod.metadata.annotations.clone())
    };
    plain(wanted) == plain(there)
}

async fn ensure(client: &Client, layout: &Layout, pod: &Pod, replace: bool) -> Result<Option<Pod>, Failure> {
    let (namespace, name) = key(pod);
    if name.is_empty() || pod.metadata.generate_name.is_some() {
        return Err(Failure::new("a Pod has a generateName: said again, `dwell up` would make another one")
            .with_hint("give it a metadata.name"));
    }
    let there = match client.pod(namespace, name).await {
        Err(e) if e.kind() == Kind::NotFound => None,
        other => Some(other?),
    };
    match need(pod, there.as_ref()) {
        Need::Nothing => return Ok(there),
        Need::Beginning => return start(client, pod).await.map(Some),
        // One that has ended would only be written down otherwise.
        Need::Changing if there.as_ref().is_some_and(is_finished) && replace => {
            remove(client, layout, std::slice::from_ref(pod)).await?;
        }
        Need::Changing if there.as_ref().is_some_and(is_finished) && !pod.spec.as_ref().is_some_and(begins_again) => {
            let what = format!("the Pod {} has ended, and would not run as its manifest says now", shown(pod));
            return Err(Failure::new(what).with_hint("`dwell up --replace` makes it anew"));
        }
        Need::Changing => match client.put_pod(pod).await {
            Ok(changed) if is_finished(&changed) => return start(client, pod).await.map(Some),
            Ok(changed) => return Ok(Some(changed)),
            Err(e) if e.kind() == Kind::Invalid && replace => remove(client, layout, std::slice::from_ref(pod)).await?,
            Err(e) if e.kind() == Kind::Invalid => {
                return Err(Failure::new(format!("the Pod {} is not what its manifest says", shown(pod)))
                    .caused_by(&e)
                    .with_hint("`dwell up --replace` makes it anew"));
            }
            Err(e) => return Err(e.into()),
        },
        Need::Making => {}
    }
    Ok(Some(client.create_pod(pod).await?))
}

async fn start(client: &Client, pod: &Pod) -> Result<Pod, Failure> {
    let (namespace, name) = key(pod);
    let beginning = client.restart_pod(namespace, name);
    Progress::new().during(format!("starting {}", shown(pod)), beginning).await?;
    Ok(client.pod(namespace, name).await?)
}

/// In order, with one limit for all; each is named as it runs, and at the end those that do not.
async fn wait_for_all(layout: &Layout, pods: &[Pod], deadline: Instant) -> Outcome {
    let mut failed = None;
    for pod in pods {
        match wait_for_one(layout, pod, deadline).await {
            Ok(()) => print(&format!("{}\n", shown(pod)))?,
            Err(failure) => failed.replace(failure).iter().for_each(Failure::report),
        }
    }
    failed.map_or(Ok(0), Err)
}

async fn wait_for_one(layout: &Layout, pod: &Pod, deadline: Instant) -> Result<(), Failure> {
    let ready = Condition::named("Ready");
    let mut last = pod.clone();
    let mut changes = Changes::of(layout, pod);
    let mut progress = Progress::new();
    let running = progress.during(format!("waiting for {}", shown(pod)), async {
        while let Some(now) = changes.next().await? {
            last = now;
            if ready.is_met(&last) || is_finished(&last) {
                return Ok(true);
            }
        }
        Ok::<_, Failure>(false)
    });
    let became = tokio::time::timeout_at(deadline, running).await;
    match became {
        Ok(Ok(true)) if has_failed(&last) => Err(Failure::new(format!("the Pod {} has failed", shown(pod)))
            .with_hint(format!("`dwell inspect {0}` and `dwell logs {0}` show why", shown(pod)))),
        Ok(Ok(true)) => Ok(()),
        Ok(Ok(false)) => Err(Failure::new(format!("the Pod {} is gone", shown(pod)))),
        Ok(Err(failure)) => Err(failure),
        Err(_) => {
            let why = waiting::what(&last).unwrap_or_else(|| "it is not ready".to_owned());
            Err(Failure::new(format!("the Pod {} does not run yet", shown(pod))).with_cause(why))
        }
    }
}

fn has_failed(pod: &Pod) -> bool {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Failed")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(spec: serde_json::Value, phase: &str) -> Pod {
        let whole = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": spec,
            "status": {"phase": phase}});
        serde_json::from_value(whole).unwrap()
    }

    #[test]
    fn only_what_is_missing_is_done() {
        let container = json!({"name": "a", "image": "wasm:/m"});
        let always = || json!({"containers": [container]});
        let never = || json!({"containers": [container], "restartPolicy": "Never"});
        let wanted = pod(always(), "");
        assert_eq!(need(&wanted, None), Need::Making);
        assert_eq!(need(&wanted, Some(&pod(always(), "Running"))), Need::Nothing);
        assert_eq!(need(&wanted, Some(&pod(always(), "Failed"))), Need::Beginning);
        assert_eq!(need(&wanted, Some(&pod(never(), "Running"))), Need::Changing);
        assert_eq!(need(&pod(never(), ""), Some(&pod(never(), "Succeeded"))), Need::Nothing);
        let mut added = always();
        added["ephemeralContainers"] = json!([{"name": "d", "image": "wasm:/d"}]);
        assert_eq!(need(&wanted, Some(&pod(added, "Running"))), Need::Nothing);
        let mut labelled = pod(always(), "Running");
        labelled.metadata.labels = Some([("a".to_owned(), "b".to_owned())].into());
        assert_eq!(need(&wanted, Some(&labelled)), Need::Changing);
    }
}
