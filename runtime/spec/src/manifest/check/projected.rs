//! Volumes whose files dwell writes. Source: validateConfigMapVolumeSource, validateSecretVolumeSource,
//! validateDownwardAPIVolumeSource, validateProjectedVolumeSource, validateKeyToPath, validateLocalNonReservedPath.

use std::collections::HashSet;

use k8s_openapi::api::core::v1;

use super::selectors::{self, FILE_FIELDS, check_key, check_name, named};
use super::{Problems, tidy_relative};
use crate::manifest::problem::{Cause, Problem};
use crate::pod::{KeyFile, Projection, VolumeSource, sub_path_fault};

const DEFAULT_MODE: u32 = 0o644;

/// `configMap`
pub fn config_map(source: &v1::ConfigMapVolumeSource, path: &str, out: &mut Problems) -> VolumeSource {
    let mut volume = Filling::new(source.default_mode, path, out);
    let keys = Keys { secret: false, name: &source.name, optional: source.optional, items: source.items.as_deref() };
    volume.keys(&keys, "name", path);
    volume.filled()
}

/// `secret`
pub fn secret(source: &v1::SecretVolumeSource, path: &str, out: &mut Problems) -> VolumeSource {
    let mut volume = Filling::new(source.default_mode, path, out);
    let name = source.secret_name.as_deref().unwrap_or_default();
    let keys = Keys { secret: true, name, optional: source.optional, items: source.items.as_deref() };
    volume.keys(&keys, "secretName", path);
    volume.filled()
}

/// `downwardAPI`
pub fn downward(source: &v1::DownwardAPIVolumeSource, path: &str, out: &mut Problems) -> VolumeSource {
    let mut volume = Filling::new(source.default_mode, path, out);
    volume.fields(source.items.as_deref(), path);
    volume.filled()
}

/// `projected`. Sources that need a cluster were reported by the walk.
pub fn projected(source: &v1::ProjectedVolumeSource, path: &str, out: &mut Problems) -> VolumeSource {
    let mut volume = Filling::new(source.default_mode, path, out);
    for (n, one) in source.sources.iter().flatten().enumerate() {
        let path = format!("{path}.sources[{n}]");
        let given = [one.config_map.is_some(), one.secret.is_some(), one.downward_api.is_some()];
        if given.iter().filter(|given| **given).count() > 1 {
            volume.out.push(Problem::forbidden(&path, "may not specify more than 1 volume type"));
        }
        if let Some(map) = &one.config_map {
            let keys = Keys { secret: false, name: &map.name, optional: map.optional, items: map.items.as_deref() };
            volume.keys(&keys, "name", &format!("{path}.configMap"));
        }
        if let Some(secret) = &one.secret {
            let (name, optional) = (&secret.name, secret.optional);
            let keys = Keys { secret: true, name, optional, items: secret.items.as_deref() };
            volume.keys(&keys, "name", &format!("{path}.secret"));
        }
        if let Some(fields) = &one.downward_api {
            volume.fields(fields.items.as_deref(), &format!("{path}.downwardAPI"));
        }
    }
    volume.filled()
}

/// What a ConfigMap or Secret gives to a volume.
struct Keys<'a> {
    secret: bool,
    name: &'a str,
    optional: Option<bool>,
    items: Option<&'a [v1::KeyToPath]>,
}

/// A volume as it fills.
struct Filling<'a> {
    mode: u32,
    sources: Vec<Projection>,
    paths: HashSet<String>,
    out: &'a mut Problems,
}

impl<'a> Filling<'a> {
    fn new(mode: Option<i32>, path: &str, out: &'a mut Problems) -> Self {
        let mode = self::mode(mode, &format!("{path}.defaultMode"), out).unwrap_or(DEFAULT_MODE);
        Self { mode, sources: Vec::new(), paths: HashSet::new(), out }
    }

    fn filled(self) -> VolumeSource {
        VolumeSource::Projected { sources: self.sources }
    }

