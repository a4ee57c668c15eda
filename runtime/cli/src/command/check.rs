//! `dwell check`: what this host offers, what is missing, what that costs, what to do. Looked at here and now; no node is
//! asked and none is started, since a host on which none starts is where this is needed most.

use dwell::host::{CheckItem, State};
use dwell::layout::Layout;

use super::{Outcome, print};
use crate::args::ObjectFormat;
use crate::output::object;
use crate::output::sanitise::one_line;
use crate::output::style::Style;
use crate::pods::node;

/// Exit status when something is missing: a finding, and no failure of dwell's.
const MISSING: u8 = 1;

/// Arguments of `dwell check`.
#[derive(Debug, clap::Args)]
pub struct CheckArgs {
    /// Print JSON or YAML instead of text
    #[arg(short, long, value_enum, value_name = "FORMAT")]
    output: Option<ObjectFormat>,
}

/// Prints the list; 1 if something is missing without which Pods cannot run.
pub fn run(args: CheckArgs, layout: &Layout) -> Outcome {
    node::require_root()?;
    let items = dwell::host::check(layout);
    let text = match args.output {
        Some(format) => object::render(&items, format)?,
        None => items.iter().map(|item| shown(item, Style::stdout())).collect(),
    };
    print(&text)?;
    Ok(if items.iter().any(|item| item.state == State::Missing) { MISSING } else { 0 })
}

fn shown(item: &CheckItem, style: Style) -> String {
    let state = match item.state {
        State::Ok => style.good("ok      "),
        State::Degraded => style.warning("degraded"),
        State::Missing => style.error("missing "),
    };
    let mut text = format!("{state}  {:<16} {}\n", one_line(&item.name), one_line(&item.found));
    if !item.costs.is_empty() {
        text += &format!("{:10}{} {}\n", "", style.dim("costs:"), one_line(&item.costs));
    }
    if !item.remedy.is_empty() {
        text +=
            &format!("{:10}{} {}\n", "", style.hint("to do:"), item.remedy.trim_end().replace('\n', "\n          "));
    }
    text
}
