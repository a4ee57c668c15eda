//! What variables and files name: ConfigMaps and Secrets, their keys, fields of the Pod, amounts of containers. Source:
//! validateObjectFieldSelector, validateContainerResourceFieldSelector, validateContainerResourceDivisor.

use k8s_openapi::api::core::v1;

use super::metadata::report;
use super::{Problems, huge_pages, names, settings};
use crate::manifest::problem::Problem;
use crate::pod::{PodField, ResourceAmount, ResourceField, SettingsName};
use crate::quantity::Quantity;

/// The fields that a variable may carry, besides single labels and annotations.
pub const ENV_FIELDS: [&str; 9] = [
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];
/// The fields that a file may hold, besides single labels and annotations.
pub const FILE_FIELDS: [&str; 5] =
    ["metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"];

const AMOUNTS: [&str; 8] = [
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.hugepages-<size>",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.hugepages-<size>",
    "requests.memory",
];
const MEMORY_DIVISORS: [&str; 13] = ["1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"];

/// A ConfigMap or Secret.
pub fn named(secret: bool, name: &str, optional: Option<bool>) -> SettingsName {
    SettingsName { secret, name: name.to_owned(), optional: optional.unwrap_or(false) }
}

/// A name that must be given, at `path`.
pub fn check_name(name: &str, path: &str, out: &mut Problems) {
    match name {
        "" => out.push(Problem::required(path, "")),
        name => report(path, name, names::subdomain(name), out),
    }
}

/// A key that must be given, at `path`.
pub fn check_key(key: &str, path: &str, out: &mut Problems) {
    match key {
        "" => out.push(Problem::required(path, "")),
        key => out.extend(settings::key_fault(key).map(|fault| Problem::invalid(path, key, fault))),
    }
}

/// `fieldRef`, which may name one of `allowed`. `None` if it names none, which was reported.
pub fn field(source: &v1::ObjectFieldSelector, allowed: &[&str], path: &str, out: &mut Problems) -> Option<PodField> {
    if let Some(other) = source.api_version.as_deref().filter(|version| !matches!(*version, "" | "v1")) {
        out.push(Problem::unsupported(format!("{path}.apiVersion"), other, &["v1"]));
    }
    let (path, text) = (format!("{path}.fieldPath"), source.field_path.as_str());
    if text.is_empty() {
        out.push(Problem::required(path, ""));
        return None;
    }
    let whole = allowed.contains(&text).then(|| plain(text)).flatten();
    let field = whole.or_else(|| subscript(text, &path, out));
    if field.is_none() {
        out.push(Problem::unsupported(path, text, allowed));
    }
    field
}

fn plain(path: &str) -> Option<PodField> {
    Some(match path {
        "metadata.name" => PodField::Name,
        "metadata.namespace" => PodField::Namespace,
        "metadata.uid" => PodField::Uid,
        "metadata.labels" => PodField::Labels,
        "metadata.annotations" => PodField::Annotations,
        "spec.nodeName" => PodField::NodeName,
        "spec.serviceAccountName" => PodField::ServiceAccountName,
        "status.hostIP" => PodField::HostIp,
        "status.hostIPs" => PodField::HostIps,
        "status.podIP" => PodField::PodIp,
        "status.podIPs" => PodField::PodIps,
        _ => return None,
    })
}

/// `metadata.labels['KEY']`, `metadata.annotations['KEY']`.
fn subscript(text: &str, path: &str, out: &mut Problems) -> Option<PodField> {
    let inner = |map: &str| Some(text.strip_prefix(map)?.strip_prefix("['")?.strip_suffix("']")?.to_owned());
    if let Some(key) = inner("metadata.labels") {
        report(path, &key, names::qualified(&key), out);
        return Some(PodField::Label(key));
    }
    let key = inner("metadata.annotations")?;
    report(path, &key, names::qualified(&key.to_lowercase()), out);
    Some(PodField::Annotation(key))
}

/// `resourceFieldRef`. `None` if it names no amount, which was reported.
pub fn resource(source: &v1::ResourceFieldSelector, path: &str, out: &mut Problems) -> Option<ResourceField> {
    let resource = source.resource.as_str();
    let amount = match resource {
        "limits.cpu" => ResourceAmount::CpuLimit,
        "requests.cpu" => ResourceAmount::CpuRequest,
        "limits.memory" => ResourceAmount::MemoryLimit,
        "requests.memory" => ResourceAmount::MemoryRequest,
        "limits.ephemeral-storage" => ResourceAmount::StorageLimit,
        "requests.ephemeral-storage" => ResourceAmount::StorageRequest,
        "" => {
            out.push(Problem::required(format!("{path}.resource"), ""));
            return None;
        }
        _ => match huge_pages::amount(resource) {
            Some(amount) => amount,
            None => {
                out.push(Problem::unsupported(format!("{path}.resource"), resource, &AMOUNTS));
                return None;
            }
        },
    };
    let text = source.divisor.as_ref().map_or("1", |divisor| divisor.0.as_str());
    let kind = resource.split_once('.').map_or(resource, |(_, kind)| kind);
    let divisor = divisor(text, kind, &format!("{path}.divisor"), out);
    let container = source.container_name.clone().filter(|name| !name.is_empty());
    Some(ResourceField { container, amount, divisor })
}

/// In thousandths of a CPU or in bytes. 0 is what is stored where none was given.
fn divisor(text: &str, kind: &str, path: &str, out: &mut Problems) -> u64 {
    let cpu = kind == "cpu";
    let parsed = match Quantity::parse(text) {
        Ok(parsed) => parsed,
        Err(error) => {
            out.push(Problem::invalid(path, text, &error.to_string()));
            return 1;
        }
    };
    let allowed: &[&str] = if cpu { &["1m", "1"] } else { &MEMORY_DIVISORS };
    let zero = parsed == Quantity::ZERO;
    if !zero && !allowed.iter().any(|one| Quantity::parse(one) == Ok(parsed)) {
        let why = format!("only divisor's values {} are supported with the {kind} resource", allowed.join(", "));
        out.push(Problem::invalid(path, text, &why));
    }
    let parsed = if zero { Quantity::ONE } else { parsed };
    if cpu { parsed.millis().max(1) } else { parsed.units().max(1) }
}
