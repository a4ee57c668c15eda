//! `dwell run`: manifests (or a short form) become Pods, the Pods run, their output is ours, their exit status is ours.
//!
//! ```text
//! text ─source→ Wanted ──┬ --dry-run → printed
//!                        └ keep ConfigMaps and Secrets, create Pods (all parsed first) ─┬ -d → names printed
//!                                                                                       └ follow ─→ outcome
//! outcome ─(--rm)→ removed ─→ exit status
//! ```

mod command_line;
mod follow;
mod short;
pub mod source;

use std::collections::HashSet;

use dwell::layout::Layout;
use dwell_serve::client::{Client, ClientFailure, Kind};
use dwell_spec::settings::SettingsObject;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};

pub use command_line::arguments;
pub use short::own_variables;
use source::Wanted;

use super::{Outcome, on_runtime, print};
use crate::args::ObjectFormat;
use crate::failure::Failure;
use crate::output::object;
use crate::output::pods::Prefix;
use crate::output::progress::Progress;
use crate::pods::node;
use crate::pods::records::{key, shown};
use crate::pods::until::{Until, wait_for};

/// Arguments of `dwell run`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  dwell run pod.yaml                                   run a Pod, show its output until it ends
  cat pod.yaml | dwell run -                           the same from standard input
  dwell run app.wasm --flag value                      one Wasm member, with arguments
  dwell run --image rootfs:/srv/debian -t -i -- bash   one native member, with a terminal")]
pub struct RunArgs {
    /// Manifests (`-` for standard input); or a .wasm file and its arguments; or, with --image, arguments
    #[arg(value_name = "FILE", required_unless_present = "image")]
    words: Vec<String>,
    /// Leave the Pods running, and print their names
    #[arg(short, long, conflicts_with_all = ["rm", "stdin"])]
    detach: bool,
    /// Remove the Pods, with logs and volumes, when they have ended
    #[arg(long)]
    rm: bool,
    /// Remove Pods of the same names first
    #[arg(long)]
    replace: bool,
    /// The Pod's name (one Pod only)
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Begin each line of output with its container's name
    #[arg(long, value_enum, value_name = "WHEN", default_value = "auto")]
    prefix: Prefix,
    /// Print the Pods that would be run, and run nothing
    #[arg(long)]
    dry_run: bool,
    /// Format of --dry-run
    #[arg(short, long, value_enum, value_name = "FORMAT", requires = "dry_run")]
    output: Option<ObjectFormat>,
    #[command(flatten)]
    short: ShortArgs,
}

/// One container without a manifest.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "One container without a manifest")]
pub struct ShortArgs {
    /// The image: rootfs:DIR or wasm:FILE
    #[arg(long, value_name = "IMAGE")]
    pub image: Option<String>,
    /// Mount a file or directory of the host, or a claim by its name
    #[arg(short, long = "volume", value_name = "HOST:PATH[:ro]")]
    pub volumes: Vec<String>,
    /// Give it a device of the host
    #[arg(long = "device", value_name = "HOST[:PATH[:r]]")]
    pub devices: Vec<String>,
    /// Give it every right and every device: no wall but its namespaces
    #[arg(long)]
    pub privileged: bool,
    /// Set a variable; without a value, pass on our own
    #[arg(short, long = "env", value_name = "NAME[=VALUE]")]
    pub env: Vec<String>,
    /// Set the variables of a file, one NAME=VALUE a line
    #[arg(long = "env-file", value_name = "FILE")]
    pub env_files: Vec<std::path::PathBuf>,
    /// Lead a port of the host into the Pod
    #[arg(short = 'p', long = "publish", value_name = "[IP:]HOST:PORT[/udp]")]
    pub publish: Vec<String>,
    /// Run as this user
    #[arg(short, long, value_name = "USER[:GROUP]")]
    pub user: Option<String>,
    /// Memory limit
    #[arg(short, long, value_name = "MEMORY")]
    pub memory: Option<String>,
    /// Start in this directory of the container
    #[arg(short, long, value_name = "DIR")]
    pub workdir: Option<String>,
    /// Make the root file system read-only
    #[arg(long)]
    pub read_only: bool,
    /// Connect standard input
    #[arg(short = 'i', long = "stdin", visible_alias = "interactive")]
    pub stdin: bool,
    /// Give the member a terminal
    #[arg(short = 't', long)]
    pub tty: bool,
}

/// Runs Pods.
pub fn run(args: RunArgs, layout: &Layout) -> Outcome {
    let wanted = source::wanted(&args)?;
    if args.dry_run {
        return dry_run(&wanted, args.output.unwrap_or(ObjectFormat::Yaml));
    }
    node::require_root()?;
    on_runtime(run_wanted(wanted, &args, layout))
}

