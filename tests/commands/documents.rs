//! `plan`, `check`, `explain`, `completions`, `man`, `version`: what needs no Pod.

use std::process::Command;

use dwell_tests::node::{Node, binary};
use serde_json::Value;

use crate::script;

const VERBS: [&str; 22] = [
    "set",
    "events",
    "generate",
    "debug",
    "install",
    "uninstall",
    "up",
    "run",
    "ps",
    "logs",
    "exec",
    "stop",
    "kill",
    "restart",
    "rm",
    "inspect",
    "plan",
    "check",
    "explain",
    "serve",
    "completions",
    "man",
];

#[test]
fn a_plan_shows_every_step_and_does_none() {
    let node = Node::new();
    let wasm = dwell_tests::guest::path("hello.wasm");
    let mut manifest: Value = serde_json::from_str(&script(&node, "planned", "true")).unwrap();
    manifest["spec"]["containers"]
        .as_array_mut()
        .unwrap()
        .push(serde_json::json!({"name": "w", "image": format!("wasm:{}", wasm.display())}));
    let path = node.file("pod.yaml", &manifest.to_string());
    let text = node.dwell(&["plan", path.to_str().unwrap()]).ok();
    for word in [
        "Pod default/planned",
        "Container main: native",
        "Container w: Wasm",
        "overlay over",
        "no new privileges",
        "system call filter",
        "unknown",
    ] {
        assert!(text.to_lowercase().contains(&word.to_lowercase()), "{word:?} is not in\n{text}");
    }
    let json: Value = serde_json::from_str(&node.dwell(&["plan", "-o", "json", path.to_str().unwrap()]).ok()).unwrap();
    assert!(
        json[0]["pod"].is_object() && json[0]["containers"].as_array().is_some_and(|all| all.len() == 2),
        "{json:#}"
    );
    assert!(json[0]["containers"][0].to_string().contains("\"ops\""), "{json:#}");
    assert!(!node.state_dir().join("lib/pods").exists() && node.node_pid().is_none(), "a plan did something");
    assert!(text.contains("HOME=/root"), "the image's accounts were not looked at:\n{text}");
    let piped = crate::with_input(&node, &["plan", "-"], manifest.to_string().as_bytes());
    assert_eq!(piped.ok(), text);
}

/// A plan for an image that does not exist was shown as if a start would succeed.
#[test]
fn a_plan_looks_into_images() {
    let node = Node::new();
    let missing = script(&node, "planned", "true").replace("rootfs:/", "rootfs:/nowhere/");
    let said = node.dwell(&["plan", node.file("missing.yaml", &missing).to_str().unwrap()]);
    assert!(said.code == 125 && said.out.contains("open the image /nowhere/"), "{said:#?}");
    let said = node.dwell(&["plan", node.file("entry.yaml", &script(&node, "planned", "true")).to_str().unwrap()]);
    assert!(said.ok().contains("native (no \\0asm magic in /bin/"), "the entry point was not looked at");
}

#[test]
fn check_says_what_there_is() {
    let node = Node::new();
    let said = node.dwell(&["check"]);
    assert!(said.code <= 1, "{said:#?}");
    for line in said.out.lines().filter(|line| !line.starts_with(' ')) {
        assert!(["ok ", "degraded ", "missing "].iter().any(|state| line.starts_with(state)), "{line}");
    }
    for name in ["kernel", "cgroups", "overlay", "Pod network", "forwarding", "firewall", "landlock", "seccomp"] {
        assert!(said.out.contains(name), "{name} is not in\n{}", said.out);
    }
    let items: Value = serde_json::from_str(&node.dwell(&["check", "-o", "json"]).out).unwrap();
    let items = items.as_array().unwrap();
    for item in items {
        let word = |name: &str| item[name].as_str().unwrap_or_default();
        assert!(word("state") == "ok" || !word("costs").is_empty(), "what it costs is not said: {item:#}");
    }
    assert_eq!(said.code, i32::from(items.iter().any(|item| item["state"] == "missing")));
}

#[test]
fn explain_knows_every_field() {
    let node = Node::new();
    for path in ["pod.spec.containers.image", "spec.containers[].image", "pods.spec.containers[0].image"] {
        let text = node.dwell(&["explain", path]).ok();
        assert!(text.contains("rootfs:DIR") && text.contains("honoured"), "{path}: {text}");
    }
    assert!(node.dwell(&["explain", "spec.imagePullSecrets"]).ok().contains("cluster only"));
    assert!(node.dwell(&["explain", "spec.volumes.nfs"]).ok().contains("refused"));
    assert!(node.dwell(&["explain"]).ok().contains("`spec.containers[].image`"));
    let wrong = node.dwell(&["explain", "spec.containers.imag"]);
    assert!(wrong.code == 125 && wrong.err.contains("did you mean spec.containers.image?"), "{wrong:#?}");
}

#[test]
fn completions_complete() {
    let node = Node::new();
    for shell in ["bash", "zsh", "fish"] {
        let text = node.dwell(&["completions", shell]).ok();
        for verb in VERBS {
            assert!(text.contains(verb), "{shell} does not know {verb}");
        }
        let path = node.file(&format!("completions.{shell}"), &text);
        // Where the shell itself is not installed, its script was read above, and no more can be said.
        if let Ok(status) = Command::new(shell).arg("-n").arg(&path).status() {
            assert!(status.success(), "{shell} does not take its script");
        }
    }
    let ask = |words: &str, at: usize| {
        let text = format!(
            "source completions.bash; COMP_WORDS=({words}); COMP_CWORD={at}; w=${{COMP_WORDS[$at]}}; \
             _dwell dwell \"${{COMP_WORDS[{at}]}}\" \"${{COMP_WORDS[{}]}}\"; echo \"${{COMPREPLY[@]}}\"",
            at - 1
        );
        let output = Command::new("bash").args(["-c", &text]).current_dir(node.files()).output().unwrap();
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    assert_eq!(ask("dwell insp", 1), "inspect");
    assert_eq!(ask("dwell run --pref", 2), "--prefix");
    assert_eq!(ask("dwell run --prefix a", 3), "auto always");
}

#[test]
fn there_is_a_man_page_for_every_verb_with_every_option() {
    let node = Node::new();
    node.dwell(&["man", "pages"]).ok();
    let page = |name: &str| {
        std::fs::read_to_string(node.files().join("pages").join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    };
    for verb in VERBS {
        let text = page(&format!("dwell-{verb}.1"));
        assert!(text.contains(".TH ") && text.contains(&format!("dwell\\-{verb}")), "{text}");
        assert!(page("dwell.1").contains(&format!("dwell\\-{verb}(1)")), "dwell.1 does not name {verb}");
    }
    let run = page("dwell-run.1");
    for option in [
        "detach",
        "rm",
        "name",
        "prefix",
        "image",
        "volume",
        "env",
        "env\\-file",
        "publish",
        "user",
        "memory",
        "stdin",
        "tty",
        "dry\\-run",
    ] {
        assert!(run.contains(&format!("\\-\\-{option}\\fR")), "{option} is not in dwell-run.1:\n{run}");
    }
}

#[test]
fn every_verb_has_help_and_the_version_is_one_line() {
    let node = Node::new();
    for verb in VERBS {
        let text = node.dwell(&[verb, "--help"]).ok();
        assert!(text.contains(&format!("Usage: dwell {verb}")), "{text}");
    }
    let output = Command::new(binary()).arg("--version").output().unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("dwell "), "{output:?}");
}
