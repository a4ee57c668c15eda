//! A document as it was written: values with the line and column where each stands.
//!
//! The strict walk needs positions and every key, which the Kubernetes types do not keep. A `Node` holds what
//! sigs.k8s.io/yaml would hand to the API server (JSON's values, keys as strings), so `to_json` loses positions only.
//! Depth is bounded by whoever builds one, so recursion over a `Node` is safe.

use serde_json::{Map, Number, Value as Json};

/// Where something stands: line and column count from 1, in characters; line 0 is a value without a source.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// From 1; 0 when there is no source text.
    pub line: u32,
    /// From 1.
    pub column: u32,
}

/// One value and its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// What it is.
    pub value: Value,
    /// Where it begins.
    pub at: Position,
    /// How a number, boolean or null was written, for messages.
    pub written: Option<Box<str>>,
}

/// JSON's kinds of value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `null`, `~`, or nothing.
    Null,
    /// A truth value.
    Bool(bool),
    /// A number.
    Number(Number),
    /// Text.
    Text(String),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping, in the order written; keys are unique.
    Map(Vec<Entry>),
}

/// One key and its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The key, as text.
    pub key: String,
    /// Where the key stands.
    pub at: Position,
    /// Its value.
    pub node: Node,
}

impl Node {
    /// A value without a source.
    #[must_use]
    pub fn from_json(json: &Json) -> Self {
        let value = match json {
            Json::Null => Value::Null,
            Json::Bool(b) => Value::Bool(*b),
            Json::Number(n) => Value::Number(n.clone()),
            Json::String(s) => Value::Text(s.clone()),
            Json::Array(items) => Value::List(items.iter().map(Self::from_json).collect()),
            Json::Object(map) => Value::Map(map.iter().map(entry_from_json).collect()),
        };
        Self { value, at: Position::default(), written: None }
    }

    /// The value without its places.
    #[must_use]
    pub fn to_json(&self) -> Json {
        match &self.value {
            Value::Null => Json::Null,
            Value::Bool(b) => Json::Bool(*b),
            Value::Number(n) => Json::Number(n.clone()),
            Value::Text(s) => Json::String(s.clone()),
            Value::List(items) => Json::Array(items.iter().map(Self::to_json).collect()),
            Value::Map(entries) => {
                Json::Object(entries.iter().map(|e| (e.key.clone(), e.node.to_json())).collect::<Map<_, _>>())
            }
        }
    }

    /// The entry of a mapping.
    #[must_use]
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|entry| entry.key == key),
            _ => None,
        }
    }

    /// The value behind a key of a mapping.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.node)
    }

    /// The value behind a key of a mapping, to change it.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        match &mut self.value {
            Value::Map(entries) => entries.iter_mut().find(|entry| entry.key == key).map(|entry| &mut entry.node),
            _ => None,
        }
    }

    /// The text, if it is one.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The items of a list; none for anything else.
    #[must_use]
    pub fn items(&self) -> &[Node] {
        match &self.value {
            Value::List(items) => items,
            _ => &[],
        }
    }

    /// What it is, for messages: `the number 8080`, `a list`, …
    #[must_use]
    pub fn describe(&self) -> String {
        let written = |fallback: String| self.written.as_deref().map_or(fallback, str::to_owned);
        match &self.value {
            Value::Null => "nothing".to_owned(),
            Value::Bool(b) => format!("the boolean `{}`", written(b.to_string())),
            Value::Number(n) => format!("the number {}", written(n.to_string())),
            Value::Text(text) => format!("the string {}", super::problem::quoted(text)),
            Value::List(_) => "a list".to_owned(),
            Value::Map(_) => "a mapping".to_owned(),
        }
    }

    /// Where a field path (`spec.containers[1].ports[0]`, `metadata.labels[a.b/c]`) leads: the best place to point
    /// at. A missing tail leads to the last thing that is there.
    #[must_use]
    pub fn locate(&self, path: &str) -> Position {
        let (mut node, mut place) = (self, self.at);
        for step in steps(path) {
            let Some((next, at)) = node.step(step) else {
                break;
            };
            (node, place) = (next, at);
        }
        place
    }

    /// Takes away the value that a path leads to, if there is one.
    pub fn blank(&mut self, path: &str) {
        let mut node = self;
        for step in steps(path) {
            let next = match &mut node.value {
                Value::List(items) => step.parse::<usize>().ok().and_then(|n| items.get_mut(n)),
                Value::Map(entries) => entries.iter_mut().find(|entry| entry.key == step).map(|entry| &mut entry.node),
                _ => None,
            };
            let Some(next) = next else { return };
            node = next;
        }
        node.value = Value::Null;
    }

    fn step(&self, step: &str) -> Option<(&Node, Position)> {
        match &self.value {
            Value::List(items) => items.get(step.parse::<usize>().ok()?).map(|node| (node, node.at)),
            Value::Map(_) => self.entry(step).map(|entry| (&entry.node, entry.point_at())),
            _ => None,
        }
    }
}

impl Entry {
    /// The value of a scalar, the key of anything larger.
    fn point_at(&self) -> Position {
        match self.node.value {
            Value::List(_) | Value::Map(_) | Value::Null => self.at,
            _ => self.node.at,
        }
    }
}

fn entry_from_json((key, json): (&String, &Json)) -> Entry {
    Entry { key: key.clone(), at: Position::default(), node: Node::from_json(json) }
}

/// The steps of a field path; what stands in brackets is one step.
fn steps(path: &str) -> impl Iterator<Item = &str> {
    let mut rest = path;
    std::iter::from_fn(move || {
        rest = rest.strip_prefix('.').unwrap_or(rest);
        if rest.is_empty() {
            return None;
        }
        let (step, tail) = match rest.strip_prefix('[') {
            Some(inner) => inner.split_once(']').unwrap_or((inner, "")),
            None => rest.split_at(rest.find(['.', '[']).unwrap_or(rest.len())),
        };
        rest = tail;
        Some(step)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cut_into_steps() {
        let all: Vec<_> = steps("spec.containers[1].x[a.b/c].y").collect();
        assert_eq!(all, ["spec", "containers", "1", "x", "a.b/c", "y"]);
        assert_eq!(steps("").count(), 0);
        assert_eq!(steps("[0").collect::<Vec<_>>(), ["0"]);
    }

    #[test]
    fn json_survives() {
        let json = serde_json::json!({"a": [1, "x", null, true, 1.5], "b": {}});
        assert_eq!(Node::from_json(&json).to_json(), json);
    }
}
