//! `valueFrom` of a variable, and `envFrom`. Source: validateEnvVarValueFrom, ValidateEnvFrom, validateObjectFieldSelector,
//! validateContainerResourceFieldSelector, validateContainerResourceDivisor.

use k8s_openapi::api::core::v1;

use super::metadata::report;
use super::{Problems, names, settings};
use crate::manifest::problem::{Cause, Problem};
use crate::pod::{EnvFrom, EnvValue, PodField, ResourceAmount, ResourceField, SettingsKey, SettingsName};
use crate::quantity::Quantity;

const FIELDS: [&str; 9] = [
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
const AMOUNTS: [&str; 4] = ["limits.cpu", "limits.memory", "requests.cpu", "requests.memory"];
const MEMORY_DIVISORS: [&str; 13] = ["1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"];

/// Where the variable's value comes from.
pub fn check(var: &v1::EnvVar, path: &str, out: &mut Problems) -> EnvValue {
    let text = var.value.clone().unwrap_or_default();
    let Some(source) = &var.value_from else { return EnvValue::Text(text) };
    let path = format!("{path}.valueFrom");
    if !text.is_empty() {
        out.push(invalid(&path, "may not be specified when `value` is not empty"));
    }
    let mut found = Vec::new();
    found.extend(source.field_ref.as_ref().map(|field| field_of(field, &format!("{path}.fieldRef"), out)));
    let resource = source.resource_field_ref.as_ref();
    found.extend(resource.map(|resource| resource_of(resource, &format!("{path}.resourceFieldRef"), out)));
    found.extend(source.config_map_key_ref.as_ref().map(|r| {
        let from = named(false, &r.name, r.optional);
        key_of(from, &r.key, &format!("{path}.configMapKeyRef"), out)
    }));
    found.extend(source.secret_key_ref.as_ref().map(|r| {
        let from = named(true, &r.name, r.optional);
        key_of(from, &r.key, &format!("{path}.secretKeyRef"), out)
    }));
    match found.len() {
        // Another source is refused by the walk.
        0 if *source == v1::EnvVarSource::default() => {
            let why = "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`";
            out.push(invalid(&path, why));
        }
        0 | 1 => {}
        _ => out.push(invalid(&path, "may not have more than one field specified at a time")),
    }
    found.pop().unwrap_or(EnvValue::Text(String::new()))
}

fn key_of(from: SettingsName, key: &str, path: &str, out: &mut Problems) -> EnvValue {
    check_name(&from.name, &format!("{path}.name"), out);
    match key {
        "" => out.push(Problem::required(format!("{path}.key"), "")),
        key => out.extend(settings::key_fault(key).map(|fault| Problem::invalid(format!("{path}.key"), key, fault))),
    }
    EnvValue::Key(SettingsKey { from, key: key.to_owned() })
}

fn named(secret: bool, name: &str, optional: Option<bool>) -> SettingsName {
    SettingsName { secret, name: name.to_owned(), optional: optional.unwrap_or(false) }
}

fn check_name(name: &str, path: &str, out: &mut Problems) {
    match name {
        "" => out.push(Problem::required(path, "")),
        name => report(path, name, names::subdomain(name), out),
    }
}

/// `envFrom`.
pub fn from(sources: &[v1::EnvFromSource], path: &str, out: &mut Problems) -> Vec<EnvFrom> {
    let each = sources.iter().enumerate();
    each.filter_map(|(n, source)| from_one(source, &format!("{path}.envFrom[{n}]"), out)).collect()
}

fn from_one(source: &v1::EnvFromSource, path: &str, out: &mut Problems) -> Option<EnvFrom> {
    let prefix = source.prefix.clone().unwrap_or_default();
    if !prefix.is_empty() {
        report(&format!("{path}.prefix"), &prefix, names::env(&prefix), out);
    }
    let (field, from) = match (&source.config_map_ref, &source.secret_ref) {
        (Some(_), Some(_)) => {
            out.push(invalid(path, "may not have more than one field specified at a time"));
            return None;
        }
        (Some(r), None) => ("configMapRef", named(false, &r.name, r.optional)),
        (None, Some(r)) => ("secretRef", named(true, &r.name, r.optional)),
        (None, None) => {
            out.push(invalid(path, "must specify one of: `configMapRef` or `secretRef`"));
            return None;
        }
    };
    check_name(&from.name, &format!("{path}.{field}.name"), out);
    Some(EnvFrom { from, prefix })
}

fn invalid(path: &str, why: &str) -> Problem {
    Problem::new(Cause::Invalid, path, format!("Invalid value: {why}"))
}

fn field_of(source: &v1::ObjectFieldSelector, path: &str, out: &mut Problems) -> EnvValue {
    if let Some(other) = source.api_version.as_deref().filter(|version| !matches!(*version, "" | "v1")) {
        out.push(Problem::unsupported(format!("{path}.apiVersion"), other, &["v1"]));
    }
    let path = format!("{path}.fieldPath");
    if source.field_path.is_empty() {
        out.push(Problem::required(path, ""));
        return EnvValue::Text(String::new());
    }
    let field = plain(&source.field_path).or_else(|| subscript(&source.field_path, &path, out));
    match field {
        Some(field) => EnvValue::Field(field),
        None => {
            out.push(Problem::unsupported(path, &source.field_path, &FIELDS));
            EnvValue::Text(String::new())
        }
    }
}

fn plain(path: &str) -> Option<PodField> {
    Some(match path {
        "metadata.name" => PodField::Name,
        "metadata.namespace" => PodField::Namespace,
        "metadata.uid" => PodField::Uid,
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

fn resource_of(source: &v1::ResourceFieldSelector, path: &str, out: &mut Problems) -> EnvValue {
    let resource = source.resource.as_str();
    let amount = match resource {
        "limits.cpu" => ResourceAmount::CpuLimit,
        "requests.cpu" => ResourceAmount::CpuRequest,
        "limits.memory" => ResourceAmount::MemoryLimit,
        "requests.memory" => ResourceAmount::MemoryRequest,
        "" => {
            out.push(Problem::required(format!("{path}.resource"), ""));
            return EnvValue::Text(String::new());
        }
        _ => {
            out.push(Problem::unsupported(format!("{path}.resource"), resource, &AMOUNTS));
            return EnvValue::Text(String::new());
        }
    };
    let text = source.divisor.as_ref().map_or("1", |divisor| divisor.0.as_str());
    let divisor = divisor(text, resource.ends_with(".cpu"), &format!("{path}.divisor"), out);
    let container = source.container_name.clone().filter(|name| !name.is_empty());
    EnvValue::Resource(ResourceField { container, amount, divisor })
}

/// In thousandths of a CPU or in bytes. 0 is what is stored where none was given.
fn divisor(text: &str, cpu: bool, path: &str, out: &mut Problems) -> u64 {
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
        let kind = if cpu { "cpu" } else { "memory" };
        let why = format!("only divisor's values {} are supported with the {kind} resource", allowed.join(", "));
        out.push(Problem::invalid(path, text, &why));
    }
    let parsed = if zero { Quantity::ONE } else { parsed };
    if cpu { parsed.millis().max(1) } else { parsed.units().max(1) }
}
