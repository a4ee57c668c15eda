//! What is wrong with a manifest, said so that its author can mend it.
//!
//! A `Problem` names the field by its path and, when there was a text, the place. `Display` of `ManifestError` is for
//! people: every problem of the file in its order, each with its source line and a caret. `Cause::reason` and the
//! path are what an API `Status` carries. Words of validation are the API server's own (apimachinery `field.Error`).
//! The text is foreign: nothing of it reaches a terminal with its control characters.

use std::fmt;

use super::node::Position;

/// Characters of a source line that are shown.
const SHOWN: usize = 120;

/// What kind of mistake it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The text is no YAML or JSON, or exceeds a limit.
    Malformed,
    /// A value of another type than the field's.
    Type,
    /// A field that Kubernetes does not have.
    UnknownField,
    /// Kubernetes has it; dwell does not honour it yet.
    NotYet,
    /// dwell will not honour it.
    Refused,
    /// Not an error: the field means something in a cluster only.
    ClusterOnly,
    /// Nothing where something must be.
    Required,
    /// A value outside what is allowed.
    Invalid,
    /// Something that must be unique is not.
    Duplicate,
    /// None of the values that the field knows.
    Unsupported,
    /// Not allowed together with the rest.
    Forbidden,
    /// A reference to what is not there.
    NotFound,
    /// A kind of document that dwell does not run.
    Kind,
}

impl Cause {
    /// The reason of a cause in an API `Status` (metav1.CauseType).
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Required => "FieldValueRequired",
            Self::Duplicate => "FieldValueDuplicate",
            Self::Invalid => "FieldValueInvalid",
            Self::Unsupported | Self::Kind => "FieldValueNotSupported",
            Self::Forbidden | Self::NotYet | Self::Refused | Self::ClusterOnly => "FieldValueForbidden",
            Self::NotFound => "FieldValueNotFound",
            Self::Type => "FieldValueTypeInvalid",
            Self::Malformed | Self::UnknownField => "FieldValueInvalid",
        }
    }
}

/// One thing that is wrong (or, in `Parsed::warnings`, worth knowing).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The field, as in `spec.containers[1].ports[0].hostPort`; empty for the whole file.
    pub path: String,
    /// What is wrong, lower case but where the API server's words begin otherwise.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// What kind of mistake.
    pub cause: Cause,
    /// Where, when there was a text.
    pub at: Option<Position>,
    /// The source line and the caret's offset in it.
    pub excerpt: Option<Excerpt>,
}

/// A source line, made safe to print.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt {
    /// The line, or the part around the place.
    pub line: String,
    /// Characters before the caret.
    pub offset: usize,
}

impl Problem {
    /// A problem without a place or hint.
    #[must_use]
    pub fn new(cause: Cause, path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into(), hint: None, cause, at: None, excerpt: None }
    }

    /// The same with a hint.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// `Required value`, with what for.
    #[must_use]
    pub fn required(path: impl Into<String>, detail: &str) -> Self {
        let message = if detail.is_empty() { "Required value".to_owned() } else { format!("Required value: {detail}") };
        Self::new(Cause::Required, path, message)
    }

    /// `Invalid value: "x": why`.
    #[must_use]
    pub fn invalid(path: impl Into<String>, value: &str, why: &str) -> Self {
        Self::new(Cause::Invalid, path, format!("Invalid value: {}: {why}", quoted(value)))
    }

    /// `Invalid value: 7: why`.
    #[must_use]
    pub fn invalid_number(path: impl Into<String>, value: i64, why: &str) -> Self {
        Self::new(Cause::Invalid, path, format!("Invalid value: {value}: {why}"))
    }

    /// `Duplicate value: "x"`.
    #[must_use]
    pub fn duplicate(path: impl Into<String>, value: &str) -> Self {
        Self::new(Cause::Duplicate, path, format!("Duplicate value: {}", quoted(value)))
    }

    /// `Unsupported value: "x": supported values: "A", "B"`.
    #[must_use]
    pub fn unsupported(path: impl Into<String>, value: &str, supported: &[&str]) -> Self {
        let list: Vec<_> = supported.iter().map(|s| format!("\"{s}\"")).collect();
        let message = format!("Unsupported value: {}: supported values: {}", quoted(value), list.join(", "));
        Self::new(Cause::Unsupported, path, message)
    }

    /// `Not found: "x"`.
    #[must_use]
    pub fn not_found(path: impl Into<String>, value: &str) -> Self {
        Self::new(Cause::NotFound, path, format!("Not found: {}", quoted(value)))
    }

    /// `Forbidden: why`.
    #[must_use]
    pub fn forbidden(path: impl Into<String>, why: &str) -> Self {
        Self::new(Cause::Forbidden, path, format!("Forbidden: {why}"))
    }

    /// `refused: why`, of what dwell will not do.
    #[must_use]
    pub fn refused(path: impl Into<String>, why: &str) -> Self {
        Self::new(Cause::Refused, path, format!("refused: {why}"))
    }

    /// Takes the source line of its place out of the text.
    pub fn cite(&mut self, text: &str) {
        let Some(at) = self.at else { return };
        let line = nth_line(text, at.line.saturating_sub(1) as usize);
        self.excerpt = Some(excerpt(line, at.column.saturating_sub(1) as usize));
    }

    /// The problem for people, with the file's name in front.
    pub fn show<'a>(&'a self, origin: &'a str) -> impl fmt::Display + 'a {
        Shown { problem: self, origin }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path.as_str() {
            "" => f.write_str(&self.message),
            path => write!(f, "{}: {}", plain_text(path), self.message),
        }
    }
}

