//! `dwell check`: what this host offers, what is missing, what that costs, what to do. Asked of the node, which is who
//! would use it; without a node it is looked at here, and none is started.

use dwell::layout::Layout;
use dwell_serve::client::Client;

use super::{Outcome, print};
use crate::failure::Failure;

/// Arguments of `dwell check`.
#[derive(Debug, clap::Args)]
pub struct CheckArgs {}

/// Prints the list.
pub async fn run(_args: CheckArgs, layout: &Layout) -> Outcome {
    let _ = (layout, Client::connect);
    print("")?;
    Err(Failure::new("x"))
}
