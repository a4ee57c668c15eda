//! Hostile words: what images and modules are called, and what they say of their end, writes on nobody's terminal.

use dwell_tests::node::{Node, Said};

use crate::manifest::{Manifest, rooted, shell};

/// Clears the screen, and colours what follows.
const ESCAPE: &str = "\u{1b}[2J\u{1b}[31m";

/// Everything that tells of a Pod.
fn telling(node: &Node, pod: &str) -> Vec<(String, Said)> {
    let commands: [&[&str]; 6] = [
        &["ps"],
        &["ps", "-o", "wide"],
        &["ps", "-o", "json"],
        &["inspect", pod],
        &["inspect", "-o", "json", pod],
        &["plan", pod],
    ];
    commands.iter().map(|args| (args.join(" "), node.dwell(args))).collect()
}

#[track_caller]
fn harmless(what: &str, text: &str) {
    let bad = text.chars().find(|c| c.is_control() && *c != '\n' && *c != '\t');
    assert_eq!(bad, None, "{what} wrote it to the terminal: {text:?}");
}

#[track_caller]
fn all_harmless(node: &Node, pod: &str, first: &Said) {
    harmless("run", &first.err);
    for (what, said) in telling(node, pod) {
        harmless(&what, &said.out);
        harmless(&what, &said.err);
    }
}

#[test]
fn a_program_that_is_called_an_escape_sequence() {
    let node = Node::new();
    let root = dwell_tests::rootfs::busybox(&node.files());
    let name = format!("/bin/{ESCAPE}program");
    let said = node.run(&Manifest::new("named").with(rooted(&root, "main", &[&name], &[])).text());
    assert_eq!(said.code, 127, "{said:#?}");
    assert!(said.err.contains("program does not exist"), "{said:#?}");
    all_harmless(&node, "named", &said);
    let printed = node.run(&shell(&node, "control", "printf '\\033[2J'")).ok();
    assert_eq!(printed, "\u{1b}[2J", "control: what a member prints is passed as it is");
}

#[test]
fn a_module_whose_import_is_called_an_escape_sequence() {
    let node = Node::new();
    let path = node.files().join("evil.wasm");
    std::fs::write(&path, importing(&format!("{ESCAPE}module"), &format!("{ESCAPE}function"))).expect("writes");
    let said = node.dwell(&["run", "--name", "evil", path.to_str().expect("a path")]);
    assert_eq!(said.code, 126, "{said:#?}");
    assert!(said.err.contains("function"), "{said:#?}");
    all_harmless(&node, "evil", &said);
    let end = node.pod("evil")["status"]["containerStatuses"][0]["state"]["terminated"].clone();
    assert_eq!(end["reason"], "MissingImport", "control: this is what it ends with: {end:#}");
}

#[test]
fn a_failed_setup_that_names_an_escape_sequence() {
    let node = Node::new();
    let root = dwell_tests::rootfs::busybox(&node.files());
    std::os::unix::fs::symlink("link", root.join("link")).expect("links");
    let dir = serde_json::to_string(&format!("/link/{ESCAPE}dir")).expect("text");
    let container = rooted(&root, "main", &["true"], &[&format!("workingDir: {dir}")]);
    let said = node.run(&Manifest::new("dir").with(container).text());
    assert!(said.code != 0 && said.err.contains("dir"), "{said:#?}");
    all_harmless(&node, "dir", &said);
}

/// A module that exports `_start` and imports one function: `(import MODULE NAME (func))`.
fn importing(module: &str, name: &str) -> Vec<u8> {
    let text = |text: &str| [&[text.len() as u8], text.as_bytes()].concat();
    let section = |id: u8, body: &[u8]| [&[id, body.len() as u8], body].concat();
    let import = [&[1][..], &text(module), &text(name), &[0, 0]].concat();
    let export = [&[1][..], &text("_start"), &[0, 1]].concat();
    [
        b"\0asm\x01\0\0\0".to_vec(),
        section(1, &[1, 0x60, 0, 0]),
        section(2, &import),
        section(3, &[1, 0]),
        section(7, &export),
        section(10, &[1, 4, 0, 0x10, 0, 0x0b]),
    ]
    .concat()
}
