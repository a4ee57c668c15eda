//! The table against the Kubernetes types, and against what dwell says of each field.

use std::collections::{BTreeMap, BTreeSet};

use dwell_spec::manifest::{Field, Verdict, leaves, table};

use crate::proofs;
use crate::table::{Answer, Kinds, Word, all};

/// Every leaf of a Pod's spec, by its path.
fn fields() -> BTreeMap<String, Option<&'static Field>> {
    leaves().into_iter().collect()
}

/// The answers of every path, each with the kinds that it is about.
fn answers() -> BTreeMap<String, Vec<(Kinds, String)>> {
    let mut found: BTreeMap<String, Vec<(Kinds, String)>> = BTreeMap::new();
    for row in all().iter().flat_map(|group| &group.rows) {
        for path in &row.paths {
            let answers = row.answers.iter().map(|(kinds, answer)| (*kinds, word(answer).to_owned()));
            found.entry(path.clone()).or_default().extend(answers);
        }
    }
    found
}

fn word(answer: &Answer) -> &'static str {
    match answer {
        Answer::Look(_) | Answer::Proof(_) => "yes",
        Answer::Why(_) => "why",
        Answer::Verdict { word: Word::Refused, .. } => "refused",
        Answer::Verdict { word: Word::Warns, .. } => "cluster",
        Answer::Verdict { word: Word::Ignored, .. } => "ignored",
    }
}

#[test]
fn every_field_has_a_row() {
    let answers = answers();
    let missing: Vec<_> = fields().into_keys().filter(|path| !answers.contains_key(path)).collect();
    assert!(missing.is_empty(), "{} fields without a row:\n{}", missing.len(), missing.join("\n"));
}

/// Some are in versions of Kubernetes other than the one whose types are compiled in; dwell's table knows of them.
#[test]
fn every_row_is_about_a_field() {
    let known: BTreeSet<String> =
        fields().into_keys().chain(table().iter().map(|field| field.path.to_owned())).collect();
    let invented: Vec<_> = answers().into_keys().filter(|path| !known.contains(path)).collect();
    assert!(invented.is_empty(), "no such fields: {invented:?}");
}

/// The walk over the types misses nothing that has a line of its own.
#[test]
fn every_line_is_a_field_or_holds_some() {
    let fields = fields();
    let lines = || table().iter().map(|field| field.path).filter(|path| path.starts_with("spec."));
    let holds =
        |path: &str| lines().any(|other| other.strip_prefix(path).is_some_and(|rest| rest.starts_with(['.', '['])));
    let missed: Vec<_> = lines().filter(|path| !holds(path) && !fields.contains_key(*path)).collect();
    // In newer versions of Kubernetes than the types that are compiled in.
    assert_eq!(missed, ["spec.schedulingGroup"]);
}

/// What is called honoured is looked at, or the row says why nobody can; what is refused is refused.
#[test]
fn every_row_answers_as_dwell_says() {
    let answers = answers();
    let mut wrong = Vec::new();
    for (path, field) in fields() {
        let Some(field) = field else {
            wrong.push(format!("{path} is not in dwell's table"));
            continue;
        };
        for (kind, verdict) in [(Kinds::Native, field.native), (Kinds::Wasm, field.wasm)] {
            let given =
                answers.get(&path).into_iter().flatten().filter(|(kinds, _)| [Kinds::Both, kind].contains(kinds));
            let given: BTreeSet<&str> = given.map(|(_, word)| word.as_str()).collect();
            if !accepted(verdict).iter().any(|word| given.contains(word)) {
                wrong.push(format!("{path}, {kind:?}: it is {verdict:?}, and its row says {given:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Words of an answer that prove a verdict.
fn accepted(verdict: Verdict) -> &'static [&'static str] {
    match verdict {
        Verdict::Honoured => &["yes", "why"],
        Verdict::Refused => &["refused"],
        Verdict::ClusterOnly => &["cluster", "ignored"],
        Verdict::Ignored => &["ignored"],
    }
}

/// Both ways: a row names no test that is not there, and no proof is left without a row.
#[test]
fn every_proof_is_a_test_and_every_test_is_a_proof() {
    let of_rows: BTreeSet<&str> = all()
        .iter()
        .flat_map(|group| group.rows.iter().flat_map(|row| &row.answers))
        .filter_map(|(_, answer)| match answer {
            Answer::Proof(name) => Some(*name),
            _ => None,
        })
        .collect();
    let tests: BTreeSet<&str> = proofs::names().into_iter().collect();
    assert_eq!(of_rows, tests);
}

/// A reason is a sentence.
#[test]
fn whoever_cannot_be_looked_at_says_why() {
    let table = all();
    let answers = table.iter().flat_map(|group| group.rows.iter().flat_map(|row| &row.answers));
    for (_, answer) in answers {
        if let Answer::Why(text) = answer {
            assert!(text.len() > 20 && text.ends_with('.'), "{text}");
        }
    }
}

/// Groups are told apart by their Pods' names.
#[test]
fn groups_have_names_of_their_own() {
    let names: Vec<String> = all().into_iter().map(|group| group.name).filter(|name| !name.is_empty()).collect();
    let unique: BTreeSet<&String> = names.iter().collect();
    assert_eq!(names.len(), unique.len(), "{names:?}");
    assert!(
        names.iter().all(|name| name.len() < 60 && name.chars().all(|c| c.is_ascii_alphabetic() || "' ".contains(c)))
    );
}
