//! `dwell run app.wasm args…` and `dwell run --image IMAGE … -- args`: one container without a manifest.
//!
//! Pure: what was typed becomes the `v1.Pod` that `--dry-run -o yaml` shows, and from there everything goes the way of
//! a manifest. The spellings are docker's and podman's. What is typed is meant literally, so a `$(VAR)` in it is
//! escaped. A user by name, which `runAsUser` cannot say, becomes the annotation `dwell.dev/user.CONTAINER`.

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::api::core::v1;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::image_ref;
use crate::pod::ImageRef;

mod debug;
mod flags;

pub use debug::{DebugArgs, Debugger, Profile, to_debugger};

/// What was typed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunArgs {
    /// `--image`: as in a manifest.
    pub image: Option<String>,
    /// The file of `dwell run app.wasm`.
    pub wasm: Option<String>,
    /// `--name`: of the Pod and its container; else made from the file's name, with random letters.
    pub name: Option<String>,
    /// `--namespace`
    pub namespace: Option<String>,
    /// Arguments of the program.
    pub args: Vec<String>,
    /// `-e K=V`, or `-e K` for the value in `host_env`.
    pub env: Vec<String>,
    /// `--env-file`: name and text of each.
    pub env_files: Vec<(String, String)>,
    /// The command's own environment, for `-e K`.
    pub host_env: BTreeMap<String, String>,
    /// `-v HOST:PATH[:ro]`, or `-v CLAIM:PATH[:ro]`
    pub volumes: Vec<String>,
    /// `--device HOST[:PATH[:r]]`, each with what it is on this machine: a block device, or a character device.
    pub devices: Vec<(String, bool)>,
    /// `--privileged`
    pub privileged: bool,
    /// `-p [IP:]HOST:PORT[/udp|/sctp]`
    pub publish: Vec<String>,
    /// `-u USER[:GROUP]`, by name or number.
    pub user: Option<String>,
    /// `-m`: bytes with docker's suffixes (`64m` is 64 MiB) or Kubernetes' (`64Mi`).
    pub memory: Option<String>,
    /// `-w`
    pub workdir: Option<String>,
    /// `-i`
    pub stdin: bool,
    /// `-t`
    pub tty: bool,
    /// `--read-only`
    pub read_only: bool,
    /// Where relative paths start; absolute.
    pub base_dir: String,
}

/// What was typed wrongly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ShortFormError {
    /// Neither an image nor a file, or both.
    OneImage,
    /// A flag's value.
    Flag {
        /// `-v`, `-p`, …
        flag: &'static str,
        /// What was typed.
        value: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A line of an env file.
    EnvFile {
        /// Its name.
        file: String,
        /// From 1.
        line: usize,
    },
}

impl fmt::Display for ShortFormError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OneImage => f.write_str("run needs one of: a manifest, a .wasm file, --image"),
            Self::Flag { flag, value, why } => {
                write!(f, "{flag} {}: {why}", crate::manifest::problem::quoted(value))
            }
            Self::EnvFile { file, line } => write!(f, "{file}:{line}: expected NAME=VALUE"),
        }
    }
}

impl std::error::Error for ShortFormError {}

impl ShortFormError {
    /// How it is written.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::OneImage => Some("dwell run app.wasm args…, or dwell run --image rootfs:DIR -- args…"),
            Self::Flag { flag: "-v", .. } => Some(
                "-v HOST:PATH or -v HOST:PATH:ro; HOST is a path, as /srv or ./data, or the name of a claim that is kept",
            ),
            Self::Flag { flag: "--device", .. } => Some("--device /dev/ttyUSB0, --device /dev/ttyUSB0:/dev/modem:r"),
            Self::Flag { flag: "-p", .. } => Some("-p HOST:PORT, -p IP:HOST:PORT, each with /udp or /sctp"),
            Self::Flag { flag: "-m", .. } => Some("-m 64m or -m 64Mi is 64 MiB"),
            Self::Flag { flag: "-u", .. } => Some("-u USER or -u USER:GROUP"),
            Self::Flag { .. } | Self::EnvFile { .. } => None,
        }
    }
}

/// Letters of a name made from a file's name; five random ones follow.
const MAX_BASE: usize = 40;

