//! A ConfigMap or Secret to checked settings. Source: ValidateConfigMap, ValidateSecret, IsConfigMapKey.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::ByteString;

use super::{Problems, metadata};
use crate::manifest::problem::{Cause, Problem};
use crate::settings::{Settings, SettingsObject};

/// Bytes of all values together (MaxSecretSize).
const MAX_BYTES: usize = 1 << 20;

impl TryFrom<&SettingsObject> for Settings {
    type Error = Vec<Problem>;

    fn try_from(object: &SettingsObject) -> Result<Self, Vec<Problem>> {
        let mut problems = Problems::new();
        let (meta, data) = match object {
            SettingsObject::ConfigMap(map) => {
                let text = map.data.iter().flatten().map(|(key, value)| ("data", key, value.clone().into_bytes()));
                let binary = bytes("binaryData", &map.binary_data);
                (&map.metadata, collect(text.chain(binary), false, &mut problems))
            }
            SettingsObject::Secret(secret) => {
                let text = secret.string_data.iter().flatten();
                let text = text.map(|(key, value)| ("stringData", key, value.clone().into_bytes()));
                let data = collect(bytes("data", &secret.data).chain(text), true, &mut problems);
                let kind = secret.type_.as_deref().unwrap_or_default();
                let missing = required(kind).iter().filter(|key| !data.contains_key(**key));
                problems.extend(missing.map(|key| Problem::required(format!("data[{key}]"), "")));
                (&secret.metadata, data)
            }
        };
        let meta = metadata::check(meta, &mut problems);
        if data.values().map(Vec::len).sum::<usize>() > MAX_BYTES {
            let message = format!("Too long: may not be more than {MAX_BYTES} bytes");
            problems.push(Problem::new(Cause::Invalid, "data", message));
        }
        let binary = match object {
            SettingsObject::ConfigMap(map) => map.binary_data.iter().flatten().map(|(key, _)| key.clone()).collect(),
            SettingsObject::Secret(_) => BTreeSet::new(),
        };
        let settings = Settings { kind: object.kind(), namespace: meta.namespace, name: meta.name, data, binary };
        if problems.is_empty() { Ok(settings) } else { Err(problems) }
    }
}

/// Keys that a Secret of this type must have.
fn required(kind: &str) -> &'static [&'static str] {
    match kind {
        "kubernetes.io/tls" => &["tls.crt", "tls.key"],
        "kubernetes.io/ssh-auth" => &["ssh-privatekey"],
        "kubernetes.io/dockerconfigjson" => &[".dockerconfigjson"],
        "kubernetes.io/dockercfg" => &[".dockercfg"],
        _ => &[],
    }
}

type Entry<'a> = (&'static str, &'a String, Vec<u8>);

fn bytes<'a>(field: &'static str, map: &'a Option<BTreeMap<String, ByteString>>) -> impl Iterator<Item = Entry<'a>> {
    map.iter().flatten().map(move |(key, value)| (field, key, value.0.clone()))
}

/// A key in two places is an error, unless the second is meant to win (`stringData`).
fn collect<'a>(
    entries: impl Iterator<Item = Entry<'a>>,
    may_win: bool,
    out: &mut Problems,
) -> BTreeMap<String, Vec<u8>> {
    let mut data = BTreeMap::new();
    for (field, key, value) in entries {
        let path = format!("{field}[{key}]");
        out.extend(key_fault(key).map(|fault| Problem::invalid(&path, key, fault)));
        if data.insert(key.clone(), value).is_some() && !may_win {
            out.push(Problem::invalid(&path, key, "duplicate of key present in data"));
        }
    }
    data
}

/// Why a text is no key, if so.
pub fn key_fault(key: &str) -> Option<&'static str> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    if key.is_empty() || !key.bytes().all(allowed) {
        Some("a valid config key must consist of alphanumeric characters, '-', '_' or '.'")
    } else if key.len() > 253 {
        Some("must be no more than 253 bytes")
    } else if key == "." || key.starts_with("..") {
        Some("must not be '.' and must not start with '..'")
    } else {
        None
    }
}
