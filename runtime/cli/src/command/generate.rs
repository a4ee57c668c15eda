//! `dwell generate`: the manifest that makes Pods that are there once more, here or on another machine with the same images.
//! What a Pod became (its status, its uid, what was added while it ran) is no part of it.

use std::collections::BTreeSet;

use dwell::layout::Layout;
use dwell_sys::complain::complain;
use k8s_openapi::api::core::v1::{Pod, PodSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::{Outcome, print};
use crate::args::{ObjectFormat, PodNames};
use crate::failure::Failure;
use crate::output::object;
use crate::output::sanitise::printable;
use crate::pods::records::shown;
use crate::pods::{node, records, select};

/// Arguments of `dwell generate`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  dwell generate web > web.yaml                        from what runs
  dwell run --dry-run -p 8080:80 app.wasm > app.yaml   from a command line")]
pub struct GenerateArgs {
    #[command(flatten)]
    names: PodNames,
    /// How to print them
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value = "yaml")]
    output: ObjectFormat,
}

/// Prints manifests, one a document; in JSON a list.
pub async fn run(args: GenerateArgs, layout: &Layout) -> Outcome {
    node::require_root()?;
    let pods = records::read_all(layout)?;
    let chosen = select::many(&pods, &args.names.pods, args.names.namespace.as_deref(), args.names.all)?;
    for pod in &chosen {
        tell(pod);
    }
    let manifests: Vec<Pod> = chosen.into_iter().map(manifest).collect();
    print(&rendered(&manifests, args.output)?)?;
    Ok(0)
}

fn rendered(manifests: &[Pod], format: ObjectFormat) -> Result<String, Failure> {
    match (manifests, format) {
        ([one], format) => object::render(one, format),
        (several, ObjectFormat::Json) => {
            let list = serde_json::json!({"apiVersion": "v1", "kind": "List", "items": several});
            object::render(&list, ObjectFormat::Json)
        }
        (several, ObjectFormat::Yaml) => {
            let texts: Result<Vec<_>, _> = several.iter().map(|one| object::render(one, format)).collect();
            Ok(texts?.join("---\n"))
        }
    }
}

/// What was asked for.
fn manifest(pod: &Pod) -> Pod {
    let meta = &pod.metadata;
    let metadata = ObjectMeta {
        name: meta.name.clone(),
        namespace: meta.namespace.clone().filter(|namespace| namespace != "default"),
        labels: meta.labels.clone(),
        annotations: meta.annotations.clone(),
        ..ObjectMeta::default()
    };
    let spec = pod.spec.clone().map(|spec| PodSpec { ephemeral_containers: None, ..spec });
    Pod { metadata, spec, status: None }
}

/// What the manifest needs and does not hold: values are nobody's but the node's.
fn tell(pod: &Pod) {
    let kept = named(&serde_json::to_value(&pod.spec).unwrap_or_default());
    if !kept.is_empty() {
        let kept: Vec<_> = kept.into_iter().collect();
        let text = format!("{} also needs {}, which are kept apart from it", shown(pod), kept.join(", "));
        complain(format_args!("note: {}", printable(&text)));
    }
}

/// ConfigMaps, Secrets and claims, wherever in the specification they are named.
fn named(spec: &serde_json::Value) -> BTreeSet<String> {
    const NAMES: [(&str, &str, &str); 8] = [
        ("configMap", "name", "configmap"),
        ("configMapRef", "name", "configmap"),
        ("configMapKeyRef", "name", "configmap"),
        ("secret", "secretName", "secret"),
        ("secret", "name", "secret"),
        ("secretRef", "name", "secret"),
        ("secretKeyRef", "name", "secret"),
        ("persistentVolumeClaim", "claimName", "persistentvolumeclaim"),
    ];
    let mut found = BTreeSet::new();
    match spec {
        serde_json::Value::Object(fields) => {
            for (field, value) in fields {
                let names = NAMES.iter().filter(|(known, ..)| known == field);
                found.extend(names.filter_map(|(_, key, kind)| Some(format!("{kind}/{}", value.get(*key)?.as_str()?))));
                found.extend(named(value));
            }
        }
        serde_json::Value::Array(items) => items.iter().for_each(|item| found.extend(named(item))),
        _ => {}
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_apart_is_found_wherever_it_is_named() {
        let spec = serde_json::json!({
            "volumes": [
                {"name": "a", "configMap": {"name": "files"}},
                {"name": "b", "secret": {"secretName": "keys"}},
                {"name": "c", "persistentVolumeClaim": {"claimName": "data"}},
                {"name": "d", "projected": {"sources": [{"secret": {"name": "more"}}]}}],
            "containers": [{"name": "configMap", "envFrom": [{"configMapRef": {"name": "vars"}}],
                "env": [{"name": "X", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "x"}}}]}]});
        let expected =
            ["configmap/files", "configmap/vars", "persistentvolumeclaim/data", "secret/keys", "secret/more"];
        assert_eq!(named(&spec).into_iter().collect::<Vec<_>>(), expected);
    }
}
