//! The Pods that Kubernetes' own documentation tells its readers to make, run by the real binary, and what the page says
//! that the reader then sees.
//!
//! `pages/` holds one manifest for each page's shape: its fields and its structure, in other words and with other values.
//! Nothing of it is changed but the image, which becomes a root file system (and `HOST`, the folder of the host that a
//! hostPath is in). Where a page's image has an entry point, as a root file system has not, the manifest says the command.
//! Variants put a WebAssembly guest in the place of one container, or change one word as a control. Nothing here may ask
//! for a field that no page shows.

mod configmaps;
mod downward;
mod hooks;
mod init;
mod logging;
mod names;
mod placing;
mod probes;
mod processes;
mod projected;
mod resources;
mod secrets;
mod security;
mod volumes;

use std::cell::RefCell;
use std::ops::Deref;
use std::path::PathBuf;

use dwell_tests::node::{Node, Said, wait_until};
use serde_json::Value;

/// A node of its own for each test. Many a page's first process does not hear that it is to stop, and the page gives it
/// half a minute for that; nobody waits for it here.
struct Machine(Node);

impl Machine {
    fn new() -> Machine {
        Machine(Node::new())
    }
}

impl Deref for Machine {
    type Target = Node;
    fn deref(&self) -> &Node {
        &self.0
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.0.dwell(&["rm", "-f", "-t", "0", "--all"]);
    }
}

fn pages() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("kubernetes/pages")
}

/// A page's manifest, with local images.
#[track_caller]
fn page(node: &Node, name: &str) -> String {
    let path = pages().join(format!("{name}.yaml"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let root = dwell_tests::rootfs::busybox(&node.files());
    text.replace("image: shell\n", &format!("image: rootfs:{}\n", root.display()))
        .replace("path: HOST/", &format!("path: {}/", node.files().display()))
}

/// The same with a guest in the place of one container: its image and its arguments, all else stays.
#[track_caller]
fn with_guest(page: &str, container: &str, guest: &str, args: &str) -> String {
    let head = format!("- name: {container}\n");
    let begin = page.find(&head).unwrap_or_else(|| panic!("no container {container}")) + head.len();
    let indent = page[..begin - head.len()].rsplit('\n').next().unwrap_or_default().len();
    let depth = |line: &str| line.len() - line.trim_start().len();
    let (mut kept, mut inside, mut dropping) = (String::new(), true, false);
    for line in page[begin..].split_inclusive('\n') {
        inside &= depth(line) > indent;
        let is_key = inside && depth(line) == indent + 2 && !line.trim_start().starts_with('-');
        if is_key || !inside {
            let key = line.trim_start().split(':').next().unwrap_or_default();
            dropping = inside && ["image", "command", "args"].contains(&key);
        }
        kept += if dropping { "" } else { line };
    }
    let image = dwell_tests::guest::path(guest);
    let pad = " ".repeat(indent + 2);
    format!("{}{pad}image: wasm:{}\n{pad}args: {args}\n{kept}", &page[..begin], image.display())
}

/// Runs a page's Pod to its end.
#[track_caller]
fn run(node: &Node, name: &str) -> Said {
    node.run(&page(node, name))
}

/// Starts a page's Pod, and waits until it runs.
#[track_caller]
fn start(node: &Node, name: &str, pod: &str) -> Value {
    node.start(&page(node, name));
    node.wait_for_phase(pod, "Running")
}

/// What a shell in a container says once it succeeds: what it looks for may be on its way.
#[track_caller]
fn inside(node: &Node, pod: &str, container: &str, script: &str) -> String {
    let said = RefCell::new(None);
    let succeeds = || {
        let now = node.dwell(&["exec", pod, "-c", container, "--", "sh", "-c", script]);
        let code = now.code;
        *said.borrow_mut() = Some(now);
        code == 0
    };
    assert!(wait_until(succeeds), "{script}: {said:#?}");
    said.into_inner().map(|said| said.out).unwrap_or_default()
}

/// Waits until a container has printed these words.
#[track_caller]
fn prints(node: &Node, pod: &str, container: &str, words: &str) -> String {
    let printed = || node.dwell(&["logs", pod, "-c", container]).out;
    assert!(wait_until(|| printed().contains(words)), "{container} does not print {words:?}: {}", printed());
    printed()
}

/// The status of a container, of either list.
fn status(pod: &Value, container: &str) -> Value {
    let lists = ["containerStatuses", "initContainerStatuses"].map(|list| pod["status"][list].as_array());
    let all = lists.into_iter().flatten().flatten();
    all.into_iter().find(|status| status["name"] == container).cloned().unwrap_or_default()
}

/// The lines of a text.
fn lines(text: &str) -> Vec<&str> {
    text.lines().collect()
}

/// A manifest that nothing runs shows nothing.
#[test]
fn every_page_is_run_by_a_test() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("kubernetes");
    let files = |folder: &PathBuf| std::fs::read_dir(folder).unwrap().flatten().map(|entry| entry.path());
    let sources: String = files(&folder).filter_map(|path| std::fs::read_to_string(path).ok()).collect();
    let names: Vec<String> =
        files(&pages()).map(|path| path.file_stem().unwrap().to_string_lossy().into_owned()).collect();
    assert!(names.len() > 60, "control: {names:?}");
    for name in names {
        assert!(sources.contains(&format!("{name:?}")), "no test names {name}");
    }
}

#[test]
fn a_guest_takes_the_place_of_exactly_one_container() {
    let text = "  - name: a\n    image: x\n    command:\n    - sh\n    - -c\n    env: [b]\n  - name: b\n    image: x\n";
    let changed = with_guest(text, "a", "hello.wasm", "[one]");
    let hello = dwell_tests::guest::path("hello.wasm").display().to_string();
    let expected =
        format!("  - name: a\n    image: wasm:{hello}\n    args: [one]\n    env: [b]\n  - name: b\n    image: x\n");
    assert_eq!(changed, expected);
}
