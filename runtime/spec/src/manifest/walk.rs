//! The strict walk: every key of a document against the shape of a Pod and the table of fields.
//!
//! It runs before the Kubernetes types see the document, since those skip what they do not know. It finds unknown
//! fields, values of the wrong type, and fields that dwell does not honour; all of them, in the order of the text.

use super::fields::{self, Field, Verdict};
use super::node::{Entry, Node, Position, Value};
use super::problem::{Cause, Problem, quoted};
use super::schema::{self, Type};
use super::suggest;
use crate::settings::SettingsKind;

/// Findings of either kind that are kept: more help nobody, and each costs memory and a search for what was meant.
const MAX_FINDINGS: usize = 1000;

/// What the walk found.
#[derive(Debug, Default)]
pub struct Findings {
    /// Errors.
    pub problems: Vec<Problem>,
    /// Fields that mean something in a cluster only.
    pub warnings: Vec<Problem>,
}

/// Walks a document that says it is a Pod.
#[must_use]
pub fn pod(document: &Node) -> Findings {
    let mut walk = Walk { findings: Findings::default() };
    let place = Place { shown: String::new(), table: Some(String::new()) };
    walk.value(document, schema::pod(), &place, document.at);
    walk.findings
}

/// Walks a ConfigMap or a Secret: all of it is honoured, so there is no table.
#[must_use]
pub fn settings(document: &Node, kind: SettingsKind) -> Findings {
    untabled(document, schema::settings(kind))
}

/// Walks a PersistentVolumeClaim; what means nothing here is told by its check.
#[must_use]
pub fn claim(document: &Node) -> Findings {
    untabled(document, schema::claim())
}

fn untabled(document: &Node, of: &Type) -> Findings {
    let mut walk = Walk { findings: Findings::default() };
    walk.value(document, of, &Place { shown: String::new(), table: None }, document.at);
    walk.findings
}

/// Where the walk is: the path that people see, and the one in the table; no table inside of what is not honoured.
struct Place {
    shown: String,
    table: Option<String>,
}

impl Place {
    fn key(&self, name: &str, judged: bool) -> Self {
        let join = |path: &str| {
            if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
        };
        Self { shown: join(&self.shown), table: self.table.as_deref().filter(|_| judged).map(join) }
    }

    fn item(&self, index: usize) -> Self {
        Self { shown: format!("{}[{index}]", self.shown), table: self.table.as_ref().map(|path| format!("{path}[]")) }
    }

    fn named(&self, key: &str) -> Self {
        Self { shown: format!("{}[{key}]", self.shown), table: None }
    }
}

struct Walk {
    findings: Findings,
}

impl Walk {
    fn value(&mut self, node: &Node, of: &Type, place: &Place, at: Position) {
        match (of, &node.value) {
            (Type::Struct(known), Value::Map(entries)) => {
                entries.iter().for_each(|entry| self.field(entry, of, known, place));
            }
            (Type::Map(of), Value::Map(entries)) => {
                entries.iter().for_each(|e| self.value(&e.node, of, &place.named(&e.key), e.at));
            }
            (Type::List(of), Value::List(items)) => {
                let items = items.iter().enumerate();
                items.for_each(|(n, item)| self.value(item, of, &place.item(n), item.at));
            }
            _ if fits(of, &node.value) => {}
            _ => self.wrong_type(node, of, place, at),
        }
    }

