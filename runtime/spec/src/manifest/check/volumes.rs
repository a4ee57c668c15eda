//! The Pod's volumes.

use std::collections::{BTreeSet, HashSet};

use k8s_openapi::api::core::v1;

use super::metadata::report;
use super::{Problems, container, huge_pages, names, path_fault, projected, tidy};
use crate::manifest::problem::Problem;
use crate::pod::{HostPathKind, ImageRef, Medium, Volume, VolumeSource};
use crate::quantity::{self, Quantity};

const HOST_PATH_TYPES: [&str; 8] =
    ["", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"];

/// `pages` are the sizes of the huge pages that the Pod asks for.
pub fn check(volumes: &[v1::Volume], pages: &BTreeSet<u64>, out: &mut Problems) -> Vec<Volume> {
    let (mut checked, mut names_seen) = (Vec::new(), HashSet::new());
    for (n, volume) in volumes.iter().enumerate() {
        let path = format!("spec.volumes[{n}]");
        let name_path = format!("{path}.name");
        if volume.name.is_empty() {
            out.push(Problem::required(name_path, ""));
        } else if !names_seen.insert(volume.name.clone()) {
            out.push(Problem::duplicate(name_path, &volume.name));
        } else {
            report(&name_path, &volume.name, names::label(&volume.name), out);
        }
        checked.push(Volume { name: volume.name.clone(), source: source(volume, pages, &path, out) });
    }
    checked
}

/// A volume without a source is an emptyDir (SetDefaults_Volume). What is not honoured was reported by the walk.
fn source(volume: &v1::Volume, pages: &BTreeSet<u64>, path: &str, out: &mut Problems) -> VolumeSource {
    let mut found = Vec::new();
    let mut at = |field: &str| {
        found.push(field.to_owned());
        format!("{path}.{field}")
    };
    let sources = [
        volume.empty_dir.as_ref().map(|source| empty_dir(source, pages, &at("emptyDir"), out)),
        volume.host_path.as_ref().map(|source| host_path(source, &at("hostPath"), out)),
        volume.persistent_volume_claim.as_ref().map(|source| claim(source, &at("persistentVolumeClaim"), out)),
        volume.ephemeral.as_ref().map(|source| ephemeral(source, &at("ephemeral"), out)),
        volume.config_map.as_ref().map(|source| projected::config_map(source, &at("configMap"), out)),
        volume.secret.as_ref().map(|source| projected::secret(source, &at("secret"), out)),
        volume.downward_api.as_ref().map(|source| projected::downward(source, &at("downwardAPI"), out)),
        volume.image.as_ref().map(|source| image(source, &at("image"), out)),
        volume.projected.as_ref().map(|source| projected::projected(source, &at("projected"), out)),
    ];
    for field in found.iter().skip(1) {
        out.push(Problem::forbidden(format!("{path}.{field}"), "may not specify more than 1 volume type"));
    }
    let source = sources.into_iter().flatten().next();
    source.unwrap_or(VolumeSource::EmptyDir { medium: Medium::Disk, size_limit: None })
}

fn empty_dir(source: &v1::EmptyDirVolumeSource, pages: &BTreeSet<u64>, path: &str, out: &mut Problems) -> VolumeSource {
    let medium = medium(source.medium.as_deref().unwrap_or_default(), pages, &format!("{path}.medium"), out);
    let limit_path = format!("{path}.sizeLimit");
    let limit = source.size_limit.as_ref().and_then(|q| size_limit(&q.0, &limit_path, out));
    if let (Medium::HugePages { page }, Some(bytes)) = (medium, limit)
        && bytes < page
    {
        let why = format!("must be at least one page of {}", quantity::binary(page));
        out.push(Problem::invalid(limit_path, &quantity::binary(bytes), &why));
    }
    VolumeSource::EmptyDir { medium, size_limit: limit }
}

fn medium(text: &str, pages: &BTreeSet<u64>, path: &str, out: &mut Problems) -> Medium {
    match text {
        "" => Medium::Disk,
        "Memory" => Medium::Memory,
        _ if huge_pages::is_medium(text) => huge_pages::medium(text, pages, path, out),
        _ => {
            out.push(Problem::unsupported(path, text, &["", "HugePages", "HugePages-<size>", "Memory"]));
            Medium::Disk
        }
    }
}

/// The kubelet takes 0 for no limit.
fn size_limit(text: &str, path: &str, out: &mut Problems) -> Option<u64> {
    match Quantity::parse(text) {
        Ok(limit) if !limit.is_negative() => Some(limit.units()).filter(|bytes| *bytes > 0),
        Ok(_) => {
            out.push(Problem::invalid(path, text, "must be greater than or equal to 0"));
            None
        }
        Err(error) => {
            out.push(Problem::invalid(path, text, &error.to_string()));
            None
        }
    }
}

fn claim(source: &v1::PersistentVolumeClaimVolumeSource, path: &str, out: &mut Problems) -> VolumeSource {
    let path = format!("{path}.claimName");
    match source.claim_name.as_str() {
        "" => out.push(Problem::required(path, "")),
        name => report(&path, name, names::subdomain(name), out),
    }
    VolumeSource::Claim { name: source.claim_name.clone(), read_only: source.read_only.unwrap_or(false) }
}

/// Storage for the Pod's life is a folder on disk here, whatever its class and however much is asked for.
fn ephemeral(source: &v1::EphemeralVolumeSource, path: &str, out: &mut Problems) -> VolumeSource {
    if source.volume_claim_template.is_none() {
        out.push(Problem::required(format!("{path}.volumeClaimTemplate"), ""));
    }
    VolumeSource::Ephemeral
}

/// Source: validateImageVolumeSource.
fn image(source: &v1::ImageVolumeSource, path: &str, out: &mut Problems) -> VolumeSource {
    let field = format!("{path}.reference");
    container::pull_policy(source.pull_policy.as_deref(), &format!("{path}.pullPolicy"), out);
    let dir = match container::image(source.reference.as_deref(), &field, out) {
        ImageRef::Rootfs(dir) => dir,
        module @ ImageRef::Wasm(_) => {
            let why = "a module has no files to mount; a hostPath of type File mounts it";
            out.push(Problem::invalid(field, &module.to_string(), why));
            String::new()
        }
    };
    VolumeSource::Image { dir }
}

fn host_path(source: &v1::HostPathVolumeSource, path: &str, out: &mut Problems) -> VolumeSource {
    let path_path = format!("{path}.path");
    match source.path.as_str() {
        "" => out.push(Problem::required(path_path, "")),
        text => out.extend(path_fault(text).map(|fault| Problem::invalid(path_path, text, fault))),
    }
    let kind = host_path_kind(source.type_.as_deref().unwrap_or_default(), &format!("{path}.type"), out);
    VolumeSource::HostPath { path: tidy(&source.path), kind }
}

fn host_path_kind(text: &str, path: &str, out: &mut Problems) -> HostPathKind {
    match text {
        "" => return HostPathKind::Unchecked,
        "DirectoryOrCreate" => return HostPathKind::DirectoryOrCreate,
        "Directory" => return HostPathKind::Directory,
        "FileOrCreate" => return HostPathKind::FileOrCreate,
        "File" => return HostPathKind::File,
        "Socket" => return HostPathKind::Socket,
        "CharDevice" => return HostPathKind::CharDevice,
        "BlockDevice" => return HostPathKind::BlockDevice,
        _ => out.push(Problem::unsupported(path, text, &HOST_PATH_TYPES)),
    }
    HostPathKind::Unchecked
}
