//! Init containers and sidecars.

use dwell_tests::node::wait_until;

use crate::{Machine, inside, page, prints, start, status, with_guest};

#[test]
fn an_init_container_writes_what_the_server_serves() {
    let node = Machine::new();
    start(&node, "init-containers", "first-page");
    assert_eq!(inside(&node, "first-page", "server", "wget -q -O - http://localhost/"), "written beforehand\n");
    let done = status(&node.pod("first-page"), "writer");
    assert_eq!(done["state"]["terminated"]["reason"], "Completed", "{done:#}");
}

#[test]
fn a_module_may_be_the_init_container() {
    let node = Machine::new();
    let args = "[write, /out/index.html, written by a module]";
    node.start(&with_guest(&page(&node, "init-containers"), "writer", "files.wasm", args));
    node.wait_for_phase("first-page", "Running");
    assert_eq!(inside(&node, "first-page", "server", "wget -q -O - http://localhost/"), "written by a module\n");
}

/// The page's Services are never made here, so its Pod stays as the page shows it at first.
#[test]
fn a_member_waits_as_long_as_its_init_containers_do() {
    let node = Machine::new();
    node.start(&page(&node, "init-waits"));
    prints(&node, "waits", "until-store", "no store yet\n");
    let pod = node.pod("waits");
    assert_eq!(pod["status"]["phase"], "Pending", "{pod:#}");
    for (container, reason) in [("until-queue", "PodInitializing"), ("main", "PodInitializing")] {
        assert_eq!(status(&pod, container)["state"]["waiting"]["reason"], reason, "{pod:#}");
    }
    assert!(status(&pod, "until-store")["state"]["running"].is_object(), "{pod:#}");
    assert!(node.dwell(&["ps"]).ok().contains("Init:0/2"), "{:#?}", node.dwell(&["ps"]));
    let of_queue = node.dwell(&["logs", "waits", "-c", "until-queue"]);
    assert_eq!(of_queue.out, "", "it has not had its turn: {of_queue:#?}");
}

#[test]
fn a_sidecar_is_up_before_an_init_container_asks_it() {
    let node = Machine::new();
    let said = node.run(&page(&node, "init-waits-for-port"));
    assert!(said.code == 0 && said.out.contains("kept"), "{said:#?}");
    let pod = node.pod("in-turn");
    assert_eq!(pod["status"]["phase"], "Succeeded", "{pod:#}");
    assert_eq!(status(&pod, "ask")["restartCount"], 0, "control: it was not too early: {pod:#}");
}

#[test]
fn a_sidecar_ships_what_a_member_writes() {
    let node = Machine::new();
    let pod = start(&node, "sidecar-logs", "ships");
    assert!(status(&pod, "shipper")["state"]["running"].is_object(), "it runs beside the member: {pod:#}");
    prints(&node, "ships", "shipper", "a line of the teller\n");
    assert!(node.dwell(&["ps"]).ok().contains("2/2"), "{:#?}", node.dwell(&["ps"]));
}

#[test]
fn a_sidecar_ships_what_a_module_writes() {
    let node = Machine::new();
    let args = "[append, /var/log/tales/tale.txt, a line of a module, --, wait, /never]";
    node.start(&with_guest(&page(&node, "sidecar-logs"), "teller", "files.wasm", args));
    prints(&node, "ships", "shipper", "a line of a module\n");
}

#[test]
fn a_job_ends_though_its_sidecar_would_go_on_for_ever() {
    let node = Machine::new();
    let said = node.run(&page(&node, "sidecar-job"));
    assert_eq!(said.code, 0, "{said:#?}");
    let pod = node.pod("ends");
    assert_eq!(pod["status"]["phase"], "Succeeded", "{pod:#}");
    assert!(wait_until(|| node.dwell(&["logs", "ends", "-c", "shipper"]).out.contains("the work is done\n")));
}
