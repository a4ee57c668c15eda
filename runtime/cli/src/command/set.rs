//! `dwell set image`, `dwell set resources`: a Pod that runs gets another image for one container, or more or less of the
//! machine, while its address, its volumes and the other members stay.

use std::collections::BTreeMap;

use dwell::layout::Layout;
use dwell_spec::image_ref;
use k8s_openapi::api::core::v1::{Container, Pod, PodSpec};
use serde_json::{Value, json};

use super::run::source::working_directory;
use super::{Outcome, print};
use crate::args::ContainerName;
use crate::failure::Failure;
use crate::output::progress::Progress;
use crate::pods::records::{key, shown};
use crate::pods::{node, select};

/// Arguments of `dwell set`.
#[derive(Debug, clap::Args)]
pub struct SetArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Other images for containers: each that gets one begins anew, the others go on
    Image(ImageArgs),
    /// Other limits and requests for a container, while it runs
    Resources(ResourcesArgs),
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  dwell set image web app=wasm:./app-2.wasm
  dwell set image web app=rootfs:/srv/app-2 proxy=rootfs:/srv/proxy-2")]
struct ImageArgs {
    #[command(flatten)]
    name: crate::args::PodName,
    /// CONTAINER=IMAGE, as many as there are to change
    #[arg(value_name = "CONTAINER=IMAGE", required = true, value_parser = pair)]
    images: Vec<(String, String)>,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  dwell set resources web -c app --limits cpu=500m,memory=128Mi")]
struct ResourcesArgs {
    #[command(flatten)]
    name: ContainerName,
    /// What it may use at most: cpu=500m,memory=128Mi
    #[arg(long, value_name = "NAME=AMOUNT", value_delimiter = ',', value_parser = pair, required_unless_present = "requests")]
    limits: Vec<(String, String)>,
    /// What it counts on
    #[arg(long, value_name = "NAME=AMOUNT", value_delimiter = ',', value_parser = pair)]
    requests: Vec<(String, String)>,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let found = text.split_once('=').filter(|(name, value)| !name.is_empty() && !value.is_empty());
    found.map(|(name, value)| (name.to_owned(), value.to_owned())).ok_or_else(|| "expected NAME=VALUE".to_owned())
}

/// Prints the Pod's name once the change is made.
pub async fn run(args: SetArgs, layout: &Layout) -> Outcome {
    let pods = node::supervised_pods(layout).await?;
    let (pod, patch) = match args.what {
        What::Image(args) => {
            let pod = select::one(&pods, &args.name.pod, args.name.namespace.as_deref())?;
            (pod, images(pod, args.images)?)
        }
        What::Resources(args) => {
            let (pod, container) = select::container_of(&pods, &args.name)?;
            let map = |pairs: Vec<_>| pairs.into_iter().collect::<BTreeMap<String, String>>();
            let resources = json!({"limits": map(args.limits), "requests": map(args.requests)});
            (pod, patch(vec![(list_of(pod, &container)?, json!({"name": container, "resources": resources}))]))
        }
    };
    let client = node::connect(layout).await?;
    let changing = client.patch_pod(key(pod).0, key(pod).1, &patch);
    Progress::new().during(format!("changing {}", shown(pod)), changing).await?;
    print(&format!("{}\n", shown(pod)))?;
    Ok(0)
}

fn images(pod: &Pod, images: Vec<(String, String)>) -> Result<Value, Failure> {
    let base_dir = working_directory()?;
    let mut changes = Vec::new();
    for (container, image) in images {
        let image = image_ref::resolve(&image, &base_dir);
        changes.push((list_of(pod, &container)?, json!({"name": container, "image": image})));
    }
    Ok(patch(changes))
}

/// The list of the manifest that the container stands in.
fn list_of(pod: &Pod, name: &str) -> Result<&'static str, Failure> {
    let has = |list: &[Container]| list.iter().any(|container| container.name == name);
    let inits = |spec: &PodSpec| spec.init_containers.clone().unwrap_or_default();
    match &pod.spec {
        Some(spec) if has(&spec.containers) => Ok("containers"),
        Some(spec) if has(&inits(spec)) => Ok("initContainers"),
        _ => Err(select::container(pod, Some(name)).err().unwrap_or_else(|| {
            Failure::new(format!("{name} was added to {} and cannot be changed", shown(pod)))
                .with_hint("`dwell debug` adds another one")
        })),
    }
}

fn patch(changes: Vec<(&'static str, Value)>) -> Value {
    let mut lists: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    changes.into_iter().for_each(|(list, change)| lists.entry(list).or_default().push(change));
    json!({"spec": lists})
}