    fn keys(&mut self, keys: &Keys<'_>, name_field: &str, path: &str) {
        check_name(keys.name, &format!("{path}.{name_field}"), self.out);
        // An empty list is as none.
        let items = keys.items.filter(|items| !items.is_empty());
        let items = items.map(|items| {
            let each = items.iter().enumerate();
            each.map(|(n, item)| self.key(item, &format!("{path}.items[{n}]"))).collect()
        });
        let from = named(keys.secret, keys.name, keys.optional);
        self.sources.push(Projection::Settings { from, items, mode: self.mode });
    }

    fn key(&mut self, item: &v1::KeyToPath, path: &str) -> KeyFile {
        check_key(&item.key, &format!("{path}.key"), self.out);
        self.file(&item.path, &format!("{path}.path"));
        let mode = mode(item.mode, &format!("{path}.mode"), self.out);
        KeyFile { key: item.key.clone(), path: tidy_relative(&item.path), mode }
    }

    fn fields(&mut self, items: Option<&[v1::DownwardAPIVolumeFile]>, path: &str) {
        for (n, item) in items.into_iter().flatten().enumerate() {
            let path = format!("{path}.items[{n}]");
            self.file(&item.path, &format!("{path}.path"));
            let mode = mode(item.mode, &format!("{path}.mode"), self.out).unwrap_or(self.mode);
            let source = self.field(item, tidy_relative(&item.path), mode, &path);
            self.sources.extend(source);
        }
    }

    fn field(&mut self, item: &v1::DownwardAPIVolumeFile, file: String, mode: u32, path: &str) -> Option<Projection> {
        match (&item.field_ref, &item.resource_field_ref) {
            (Some(field), other) => {
                if other.is_some() {
                    let why = "Invalid value: fieldRef and resourceFieldRef can not be specified simultaneously";
                    self.out.push(Problem::new(Cause::Invalid, path, why.to_owned()));
                }
                let field = selectors::field(field, &FILE_FIELDS, &format!("{path}.fieldRef"), self.out)?;
                Some(Projection::Field { path: file, mode, field })
            }
            (None, Some(resource)) => {
                let path = format!("{path}.resourceFieldRef");
                let resource = selectors::resource(resource, &path, self.out)?;
                if resource.container.is_none() {
                    self.out.push(Problem::required(format!("{path}.containerName"), ""));
                }
                Some(Projection::Resource { path: file, mode, resource })
            }
            (None, None) => {
                let why = "one of fieldRef and resourceFieldRef is required";
                self.out.push(Problem::required(format!("{path}.fieldRef"), why));
                None
            }
        }
    }

    /// The path of a file, seen once.
    fn file(&mut self, file: &str, path: &str) {
        if file.is_empty() {
            return self.out.push(Problem::required(path, ""));
        }
        if let Some(fault) = file_fault(file) {
            return self.out.push(Problem::invalid(path, file, fault));
        }
        if !self.paths.insert(tidy_relative(file)) {
            self.out.push(Problem::invalid(path, file, "conflicting duplicate paths"));
        }
    }
}

/// Why a path below the volume will not do, if so. Names that begin with `..` are how an update is made atomic.
pub(super) fn file_fault(path: &str) -> Option<&'static str> {
    let names_none = || (path.ends_with('/') || tidy_relative(path).is_empty()).then_some("must name a file");
    let fault = sub_path_fault(path);
    fault.or(path.starts_with("..").then_some("must not start with '..'")).or_else(names_none)
}

fn mode(mode: Option<i32>, path: &str, out: &mut Problems) -> Option<u32> {
    let mode = mode?;
    match u32::try_from(mode).ok().filter(|mode| *mode <= 0o777) {
        Some(mode) => Some(mode),
        None => {
            let why = "must be a number between 0 and 0777 (octal), both inclusive";
            out.push(Problem::invalid_number(path, i64::from(mode), why));
            None
        }
    }
}
