//! `dwell explain FIELD`: from the one table of fields that also decides what a manifest may hold.

use super::{Outcome, print};
use crate::failure::Failure;

/// Arguments of `dwell explain`.
#[derive(Debug, clap::Args)]
pub struct ExplainArgs {
    /// The field: `pod.spec.containers.image`, with or without `pod.`; without a field, the whole table
    field: Option<String>,
}

/// Prints what is known of the field.
pub fn run(args: ExplainArgs) -> Outcome {
    let Some(field) = args.field else {
        print(&dwell_spec::manifest::support_table())?;
        return Ok(0);
    };
    let path = field.strip_prefix("pod.").or_else(|| field.strip_prefix("pods.")).unwrap_or(&field);
    match dwell_spec::manifest::explain(path) {
        Some(text) => print(&(text.trim_end().to_owned() + "\n")).map(|()| 0),
        None => Err(Failure::new(format!("a Pod has no field {path}")).with_hint(hint(path))),
    }
}

fn hint(path: &str) -> String {
    match dwell_spec::manifest::nearest_field(path) {
        Some(near) => format!("did you mean {near}?"),
        None => "`dwell explain` without a field lists all that dwell knows".to_owned(),
    }
}
