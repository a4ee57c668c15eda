//! `dwell version`: this file's version, and the node's if one runs (an old node may outlive an upgrade).

use dwell::layout::Layout;
use dwell_serve::client::Client;

use super::{Outcome, print};

/// Arguments of `dwell version`.
#[derive(Debug, clap::Args)]
pub struct VersionArgs {}

/// Prints the versions; starts no node.
pub async fn run(_args: VersionArgs, layout: &Layout) -> Outcome {
    let node = match Client::connect(layout).await {
        Ok(client) => client.version().await.ok(),
        Err(_) => None,
    };
    let node = node.and_then(|version| Some(version.get("gitVersion")?.as_str()?.to_owned()));
    print(&format!("dwell {}\nnode  {}\n", env!("CARGO_PKG_VERSION"), node.as_deref().unwrap_or("(none runs)")))?;
    Ok(0)
}
