//! The table of fields: what dwell does with each field of a Pod.
//!
//! One table for everything that is said about support: the strict walk's errors and warnings, `explain`, and
//! docs/support.md. It lies in fields.txt, one line per field. Tests hold it against the Kubernetes types, so that no
//! field is forgotten, and against docs/support.md.

use std::collections::HashMap;
use std::sync::OnceLock;

use serde_json::Value as Json;

use super::schema::{self, Type};
use super::suggest;

/// What dwell does with a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// What Kubernetes does.
    Honoured,
    /// An error.
    Refused,
    /// A warning: it means something in a cluster only.
    ClusterOnly,
    /// Nothing, without a word: the system's own fields.
    Ignored,
}

/// One field.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// `spec.containers[].name`
    pub path: &'static str,
    /// For native members.
    pub native: Verdict,
    /// For Wasm members.
    pub wasm: Verdict,
    /// Values that are accepted without a word although the field is not honoured.
    pub silent: Vec<Json>,
    /// What the field does, in one line.
    pub about: &'static str,
}

impl Field {
    /// The friendlier verdict of the two kinds: what can be said before the kind is known.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        if self.wasm == Verdict::Honoured { self.wasm } else { self.native }
    }

    /// Whether this value says nothing that dwell would have to honour.
    #[must_use]
    pub fn accepts_silently(&self, value: &Json) -> bool {
        self.verdict() == Verdict::Ignored || self.silent.contains(value)
    }
}

/// The whole table, in its order.
#[must_use]
pub fn table() -> &'static [Field] {
    static TABLE: OnceLock<Vec<Field>> = OnceLock::new();
    TABLE.get_or_init(|| include_str!("fields.txt").lines().filter_map(field).collect())
}

fn field(line: &'static str) -> Option<Field> {
    let mut columns = line.splitn(5, '|').map(str::trim);
    let (path, native, wasm) = (columns.next()?, verdict(columns.next()?)?, verdict(columns.next()?)?);
    let silent = serde_json::Deserializer::from_str(columns.next()?).into_iter().filter_map(Result::ok).collect();
    Some(Field { path, native, wasm, silent, about: columns.next()? })
}

fn verdict(word: &str) -> Option<Verdict> {
    match word {
        "yes" => Some(Verdict::Honoured),
        "refused" => Some(Verdict::Refused),
        "cluster" => Some(Verdict::ClusterOnly),
        "ignored" => Some(Verdict::Ignored),
        _ => None,
    }
}

/// The line of a path as in the table (`spec.initContainers[].image`).
#[must_use]
pub fn find(path: &str) -> Option<&'static Field> {
    static INDEX: OnceLock<HashMap<&'static str, &'static Field>> = OnceLock::new();
    let index = INDEX.get_or_init(|| table().iter().map(|field| (field.path, field)).collect());
    index.get(path).or_else(|| index.get(as_container(path)?.as_str())).copied()
}

/// What is said of containers holds for init containers, and for those that are added.
fn as_container(path: &str) -> Option<String> {
    let lists = ["spec.initContainers[]", "spec.ephemeralContainers[]"];
    let rest = lists.iter().find_map(|list| path.strip_prefix(list))?;
    Some(format!("spec.containers[]{rest}"))
}

/// Every field of a Pod's spec that holds no field with a line of its own, by its path, and its line: what a test of all
/// of them goes through. From the Kubernetes types, not from the table, so that none can be forgotten; what init and
/// added containers share with the others is there once.
#[must_use]
pub fn leaves() -> Vec<(String, Option<&'static Field>)> {
    let mut found = Vec::new();
    if let Some(spec) = schema::pod().field("spec") {
        collect_leaves("spec", spec, &mut found);
    }
    found
}

