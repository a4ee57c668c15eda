//! Volumes of every kind that a machine alone has.

use std::path::PathBuf;

use dwell_tests::node::{Node, wait_until};

use crate::{Machine, inside, page, run, start, status, with_guest};

/// The folder of the host that the manifests name.
fn there(node: &Node) -> PathBuf {
    let folder = node.files().join("there");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("note"), "a note of the host\n").unwrap();
    folder
}

#[test]
fn two_members_speak_through_a_volume() {
    let node = Machine::new();
    start(&node, "shared-volume", "two-members");
    let ended = |pod: &serde_json::Value| status(pod, "writer")["state"]["terminated"]["exitCode"] == 0;
    let pod = node.wait_for("two-members", "the writer has ended", ended);
    assert!(status(&pod, "server")["state"]["running"].is_object(), "{pod:#}");
    let said = inside(&node, "two-members", "server", "wget -q -O - http://localhost");
    assert_eq!(said, "Greetings from the writer\n");
}

#[test]
fn a_module_writes_what_a_native_member_serves() {
    let node = Machine::new();
    let args = "[write, /mine/index.html, Greetings from a module]";
    node.start(&with_guest(&page(&node, "shared-volume"), "writer", "files.wasm", args));
    let said = || inside(&node, "two-members", "server", "cat /srv/html/index.html");
    assert_eq!(said(), "Greetings from a module\n");
}

#[test]
fn a_volume_keeps_what_its_container_wrote_through_a_restart() {
    let node = Machine::new();
    start(&node, "volume-store", "keeps");
    inside(&node, "keeps", "store", "cd /data/store; echo kept > test-file; echo gone > /tmp/test-file");
    node.dwell(&["kill", "keeps"]).ok();
    let again = |pod: &serde_json::Value| {
        let store = status(pod, "store");
        store["restartCount"] == 1 && store["state"]["running"].is_object()
    };
    node.wait_for("keeps", "a restart", again);
    assert_eq!(inside(&node, "keeps", "store", "cat /data/store/test-file; ls /tmp"), "kept\n");
}

#[test]
fn a_volume_in_memory_is_as_large_as_its_limit() {
    let node = Machine::new();
    assert_eq!(run(&node, "volume-memory").ok(), "tmpfs\nNo space left on device\n");
    let large =
        page(&node, "volume-memory").replace("sizeLimit: 4Mi", "sizeLimit: 16Mi").replace("in-memory", "larger");
    let said = node.run(&large);
    assert_eq!(said.out, "tmpfs\n", "control: there is room for it: {said:#?}");
}

#[test]
fn folders_of_the_host_are_there_or_are_made() {
    let node = Machine::new();
    let folder = there(&node);
    let said = run(&node, "volume-host");
    assert!(said.out.starts_with("a note of the host\n") && said.err.contains("Read-only file system"), "{said:#?}");
    assert!(!folder.join("x").exists());
    assert_eq!(std::fs::read_to_string(node.files().join("made/deep-log")).unwrap(), "seen\n");
    std::fs::remove_dir_all(&folder).unwrap();
    node.dwell(&["rm", "on-the-host"]).ok();
    let said = run(&node, "volume-host");
    assert!(said.code == 125 && said.err.contains("there"), "a `Directory` must be there: {said:#?}");
}

#[test]
fn members_have_parts_of_one_volume() {
    let node = Machine::new();
    let said = run(&node, "volume-sub-path");
    assert_eq!(said.code, 0, "{said:#?}");
    let seen = node.dwell(&["logs", "parts", "-c", "store"]).ok();
    for what in ["/whole/html:\nindex\n", "/whole/parts:\nhello.txt\n", "/whole/store:\ntable\n"] {
        assert!(seen.contains(what), "no {what:?} in {seen}");
    }
}

#[test]
fn a_claim_outlives_its_pods() {
    let node = Machine::new();
    let first = run(&node, "volume-claim");
    assert!(first.code == 0 && first.out.is_empty(), "{first:#?}");
    node.dwell(&["rm", "claims"]).ok();
    assert_eq!(run(&node, "volume-claim").ok(), "was here\n");
    node.dwell(&["rm", "claims"]).ok();
    let module = with_guest(&page(&node, "volume-claim"), "keeps", "files.wasm", "[read, /shelf/book]");
    assert_eq!(node.run(&module).ok(), "was here\nwas here\n");
    node.dwell(&["rm", "claims", "persistentvolumeclaim/shelf-claim"]).ok();
    assert_eq!(run(&node, "volume-claim").out, "", "control: it is a fresh one");
}

#[test]
fn an_ephemeral_volume_lives_as_long_as_its_pod() {
    let node = Machine::new();
    let said = run(&node, "volume-ephemeral");
    assert!(said.code == 0 && said.out == "noted\n", "{said:#?}");
    assert!(said.err.contains("volumeClaimTemplate.spec: ignored"), "what a cluster alone has is said: {said:#?}");
    node.dwell(&["rm", "scratches"]).ok();
    let empty = page(&node, "volume-ephemeral").replace("echo noted > /scratch/note; cat", "ls /scratch; test ! -e");
    assert_eq!(node.run(&empty).ok(), "", "the next Pod has another one");
}

#[test]
fn a_read_only_mount_is_so_in_all_its_depth() {
    let node = Machine::new();
    let folder = there(&node);
    let said = run(&node, "volume-read-only");
    assert!(said.code != 0 && said.err.contains("Read-only file system"), "{said:#?}");
    node.dwell(&["rm", "only-reads"]).ok();
    node.run(&page(&node, "volume-read-only").replace("[\"touch\", \"/there-rro/x\"]", "[touch, /there-rw/x]")).ok();
    assert!(wait_until(|| folder.join("x").exists()), "control: the other mount can be written");
}