fn dry_run(wanted: &Wanted, format: ObjectFormat) -> Outcome {
    let settings = wanted.settings.iter().map(|settings| object::render(settings, format));
    let claims = wanted.claims.iter().map(|claim| object::render(claim, format));
    let pods = wanted.pods.iter().map(|pod| object::render(pod, format));
    let texts: Result<Vec<String>, Failure> = settings.chain(claims).chain(pods).collect();
    let separator = if format == ObjectFormat::Yaml { "---\n" } else { "" };
    print(&texts?.join(separator))?;
    Ok(0)
}

async fn run_wanted(wanted: Wanted, args: &RunArgs, layout: &Layout) -> Outcome {
    let Wanted { pods, settings, claims } = wanted;
    refuse_twins(&pods)?;
    let client = node::connect(layout).await?;
    keep_all(&client, &settings, &claims).await?;
    if pods.is_empty() {
        let claims = claims.iter().filter_map(|claim| claim.metadata.name.as_deref());
        let claims = claims.map(|name| format!("persistentvolumeclaim/{name}"));
        let kept: Vec<String> = settings.iter().map(shown_settings).chain(claims).collect();
        print(&(kept.join("\n") + "\n"))?;
        return Ok(0);
    }
    if args.replace {
        remove(&client, layout, &pods).await?;
    }
    if args.detach {
        let created = create_all(&client, &pods).await?;
        let names: String = created.iter().map(|pod| shown(pod) + "\n").collect();
        print(&names)?;
        return Ok(0);
    }
    // From before there is anything to stop: a Pod can be running before its creation is heard of.
    let mut signals = follow::Signals::catch()?;
    let created = tokio::select! {
        biased;
        created = create_all(&client, &pods) => created?,
        signal = signals.second() => return Ok(128 + signal),
    };
    let result = follow::follow(client, layout, created.clone(), args.prefix, signals).await;
    if args.rm {
        remove(&Client::connect_or_start(layout).await?, layout, &created).await?;
    }
    result
}

/// What Pods refer to.
pub async fn keep_all(
    client: &Client,
    settings: &[SettingsObject],
    claims: &[PersistentVolumeClaim],
) -> Result<(), Failure> {
    for object in settings {
        client.put_settings(object).await?;
    }
    for claim in claims {
        client.put_claim(claim).await?;
    }
    Ok(())
}

/// `configmap/NAME`, `secret/NAME`.
fn shown_settings(object: &SettingsObject) -> String {
    format!("{}/{}", object.kind().word(), object.metadata().name.as_deref().unwrap_or_default())
}

/// Before anything starts: one name is one Pod.
fn refuse_twins(pods: &[Pod]) -> Result<(), Failure> {
    let mut seen = HashSet::new();
    for pod in pods.iter().filter(|pod| pod.metadata.name.is_some()) {
        if !seen.insert(key(pod)) {
            let failure = Failure::new(format!("the Pod {} is there twice", shown(pod)));
            return Err(failure.with_hint("give one of them another metadata.name"));
        }
    }
    Ok(())
}

/// All or none: what was created before a refusal is removed again.
async fn create_all(client: &Client, pods: &[Pod]) -> Result<Vec<Pod>, Failure> {
    let mut created: Vec<Pod> = Vec::new();
    for pod in pods {
        match client.create_pod(pod).await {
            Ok(pod) => created.push(pod),
            Err(e) => {
                for pod in &created {
                    _ = client.delete_pod(key(pod).0, key(pod).1, Some(0)).await;
                }
                return Err(refused(pod, e));
            }
        }
    }
    Ok(created)
}

fn refused(pod: &Pod, error: ClientFailure) -> Failure {
    match error.kind() {
        Kind::Conflict => Failure::from(error).with_hint(format!(
            "`dwell rm -f {}` removes the one that is there; `dwell run --replace` does both; or choose another name",
            shown(pod)
        )),
        _ => error.into(),
    }
}

/// Removes Pods, and waits until they are gone; those that are not there are none of our business.
pub async fn remove(client: &Client, layout: &Layout, pods: &[Pod]) -> Result<(), Failure> {
    for pod in pods {
        let removed = match client.delete_pod(key(pod).0, key(pod).1, None).await {
            Err(e) if e.kind() == Kind::NotFound => continue,
            other => other?,
        };
        Progress::new().during(format!("removing {}", shown(pod)), wait_for(layout, &removed, &Until::Gone)).await?;
    }
    Ok(())
}
