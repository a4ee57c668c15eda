//! Manifests against what they should become, or what should be said about them.
//!
//! tests/snapshots/good-*.yaml are parsed, checked and written out; bad-*.yaml are refused. The outcome stands beside
//! each in a `.out` file, which `DWELL_BLESS=1` rewrites.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use dwell_spec::manifest::{assign_name, parse_manifests, resolve_paths, support_table, to_yaml, yaml_of};
use dwell_spec::pod::Pod;

fn manifest_dir() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn bless() -> bool {
    std::env::var_os("DWELL_BLESS").is_some()
}

fn outcome(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap();
    let origin = path.file_name().unwrap().to_string_lossy().into_owned();
    let parsed = match parse_manifests(&text, &origin) {
        Ok(parsed) => parsed,
        Err(error) => return format!("{error}\n"),
    };
    let mut out = String::new();
    for warning in &parsed.warnings {
        writeln!(out, "warning: {}", warning.show(&origin)).unwrap();
    }
    for mut pod in parsed.pods {
        resolve_paths(&mut pod, "/base");
        writeln!(out, "--- as Kubernetes sees it\n{}", to_yaml(&pod)).unwrap();
        assign_name(&mut pod, 0);
        let checked = Pod::try_from(&pod).unwrap();
        writeln!(out, "--- checked\n{}", yaml_of(&serde_json::to_value(checked).unwrap())).unwrap();
    }
    out
}

#[test]
fn snapshots() {
    let mut inputs: Vec<_> =
        std::fs::read_dir(manifest_dir().join("tests/snapshots")).unwrap().map(|e| e.unwrap().path()).collect();
    inputs.retain(|path| path.extension().is_some_and(|e| e == "yaml"));
    inputs.sort();
    assert!(inputs.len() >= 14, "{inputs:?}");
    for input in inputs {
        let (found, expected_at) = (outcome(&input), input.with_extension("out"));
        let is_bad = input.file_name().unwrap().to_string_lossy().starts_with("bad-");
        assert_eq!(found.contains("--- checked"), !is_bad, "{}\n{found}", input.display());
        compare(&found, &expected_at);
    }
}

/// The document says what the program does.
#[test]
fn support_document_is_the_table() {
    compare(&support_table(), &manifest_dir().join("../../docs/support.md"));
}

fn compare(found: &str, expected_at: &Path) {
    if bless() {
        std::fs::write(expected_at, found).unwrap();
        return;
    }
    let expected = std::fs::read_to_string(expected_at).unwrap_or_default();
    assert!(found == expected, "{} differs; DWELL_BLESS=1 rewrites it. Found:\n{found}", expected_at.display());
}
