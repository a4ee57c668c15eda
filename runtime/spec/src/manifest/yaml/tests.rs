//! What texts become, and what is said about those that become nothing.

use super::*;

fn json(text: &str) -> serde_json::Value {
    let documents = read(text).unwrap_or_else(|p| panic!("{p}"));
    assert_eq!(documents.len(), 1);
    documents[0].to_json()
}

fn fails(text: &str) -> (Option<(u32, u32)>, String, Option<String>) {
    let problem = *read(text).expect_err(text);
    (problem.at.map(|at| (at.line, at.column)), problem.message, problem.hint)
}

#[test]
fn documents_and_places() {
    let documents = read("---\na: 1\n---\n\n---\nb:\n  - x\n  - c: yes\n...\n").unwrap();
    assert_eq!(documents.len(), 2);
    let place = |path: &str| {
        let at = documents[1].locate(path);
        (at.line, at.column)
    };
    assert_eq!(place("b"), (6, 1));
    assert_eq!(place("b[0]"), (7, 5));
    assert_eq!(place("b[1].c"), (8, 8));
    assert_eq!(place("b[1].missing"), (8, 5));
}

#[test]
fn scalars_mean_what_kubectl_makes_of_them() {
    let text = "a: yes\nb: \"yes\"\nc: 0644\nd: !!str 12\ne: |\n  x\n  y\nf: >-\n  x\n  y\ng:\nyes: 1\n7: 2\nh: !!int \"7\"\ni: ! 8\n";
    let expected = serde_json::json!({"a": true, "b": "yes", "c": 420, "d": "12", "e": "x\ny\n", "f": "x y", "g": null,
        "true": 1, "7": 2, "h": 7, "i": "8"});
    assert_eq!(json(text), expected);
}

#[test]
fn json_is_yaml() {
    let text = "{\n\t\"a\": [1, 2.5, null, true],\n\t\"s\": \"\\u00e4 \\/ \\ud83d\\ude00\"\n}\n";
    assert_eq!(json(text), serde_json::json!({"a": [1, 2.5, null, true], "s": "ä / 😀"}));
}

#[test]
fn aliases_and_merges() {
    let text = "base: &b {x: 1, w: 2}\nc: *b\nd:\n  <<: *b\n  w: 3\ne: {<<: [{z: 1}, *b]}\n";
    let expected = serde_json::json!({"base": {"x": 1, "w": 2}, "c": {"x": 1, "w": 2}, "d": {"w": 3, "x": 1},
        "e": {"z": 1, "x": 1, "w": 2}});
    assert_eq!(json(text), expected);
}

#[test]
fn a_key_twice_is_an_error_with_both_places() {
    let (at, message, _) = fails("spec:\n  a: 1\n  b: 2\n  a: 3\n");
    assert_eq!(at, Some((4, 3)));
    assert_eq!(message, "the key \"a\" is written twice, first in line 2, column 3");
    assert!(fails("yes: 1\ntrue: 2\n").1.contains("written twice"));
}

#[test]
fn laughs_are_bounded() {
    let mut text = String::from("a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n");
    for n in 1..20 {
        let items = vec![format!("*a{}", n - 1); 9].join(", ");
        text += &format!("a{n}: &a{n} [{items}]\n");
    }
    assert!(fails(&text).1.contains("aliases multiply"));
    let mut deep = String::from("a0: &a0 [x]\n");
    for n in 1..70 {
        deep += &format!("a{n}: &a{n} [*a{}]\n", n - 1);
    }
    assert!(fails(&deep).1.contains("deep in one another"));
    assert!(fails("a: &a [*a]\n").1.contains("inside the value"));
}

#[test]
fn size_and_depth_are_bounded() {
    assert!(fails(&"#".repeat(MAX_BYTES + 1)).1.contains("the limit is"));
    let nested = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
    assert!(read(&nested(MAX_DEPTH)).is_ok());
    assert!(fails(&nested(MAX_DEPTH + 2)).1.contains("deep"));
    assert!(fails(&nested(100_000)).1.len() < 300);
    assert!(fails(&"---\n- x\n".repeat(MAX_DOCUMENTS + 1)).1.contains("documents"));
}

#[test]
fn mistakes_have_a_place() {
    let (at, _, hint) = fails("a:\n\tb: 1\n");
    assert_eq!(at.map(|(line, _)| line), Some(2));
    assert!(hint.unwrap().contains("tab"));
    assert_eq!(fails("a: [1, 2\nb: 3\n").0.map(|(line, _)| line > 0), Some(true));
    assert_eq!(fails("a: !foo bar\n").0, Some((1, 4)));
    assert!(fails("a: !foo bar\n").1.contains("\"!foo\""));
    assert!(fails("a: !!int x\n").1.contains("\"x\" is no"));
    assert!(fails("a: .inf\n").1.contains("JSON does not have"));
    assert!(fails("a: *b\n").0.is_some());
    assert!(fails("? [a]\n: b\n").1.contains("cannot be a key"));
}