struct Shown<'a> {
    problem: &'a Problem,
    origin: &'a str,
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&plain_text(self.origin))?;
        if let Some(at) = self.problem.at {
            write!(f, ":{}:{}", at.line, at.column)?;
        }
        write!(f, ": {}", self.problem)?;
        if let (Some(at), Some(excerpt)) = (self.problem.at, &self.problem.excerpt) {
            let number = at.line.to_string();
            let (gutter, indent) = (" ".repeat(number.len()), " ".repeat(excerpt.offset));
            write!(f, "\n  {number} | {}\n  {gutter} | {indent}^", excerpt.line)?;
        }
        match &self.problem.hint {
            Some(hint) => write!(f, "\n  hint: {hint}"),
            None => Ok(()),
        }
    }
}

/// Everything that is wrong with one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestError {
    /// The file's name as the user wrote it.
    pub origin: String,
    /// In the order of the text; at least one.
    pub problems: Vec<Problem>,
}

impl fmt::Display for ManifestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, problem) in self.problems.iter().enumerate() {
            if n > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{}", problem.show(&self.origin))?;
        }
        Ok(())
    }
}

impl std::error::Error for ManifestError {}

/// Foreign text in quotes, escaped and cut, for a message.
#[must_use]
pub fn quoted(text: &str) -> String {
    let cut: String = text.chars().take(SHOWN).collect();
    let more = if cut.len() < text.len() { "…" } else { "" };
    let escaped: String = cut.chars().flat_map(escape).collect();
    format!("\"{escaped}{more}\"")
}

fn escape(c: char) -> Box<dyn Iterator<Item = char>> {
    match c {
        '"' | '\\' => Box::new(['\\', c].into_iter()),
        _ if is_unsafe(c) => Box::new(c.escape_default()),
        _ => Box::new(std::iter::once(c)),
    }
}

/// Control characters, and the ones that reorder a line (CVE-2021-42574).
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

fn plain_text(text: &str) -> String {
    text.chars().map(|c| if is_unsafe(c) { '\u{fffd}' } else { c }).collect()
}

/// A line as YAML counts them: a carriage return alone ends one too.
fn nth_line(text: &str, n: usize) -> &str {
    let mut rest = text;
    for _ in 0..n {
        let Some(end) = rest.find(['\n', '\r']) else {
            return "";
        };
        let len = if rest[end..].starts_with("\r\n") { 2 } else { 1 };
        rest = &rest[end + len..];
    }
    rest.split(['\n', '\r']).next().unwrap_or_default()
}

/// The part of a line around a column, one printed character per character of the source.
fn excerpt(line: &str, column: usize) -> Excerpt {
    let start = if column > SHOWN - 20 { column - SHOWN / 2 } else { 0 };
    let shown: String = line.chars().skip(start).take(SHOWN).map(|c| if c == '\t' { ' ' } else { c }).collect();
    Excerpt { line: plain_text(&shown), offset: column - start }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shown_with_line_caret_and_hint() {
        let mut problem =
            Problem::new(Cause::UnknownField, "spec.comand", "unknown field").with_hint("did you mean command?");
        problem.at = Some(Position { line: 2, column: 3 });
        problem.cite("spec:\n  comand: x\n");
        let expected =
            "pod.yaml:2:3: spec.comand: unknown field\n  2 |   comand: x\n    |   ^\n  hint: did you mean command?";
        assert_eq!(problem.show("pod.yaml").to_string(), expected);
    }

    #[test]
    fn foreign_bytes_never_reach_the_terminal() {
        let mut problem = Problem::invalid("metadata.labels[\u{1b}[2J]", "\u{1b}]0;x\u{7}\u{202e}", "no");
        problem.at = Some(Position { line: 1, column: 1 });
        problem.cite("\u{1b}[31mred\u{202e}");
        let shown = problem.show("a\u{1b}").to_string();
        assert!(!shown.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{shown:?}");
        assert!(quoted(&"x".repeat(1000)).chars().count() < 130);
    }

    #[test]
    fn lines_end_as_in_yaml() {
        let lines: Vec<_> = (0..6).map(|n| nth_line("a\nb\rc\r\nd\n", n)).collect();
        assert_eq!(lines, ["a", "b", "c", "d", "", ""]);
    }

    #[test]
    fn a_long_line_is_cut_around_the_place() {
        let line = format!("{}X{}", "a".repeat(500), "b".repeat(500));
        let excerpt = excerpt(&line, 500);
        assert_eq!(excerpt.line.chars().nth(excerpt.offset), Some('X'));
        assert_eq!(excerpt.line.chars().count(), SHOWN);
    }
}
