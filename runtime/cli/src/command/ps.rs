//! `dwell ps`: read the records, print a table. Asks no node for anything; starts one only for Pods that nobody supervises.

use dwell::layout::Layout;
use k8s_openapi::List;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;

use super::{Outcome, print};
use crate::args::{ListFormat, ObjectFormat};
use crate::clock;
use crate::output::{object, table};
use crate::pods::records::key;
use crate::pods::{node, summary};

/// Arguments of `dwell ps`.
#[derive(Debug, clap::Args)]
pub struct PsArgs {
    /// Show finished Pods too (they always are; for habit's sake)
    #[arg(short, long, hide = true)]
    all: bool,
    /// Show this namespace only
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// How to print the list
    #[arg(short, long, value_enum, value_name = "FORMAT")]
    output: Option<ListFormat>,
}

/// Lists Pods.
pub async fn run(args: PsArgs, layout: &Layout) -> Outcome {
    let mut pods = node::supervised_pods(layout).await?;
    pods.retain(|pod| args.namespace.as_deref().is_none_or(|n| key(pod).0 == n));
    let text = match args.output {
        Some(ListFormat::Json) => object::render(&list(pods), ObjectFormat::Json)?,
        Some(ListFormat::Yaml) => object::render(&list(pods), ObjectFormat::Yaml)?,
        Some(ListFormat::Name) => pods.iter().map(|pod| format!("pod/{}\n", key(pod).1)).collect(),
        Some(ListFormat::Wide) => columns(&pods, true, clock::now()),
        None => columns(&pods, false, clock::now()),
    };
    print(&text)?;
    Ok(0)
}

fn list(items: Vec<Pod>) -> List<Pod> {
    List { items, ..List::default() }
}

/// The namespace is a column as soon as one Pod is in another than `default`.
fn columns(pods: &[Pod], wide: bool, now: Timestamp) -> String {
    let with_namespace = wide || pods.iter().any(|pod| key(pod).0 != "default");
    let mut header = vec!["NAMESPACE", "NAME", "READY", "STATUS", "RESTARTS", "AGE", "IP"];
    let mut rows: Vec<Vec<String>> = pods.iter().map(|pod| row(pod, now)).collect();
    if !wide {
        header.truncate(6);
        rows.iter_mut().for_each(|row| row.truncate(6));
    }
    if !with_namespace {
        header.remove(0);
        rows.iter_mut().for_each(|row| drop(row.remove(0)));
    }
    table::render(&header, &rows)
}

fn row(pod: &Pod, now: Timestamp) -> Vec<String> {
    let (namespace, name) = key(pod);
    let sum = summary::of(pod, now);
    let ips = pod.status.iter().flat_map(|s| s.pod_ips.iter().flatten()).map(|ip| ip.ip.clone());
    let ips = ips.collect::<Vec<_>>().join(",");
    let ip = if ips.is_empty() { "<none>".into() } else { ips };
    vec![namespace.into(), name.into(), sum.ready, sum.status, sum.restarts, sum.age, ip]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespaces_show_when_they_matter() {
        let mut pod = Pod::default();
        pod.metadata.name = Some("web".into());
        pod.metadata.namespace = Some("default".into());
        let now = Timestamp::UNIX_EPOCH;
        let plain = columns(std::slice::from_ref(&pod), false, now);
        assert_eq!(plain, "NAME   READY   STATUS    RESTARTS   AGE\nweb    0/0     Unknown   0          <unknown>\n");
        pod.metadata.namespace = Some("test".into());
        assert!(columns(std::slice::from_ref(&pod), false, now).starts_with("NAMESPACE   NAME"));
        assert!(columns(&[], false, now).starts_with("NAME   READY"));
        assert!(columns(&[pod], true, now).contains("<none>"));
    }
}