fn collect_leaves(path: &str, of: &Type, found: &mut Vec<(String, Option<&'static Field>)>) {
    if let Type::List(item) = of
        && matches!(**item, Type::Struct(_))
    {
        return collect_below(path, &format!("{path}[]"), item, found);
    }
    collect_below(path, path, of, found);
}

fn collect_below(path: &str, prefix: &str, of: &Type, found: &mut Vec<(String, Option<&'static Field>)>) {
    let (line, before) = (find(path), found.len());
    if let (Type::Struct(fields), Some(Verdict::Honoured)) = (of, line.map(Field::verdict)) {
        fields.iter().for_each(|(name, of)| collect_leaves(&format!("{prefix}.{name}"), of, found));
    }
    if found.len() == before && line.is_none_or(|line| line.path == path) {
        found.push((path.to_owned(), line));
    }
}

/// What `dwell explain PATH` prints: the field, its type, what dwell does with it. Indices may be left out.
/// `None` when Kubernetes has no such field.
#[must_use]
pub fn explain(path: &str) -> Option<String> {
    let Some((full, of)) = resolve(path) else { return explain_another_version(path) };
    let field = nearest(&full)?;
    let mut text = format!("{full}: {}\n  {}\n", of.describe(), field.about);
    if field.path != full && as_container(&full).as_deref() != Some(field.path) {
        text = format!("{full}: {}\n  part of {}: {}\n", of.describe(), field.path, field.about);
    }
    text += &format!("  native: {}, Wasm: {}\n", words(field.native), words(field.wasm));
    let shown: Vec<_> = field.silent.iter().map(Json::to_string).collect();
    if !shown.is_empty() {
        text += &format!("  accepted, since it changes nothing: {}\n", shown.join(", "));
    }
    Some(text + &children(&full, of))
}

/// A field that the table knows and the types have not: Kubernetes had it, or will have it.
fn explain_another_version(path: &str) -> Option<String> {
    let field = nearest(path.trim_start_matches('.')).filter(|field| resolve(field.path).is_none())?;
    let verdicts = format!("native: {}, Wasm: {}", words(field.native), words(field.wasm));
    Some(format!("{}: of another version of Kubernetes\n  {}\n  {verdicts}\n", field.path, field.about))
}

/// The field that a mistyped path was meant to be, if one is near; lists without brackets, as they are typed.
#[must_use]
pub fn nearest_field(path: &str) -> Option<String> {
    let plain = |path: &str| path.replace("[]", "");
    let all: Vec<String> = table().iter().map(|field| plain(field.path)).collect();
    suggest::nearest(&plain(path), all.iter().map(String::as_str)).map(str::to_owned)
}

fn children(path: &str, of: &Type) -> String {
    let (Type::Struct(fields), Some(Verdict::Honoured)) = (of, find(path).map(Field::verdict)) else {
        return String::new();
    };
    let line = |name: &str| {
        let child = find(&format!("{path}.{name}"));
        child.map(|f| format!("    {name}: {}\n", words(f.native))).unwrap_or_default()
    };
    fields.iter().map(|(name, _)| line(name)).collect()
}

/// The path with its `[]`, and the type behind it; a list stands for its items.
fn resolve(path: &str) -> Option<(String, &'static Type)> {
    let mut full = String::new();
    let mut of = schema::pod();
    for step in path.trim_start_matches('.').split('.') {
        let name = step.split('[').next()?;
        if let Type::List(item) = of {
            full += "[]";
            of = item;
        }
        of = of.field(name)?;
        full = if full.is_empty() { name.to_owned() } else { format!("{full}.{name}") };
    }
    match of {
        Type::List(item) if matches!(**item, Type::Struct(_)) => Some((full, item)),
        _ => Some((full, of)),
    }
}

fn nearest(path: &str) -> Option<&'static Field> {
    let mut path = path;
    loop {
        if let Some(field) = find(path) {
            return Some(field);
        }
        path = path.rsplit_once('.')?.0.trim_end_matches("[]");
    }
}

fn words(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Honoured => "honoured",
        Verdict::Refused => "refused (an error)",
        Verdict::ClusterOnly => "means something in a cluster only (a warning)",
        Verdict::Ignored => "set by the system (ignored)",
    }
}

