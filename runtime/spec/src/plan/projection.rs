//! The files of a volume that dwell writes: configMap, secret, downwardAPI and projected, as the kubelet fills them
//! (collectData of each).

use std::collections::BTreeMap;

use super::origin::Origin;
use super::refusal::{PlanError, Problem};
use crate::facts::{HostFacts, PodIp};
use crate::pod::{KeyFile, Pod, Projection, SettingsName, Volume, VolumeSource};
use crate::settings::Settings;

/// The group that owns the volumes reads what is in them.
const GROUP_READS: u32 = 0o440;

/// What one file holds. A Secret's bytes belong in no log, so this has no `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct ProjectedFile {
    /// Permission bits.
    pub mode: u32,
    /// Its bytes.
    pub content: Vec<u8>,
}

/// Files by their paths below the volume; relative, without `..`, none of which is a folder of another.
pub type ProjectedFiles = BTreeMap<String, ProjectedFile>;

/// The files of a volume; none if it is another kind of volume.
///
/// # Errors
/// What it names is missing, or a file would lie where another is a folder.
pub fn project(
    pod: &Pod,
    volume: &Volume,
    host: &HostFacts,
    settings: &[Settings],
) -> Result<ProjectedFiles, PlanError> {
    let VolumeSource::Projected { sources } = &volume.source else { return Ok(ProjectedFiles::new()) };
    // No field that a file may hold tells of an address.
    let origin = Origin { pod, host, settings, ip: PodIp::UNKNOWN };
    let mut files = ProjectedFiles::new();
    let filled = sources.iter().try_for_each(|source| add(&mut files, source, &origin));
    filled.and_then(|()| no_file_in_a_file(&files)).map_err(|problem| PlanError {
        container: None,
        field: "volumes",
        problem: Problem::InVolume(volume.name.clone(), Box::new(problem)),
    })?;
    if pod.volume_group.is_some() {
        files.values_mut().for_each(|file| file.mode |= GROUP_READS);
    }
    Ok(files)
}

fn add(files: &mut ProjectedFiles, source: &Projection, origin: &Origin<'_>) -> Result<(), Problem> {
    match source {
        Projection::Field { path, mode, field } => {
            let content = origin.field(field).into_bytes();
            files.insert(path.clone(), ProjectedFile { mode: *mode, content });
        }
        Projection::Resource { path, mode, resource } => {
            let content = origin.resource(resource, None)?.into_bytes();
            files.insert(path.clone(), ProjectedFile { mode: *mode, content });
        }
        Projection::Settings { from, items, mode } => {
            if let Some(settings) = origin.settings_of(from)? {
                add_keys(files, from, settings, items.as_deref(), *mode)?;
            }
        }
    }
    Ok(())
}

fn add_keys(
    files: &mut ProjectedFiles,
    from: &SettingsName,
    settings: &Settings,
    items: Option<&[KeyFile]>,
    mode: u32,
) -> Result<(), Problem> {
    let Some(items) = items else {
        let every = settings.data.iter();
        files.extend(every.map(|(key, content)| (key.clone(), ProjectedFile { mode, content: content.clone() })));
        return Ok(());
    };
    for item in items {
        if let Some(content) = Origin::value_of(from, settings, &item.key)? {
            let mode = item.mode.unwrap_or(mode);
            files.insert(item.path.clone(), ProjectedFile { mode, content: content.to_vec() });
        }
    }
    Ok(())
}

/// `a` beside `a/b`: in the order of the paths the one need not follow the other.
fn no_file_in_a_file(files: &ProjectedFiles) -> Result<(), Problem> {
    let parents = |path: &str| path.match_indices('/').map(|(at, _)| path[..at].to_owned()).collect::<Vec<_>>();
    match files.keys().flat_map(|path| parents(path)).find(|parent| files.contains_key(parent)) {
        Some(path) => Err(Problem::FileAndFolder(path)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;
    use crate::pod::{PodField, ResourceAmount, ResourceField};
    use crate::settings::SettingsKind;

    fn settings() -> Vec<Settings> {
        let data = [("a", "1"), ("b", "2")].map(|(key, value)| (key.to_owned(), value.as_bytes().to_vec()));
        let (namespace, name) = ("default".to_owned(), "s".to_owned());
        vec![Settings { kind: SettingsKind::ConfigMap, namespace, name, data: data.into(), binary: Default::default() }]
    }

    fn from(name: &str, optional: bool, items: Option<&[(&str, &str, Option<u32>)]>) -> Projection {
        let item = |(key, path, mode): &(&str, &str, Option<u32>)| KeyFile {
            key: (*key).to_owned(),
            path: (*path).to_owned(),
            mode: *mode,
        };
        let items = items.map(|items| items.iter().map(item).collect());
        let from = SettingsName { secret: false, name: name.to_owned(), optional };
        Projection::Settings { from, items, mode: 0o644 }
    }

    fn field(path: &str) -> Projection {
        Projection::Field { path: path.to_owned(), mode: 0o600, field: PodField::Name }
    }

    fn shown(sources: Vec<Projection>) -> Result<Vec<String>, String> {
        let volume = Volume { name: "v".to_owned(), source: VolumeSource::Projected { sources } };
        let files = project(&samples::pod(), &volume, &samples::host(), &settings());
        let show = |(path, file): (String, ProjectedFile)| {
            format!("{path} {:o} {}", file.mode, String::from_utf8_lossy(&file.content))
        };
        files.map(|files| files.into_iter().map(show).collect()).map_err(|error| error.to_string())
    }

    #[test]
    fn every_key_or_the_ones_asked_for() {
        assert_eq!(shown(vec![from("s", false, None)]), Ok(vec!["a 644 1".to_owned(), "b 644 2".to_owned()]));
        let some = from("s", false, Some(&[("b", "x/y", Some(0o400)), ("a", "x/z", None)]));
        assert_eq!(shown(vec![some]), Ok(vec!["x/y 400 2".to_owned(), "x/z 644 1".to_owned()]));
        assert_eq!(shown(vec![from("s", false, Some(&[]))]), Ok(vec![]));
    }

    #[test]
    fn what_is_missing_is_named_unless_it_may_be() {
        assert_eq!(shown(vec![from("t", true, None), from("s", true, Some(&[("c", "c", None)]))]), Ok(vec![]));
        let none = shown(vec![from("t", false, None)]).expect_err("refused");
        assert!(none.starts_with("volumes: volume \"v\": configmap \"t\" not found"), "{none}");
        let key = shown(vec![from("s", false, Some(&[("c", "c", None)]))]).expect_err("refused");
        assert!(key.contains("couldn't find key \"c\" in configmap \"s\""), "{key}");
    }

    #[test]
    fn the_later_one_counts_and_no_file_is_a_folder() {
        assert_eq!(shown(vec![from("s", false, None), field("a")]).expect("fits")[0], "a 600 demo");
        let clash = shown(vec![from("s", false, None), field("a-b"), field("a/c")]).expect_err("refused");
        assert!(clash.contains("\"a\" would be both a file and a folder"), "{clash}");
    }

    #[test]
    fn amounts_are_of_the_container_that_is_named() {
        let amount = |name: &str| Projection::Resource {
            path: "cpus".to_owned(),
            mode: 0o644,
            resource: ResourceField {
                container: Some(name.to_owned()),
                amount: ResourceAmount::CpuLimit,
                divisor: 1000,
            },
        };
        let pod = samples::pod();
        assert_eq!(shown(vec![amount(&pod.containers[0].name)]).expect("plans").len(), 1);
        assert!(shown(vec![amount("nobody")]).expect_err("refused").contains("no container \"nobody\""));
    }
}
