//! `dwell plan`: what would be done for a manifest, decided by the same pure functions that decide it for real. Nothing is
//! started and no root is needed; what only a start can tell (addresses, a module's digest) is shown as unknown, and so is
//! what an image holds that the caller may not read.

use std::collections::BTreeMap;
use std::io::ErrorKind;

use dwell::layout::Layout;
use dwell_spec::facts::{ContainerFacts, DeviceNumber, HostFacts, PodIp};
use dwell_spec::plan::container::ContainerPlan;
use dwell_spec::plan::pod::PodPlan;
use dwell_spec::plan::{plan_container, plan_pod, resolved};
use dwell_spec::pod::{Container, Pod, Volume, VolumeSource};
use dwell_spec::settings::Settings;
use serde::Serialize;

use super::run::source;
use super::{Outcome, print};
use crate::failure::{DWELL_FAILED, Failure};

/// Arguments of `dwell plan`.
#[derive(Debug, clap::Args)]
pub struct PlanArgs {
    /// Manifests (`-` for standard input)
    #[arg(value_name = "FILE", required = true)]
    files: Vec<String>,
    /// Print JSON instead of text
    #[arg(short, long, value_enum, value_name = "FORMAT")]
    output: Option<Format>,
}

/// Formats besides text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// One JSON array, an object for each Pod
    Json,
}

/// A Pod's plans.
#[derive(Debug, Serialize)]
struct Plans {
    pod: PodPlan,
    containers: Vec<Planned>,
}

/// A container's plan, or why there is none.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
enum Planned {
    Plan(Box<ContainerPlan>),
    Unplanned { name: String, because: String },
}

/// Prints the plans; 125 if a container cannot be planned.
pub fn run(args: PlanArgs, layout: &Layout) -> Outcome {
    let host = dwell::host::facts(layout.lib());
    let (pods, settings) = source::checked(&args.files)?;
    let plans: Result<Vec<Plans>, Failure> = pods.iter().map(|pod| plans(pod, &host, &settings, layout)).collect();
    let plans = plans?;
    match args.output {
        None => print(&plans.iter().map(text).collect::<Vec<_>>().join("\n"))?,
        Some(Format::Json) => print(&json(&plans)?)?,
    }
    let unplanned = plans.iter().flat_map(|p| &p.containers).any(|c| matches!(c, Planned::Unplanned { .. }));
    Ok(if unplanned { DWELL_FAILED } else { 0 })
}

fn plans(pod: &Pod, host: &HostFacts, settings: &[Settings], layout: &Layout) -> Result<Plans, Failure> {
    let planned = plan_pod(pod, host).map_err(|e| Failure::of(&e))?;
    let containers = pod.init_containers.iter().chain(&pod.containers).map(|container| {
        plan(pod, container, host, settings, layout)
            .unwrap_or_else(|because| Planned::Unplanned { name: container.name.clone(), because })
    });
    Ok(Plans { pod: planned, containers: containers.collect() })
}

fn plan(
    pod: &Pod,
    container: &Container,
    host: &HostFacts,
    settings: &[Settings],
    layout: &Layout,
) -> Result<Planned, String> {
    let values = ContainerFacts { settings: settings.to_vec(), ..ContainerFacts::default() };
    let started = resolved(pod, container, host, &values, PodIp::UNKNOWN).map_err(|e| e.to_string())?;
    let mut facts = match dwell::image_facts(&started) {
        Err(e) if e.kind() == ErrorKind::PermissionDenied => ContainerFacts::default(),
        looked => looked.map_err(|e| e.to_string())?,
    };
    facts.settings = values.settings;
    if container.rights.privileged {
        facts.host_devices = dwell::host_devices();
    }
    facts.devices = devices(pod);
    facts.filters = dwell::filters(layout, container);
    let plan = plan_container(pod, container, host, &facts, PodIp::UNKNOWN);
    plan.map(|plan| Planned::Plan(Box::new(plan))).map_err(|e| e.to_string())
}

/// The volumes that are devices, as far as they are there.
fn devices(pod: &Pod) -> BTreeMap<String, DeviceNumber> {
    let device = |volume: &Volume| match &volume.source {
        VolumeSource::HostPath { path, kind } if kind.is_device() => {
            Some((volume.name.clone(), dwell::host_device(path)?))
        }
        _ => None,
    };
    pod.volumes.iter().filter_map(device).collect()
}

fn text(plans: &Plans) -> String {
    let containers = plans.containers.iter().map(|container| match container {
        Planned::Plan(plan) => plan.to_string(),
        Planned::Unplanned { name, because } => {
            format!("Container {name}: cannot be planned: {because}\n")
        }
    });
    std::iter::once(plans.pod.to_string()).chain(containers).collect::<Vec<_>>().join("\n")
}

fn json(plans: &[Plans]) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(plans).map_err(|e| Failure::new("encode the plans").caused_by(&e))?;
    Ok(text + "\n")
}
