//! `dwell completions SHELL`: from the argument definitions.

use clap::CommandFactory;
use clap_complete::Shell;

use super::{Outcome, print};
use crate::args::Cli;

/// Arguments of `dwell completions`.
#[derive(Debug, clap::Args)]
pub struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

/// Prints the script.
pub fn run(args: CompletionsArgs) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "dwell", &mut script);
    print(&String::from_utf8_lossy(&script))?;
    Ok(0)
}
