//! `dwell wait`: until Pods are as they should be, for scripts.
//!
//! One after the other, with one time limit for all, and each is told as its turn ends. Waiting costs the node nothing: it
//! tells of every change to whoever watches.

use std::time::Duration;

use dwell::layout::Layout;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::SignedDuration;

use super::{Outcome, print};
use crate::args::PodNames;
use crate::failure::Failure;
use crate::output::progress::Progress;
use crate::pods::condition::Condition;
use crate::pods::records::shown;
use crate::pods::until::{Became, Until, wait_for};
use crate::pods::{node, select};

/// As long as kubectl waits for ever.
const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);

/// Arguments of `dwell wait`.
#[derive(Debug, clap::Args)]
pub struct WaitArgs {
    #[command(flatten)]
    names: PodNames,
    /// What to wait for: condition=TYPE[=STATUS], jsonpath={.PATH}[=VALUE], delete; without it, their end
    #[arg(long = "for", value_name = "WHAT", value_parser = until)]
    until: Option<Until>,
    /// How long at most: 30s, 5m; 0s looks once, less waits for a week
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration, allow_hyphen_values = true)]
    timeout: Duration,
}

/// Waits; 125 if the time was over, or a Pod is gone that should have become something else.
pub async fn run(args: WaitArgs, layout: &Layout) -> Outcome {
    let pods = node::supervised_pods(layout).await?;
    let chosen = select::many(&pods, &args.names.pods, args.names.namespace.as_deref(), args.names.all)?;
    let until = args.until.unwrap_or(Until::Finished);
    let deadline = tokio::time::Instant::now() + args.timeout;
    let mut failed = None;
    for pod in chosen {
        if let Err(failure) = one(layout, pod, &until, deadline).await {
            failed.replace(failure).iter().for_each(Failure::report);
        }
    }
    failed.map_or(Ok(0), Err)
}

async fn one(layout: &Layout, pod: &Pod, until: &Until, deadline: tokio::time::Instant) -> Result<(), Failure> {
    let mut progress = Progress::new();
    let waiting = progress.during(format!("waiting for {}", shown(pod)), wait_for(layout, pod, until));
    // What is so already counts, however little time there is.
    let limit = deadline.max(tokio::time::Instant::now() + AT_LEAST);
    match tokio::time::timeout_at(limit, waiting).await {
        Ok(became) => match became? {
            Became::Wanted => Ok(print(&format!("pod/{} condition met\n", shown(pod)))?),
            Became::Gone => Err(Failure::new(format!("Pod {} is gone", shown(pod)))),
        },
        Err(_) => Err(Failure::new(format!("timed out waiting for Pod {}", shown(pod)))
            .with_hint("--timeout says how long to wait; `dwell inspect` shows how the Pod is")),
    }
}

/// For one look.
const AT_LEAST: Duration = Duration::from_millis(500);

fn until(text: &str) -> Result<Until, String> {
    match text {
        "delete" => Ok(Until::Gone),
        other => Condition::parse(other).map(Until::Meets),
    }
}

/// A length of time as it is typed; a negative one is as long as kubectl waits for ever.
pub fn duration(text: &str) -> Result<Duration, String> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let parsed: SignedDuration = text.parse().map_err(|_| "expected a duration such as 30s, 5m or 1h30m")?;
    Ok(if parsed.is_negative() { WEEK } else { parsed.unsigned_abs() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed() {
        assert_eq!(until("delete"), Ok(Until::Gone));
        assert!(matches!(until("condition=Ready"), Ok(Until::Meets(_))) && until("gone").is_err());
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(
            (duration("0"), duration("0s"), duration("-1s")),
            (Ok(Duration::ZERO), Ok(Duration::ZERO), Ok(WEEK))
        );
        assert!(duration("soon").is_err() && duration("5").is_err());
    }
}
