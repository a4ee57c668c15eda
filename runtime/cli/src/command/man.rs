//! `dwell man DIR`: one page for dwell and one for each verb, from the argument definitions.

use std::path::PathBuf;

use clap::CommandFactory;

use super::Outcome;
use crate::args::Cli;
use crate::failure::Failure;

/// Arguments of `dwell man`.
#[derive(Debug, clap::Args)]
pub struct ManArgs {
    /// Where to write the pages; made if it is missing
    dir: PathBuf,
}

/// Writes the pages.
pub fn run(args: ManArgs) -> Outcome {
    let written = std::fs::create_dir_all(&args.dir).and_then(|()| clap_mangen::generate_to(Cli::command(), &args.dir));
    match written {
        Ok(()) => Ok(0),
        Err(e) => Err(Failure::new(format!("write man pages into {}", args.dir.display())).caused_by(&e)),
    }
}
