//! `dwell kill`: a signal to the members. Nothing is waited for; what the members make of it is theirs.

use dwell::layout::Layout;

use super::Outcome;
use crate::args::PodNames;
use crate::failure::Failure;
use crate::pods::records::key;
use crate::pods::{node, select};

/// Arguments of `dwell kill`.
#[derive(Debug, clap::Args)]
pub struct KillArgs {
    #[command(flatten)]
    names: PodNames,
    /// The signal: a name (TERM, SIGTERM) or a number
    #[arg(short, long, value_name = "SIGNAL", default_value = "KILL")]
    signal: String,
    /// Only this container
    #[arg(short, long, value_name = "CONTAINER", conflicts_with = "all")]
    container: Option<String>,
}

/// Signals members.
pub async fn run(args: KillArgs, layout: &Layout) -> Outcome {
    let signal = signal_name(&args.signal)?;
    let pods = node::supervised_pods(layout).await?;
    let chosen = select::many(&pods, &args.names.pods, args.names.namespace.as_deref(), args.names.all)?;
    if chosen.is_empty() {
        return Ok(0);
    }
    let client = node::connect(layout).await?;
    for pod in chosen {
        if let Some(container) = &args.container {
            select::container(pod, Some(container))?;
        }
        client.kill_pod(key(pod).0, key(pod).1, &signal, args.container.as_deref()).await?;
    }
    Ok(0)
}

/// Without `SIG`, in capitals; whether there is such a signal is the node's to say.
fn signal_name(text: &str) -> Result<String, Failure> {
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    match !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'+' || b == b'-') {
        true => Ok(name.to_owned()),
        false => {
            Err(Failure::new(format!("{text:?} is no signal")).with_hint("write a name such as TERM, or a number"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_are_names_or_numbers() {
        for (typed, sent) in [("TERM", "TERM"), ("sigusr1", "USR1"), ("9", "9"), ("RTMIN+3", "RTMIN+3")] {
            assert_eq!(signal_name(typed).unwrap(), sent);
        }
        assert!(signal_name("SIG").is_err());
        assert!(signal_name("TE RM").is_err());
    }
}