    fn field(&mut self, entry: &Entry, of: &Type, known: &[(&'static str, Type)], place: &Place) {
        let in_table = |place: &Place| place.table.as_deref().and_then(fields::find);
        let inner = place.key(&entry.key, true);
        let judged = in_table(&inner);
        match of.field(&entry.key) {
            None if judged.is_none() => self.unknown(entry, known, &inner),
            _ if entry.node.value == Value::Null => {}
            None => {
                self.judge(entry, judged, &inner);
            }
            // What the system sets is not looked at: a newer Kubernetes may have written it.
            Some(_) if judged.is_some_and(|field| field.verdict() == Verdict::Ignored) => {}
            Some(of) => {
                let honoured = self.judge(entry, judged, &inner);
                self.value(&entry.node, of, &place.key(&entry.key, honoured), entry.at);
            }
        }
    }

    /// Says what the table says; whether the walk goes on by the table.
    fn judge(&mut self, entry: &Entry, field: Option<&'static Field>, place: &Place) -> bool {
        let Some(field) = field else { return false };
        let verdict = field.verdict();
        if verdict == Verdict::Honoured {
            return true;
        }
        if !field.accepts_silently(&entry.node.to_json()) {
            self.report(entry, field, verdict, place);
        }
        false
    }

    fn report(&mut self, entry: &Entry, field: &Field, verdict: Verdict, place: &Place) {
        let problem = match verdict {
            Verdict::Refused => Problem::refused(&place.shown, &first_lower(field.about)),
            _ => Problem::new(Cause::ClusterOnly, &place.shown, "ignored: it means something in a cluster only"),
        };
        let kept =
            if verdict == Verdict::ClusterOnly { &mut self.findings.warnings } else { &mut self.findings.problems };
        if kept.len() == MAX_FINDINGS {
            return;
        }
        kept.push(at(entry.at, problem));
    }

    fn unknown(&mut self, entry: &Entry, known: &[(&'static str, Type)], place: &Place) {
        if self.findings.problems.len() == MAX_FINDINGS {
            return;
        }
        let mut problem = at(entry.at, Problem::new(Cause::UnknownField, &place.shown, "unknown field"));
        let near = suggest::nearest(&entry.key, known.iter().map(|(name, _)| *name));
        problem.hint = near.map(|name| format!("did you mean {name}?"));
        self.findings.problems.push(problem);
    }

    fn wrong_type(&mut self, node: &Node, of: &Type, place: &Place, key: Position) {
        if self.findings.problems.len() == MAX_FINDINGS {
            return;
        }
        let place_of = if matches!(node.value, Value::Map(_) | Value::List(_) | Value::Null) { key } else { node.at };
        let message = format!("expected {}, found {}", of.describe(), node.describe());
        let mut problem = at(place_of, Problem::new(Cause::Type, &place.shown, message));
        problem.hint = type_hint(node, of);
        self.findings.problems.push(problem);
    }
}

fn at(at: Position, mut problem: Problem) -> Problem {
    problem.at = (at.line > 0).then_some(at);
    problem
}

/// The first letter small, and no full stop.
fn first_lower(text: &str) -> String {
    let text = text.trim_end_matches('.');
    let mut chars = text.chars();
    chars.next().map(|c| c.to_lowercase().chain(chars).collect()).unwrap_or_default()
}

fn fits(of: &Type, value: &Value) -> bool {
    match (of, value) {
        (Type::Any, _) | (Type::Text | Type::Time | Type::Quantity | Type::IntOrText, Value::Text(_)) => true,
        (Type::Bool, Value::Bool(_)) | (Type::Quantity, Value::Number(_)) => true,
        (Type::Int32 | Type::IntOrText, Value::Number(n)) => n.as_i64().is_some_and(|n| i32::try_from(n).is_ok()),
        (Type::Int64, Value::Number(n)) => n.as_i64().is_some(),
        // A list of structs may not hold nothing, a map of texts may: the API server takes it for "".
        _ => false,
    }
}

fn type_hint(node: &Node, of: &Type) -> Option<String> {
    let written = node.written.as_deref();
    match (of, &node.value) {
        (Type::Text, Value::Bool(_) | Value::Number(_)) => Some(format!("put it in quotes: {}", quoted(written?))),
        (Type::Int32 | Type::Int64, Value::Text(text)) if text.parse::<i64>().is_ok() => {
            Some(format!("without quotes: {text}"))
        }
        (Type::Bool, Value::Text(text)) if matches!(text.as_str(), "true" | "false") => {
            Some(format!("without quotes: {text}"))
        }
        (Type::Int32 | Type::IntOrText, Value::Number(n)) if n.as_i64().is_some() => {
            Some(format!("at most {}", i32::MAX))
        }
        (Type::List(_), Value::Text(_) | Value::Map(_)) => Some("each item of a list begins with `- `".to_owned()),
        (Type::Struct(_), Value::List(_)) => Some("write its fields without `- `".to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
