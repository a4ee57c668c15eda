//! Text to documents: YAML (and so JSON) into `Node`s, as kubectl would understand them, but strictly.
//!
//! The parser gives events with places; this builds the tree. What the text can cost is bounded: its size, its depth,
//! and what aliases may multiply it to ("billion laughs"). Stricter than kubectl: a key written twice is an error (it
//! would silently take the last), and so is a tag that Kubernetes would drop.

use std::collections::HashMap;

use granit_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput, Tag};

use super::node::{Entry, Node, Position, Value};
use super::problem::{Cause, Problem, quoted};
use super::scalar;

/// Bytes of one file.
pub const MAX_BYTES: usize = 4 << 20;
/// Mappings and lists within one another.
pub const MAX_DEPTH: usize = 64;
/// Values (each counted with its bytes) that aliases may add to one file.
pub const MAX_ALIASED: usize = 4 << 20;
/// Documents in one file.
pub const MAX_DOCUMENTS: usize = 4096;

/// Reads every document of a file; empty ones are left out.
///
/// # Errors
/// The first place where the text is no YAML, or not within the bounds.
pub fn read(text: &str) -> Result<Vec<Node>, Box<Problem>> {
    if text.len() > MAX_BYTES {
        let message = format!("the file has {} bytes; the limit is {MAX_BYTES}", text.len());
        return Err(Box::new(Problem::new(Cause::Malformed, "", message)));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    Composer::new(text).documents()
}

type Composed<T> = Result<T, Box<Problem>>;

/// What an anchor stands for.
struct Anchored {
    node: Node,
    weight: usize,
    depth: usize,
}

struct Composer<'a> {
    text: &'a str,
    parser: Parser<'a, StrInput<'a>>,
    anchors: HashMap<usize, Anchored>,
    aliased: usize,
}

impl<'a> Composer<'a> {
    fn new(text: &'a str) -> Self {
        Self { text, parser: Parser::new_from_str(text), anchors: HashMap::new(), aliased: 0 }
    }

    fn documents(mut self) -> Composed<Vec<Node>> {
        let mut documents = Vec::new();
        while let Some((event, span)) = self.next()? {
            match event {
                Event::StreamEnd => break,
                Event::DocumentStart(..) if documents.len() == MAX_DOCUMENTS => {
                    return Err(problem(at(&span), format!("more than {MAX_DOCUMENTS} documents in one file")));
                }
                Event::StreamStart | Event::DocumentStart(..) => {}
                Event::DocumentEnd => self.anchors.clear(),
                event => documents.push(self.node(event, &span, 0)?),
            }
        }
        documents.retain(|document| document.value != Value::Null);
        Ok(documents)
    }

    fn next(&mut self) -> Composed<Option<(Event<'a>, Span)>> {
        self.parser.next_event().transpose().map_err(|error| self.syntax(&error))
    }

    fn must_next(&mut self) -> Composed<(Event<'a>, Span)> {
        let end = || problem(Position::default(), "the text ends in the middle of a value".to_owned());
        self.next()?.ok_or_else(end)
    }

    fn syntax(&self, error: &ScanError) -> Box<Problem> {
        let place = position(error.marker().line(), error.marker().col());
        let mut problem = problem(place, format!("not valid YAML: {}", error.info()));
        problem.hint = self.hint_for(place);
        problem
    }

    /// A tab in the indentation is the mistake that parsers explain worst.
    fn hint_for(&self, place: Position) -> Option<String> {
        let near = (place.line.saturating_sub(2) as usize)..(place.line as usize);
        let lines = self.text.lines().skip(near.start).take(near.len());
        let tabbed = |line: &str| line.chars().take_while(|c| c.is_whitespace()).any(|c| c == '\t');
        lines.into_iter().any(tabbed).then(|| "YAML is indented with spaces; there is a tab here".to_owned())
    }