/// docs/support.md, whole.
#[must_use]
pub fn support_table() -> String {
    let mut text = String::from(SUPPORT_HEAD);
    for field in table() {
        let accepted: Vec<_> = field.silent.iter().map(|value| format!("`{value}`")).collect();
        let (native, wasm) = (short(field.native), short(field.wasm));
        text += &format!("| `{}` | {native} | {wasm} | {} | {} |\n", field.path, field.about, accepted.join(" "));
    }
    text
}

const SUPPORT_HEAD: &str = "\
# What dwell does with each field of a Pod

Written by the tests from the table that dwell itself uses (`runtime/spec/src/manifest/fields.txt`).

- **yes**: as Kubernetes does it.
- refused: an error. Nothing is dropped in silence.
- cluster: means something in a cluster only; a warning.
- ignored: set by the system; accepted without a word.

What is said of `containers[]` holds for `initContainers[]` and `ephemeralContainers[]` too, unless it has its own line. A
verdict other than yes holds for everything inside the field. Values in the last column change nothing and are accepted without a word.

| field | native | Wasm | what it does | accepted |
|---|---|---|---|---|
";

fn short(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Honoured => "**yes**",
        Verdict::Refused => "refused",
        Verdict::ClusterOnly => "cluster",
        Verdict::Ignored => "ignored",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fields that Kubernetes has in versions other than the one whose types are compiled in.
    const OTHER_VERSIONS: [&str; 1] = ["spec.schedulingGroup"];

    fn check(path: &str, of: &Type, seen: &mut Vec<&'static str>) {
        if let Type::List(item) = of {
            return check(&format!("{path}[]"), item, seen);
        }
        let Type::Struct(fields) = of else { return };
        for (name, of) in fields {
            let path = if path.is_empty() { (*name).to_owned() } else { format!("{path}.{name}") };
            let field = find(&path).unwrap_or_else(|| panic!("{path} is not in the table"));
            seen.push(field.path);
            if field.verdict() == Verdict::Honoured {
                check(&path, of, seen);
            }
        }
    }

    #[test]
    fn no_field_is_forgotten_and_none_is_invented() {
        let mut seen = Vec::new();
        check("", schema::pod(), &mut seen);
        for field in table() {
            let known = seen.contains(&field.path) || OTHER_VERSIONS.contains(&field.path);
            assert!(known, "{} is in the table, but Kubernetes has no such field", field.path);
        }
    }

    #[test]
    fn every_line_is_read_and_unique() {
        let lines: Vec<_> = include_str!("fields.txt").lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(lines.len(), table().len());
        for (line, field) in lines.iter().zip(table()) {
            assert!(line.starts_with(field.path));
            let column = line.split('|').nth(3).unwrap();
            let read: usize = field.silent.iter().map(|v| v.to_string().len() + 1).sum();
            assert_eq!(column.trim().len() + usize::from(!field.silent.is_empty()), read, "{line}");
            assert_eq!(lines.iter().filter(|l| l.split('|').next() == line.split('|').next()).count(), 1, "{line}");
            assert!(field.about.ends_with('.') && field.about.len() < 160, "{line}");
        }
    }

    #[test]
    fn explained() {
        let text = explain("spec.containers.image").unwrap();
        assert!(text.contains("spec.containers[].image: a string") && text.contains("rootfs:DIR"), "{text}");
        let text = explain("spec.initContainers[0].securityContext.appArmorProfile.type").unwrap();
        assert!(text.contains("part of spec.containers[].securityContext.appArmorProfile"), "{text}");
        let text = explain("spec").unwrap();
        assert!(text.contains("    imagePullSecrets: means something in a cluster only"), "{text}");
        assert!(explain("spec.containers.securityContext.procMount").unwrap().contains("\"Default\""));
        assert_eq!(explain("spec.comand"), None);
        assert!(explain("spec.schedulingGroup.podGroupName").unwrap().contains("of another version"));
        assert_eq!(table().iter().find(|field| explain(field.path).is_none()), None);
        assert_eq!(explain(""), None);
    }
}
