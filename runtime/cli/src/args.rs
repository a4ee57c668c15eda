//! The command line as it is typed. What it means is decided in `command/*`; help, completions and man pages come from
//! the same definitions.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

use crate::command;

/// Run Pods on this machine: native processes and WebAssembly side by side.
#[derive(Debug, Parser)]
#[command(name = "dwell", version, disable_help_subcommand = true, max_term_width = 100)]
#[command(after_help = "Start with:  dwell run pod.yaml   or   dwell run app.wasm")]
pub struct Cli {
    /// Keep everything below DIR instead of /var/lib/dwell and /run/dwell
    #[arg(long, global = true, value_name = "DIR", env = "DWELL_STATE_DIR", hide_env_values = true)]
    pub state_dir: Option<PathBuf>,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run Pods from manifests, or one container without a manifest
    Run(Box<command::run::RunArgs>),
    /// List Pods
    Ps(command::ps::PsArgs),
    /// Show what a Pod's members wrote
    Logs(command::logs::LogsArgs),
    /// Run a program in a running member; beside a Wasm one, a module
    Exec(command::exec::ExecArgs),
    /// Add a container to a running Pod, to look around in it
    Debug(command::debug::DebugArgs),
    /// Connect to a running member's own streams
    Attach(command::attach::AttachArgs),
    /// Copy files into a running member, or out of one
    Cp(command::cp::CpArgs),
    /// Lead ports of this machine into a Pod
    PortForward(command::port_forward::PortForwardArgs),
    /// See to it that Pods run which are meant to: after a start of the machine, or as manifests say
    Up(command::up::UpArgs),
    /// Change images or resources of a Pod that runs
    Set(command::set::SetArgs),
    /// Stop Pods in order and keep their records and logs
    Stop(command::stop::StopArgs),
    /// Send a signal to a Pod's members
    Kill(command::kill::KillArgs),
    /// Stop a Pod's members in order and start them again
    Restart(command::restart::RestartArgs),
    /// Wait until Pods have ended, or are as they should be
    Wait(command::wait::WaitArgs),
    /// Remove Pods with their records, logs and volumes
    Rm(command::rm::RmArgs),
    /// Show everything that is known of Pods
    Inspect(command::inspect::InspectArgs),
    /// Show what happened to Pods
    Events(command::events::EventsArgs),
    /// Print the manifests of Pods that are there
    Generate(command::generate::GenerateArgs),
    /// Show what members use: processor, memory, processes
    Stats(command::stats::StatsArgs),
    /// Show what Pods use, as kubectl does
    Top(command::stats::TopArgs),
    /// Show what would be done for a manifest, without doing it
    Plan(command::plan::PlanArgs),
    /// Show what this host offers, what is missing, and what to do about it
    Check(command::check::CheckArgs),
    /// Explain a field of the Pod manifest
    Explain(command::explain::ExplainArgs),
    /// Run the node in the foreground, for a service manager
    Serve(command::serve::ServeArgs),
    /// Put this program in its place, with completions, man pages and a service unit
    Install(command::install::InstallArgs),
    /// Take away what `dwell install` put
    Uninstall(command::install::UninstallArgs),
    /// Write a completion script for a shell
    Completions(command::completions::CompletionsArgs),
    /// Write the man pages into a directory
    Man(command::man::ManArgs),
    /// Show the version of this dwell and of the node
    Version(command::version::VersionArgs),
}

/// Formats of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ListFormat {
    /// The Kubernetes list, as JSON
    Json,
    /// The Kubernetes list, as YAML
    Yaml,
    /// More columns
    Wide,
    /// `pod/NAME`, one a line
    Name,
}

/// Formats of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ObjectFormat {
    /// JSON
    Json,
    /// YAML
    Yaml,
}

/// Which Pods a command is about.
#[derive(Debug, Clone, clap::Args)]
pub struct PodNames {
    /// Names of Pods: NAME, or NAMESPACE/NAME
    #[arg(value_name = "POD", required_unless_present = "all")]
    pub pods: Vec<String>,
    /// All Pods
    #[arg(long, conflicts_with = "pods")]
    pub all: bool,
    /// Look in this namespace only
    #[arg(short, long, value_name = "NAMESPACE")]
    pub namespace: Option<String>,
}

/// Which Pod a command is about.
#[derive(Debug, Clone, clap::Args)]
pub struct PodName {
    /// Name of the Pod: NAME, or NAMESPACE/NAME
    #[arg(value_name = "POD")]
    pub pod: String,
    /// Look in this namespace only
    #[arg(short, long, value_name = "NAMESPACE")]
    pub namespace: Option<String>,
}

/// Which container of which Pod a command is about.
#[derive(Debug, Clone, clap::Args)]
pub struct ContainerName {
    #[command(flatten)]
    pub name: PodName,
    /// The container, if there are several
    #[arg(short, long, value_name = "CONTAINER")]
    pub container: Option<String>,
}

/// Seconds until a Pod is killed that does not stop by itself.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct Grace {
    /// Seconds to wait before killing; the Pod's own grace period if absent
    #[arg(short = 't', long = "time", visible_alias = "grace-period", value_name = "SECONDS")]
    pub seconds: Option<u32>,
}

#[cfg(test)]
#[path = "args_tests.rs"]
mod tests;
