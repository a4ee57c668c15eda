//! `dwell logs`: the log files, read as they are. No node stands between; following needs none either, but for telling when
//! the Pod has ended, which its record says.

use std::io::{self, BufWriter};
use std::time::Duration;

use dwell::container::log::{Attempts, Filter, LogReader, LogWatch, Record};
use dwell::layout::Layout;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::Outcome;
use crate::args::PodName;
use crate::clock;
use crate::failure::Failure;
use crate::output::members::MemberOutput;
use crate::output::style::Style;
use crate::pods::records::{self, added, containers, is_finished, uid};
use crate::pods::{node, select};

/// Arguments of `dwell logs`.
#[derive(Debug, clap::Args)]
pub struct LogsArgs {
    #[command(flatten)]
    name: PodName,
    /// Go on with what is written from now on, until the Pod ends
    #[arg(short, long)]
    follow: bool,
    /// The container, if there are several
    #[arg(short, long, value_name = "CONTAINER")]
    container: Option<String>,
    /// All containers, each line with its container's name
    #[arg(long, conflicts_with_all = ["container", "previous"])]
    all_containers: bool,
    /// Begin each line with its time
    #[arg(short, long)]
    timestamps: bool,
    /// The start before the latest one
    #[arg(short, long, conflicts_with = "follow")]
    previous: bool,
    /// Nothing older: a duration (10s, 5m, 1h30m) back from now, or a time (RFC 3339)
    #[arg(long, value_name = "WHEN", value_parser = since)]
    since: Option<Since>,
    /// Only the last so many lines of what is there
    #[arg(long, value_name = "LINES")]
    tail: Option<u64>,
    /// Begin each line with its container's name
    #[arg(long)]
    prefix: bool,
}

/// A point in time, as it was typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// So long before now.
    Ago(SignedDuration),
    /// Then.
    At(Timestamp),
}

type Output = MemberOutput<BufWriter<io::Stdout>, BufWriter<io::Stderr>>;

/// Prints logs.
pub async fn run(args: LogsArgs, layout: &Layout) -> Outcome {
    node::require_root()?;
    let pods = if args.follow { node::supervised_pods(layout).await? } else { records::read_all(layout)? };
    let pod = select::one(&pods, &args.name.pod, args.name.namespace.as_deref())?;
    let chosen = chosen_containers(pod, &args)?;
    let filter = filter(&args);
    let mut readers: Vec<LogReader> =
        chosen.iter().map(|container| LogReader::new(layout.logs(uid(pod), container), filter)).collect();
    let prefixed = args.prefix || chosen.len() > 1;
    let mut output = output(prefixed.then_some(&chosen[..]), args.timestamps);
    match args.follow {
        true => follow(layout, pod, &chosen, &mut readers, &mut output).await?,
        false => copy(&mut readers, &mut output, true)?,
    }
    Ok(0)
}

fn chosen_containers(pod: &Pod, args: &LogsArgs) -> Result<Vec<String>, Failure> {
    if args.all_containers {
        return Ok(containers(pod).into_iter().chain(added(pod)).collect());
    }
    match select::container(pod, args.container.as_deref())? {
        Some(name) => Ok(vec![name]),
        None => {
            Err(select::several_containers(pod).with_hint("say which with -c CONTAINER, or ask for --all-containers"))
        }
    }
}

fn filter(args: &LogsArgs) -> Filter {
    let attempts = if args.previous { Attempts::Previous } else { Attempts::Current };
    let since = args.since.map(|since| match since {
        Since::At(time) => time,
        Since::Ago(duration) => clock::now().saturating_sub(duration).unwrap_or(Timestamp::MIN),
    });
    Filter { attempts, since, tail: args.tail }
}

fn output(names: Option<&[String]>, timestamps: bool) -> Output {
    let (out, err) = (BufWriter::new(io::stdout()), BufWriter::new(io::stderr()));
    MemberOutput::new((out, Style::stdout()), (err, Style::stderr()), names).with_timestamps(timestamps)
}

/// Prints what one container writes from now on, until its Pod ends.
pub(super) async fn from_now_on(layout: &Layout, pod: &Pod, container: &str) -> Result<(), Failure> {
    let filter = Filter { attempts: Attempts::Current, since: None, tail: Some(0) };
    let mut readers = [LogReader::new(layout.logs(uid(pod), container), filter)];
    follow(layout, pod, &[container.to_owned()], &mut readers, &mut output(None, false)).await
}

fn copy(readers: &mut [LogReader], output: &mut Output, finish: bool) -> Result<(), Failure> {
    for (member, reader) in readers.iter_mut().enumerate() {
        let sink = |record: Record<'_>| output.write(member, &record);
        if finish { reader.finish(sink) } else { reader.drain(sink) }?;
    }
    Ok(output.flush()?)
}

/// The Pod's folder is watched too, so its record's last change wakes us like a line does.
async fn follow(
    layout: &Layout,
    pod: &Pod,
    chosen: &[String],
    readers: &mut [LogReader],
    output: &mut Output,
) -> Result<(), Failure> {
    let mut watch = LogWatch::new();
    watch.add_pod(&layout.pod(uid(pod)), chosen.iter().map(String::as_str));
    loop {
        let ended = has_ended(layout, pod)?;
        copy(readers, output, ended)?;
        if ended {
            return Ok(());
        }
        // The time-out covers a watch that could not be set because the folder was just removed.
        let changed = tokio::time::timeout(Duration::from_secs(1), watch.changed()).await;
        changed.unwrap_or(Ok(())).map_err(|e| Failure::new("watch the logs").caused_by(&e))?;
    }
}

/// Whether the record says so, or is gone.
fn has_ended(layout: &Layout, pod: &Pod) -> Result<bool, Failure> {
    Ok(records::read_one(layout, uid(pod))?.is_none_or(|now| is_finished(&now)))
}

/// A duration or a time.
fn since(text: &str) -> Result<Since, String> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(Since::At(time));
    }
    match text.parse::<SignedDuration>() {
        Ok(duration) if !duration.is_negative() => Ok(Since::Ago(duration)),
        _ => Err("neither a duration such as 10s, 5m or 1h30m nor a time such as 2026-01-02T03:04:05Z".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn since_is_a_duration_or_a_time() {
        assert_eq!(since("10s"), Ok(Since::Ago(SignedDuration::from_secs(10))));
        assert_eq!(since("1h30m"), Ok(Since::Ago(SignedDuration::from_secs(5400))));
        assert_eq!(since("1970-01-01T00:00:00Z"), Ok(Since::At(Timestamp::UNIX_EPOCH)));
        for wrong in ["", "10", "yesterday", "-5m"] {
            assert!(since(wrong).is_err(), "{wrong}");
        }
    }
}
