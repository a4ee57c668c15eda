//! `dwell stats`: what members use, live; `dwell top`: what Pods use, in kubectl's columns.
//!
//! A rate needs two readings, half a second apart. On a terminal `stats` goes on, and each reading is the next one's first.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal};
use std::time::Duration;

use dwell::layout::Layout;
use dwell::{MemberUsage, PodUsage};
use dwell_serve::client::{Client, Kind};

use super::{Outcome, print};
use crate::args::ObjectFormat;
use crate::failure::Failure;
use crate::output::{object, table};
use crate::pods::records::{key, qualified};
use crate::pods::usage::Rate;
use crate::pods::{node, select, usage};
use crate::terminal::interrupt::Interrupts;

/// Between the readings of one answer.
const APART: Duration = Duration::from_millis(500);
/// Between two pictures on a terminal.
const EACH: Duration = Duration::from_secs(1);
/// Top left, and clear what is below.
const HOME: &str = "\x1b[H\x1b[J";

/// Arguments of `dwell stats`.
#[derive(Debug, clap::Args)]
pub struct StatsArgs {
    /// Names of Pods: NAME, or NAMESPACE/NAME; all if absent
    #[arg(value_name = "POD")]
    pods: Vec<String>,
    /// Show this namespace only
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// Print once and end, as is done without a terminal
    #[arg(long)]
    no_stream: bool,
    /// Print the readings themselves, once
    #[arg(short, long, value_enum, value_name = "FORMAT")]
    output: Option<ObjectFormat>,
}

/// Arguments of `dwell top`.
#[derive(Debug, clap::Args)]
pub struct TopArgs {
    /// Names of Pods: NAME, or NAMESPACE/NAME; all if absent
    #[arg(value_name = "POD")]
    pods: Vec<String>,
    /// Show this namespace only
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// A line for each container
    #[arg(long)]
    containers: bool,
}

/// Two readings of one Pod.
type Pair = (PodUsage, PodUsage);

/// Prints what members use, until interrupted on a terminal.
pub async fn run(args: StatsArgs, layout: &Layout) -> Outcome {
    let chosen = chosen(layout, &args.pods, args.namespace.as_deref()).await?;
    if let Some(format) = args.output {
        let readings = read(layout, &chosen).await?;
        print(&object::render(&readings.into_values().collect::<Vec<_>>(), format)?)?;
        return Ok(0);
    }
    let mut before = read(layout, &chosen).await?;
    if args.no_stream || !io::stdout().is_terminal() {
        tokio::time::sleep(APART).await;
        print(&members(&pairs(&before, read(layout, &chosen).await?)))?;
        return Ok(0);
    }
    let mut interrupts = Interrupts::catch()?;
    let mut wait = APART;
    loop {
        tokio::select! {
            signal = interrupts.next() => return Ok(128 + signal),
            () = tokio::time::sleep(wait) => {}
        }
        let after = read(layout, &chosen).await?;
        print(&format!("{HOME}{}", members(&pairs(&before, after.clone()))))?;
        (before, wait) = (after, EACH);
    }
}

/// Prints what Pods use, once.
pub async fn top(args: TopArgs, layout: &Layout) -> Outcome {
    let chosen = chosen(layout, &args.pods, args.namespace.as_deref()).await?;
    let before = read(layout, &chosen).await?;
    tokio::time::sleep(APART).await;
    let pairs = pairs(&before, read(layout, &chosen).await?);
    print(&if args.containers { top_of_containers(&pairs) } else { top_of_pods(&pairs) })?;
    Ok(0)
}

/// Namespace and name of each Pod that was asked for; `None` is all of the namespace.
enum Chosen {
    These(Vec<(String, String)>),
    All(Option<String>),
}

impl Chosen {
    fn holds(&self, pod: &PodUsage) -> bool {
        match self {
            Self::These(keys) => keys.iter().any(|(namespace, name)| *namespace == pod.namespace && *name == pod.name),
            Self::All(namespace) => namespace.as_ref().is_none_or(|namespace| *namespace == pod.namespace),
        }
    }
}

async fn chosen(layout: &Layout, names: &[String], namespace: Option<&str>) -> Result<Chosen, Failure> {
    let pods = node::supervised_pods(layout).await?;
    if names.is_empty() {
        return Ok(Chosen::All(namespace.map(str::to_owned)));
    }
    let found = select::many(&pods, names, namespace, false)?;
    let keys = found.into_iter().map(key);
    Ok(Chosen::These(keys.map(|(namespace, name)| (namespace.to_owned(), name.to_owned())).collect()))
}

/// By namespace and name. Without a node nobody lives.
async fn read(layout: &Layout, chosen: &Chosen) -> Result<BTreeMap<(String, String), PodUsage>, Failure> {
    let found = match Client::connect(layout).await {
        Err(failure) if failure.kind() == Kind::NoNode => Vec::new(),
        client => client?.usage().await?,
    };
    let found = found.into_iter().filter(|pod| chosen.holds(pod));
    Ok(found.map(|pod| ((pod.namespace.clone(), pod.name.clone()), pod)).collect())
}

fn pairs(before: &BTreeMap<(String, String), PodUsage>, after: BTreeMap<(String, String), PodUsage>) -> Vec<Pair> {
    let with_earlier = |(key, now): ((String, String), PodUsage)| {
        let earlier = before.get(&key).cloned().unwrap_or_else(|| now.clone());
        (earlier, now)
    };
    after.into_iter().map(with_earlier).collect()
}

fn shown(pod: &PodUsage) -> String {
    qualified(&pod.namespace, &pod.name)
}

/// A row for each member: its Pod's name, its own, and what the caller adds.
fn rows_of_members(pairs: &[Pair], more: impl Fn(&MemberUsage, Rate) -> Vec<String>) -> Vec<Vec<String>> {
    let rows = pairs.iter().flat_map(|(before, after)| {
        after.containers.iter().map(|member| {
            let mut row = vec![shown(after), member.name.clone()];
            row.extend(more(member, usage::of_member(before, after, member)));
            row
        })
    });
    rows.collect()
}

fn members(pairs: &[Pair]) -> String {
    let rows = rows_of_members(pairs, |member, rate| {
        vec![
            member.kind.clone().unwrap_or_default(),
            usage::percent(rate.cpu_millis),
            usage::size(rate.memory),
            member.memory_limit.map_or("none".into(), |limit| usage::size(Some(limit))),
            rate.processes.map_or("--".into(), |count| count.to_string()),
        ]
    });
    table::render(&["POD", "CONTAINER", "KIND", "CPU", "MEMORY", "LIMIT", "PIDS"], &rows)
}

fn top_of_pods(pairs: &[Pair]) -> String {
    let row = |(before, after): &Pair| {
        let rate = usage::of_pod(before, after);
        vec![shown(after), usage::millis(rate.cpu_millis), usage::mebibytes(rate.memory)]
    };
    table::render(&["NAME", "CPU(cores)", "MEMORY(bytes)"], &pairs.iter().map(row).collect::<Vec<_>>())
}

fn top_of_containers(pairs: &[Pair]) -> String {
    let rows = rows_of_members(pairs, |_, rate| vec![usage::millis(rate.cpu_millis), usage::mebibytes(rate.memory)]);
    table::render(&["POD", "NAME", "CPU(cores)", "MEMORY(bytes)"], &rows)
}