    fn node(&mut self, event: Event<'a>, span: &Span, depth: usize) -> Composed<Node> {
        if depth > MAX_DEPTH {
            return Err(problem(at(span), format!("values lie more than {MAX_DEPTH} deep in one another")));
        }
        let (node, anchor) = match event {
            Event::Alias(id) => return self.alias(id, span, depth),
            Event::Scalar(text, style, anchor, tag) => (scalar_node(&text, style, tag.as_deref(), span)?, anchor),
            Event::SequenceStart(_, anchor, tag) => (self.list(tag.as_deref(), span, depth)?, anchor),
            Event::MappingStart(_, anchor, tag) => (self.map(tag.as_deref(), span, depth)?, anchor),
            _ => return Err(problem(at(span), "a value is missing".to_owned())),
        };
        if anchor != 0 {
            let (weight, depth) = measure(&node);
            self.anchors.insert(anchor, Anchored { node: node.clone(), weight, depth });
        }
        Ok(node)
    }

    fn alias(&mut self, id: usize, span: &Span, depth: usize) -> Composed<Node> {
        let Some(anchored) = self.anchors.get(&id) else {
            return Err(problem(at(span), "an alias stands inside the value that it means".to_owned()));
        };
        self.aliased = self.aliased.saturating_add(anchored.weight);
        if self.aliased > MAX_ALIASED {
            return Err(problem(at(span), format!("aliases multiply the file by more than {MAX_ALIASED} bytes")));
        }
        if depth + anchored.depth > MAX_DEPTH {
            return Err(problem(at(span), format!("values lie more than {MAX_DEPTH} deep in one another")));
        }
        Ok(Node { at: at(span), ..anchored.node.clone() })
    }

    fn list(&mut self, tag: Option<&Tag>, span: &Span, depth: usize) -> Composed<Node> {
        expect_tag(tag, "seq", span)?;
        let mut items = Vec::new();
        loop {
            match self.must_next()? {
                (Event::SequenceEnd, _) => return Ok(node(Value::List(items), span)),
                (event, inner) => items.push(self.node(event, &inner, depth + 1)?),
            }
        }
    }

    fn map(&mut self, tag: Option<&Tag>, span: &Span, depth: usize) -> Composed<Node> {
        expect_tag(tag, "map", span)?;
        let mut map = MapBuilder::default();
        loop {
            let (event, key_span) = self.must_next()?;
            if event == Event::MappingEnd {
                return Ok(node(Value::Map(map.finish()), span));
            }
            let merge = matches!(&event, Event::Scalar(text, ScalarStyle::Plain, _, None) if text == "<<");
            let key = key_text(self.node(event, &key_span, depth + 1)?, &key_span)?;
            let (event, value_span) = self.must_next()?;
            let value = self.node(event, &value_span, depth + 1)?;
            if merge { map.merge(value)? } else { map.insert(key, at(&key_span), value)? }
        }
    }
}

/// A mapping being read: keys once, merged ones (`<<`) only where nothing else is written.
#[derive(Default)]
struct MapBuilder {
    entries: Vec<Entry>,
    places: HashMap<String, Position>,
    merged: Vec<Entry>,
}

impl MapBuilder {
    fn insert(&mut self, key: String, at: Position, node: Node) -> Composed<()> {
        if let Some(first) = self.places.insert(key.clone(), at) {
            let message = format!(
                "the key {} is written twice, first in line {}, column {}",
                quoted(&key),
                first.line,
                first.column
            );
            return Err(problem(at, message));
        }
        self.entries.push(Entry { key, at, node });
        Ok(())
    }

    fn merge(&mut self, value: Node) -> Composed<()> {
        match value.value {
            Value::Map(entries) => self.merged.extend(entries),
            Value::List(items) => items.into_iter().try_for_each(|item| self.merge(item))?,
            _ => {
                return Err(problem(value.at, "`<<` needs a mapping, or a list of mappings".to_owned()));
            }
        }
        Ok(())
    }

    fn finish(mut self) -> Vec<Entry> {
        for entry in std::mem::take(&mut self.merged) {
            if !self.places.contains_key(&entry.key) {
                self.places.insert(entry.key.clone(), entry.at);
                self.entries.push(entry);
            }
        }
        self.entries
    }
}

