//! Manifests as people write them: text → documents with places → `v1.Pod` → checked `Pod`.
//!
//! ```text
//! text ─yaml→ Node ─kinds, walk (fields × schema)→ v1::Pod ─check→ pod::Pod
//!        └ every problem of a file, with path, line and column, in one ManifestError
//! ```
//!
//! Strict by design: what dwell does not honour is an error with its path, what needs a cluster is a warning, what
//! changes nothing passes. Pure; no file is opened here, and what a text can cost is bounded (see `yaml`).

use std::collections::HashSet;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

pub use self::changes::{asks_the_same, changed};
pub use self::emit::{to_yaml, yaml_of};
pub use self::fields::{Field, Verdict, explain, leaves, nearest_field, support_table, table};
use self::kinds::Kind;
use self::node::{Node, Value};
pub use self::prepare::{assign_name, generated_name, resolve_paths};
pub use self::problem::{Cause, ManifestError, Problem};
use crate::settings::{Settings, SettingsKind, SettingsObject};

mod changes;
mod check;
mod emit;
mod fields;
mod kinds;
pub mod node;
mod prepare;
pub mod problem;
mod scalar;
mod schema;
pub mod suggest;
mod token;
mod walk;
mod yaml;

/// Problems of one file that are kept; the rest is counted.
const MAX_PROBLEMS: usize = 100;

/// Containers, init containers, volumes of one Pod, each; and Pods of one list. Kubernetes has no number, but a store
/// that takes 1.5 MB; here a million empty containers in 4 MB of text would cost a gigabyte.
const MAX_ITEMS: usize = 1024;

/// What a file held.
#[derive(Debug, Clone, PartialEq)]
pub struct Parsed {
    /// Its Pods, in order, all well. A Pod may still lack its name if it has a `generateName` (see `assign_name`).
    pub pods: Vec<v1::Pod>,
    /// Its ConfigMaps and Secrets, in order, all well.
    pub settings: Vec<SettingsObject>,
    /// Its PersistentVolumeClaims, in order, all well.
    pub claims: Vec<v1::PersistentVolumeClaim>,
    /// What is ignored, since it means something in a cluster only.
    pub warnings: Vec<Problem>,
}

/// Reads a manifest: YAML or JSON, any number of documents. `origin` is the file's name for messages.
///
/// # Errors
/// Every problem of the file, in its order.
pub fn parse_manifests(text: &str, origin: &str) -> Result<Parsed, ManifestError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = Reader::default();
    match yaml::read(text) {
        Ok(documents) => documents.iter().for_each(|document| reader.document(document, "")),
        Err(problem) => reader.problems.push(*problem),
    }
    let is_empty = reader.pods.is_empty() && reader.settings.is_empty() && reader.claims.is_empty();
    if is_empty && reader.problems.is_empty() {
        let problem = Problem::new(Cause::Malformed, "", "there is no Pod in it");
        reader.problems.push(problem.with_hint("a Pod begins with `apiVersion: v1` and `kind: Pod`"));
    }
    if !reader.problems.is_empty() {
        return Err(ManifestError { origin: origin.to_owned(), problems: cited(reader.problems, text) });
    }
    let Reader { pods, settings, claims, warnings, .. } = reader;
    Ok(Parsed { pods, settings, claims, warnings: cited(warnings, text) })
}

/// In the order of the text, with their source lines, bounded.
fn cited(mut problems: Vec<Problem>, text: &str) -> Vec<Problem> {
    problems.sort_by_key(|problem| problem.at);
    let more = problems.len().saturating_sub(MAX_PROBLEMS);
    problems.truncate(MAX_PROBLEMS);
    problems.iter_mut().for_each(|problem| problem.cite(text));
    if more > 0 {
        problems.push(Problem::new(Cause::Malformed, "", format!("and {more} more")));
    }
    problems
}

/// A Pod that is to begin, as the planners take it: what is added to running Pods may not be in it yet.
///
/// # Errors
/// What is wrong with it.
pub fn check_new(pod: &v1::Pod) -> Result<crate::pod::Pod, Vec<Problem>> {
    match (crate::pod::Pod::try_from(pod), check::not_at_first(pod)) {
        (Ok(_), Some(problem)) => Err(vec![problem]),
        (Err(problems), Some(problem)) => Err(problems.into_iter().chain([problem]).collect()),
        (checked, None) => checked,
    }
}

