//! `dwell serve`: the node itself, in this process.
//!
//! On demand (started by another command) it first leaves its starter's session, so that neither the terminal's Ctrl-C nor
//! its end reaches it.

use dwell::layout::Layout;
use dwell_serve::ServeOptions;

use super::Outcome;
use crate::failure::DWELL_FAILED;
use crate::pods::node;

/// Arguments of `dwell serve`.
#[derive(Debug, clap::Args)]
pub struct ServeArgs {
    /// Detach, and leave after a minute without Pods
    #[arg(long, hide = true)]
    on_demand: bool,
    /// Take the place of a node that is there; its Pods go on
    #[arg(long)]
    replace: bool,
}

/// Serves until told to end.
pub fn run(args: ServeArgs, layout: Layout) -> Outcome {
    node::require_root()?;
    if args.on_demand {
        // Fails only for a process group's leader, which then has a session or a shell job of its own already.
        _ = rustix::process::setsid();
    }
    let options = ServeOptions { layout, on_demand: args.on_demand, replace: args.replace, worker: worker() };
    let code = dwell_serve::serve(options);
    Ok(if code == std::process::ExitCode::SUCCESS { 0 } else { DWELL_FAILED })
}

/// Ourselves, in the role of the worker.
#[cfg(feature = "wasm")]
fn worker() -> Option<dwell::WorkerExecutable> {
    dwell::WorkerExecutable::open("/proc/self/exe".as_ref()).ok()
}

#[cfg(not(feature = "wasm"))]
fn worker() -> Option<dwell::WorkerExecutable> {
    None
}
