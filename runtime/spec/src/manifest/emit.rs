//! JSON values as YAML, in kubectl's style: keys sorted, lists not indented below their key.
//!
//! Written so that every reader agrees: whatever YAML 1.1 or 1.2 could take for something else than text is quoted.
//! Text of several lines is a literal block where a block can hold it. A property test reads everything back.

use std::fmt::Write;

use k8s_openapi::api::core::v1;
use serde_json::{Map, Value as Json};

use super::node::Value;
use super::scalar;

/// A Pod as YAML that parses back to the same Pod.
#[must_use]
pub fn to_yaml(pod: &v1::Pod) -> String {
    yaml_of(&serde_json::to_value(pod).unwrap_or_default())
}

/// Any JSON value as one YAML document.
#[must_use]
pub fn yaml_of(json: &Json) -> String {
    let mut out = String::new();
    match json {
        Json::Object(map) if !map.is_empty() => mapping(map, 0, &mut out),
        Json::Array(items) if !items.is_empty() => sequence(items, 0, &mut out),
        other => {
            scalar_at(other, 1, &mut out);
            out.push('\n');
        }
    }
    out
}

fn mapping(map: &Map<String, Json>, indent: usize, out: &mut String) {
    for (n, (key, value)) in map.iter().enumerate() {
        if n > 0 {
            pad(indent, out);
        }
        out.push_str(&inline(key));
        out.push(':');
        match value {
            Json::Object(inner) if !inner.is_empty() => {
                out.push('\n');
                pad(indent + 2, out);
                mapping(inner, indent + 2, out);
            }
            Json::Array(items) if !items.is_empty() => {
                out.push('\n');
                pad(indent, out);
                sequence(items, indent, out);
            }
            other => {
                out.push(' ');
                scalar_at(other, indent + 2, out);
                out.push('\n');
            }
        }
    }
}

fn sequence(items: &[Json], indent: usize, out: &mut String) {
    for (n, item) in items.iter().enumerate() {
        if n > 0 {
            pad(indent, out);
        }
        out.push_str("- ");
        match item {
            Json::Object(inner) if !inner.is_empty() => mapping(inner, indent + 2, out),
            Json::Array(inner) if !inner.is_empty() => sequence(inner, indent + 2, out),
            other => {
                scalar_at(other, indent + 2, out);
                out.push('\n');
            }
        }
    }
}

fn pad(indent: usize, out: &mut String) {
    out.extend(std::iter::repeat_n(' ', indent));
}

/// A scalar, or an empty collection. `indent` is that of a block's lines.
fn scalar_at(value: &Json, indent: usize, out: &mut String) {
    match value {
        Json::String(text) if fits_block(text) => block(text, indent, out),
        Json::String(text) => out.push_str(&inline(text)),
        Json::Array(_) => out.push_str("[]"),
        Json::Object(_) => out.push_str("{}"),
        other => out.push_str(&other.to_string()),
    }
}

/// Several lines, none of which a block would change.
fn fits_block(text: &str) -> bool {
    let printable = |c: char| c == '\n' || (' '..='~').contains(&c) || (c.is_alphanumeric() && !c.is_control());
    let first = text.chars().next();
    text.trim_end_matches('\n').contains('\n')
        && first.is_some_and(|c| !c.is_whitespace())
        && text.chars().all(printable)
        && text.split('\n').all(|line| !line.ends_with(' ') && !line.starts_with(['-', '.']))
}

/// A literal block; its header says how many line ends close it.
fn block(text: &str, indent: usize, out: &mut String) {
    let body = text.trim_end_matches('\n');
    let ends = text.len() - body.len();
    out.push_str(match ends {
        0 => "|-",
        1 => "|",
        _ => "|+",
    });
    for line in body.split('\n') {
        out.push('\n');
        if !line.is_empty() {
            pad(indent, out);
            out.push_str(line);
        }
    }
    out.extend(std::iter::repeat_n('\n', ends.saturating_sub(1)));
}

fn inline(text: &str) -> String {
    if is_plain(text) { text.to_owned() } else { double_quoted(text) }
}

/// Text that stands for itself without quotes, whoever reads it.
fn is_plain(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || " _./@%+=()$;~<^-:,".contains(c);
    let Some(first) = text.chars().next() else {
        return false;
    };
    (first.is_ascii_alphanumeric() || "_/$(".contains(first))
        && text.chars().all(inner)
        && !text.ends_with([' ', ':'])
        && !text.contains(": ")
        && !text.contains(" #")
        && matches!(scalar::resolve(text), Some(Value::Text(_)))
        && !looks_like_a_number(text)
}

/// Base 60, dates, versions: what some reader of YAML 1.1 takes for a number.
fn looks_like_a_number(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit())
        && text.chars().all(|c| c.is_ascii_digit() || "_.:-+eETtZ ".contains(c))
}

fn double_quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            ' '..='~' => out.push(c),
            _ if c.is_alphanumeric() => out.push(c),
            _ => push_escape(c, &mut out),
        }
    }
    out.push('"');
    out
}

fn push_escape(c: char, out: &mut String) {
    let code = u32::from(c);
    let written = if code > 0xffff { write!(out, "\\U{code:08x}") } else { write!(out, "\\u{code:04x}") };
    debug_assert!(written.is_ok());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::yaml;

    fn back(json: &Json) -> Json {
        let text = yaml_of(json);
        let documents = yaml::read(&text).unwrap_or_else(|p| panic!("{p}\n{text}"));
        documents.first().map_or(Json::Null, |document| document.to_json())
    }

    #[test]
    fn in_kubectls_style() {
        let json = serde_json::json!({"a": {"list": [{"x": 1, "w": []}, "z", [1, 2]], "t": "l1\nl2\n"}, "yes": "no", "n": "0644", "e": {}});
        let expected = "\
a:
  list:
  - w: []
    x: 1
  - z
  - - 1
    - 2
  t: |
    l1
    l2
e: {}
\"n\": \"0644\"
\"yes\": \"no\"
";
        assert_eq!(yaml_of(&json), expected);
    }

    #[test]
    fn difficult_texts_come_back() {
        for text in [
            "",
            " ",
            "a ",
            " a",
            "a: b",
            "a #b",
            "#",
            "-",
            "- a",
            "?",
            "~",
            "null",
            "yes",
            "1",
            "0x1",
            "1e3",
            "12:30:45",
            "2001-01-01",
            ".5",
            "!",
            "&a",
            "*a",
            "a\nb",
            "a\nb\n",
            "a\nb\n\n",
            "\n",
            "\na",
            "a\n",
            " a\nb",
            "a\n b",
            "a\n\nb",
            "a \nb",
            "a\tb",
            "\u{1b}[0m",
            "\u{85}",
            "\u{2028}",
            "\u{feff}",
            "😀",
            "ä\nö",
            "a\r\nb",
            "'",
            "\"",
            "\\",
            "---",
            "a\n---\nb",
            "a\n...\nb",
            "[a]",
            "{a}",
            "a,b",
            "%a",
            "@a",
            "`a",
            "|",
            ">",
            "<<",
            "=",
            "$(A)",
            "a:b",
            "a:",
            "\u{0}",
            "\u{7f}",
            "é",
            "a\n- b",
        ] {
            for json in
                [serde_json::json!({"k": text}), serde_json::json!([text]), serde_json::json!({text: [{"a": text}]})]
            {
                assert_eq!(back(&json), json, "{text:?}");
            }
            if !matches!(text, "" | "~") {
                assert_eq!(back(&Json::String(text.into())), Json::String(text.into()), "{text:?}");
            }
        }
    }
}