/// Checks what somebody says of a Pod's conditions.
///
/// # Errors
/// What is wrong with it.
pub fn check_conditions(said: &[v1::PodCondition]) -> Result<(), Vec<Problem>> {
    let problems = check::conditions(said);
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

/// Checks a claim that came without a text: its namespace and name.
///
/// # Errors
/// What is wrong with it.
pub fn check_claim(claim: &v1::PersistentVolumeClaim) -> Result<(String, String), Vec<Problem>> {
    let (metadata, problems, _) = check::claims::check(claim);
    if problems.is_empty() { Ok((metadata.namespace, metadata.name)) } else { Err(problems) }
}

/// What a Pod in JSON has that no Pod has, or not as it must be.
pub fn unheard_of(json: &serde_json::Value) -> Vec<Problem> {
    walk::pod(&node::Node::from_json(json)).problems
}

/// Whether a claim could have this name.
pub(crate) fn is_claim_name(name: &str) -> bool {
    check::names::subdomain(name).is_empty()
}

#[derive(Default)]
struct Reader {
    pods: Vec<v1::Pod>,
    settings: Vec<SettingsObject>,
    claims: Vec<v1::PersistentVolumeClaim>,
    names: HashSet<(&'static str, String, String)>,
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
}

impl Reader {
    fn document(&mut self, document: &Node, prefix: &str) {
        if !matches!(document.value, Value::Map(_)) {
            let message = format!("expected a mapping with `apiVersion` and `kind`, found {}", document.describe());
            self.problem(document, prefix, Problem::new(Cause::Type, "", message));
            return;
        }
        match kinds::of(document, prefix) {
            Ok(Kind::Pod) => self.pod(document, prefix),
            Ok(Kind::Settings(kind)) => self.settings(document, kind, prefix),
            Ok(Kind::Claim) => self.claim(document, prefix),
            Ok(Kind::List) => self.list(document, prefix),
            Err(problem) => self.problems.push(*problem),
        }
    }

    fn list(&mut self, list: &Node, prefix: &str) {
        let items = list.get("items").map_or(&[][..], Node::items);
        if let Some(problem) = too_many("items", items.len()) {
            self.problem(list, prefix, problem);
            return;
        }
        for (n, item) in items.iter().enumerate() {
            self.document(item, &format!("{prefix}items[{n}]."));
        }
    }

    fn pod(&mut self, document: &Node, prefix: &str) {
        let mut document = document.clone();
        self.warnings.extend(token::strip(&mut document).map(|warning| under(prefix, warning)));
        let findings = walk::pod(&document);
        self.warnings.extend(findings.warnings.into_iter().map(|warning| under(prefix, warning)));
        // What has the wrong type is reported; the rest is checked without it, so that all is said at once.
        let mistyped: Vec<_> =
            findings.problems.iter().filter(|p| p.cause == Cause::Type).map(|p| p.path.clone()).collect();
        self.problems.extend(findings.problems.into_iter().map(|problem| under(prefix, problem)));
        let oversized = oversized(&document);
        if !oversized.is_empty() {
            oversized.into_iter().for_each(|problem| self.problem(&document, prefix, problem));
            return;
        }
        let mut rest = document.clone();
        mistyped.iter().for_each(|path| rest.blank(path));
        match to_v1(&rest) {
            Ok(pod) => self.typed(pod, &document, prefix, &mistyped),
            Err(_) if !mistyped.is_empty() => {}
            Err(error) => self.problem(&document, prefix, Problem::new(Cause::Type, "", format!("not a Pod: {error}"))),
        }
    }

    fn typed(&mut self, pod: v1::Pod, document: &Node, prefix: &str, mistyped: &[String]) {
        let mut found = check_unnamed(&pod);
        found.extend(check::not_at_first(&pod));
        found.retain(|problem| !mistyped.iter().any(|path| problem.path.starts_with(path.as_str())));
        self.unique("Pod", &pod.metadata, document, prefix);
        found.into_iter().for_each(|problem| self.problem(document, prefix, problem));
        self.pods.push(pod);
    }

    fn settings(&mut self, document: &Node, kind: SettingsKind, prefix: &str) {
        let findings = walk::settings(document, kind);
        if !findings.problems.is_empty() {
            return self.problems.extend(findings.problems.into_iter().map(|problem| under(prefix, problem)));
        }
        let object = match SettingsObject::from_value(kind, document.to_json()) {
            Ok(object) => object,
            Err(error) => {
                let mut found = not_base64(document, kind);
                if found.is_empty() {
                    found.push(Problem::new(Cause::Type, "", format!("not a {kind:?}: {error}")));
                }
                return found.into_iter().for_each(|problem| self.problem(document, prefix, problem));
            }
        };
        let problems = Settings::try_from(&object).err().unwrap_or_default();
        problems.into_iter().for_each(|problem| self.problem(document, prefix, problem));
        self.unique(kind.word(), object.metadata(), document, prefix);
        self.settings.push(object);
    }

    fn claim(&mut self, document: &Node, prefix: &str) {
        let findings = walk::claim(document);
        if !findings.problems.is_empty() {
            return self.problems.extend(findings.problems.into_iter().map(|problem| under(prefix, problem)));
        }
        let claim: v1::PersistentVolumeClaim = match serde_json::from_value(document.to_json()) {
            Ok(claim) => claim,
            Err(error) => {
                let message = format!("not a PersistentVolumeClaim: {error}");
                return self.problem(document, prefix, Problem::new(Cause::Type, "", message));
            }
        };
        let (_, problems, warnings) = check::claims::check(&claim);
        problems.into_iter().for_each(|problem| self.problem(document, prefix, problem));
        for warning in warnings {
            let warning = located(document, warning);
            self.warnings.push(under(prefix, warning));
        }
        self.unique("PersistentVolumeClaim", &claim.metadata, document, prefix);
        self.claims.push(claim);
    }

    fn unique(&mut self, kind: &'static str, meta: &ObjectMeta, document: &Node, prefix: &str) {
        let Some(name) = meta.name.clone().filter(|name| !name.is_empty()) else {
            return;
        };
        let namespace = meta.namespace.clone().unwrap_or_else(|| "default".to_owned());
        if !self.names.insert((kind, namespace, name.clone())) {
            let hint = format!("another {kind} of this file has this name");
            self.problem(document, prefix, Problem::duplicate("metadata.name", &name).with_hint(hint));
        }
    }

    /// Keeps a problem of a document, with the place that its path leads to.
    fn problem(&mut self, document: &Node, prefix: &str, problem: Problem) {
        self.problems.push(under(prefix, located(document, problem)));
    }
}

/// The values that would have to be.
fn not_base64(document: &Node, kind: SettingsKind) -> Vec<Problem> {
    let field = kind.encoded_field();
    let hint = match kind {
        SettingsKind::Secret => "`stringData` takes plain text",
        SettingsKind::ConfigMap => "`data` takes plain text",
    };
    let Some(Value::Map(entries)) = document.get(field).map(|node| &node.value) else { return Vec::new() };
    let wrong = entries.iter().filter_map(|entry| {
        let error = serde_json::from_value::<ByteString>(entry.node.to_json()).err()?;
        let why = format!("Invalid value: must be base64: {}", error.to_string().trim_end_matches('.'));
        Some(Problem::new(Cause::Invalid, format!("{field}[{}]", entry.key), why).with_hint(hint))
    });
    wrong.collect()
}

fn located(document: &Node, mut problem: Problem) -> Problem {
    let at = document.locate(&problem.path);
    problem.at = (at.line > 0).then_some(at);
    problem
}

fn oversized(document: &Node) -> Vec<Problem> {
    let lists = ["containers", "initContainers", "ephemeralContainers", "volumes"];
    let len = |key: &str| document.get("spec").and_then(|spec| spec.get(key)).map_or(0, |list| list.items().len());
    lists.iter().filter_map(|key| too_many(&format!("spec.{key}"), len(key))).collect()
}

fn too_many(path: &str, len: usize) -> Option<Problem> {
    let message = format!("Too many: {len}: must have at most {MAX_ITEMS} items");
    (len > MAX_ITEMS).then(|| Problem::new(Cause::Invalid, path, message))
}

fn under(prefix: &str, mut problem: Problem) -> Problem {
    problem.path.insert_str(0, prefix);
    problem
}

/// The Kubernetes type; what the system sets is left out, since a newer Kubernetes may have written it.
fn to_v1(document: &Node) -> Result<v1::Pod, serde_json::Error> {
    let mut json = document.to_json();
    if let Some(map) = json.as_object_mut() {
        map.remove("status");
    }
    if let Some(meta) = json.get_mut("metadata").and_then(serde_json::Value::as_object_mut) {
        ["managedFields", "selfLink", "generation"].iter().for_each(|key| drop(meta.remove(*key)));
    }
    serde_json::from_value(json)
}

/// Checks a Pod that may get its name later.
fn check_unnamed(pod: &v1::Pod) -> Vec<Problem> {
    let generated = pod.metadata.generate_name.is_some() && pod.metadata.name.as_deref().is_none_or(str::is_empty);
    if !generated {
        return check::check(pod).1;
    }
    let mut named = pod.clone();
    assign_name(&mut named, 0);
    let mut problems = check::check(&named).1;
    problems.retain(|problem| problem.path != "metadata.name" || named.metadata.name.is_none());
    problems
}
