//! `dwell inspect`: the Pod objects, status included, as their records hold them.

use dwell::layout::Layout;
use k8s_openapi::api::core::v1::Pod;

use super::{Outcome, print};
use crate::args::{ObjectFormat, PodNames};
use crate::output::object;
use crate::pods::{node, select};

/// Arguments of `dwell inspect`.
#[derive(Debug, clap::Args)]
pub struct InspectArgs {
    #[command(flatten)]
    names: PodNames,
    /// How to print the objects
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value = "yaml")]
    output: ObjectFormat,
}

/// Prints Pods: one as itself, several as YAML documents or a JSON array.
pub async fn run(args: InspectArgs, layout: &Layout) -> Outcome {
    let pods = node::supervised_pods(layout).await?;
    let chosen = select::many(&pods, &args.names.pods, args.names.namespace.as_deref(), args.names.all)?;
    let text = match (&chosen[..], args.output) {
        ([pod], format) => object::render(pod, format)?,
        (pods, ObjectFormat::Json) => object::render(&pods, ObjectFormat::Json)?,
        (pods, ObjectFormat::Yaml) => documents(pods)?,
    };
    print(&text)?;
    Ok(0)
}

fn documents(pods: &[&Pod]) -> Result<String, crate::failure::Failure> {
    let texts: Result<Vec<_>, _> = pods.iter().map(|pod| object::render(pod, ObjectFormat::Yaml)).collect();
    Ok(texts?.join("---\n"))
}
