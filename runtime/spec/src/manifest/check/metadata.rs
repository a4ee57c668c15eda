//! Who the Pod is: names, labels, annotations.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::{Problems, names};
use crate::manifest::problem::{Cause, Problem};

/// Bytes of all annotations together (apimachinery TotalAnnotationSizeLimitB).
const MAX_ANNOTATIONS: usize = 256 << 10;

/// The checked part of `metadata`.
pub struct Metadata {
    pub name: String,
    pub namespace: String,
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
}

pub fn check(meta: &ObjectMeta, out: &mut Problems) -> Metadata {
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    if let Some(prefix) = given(&meta.generate_name) {
        report("metadata.generateName", &prefix, names::generated_prefix(&prefix), out);
    }
    let name = given(&meta.name).unwrap_or_default();
    match name.as_str() {
        "" => out.push(Problem::required("metadata.name", "name or generateName is required")),
        name => report("metadata.name", name, names::subdomain(name), out),
    }
    let namespace = given(&meta.namespace).unwrap_or_else(|| "default".to_owned());
    report("metadata.namespace", &namespace, names::label(&namespace), out);
    let (labels, annotations) = (meta.labels.clone().unwrap_or_default(), meta.annotations.clone().unwrap_or_default());
    check_labels(&labels, out);
    check_annotations(&annotations, out);
    Metadata { name, namespace, labels, annotations }
}

fn check_labels(labels: &BTreeMap<String, String>, out: &mut Problems) {
    for (key, value) in labels {
        report("metadata.labels", key, names::qualified(key), out);
        report(&format!("metadata.labels[{key}]"), value, names::label_value(value), out);
    }
}

fn check_annotations(annotations: &BTreeMap<String, String>, out: &mut Problems) {
    for key in annotations.keys() {
        report("metadata.annotations", key, names::qualified(&key.to_lowercase()), out);
    }
    let size: usize = annotations.iter().map(|(key, value)| key.len() + value.len()).sum();
    if size > MAX_ANNOTATIONS {
        let message = format!("Too long: may not be more than {MAX_ANNOTATIONS} bytes");
        out.push(Problem::new(Cause::Invalid, "metadata.annotations", message));
    }
}

/// One problem per broken rule.
pub fn report(path: &str, value: &str, faults: names::Faults, out: &mut Problems) {
    out.extend(faults.iter().map(|fault| Problem::invalid(path, value, fault)));
}
