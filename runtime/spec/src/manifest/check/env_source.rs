//! `valueFrom` of a variable, and `envFrom`. Source: validateEnvVarValueFrom, ValidateEnvFrom.

use k8s_openapi::api::core::v1;

use super::metadata::report;
use super::selectors::{self, ENV_FIELDS, check_name, named};
use super::{Problems, names, projected, tidy_relative};
use crate::env_file::NAME_MAX;
use crate::manifest::problem::{Cause, Problem};
use crate::pod::{EnvFrom, EnvValue, FileKey, SettingsKey, SettingsName};

/// Where the variable's value comes from.
pub fn check(var: &v1::EnvVar, path: &str, out: &mut Problems) -> EnvValue {
    let text = var.value.clone().unwrap_or_default();
    let Some(source) = &var.value_from else { return EnvValue::Text(text) };
    let path = format!("{path}.valueFrom");
    if !text.is_empty() {
        out.push(invalid(&path, "may not be specified when `value` is not empty"));
    }
    let mut found = Vec::new();
    // What cannot be read was reported, and stands for nothing.
    let nothing = || EnvValue::Text(String::new());
    found.extend(source.field_ref.as_ref().map(|field| {
        let field = selectors::field(field, &ENV_FIELDS, &format!("{path}.fieldRef"), out);
        field.map_or_else(nothing, EnvValue::Field)
    }));
    found.extend(source.resource_field_ref.as_ref().map(|resource| {
        let resource = selectors::resource(resource, &format!("{path}.resourceFieldRef"), out);
        resource.map_or_else(nothing, EnvValue::Resource)
    }));
    found.extend(source.config_map_key_ref.as_ref().map(|r| {
        let from = named(false, &r.name, r.optional);
        key_of(from, &r.key, &format!("{path}.configMapKeyRef"), out)
    }));
    found.extend(source.secret_key_ref.as_ref().map(|r| {
        let from = named(true, &r.name, r.optional);
        key_of(from, &r.key, &format!("{path}.secretKeyRef"), out)
    }));
    found.extend(source.file_key_ref.as_ref().map(|r| file_key(r, &format!("{path}.fileKeyRef"), out)));
    match found.len() {
        0 => {
            let all = "`fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`";
            out.push(invalid(&path, &format!("must specify one of: {all}")));
        }
        1 => {}
        _ => out.push(invalid(&path, "may not have more than one field specified at a time")),
    }
    found.pop().unwrap_or(EnvValue::Text(String::new()))
}

fn key_of(from: SettingsName, key: &str, path: &str, out: &mut Problems) -> EnvValue {
    check_name(&from.name, &format!("{path}.name"), out);
    selectors::check_key(key, &format!("{path}.key"), out);
    EnvValue::Key(SettingsKey { from, key: key.to_owned() })
}

/// Source: validateFileKeySelector; the length is the kubelet's.
fn file_key(source: &v1::FileKeySelector, path: &str, out: &mut Problems) -> EnvValue {
    match source.path.as_str() {
        "" => out.push(Problem::required(format!("{path}.path"), "")),
        text => {
            let fault = projected::file_fault(text);
            out.extend(fault.map(|fault| Problem::invalid(format!("{path}.path"), text, fault)));
        }
    }
    let at = format!("{path}.key");
    match source.key.as_str() {
        "" => out.push(Problem::required(at, "")),
        key if key.len() > NAME_MAX => {
            out.push(Problem::invalid(at, key, &format!("must be no more than {NAME_MAX} bytes")));
        }
        key => report(&at, key, names::env(key), out),
    }
    EnvValue::File(FileKey {
        volume: source.volume_name.clone(),
        path: tidy_relative(&source.path),
        key: source.key.clone(),
        optional: source.optional.unwrap_or(false),
    })
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