/// The Pod that was typed.
///
/// # Errors
/// When a flag's value cannot be read. (Everything else is checked as in a manifest.)
pub fn to_pod(run: &RunArgs) -> Result<v1::Pod, ShortFormError> {
    let image = match (&run.image, &run.wasm) {
        (Some(image), None) => image_ref::resolve(image, &run.base_dir),
        (None, Some(file)) => image_ref::resolve(&format!("wasm:{file}"), &run.base_dir),
        _ => return Err(ShortFormError::OneImage),
    };
    let name = run.name.clone().unwrap_or_else(|| base_name(&image));
    // A Pod's name may have dots, a container's may not.
    let container_name = name.replace('.', "-");
    let (volumes, mounts) = flags::volumes(run)?;
    let user = run.user.as_deref().map(flags::user).transpose()?.unwrap_or_default();
    let memory = run.memory.as_deref().map(flags::memory).transpose()?;
    let container = v1::Container {
        name: container_name.clone(),
        image: Some(image),
        args: some(run.args.iter().map(|arg| literal(arg)).collect()),
        env: some(flags::env(run)?),
        ports: some(run.publish.iter().map(|port| flags::port(port)).collect::<Result<_, _>>()?),
        volume_mounts: some(mounts),
        working_dir: run.workdir.clone(),
        resources: memory.map(limits),
        security_context: security(run, &user),
        stdin: run.stdin.then_some(true),
        stdin_once: run.stdin.then_some(true),
        tty: run.tty.then_some(true),
        ..v1::Container::default()
    };
    let spec = v1::PodSpec {
        containers: vec![container],
        volumes: some(volumes),
        restart_policy: Some("Never".to_owned()),
        ..v1::PodSpec::default()
    };
    Ok(v1::Pod { metadata: metadata(run, &name, &container_name, user.name), spec: Some(spec), status: None })
}

fn metadata(run: &RunArgs, name: &str, container: &str, user: Option<String>) -> ObjectMeta {
    let named = run.name.is_some();
    ObjectMeta {
        name: named.then(|| name.to_owned()),
        generate_name: (!named).then(|| format!("{name}-")),
        namespace: run.namespace.clone(),
        annotations: user.map(|user| BTreeMap::from([(format!("dwell.dev/user.{container}"), user)])),
        ..ObjectMeta::default()
    }
}

fn security(run: &RunArgs, user: &flags::User) -> Option<v1::SecurityContext> {
    let context = v1::SecurityContext {
        run_as_user: user.uid,
        run_as_group: user.gid,
        read_only_root_filesystem: run.read_only.then_some(true),
        privileged: run.privileged.then_some(true),
        ..v1::SecurityContext::default()
    };
    (context != v1::SecurityContext::default()).then_some(context)
}

fn limits(memory: String) -> v1::ResourceRequirements {
    let limits = BTreeMap::from([("memory".to_owned(), Quantity(memory))]);
    v1::ResourceRequirements { limits: Some(limits), ..v1::ResourceRequirements::default() }
}

fn some<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

/// What is typed is meant as it stands: no `$(VAR)` in it is one.
fn literal(text: &str) -> String {
    if text.contains("$(") || text.contains("$$") { text.replace('$', "$$") } else { text.to_owned() }
}

/// A DNS label from the last part of a path or reference: `wasm:/x/My_App.wasm` is `my-app`.
fn base_name(image: &str) -> String {
    let file = match ImageRef::parse(image) {
        Ok(local) => local.path().rsplit('/').find(|part| !part.is_empty()).unwrap_or_default().to_owned(),
        Err(_) => {
            image.rsplit('/').next().and_then(|last| last.split([':', '@']).next()).unwrap_or_default().to_owned()
        }
    };
    let stem = file.strip_suffix(".wasm").or_else(|| file.strip_suffix(".wat")).unwrap_or(&file);
    let tame = |c: char| {
        if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }
    };
    let name: String = stem.chars().map(tame).take(MAX_BASE).collect();
    match name.trim_matches('-') {
        "" => "main".to_owned(),
        name => name.to_owned(),
    }
}

#[cfg(test)]
mod tests;
