//! `dwell events`: what happened to Pods, in the kubelet's words.

use dwell::layout::Layout;
use k8s_openapi::api::core::v1::Event;

use super::{Outcome, print};
use crate::args::ObjectFormat;
use crate::clock;
use crate::output::{object, table};
use crate::pods::records::{self, key, qualified};
use crate::pods::{node, select, summary};

/// Arguments of `dwell events`.
#[derive(Debug, clap::Args)]
pub struct EventsArgs {
    /// Names of Pods: NAME, or NAMESPACE/NAME; all if absent
    #[arg(value_name = "POD")]
    pods: Vec<String>,
    /// Show this namespace only
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// Print the events themselves
    #[arg(short, long, value_enum, value_name = "FORMAT")]
    output: Option<ObjectFormat>,
}

/// Prints events, the newest last.
pub async fn run(args: EventsArgs, layout: &Layout) -> Outcome {
    node::require_root()?;
    let pods = records::read_all(layout)?;
    let all = args.pods.is_empty();
    let chosen = select::many(&pods, &args.pods, args.namespace.as_deref(), all)?;
    if chosen.is_empty() {
        return Ok(0);
    }
    let keys: Vec<_> = chosen.into_iter().map(key).collect();
    let mut events = node::connect(layout).await?.events().await?;
    events.retain(|event| keys.contains(&of(event)));
    match args.output {
        Some(format) => print(&object::render(&events, format)?)?,
        None => print(&shown(&events))?,
    }
    Ok(0)
}

/// Namespace and name of its Pod.
fn of(event: &Event) -> (&str, &str) {
    let involved = &event.involved_object;
    (involved.namespace.as_deref().unwrap_or("default"), involved.name.as_deref().unwrap_or_default())
}

fn shown(events: &[Event]) -> String {
    let rows: Vec<Vec<String>> = events.iter().map(row).collect();
    table::render(&["LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"], &rows)
}

fn row(event: &Event) -> Vec<String> {
    let seconds = event.last_timestamp.as_ref().map(|time| clock::now().as_second().saturating_sub(time.0.as_second()));
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let times = event.count.filter(|count| *count > 1).map(|count| format!(" (x{count})")).unwrap_or_default();
    let (namespace, name) = of(event);
    vec![
        seconds.map_or_else(|| "<unknown>".to_owned(), summary::human_duration),
        text(&event.type_),
        text(&event.reason),
        format!("pod/{}", qualified(namespace, name)),
        text(&event.message) + &times,
    ]
}
