//! Containers that see one another's processes, and those that are added to look.

use crate::{Machine, inside, page, prints, start, with_guest};

#[test]
fn containers_share_their_processes() {
    let node = Machine::new();
    start(&node, "share-processes", "together");
    let said = |script: &str| inside(&node, "together", "looker", script);
    let all = said("ps ax");
    assert!(all.contains("told to look again") && all.contains("sleep 3600") && all.contains("pause"), "{all}");
    let pid = said("ps -o pid,args | grep 'told to look' | grep -v grep | awk '{print $1}'").trim().to_owned();
    assert_eq!(said(&format!("cat /proc/{pid}/root/tmp/mine")), "the server\n", "as the page has it");
    said(&format!("kill -HUP {pid}"));
    prints(&node, "together", "server", "told to look again\n");
}

#[test]
fn containers_that_share_nothing_see_themselves_alone() {
    let node = Machine::new();
    node.start(&page(&node, "share-processes").replace("shareProcessNamespace: true", "shareProcessNamespace: false"));
    node.wait_for_phase("together", "Running");
    let all = inside(&node, "together", "looker", "ps ax");
    assert!(!all.contains("told to look again") && all.contains("sleep 3600"), "{all}");
}

#[test]
fn a_module_is_a_process_among_the_others() {
    let node = Machine::new();
    node.start(&with_guest(&page(&node, "share-processes"), "server", "sleep.wasm", "['600']"));
    node.wait_for_phase("together", "Running");
    let all = inside(&node, "together", "looker", "ps ax");
    assert!(all.contains("dwell-worker"), "{all}");
}

#[test]
fn a_container_is_added_to_a_pod_that_runs() {
    let node = Machine::new();
    start(&node, "ephemeral", "bare");
    let root = format!("rootfs:{}", dwell_tests::rootfs::busybox(&node.files()).display());
    let debug = ["debug", "bare", "--image", &root, "--target", "bare", "-c", "looks", "--", "ps", "ax"];
    let said = node.dwell(&debug);
    assert!(said.code == 0 && said.out.contains("sleep 600"), "{said:#?}");
    let added = node.pod("bare")["status"]["ephemeralContainerStatuses"][0].clone();
    assert_eq!(added["name"], "looks", "{added:#}");
}
