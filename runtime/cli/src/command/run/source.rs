//! From what was typed to Pods, ConfigMaps and Secrets: manifests, or a short form. All is parsed before anything is done.
//!
//! Paths in a manifest are relative to its folder, those of standard input and of a short form to the working directory.

use std::io::{self, Read};
use std::path::Path;

use dwell_spec::manifest;
use dwell_spec::settings::{Settings, SettingsObject};
use dwell_sys::complain::complain;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};

use super::{RunArgs, short};
use crate::failure::Failure;
use crate::output::sanitise::printable;
use crate::pods::records::shown;

/// Bytes of a manifest at most.
const MANIFEST_MAX: u64 = 8 * 1024 * 1024;

/// What manifests say: at least one object.
#[derive(Debug, Default)]
pub struct Wanted {
    /// Pods, in order.
    pub pods: Vec<Pod>,
    /// ConfigMaps and Secrets, in order.
    pub settings: Vec<SettingsObject>,
    /// PersistentVolumeClaims, in order.
    pub claims: Vec<PersistentVolumeClaim>,
}

/// What `dwell run` is to run, and to keep.
pub fn wanted(args: &RunArgs) -> Result<Wanted, Failure> {
    let mut wanted = match short::pod(args)? {
        Some(pod) => Wanted { pods: vec![pod], ..Wanted::default() },
        None => from_manifests(&args.words)?,
    };
    if let Some(name) = &args.name {
        rename(&mut wanted.pods, name)?;
    }
    wanted.pods.iter().try_for_each(|pod| check(pod).map(drop))?;
    Ok(wanted)
}

/// The Pod as the planners take it. What a manifest's text says was checked with it; this is for what came after.
fn check(pod: &Pod) -> Result<dwell_spec::pod::Pod, Failure> {
    dwell_spec::pod::Pod::try_from(pod).map_err(|problems| {
        let failure = Failure::new(format!("the Pod {} cannot be run", shown(pod)));
        let failure = problems.iter().fold(failure, |failure, problem| failure.with_cause(problem.to_string()));
        problems.iter().find_map(|problem| problem.hint.clone()).into_iter().fold(failure, Failure::with_hint)
    })
}

fn rename(pods: &mut [Pod], name: &str) -> Result<(), Failure> {
    let [pod] = pods else {
        return Err(Failure::new(format!("--name names one Pod, and there are {}", pods.len())));
    };
    pod.metadata.name = Some(name.to_owned());
    pod.metadata.generate_name = None;
    Ok(())
}

/// What manifests say, checked: the same rules that the node applies, with places in the text.
pub fn from_manifests(files: &[String]) -> Result<Wanted, Failure> {
    let mut all = Wanted::default();
    for file in files {
        let Wanted { pods, settings, claims } = parse(file)?;
        all.pods.extend(pods);
        all.settings.extend(settings);
        all.claims.extend(claims);
    }
    match all.pods.is_empty() && all.settings.is_empty() && all.claims.is_empty() {
        true => Err(Failure::new(format!("no Pod in {}", files.join(", ")))),
        false => Ok(all),
    }
}

/// The same, as the planners take it.
pub fn checked(files: &[String]) -> Result<(Vec<dwell_spec::pod::Pod>, Vec<Settings>), Failure> {
    let Wanted { pods, settings, .. } = from_manifests(files)?;
    let pods = pods.iter().map(check).collect::<Result<_, _>>()?;
    // Checked already when they were parsed.
    Ok((pods, settings.iter().filter_map(|object| Settings::try_from(object).ok()).collect()))
}

fn parse(file: &str) -> Result<Wanted, Failure> {
    let text = read_manifest(file)?;
    let origin = if file == "-" { "standard input" } else { file };
    let parsed = manifest::parse_manifests(&text, origin).map_err(|e| Failure::new(e.to_string()))?;
    for warning in &parsed.warnings {
        complain(format_args!("warning: {}", printable(&warning.show(origin).to_string())));
    }
    let base = base_of(file)?;
    let mut pods = parsed.pods;
    pods.iter_mut().for_each(|pod| prepare(pod, &base));
    Ok(Wanted { pods, settings: parsed.settings, claims: parsed.claims })
}

fn read_manifest(file: &str) -> Result<String, Failure> {
    let failed = |e: &io::Error| match file {
        "-" => Failure::new("read the manifest on standard input").caused_by(e),
        _ => Failure::new(format!("read the manifest {file}")).caused_by(e),
    };
    let mut text = String::new();
    let read = match file {
        "-" => io::stdin().lock().take(MANIFEST_MAX + 1).read_to_string(&mut text),
        _ => std::fs::File::open(file).and_then(|f| f.take(MANIFEST_MAX + 1).read_to_string(&mut text)),
    };
    read.map_err(|e| match e.kind() {
        io::ErrorKind::IsADirectory => failed(&e).with_hint(format!(
            "a root file system is run with `dwell run --image rootfs:{file} COMMAND`, manifests are named one by one"
        )),
        _ => failed(&e),
    })?;
    match text.len() as u64 > MANIFEST_MAX {
        true => Err(Failure::new(format!("{file} is larger than {} MiB: no manifest", MANIFEST_MAX >> 20))),
        false => Ok(text),
    }
}

/// Fills in what only this machine knows: the folder of relative paths, and a name where one is to be generated.
pub fn prepare(pod: &mut Pod, base: &str) {
    manifest::resolve_paths(pod, base);
    manifest::assign_name(pod, random());
}

/// From the standard library's hash keys, which the system seeds anew for each process and the library counts on.
pub fn random() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::hash::RandomState::new().build_hasher().finish()
}

/// The working directory, as text.
pub fn working_directory() -> Result<String, Failure> {
    let here = std::env::current_dir().map_err(|e| Failure::new("find the working directory").caused_by(&e))?;
    let text = here.into_os_string().into_string();
    text.map_err(|_| Failure::new("the working directory's name is not UTF-8, which manifests must be"))
}

/// The folder that relative paths start from, absolute.
fn base_of(file: &str) -> Result<String, Failure> {
    let here = working_directory()?;
    match Path::new(file).parent().and_then(Path::to_str) {
        Some(folder) if file != "-" => Ok(Path::new(&here).join(folder).to_string_lossy().into_owned()),
        _ => Ok(here),
    }
}