fn scalar_node(text: &str, style: ScalarStyle, tag: Option<&Tag>, span: &Span) -> Composed<Node> {
    let value = match tag {
        None if style != ScalarStyle::Plain => Value::Text(text.to_owned()),
        None => plain(text, span)?,
        Some(tag) => tagged(text, tag, span)?,
    };
    let written = (!matches!(value, Value::Text(_))).then(|| text.into());
    Ok(Node { written, ..node(value, span) })
}

fn plain(text: &str, span: &Span) -> Composed<Value> {
    scalar::resolve(text).ok_or_else(|| problem(at(span), format!("`{text}` is a number that JSON does not have")))
}

fn tagged(text: &str, tag: &Tag, span: &Span) -> Composed<Value> {
    if tag.handle().is_empty() && tag.suffix() == "!" {
        return Ok(Value::Text(text.to_owned()));
    }
    let value = match tag.core_suffix() {
        Some("str" | "timestamp") => Value::Text(text.to_owned()),
        Some("null" | "bool" | "int" | "float") => plain(text, span)?,
        _ => return Err(unknown_tag(tag, span)),
    };
    let fits = match (tag.core_suffix(), &value) {
        (Some("null"), Value::Null) | (Some("bool"), Value::Bool(_)) => true,
        (Some("int"), Value::Number(n)) => !n.is_f64(),
        (Some("float"), Value::Number(_)) | (Some("str" | "timestamp"), _) => true,
        _ => false,
    };
    if fits { Ok(value) } else { Err(problem(at(span), format!("{} is no {}", quoted(text), tag.original()))) }
}

fn expect_tag(tag: Option<&Tag>, suffix: &str, span: &Span) -> Composed<()> {
    match tag {
        Some(tag) if tag.core_suffix() != Some(suffix) => Err(unknown_tag(tag, span)),
        _ => Ok(()),
    }
}

fn unknown_tag(tag: &Tag, span: &Span) -> Box<Problem> {
    let message = format!("the tag {} means nothing to Kubernetes here", quoted(&tag.original()));
    problem(span.tag_start.map_or(at(span), |m| position(m.line(), m.col())), message)
}

/// Keys are strings in JSON; sigs.k8s.io/yaml spells numbers and booleans out.
fn key_text(key: Node, span: &Span) -> Composed<String> {
    match key.value {
        Value::Text(text) => Ok(text),
        Value::Bool(b) => Ok(b.to_string()),
        Value::Number(n) => Ok(n.to_string()),
        _ => Err(problem(at(span), format!("{} cannot be a key", key.describe()))),
    }
}

/// Values and bytes, and depth.
fn measure(node: &Node) -> (usize, usize) {
    let text = |s: &str| s.len() + 1;
    let sum = |all: &mut dyn Iterator<Item = (usize, usize)>| {
        all.fold((1, 0), |(w, d), (weight, depth)| (w + weight, d.max(depth + 1)))
    };
    match &node.value {
        Value::Text(s) => (text(s), 0),
        Value::List(items) => sum(&mut items.iter().map(measure)),
        Value::Map(entries) => sum(&mut entries.iter().map(|e| {
            let (weight, depth) = measure(&e.node);
            (weight + text(&e.key), depth)
        })),
        _ => (1, 0),
    }
}

fn node(value: Value, span: &Span) -> Node {
    Node { value, at: at(span), written: None }
}

fn at(span: &Span) -> Position {
    position(span.start.line(), span.start.col())
}

/// The parser counts lines from 1 and columns from 0.
fn position(line: usize, column: usize) -> Position {
    let cut = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Position { line: cut(line), column: cut(column + 1) }
}

fn problem(at: Position, message: String) -> Box<Problem> {
    Box::new(Problem { at: (at.line > 0).then_some(at), ..Problem::new(Cause::Malformed, "", message) })
}

#[cfg(test)]
mod tests;
