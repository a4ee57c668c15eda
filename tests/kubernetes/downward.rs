//! The downward API: what a Pod knows of itself, by variables and by files.

use crate::{Machine, lines, page, prints, start, with_guest};

#[test]
fn variables_tell_a_member_about_its_pod() {
    let node = Machine::new();
    let pod = start(&node, "downward-variables", "knows-itself");
    let log = prints(&node, "knows-itself", "tells", "by=nobody\n");
    let text = |value: &serde_json::Value| value.as_str().unwrap_or("?").to_owned();
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let expected = [
        format!("{} knows-itself default default", host.trim()),
        format!(
            "address={} host={} uid={} zone=cellar by=nobody",
            text(&pod["status"]["podIP"]),
            text(&pod["status"]["hostIP"]),
            text(&pod["metadata"]["uid"])
        ),
    ];
    assert_eq!(lines(&log)[..2], expected);
}

#[test]
fn variables_tell_a_module_about_its_pod() {
    let node = Machine::new();
    let module =
        with_guest(&page(&node, "downward-variables"), "tells", "env.wasm", "[MY_POD_NAME, MY_ZONE, MY_BUILDER]");
    assert_eq!(node.run(&module).ok(), "MY_POD_NAME=knows-itself\nMY_ZONE=cellar\nMY_BUILDER=nobody\n");
}

/// Whole processors, rounded up, and bytes, as the page prints them.
#[test]
fn variables_tell_what_a_container_may_use() {
    let node = Machine::new();
    node.start(&page(&node, "downward-resource-variables"));
    let log = prints(&node, "knows-its-share", "tells", "\n");
    assert_eq!(lines(&log)[0], format!("1 1 {} {}", 24 << 20, 48 << 20));
}

#[test]
fn files_tell_a_member_about_its_pod() {
    let node = Machine::new();
    node.start(&page(&node, "downward-volume"));
    let log = prints(&node, "reads-itself", "reads", "builder=");
    for line in ["rack=\"rack-22\"", "shelf=\"lower-left\"", "zone=\"cellar\"", "built=\"two\"", "builder=\"jane-roe\""]
    {
        assert!(lines(&log).contains(&line), "no {line} in {log}");
    }
    let links = node.dwell(&["exec", "reads-itself", "--", "readlink", "/etc/facts/labels"]).ok();
    assert_eq!(links, "..data/labels\n", "as the page explains it");
}

#[test]
fn files_tell_a_module_about_its_pod() {
    let node = Machine::new();
    let labels = "[read, /etc/facts/labels, --, wait, /never]";
    node.start(&with_guest(&page(&node, "downward-volume"), "reads", "files.wasm", labels));
    prints(&node, "reads-itself", "reads", "shelf=\"lower-left\"");
}

#[test]
fn files_tell_what_a_container_may_use_in_units() {
    let node = Machine::new();
    node.start(&page(&node, "downward-resource-volume"));
    let log = prints(&node, "reads-its-share", "reads", "mem_request");
    for line in ["cpu_limit 150", "cpu_request 75", "mem_limit 48", "mem_request 24"] {
        assert!(lines(&log).contains(&line), "no {line} in {log}");
    }
}
