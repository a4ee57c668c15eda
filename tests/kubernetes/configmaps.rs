//! ConfigMaps: as variables, in a command, as files, and what becomes of a change.

use dwell_tests::node::wait_until;

use crate::{Machine, inside, lines, page, prints, run, start, with_guest};

/// Whether `env` has printed exactly this line.
#[track_caller]
fn has(text: &str, line: &str) {
    assert!(lines(text).contains(&line), "no {line:?} in {text}");
}

#[test]
fn a_key_becomes_a_variable() {
    let node = Machine::new();
    has(&run(&node, "configmap-one-variable").ok(), "TEA_LEAF=oolong");
}

#[test]
fn keys_of_two_become_variables_of_both_kinds_of_member() {
    let node = Machine::new();
    let text = run(&node, "configmap-many-variables").ok();
    has(&text, "TEA_LEAF=oolong");
    has(&text, "STOVE=GAS");
    node.dwell(&["rm", "many-variables"]).ok();
    let module = with_guest(&page(&node, "configmap-many-variables"), "shows", "env.wasm", "[TEA_LEAF, STOVE]");
    assert_eq!(node.run(&module).ok(), "TEA_LEAF=oolong\nSTOVE=GAS\n");
}

#[test]
fn every_key_becomes_a_variable() {
    let node = Machine::new();
    let text = run(&node, "configmap-all-variables").ok();
    for line in ["LEAF=oolong", "MINUTES=3", "TEA_LEAF=oolong", "TEA_MINUTES=3"] {
        has(&text, line);
    }
}

#[test]
fn a_command_names_variables() {
    let node = Machine::new();
    assert_eq!(run(&node, "configmap-in-command").ok(), "oolong for 3 minutes\n");
}

#[test]
fn every_key_becomes_a_file() {
    let node = Machine::new();
    assert_eq!(run(&node, "configmap-volume").ok(), "LEAF\nMINUTES\n");
}

#[test]
fn one_key_becomes_a_file_of_another_name_for_both_kinds_of_member() {
    let node = Machine::new();
    assert_eq!(run(&node, "configmap-items").ok(), "oolongnames\n");
    node.dwell(&["rm", "one-file"]).ok();
    let args = "[read, /etc/blend/names/leaf, --, list, /etc/blend/names]";
    let module = with_guest(&page(&node, "configmap-items"), "shows", "files.wasm", args);
    assert_eq!(node.run(&module).ok(), "oolongleaf\n");
}

#[test]
fn what_is_optional_and_missing_is_left_out() {
    let node = Machine::new();
    let text = run(&node, "configmap-optional").ok();
    assert!(text.ends_with("total 0\ndone\n") && !text.contains("NOBODY"), "{text}");
    let required = page(&node, "configmap-optional").replace("optional: true", "optional: false");
    let said = node.run(&required.replace("name: optional\n", "name: required\n"));
    assert!(said.code == 125 && said.err.contains("nobody"), "control: {said:#?}");
}

#[test]
fn keys_are_variables_and_files_at_once() {
    let node = Machine::new();
    start(&node, "configmap-concept", "shop-pod");
    let script = "echo $SHOP_TABLES $RULES_FILE; cat /config/house.rules /config/menu.list; ls /config";
    let said = inside(&node, "shop-pod", "shop", script);
    let expected = "7 house.rules\nshoes=off\nvoice=low\ntea=green,black\ncake=true\nhouse.rules\nmenu.list\n";
    assert_eq!(said, expected);
}

#[test]
fn one_that_is_immutable_never_changes() {
    let node = Machine::new();
    assert_eq!(run(&node, "configmap-immutable").ok(), "stone");
    node.dwell(&["rm", "reads-stone"]).ok();
    let said = node.run(&page(&node, "configmap-immutable").replace("word: stone", "word: clay"));
    assert!(said.code != 0 && said.err.contains("immutable"), "{said:#?}");
    node.dwell(&["rm", "-f", "reads-stone"]);
    assert_eq!(run(&node, "configmap-immutable").ok(), "stone");
}

#[test]
fn a_change_reaches_the_running_pod() {
    let node = Machine::new();
    node.start(&page(&node, "configmap-update"));
    prints(&node, "prefers", "main", "I like chess\n");
    let text = page(&node, "configmap-update").replace("pastime: chess", "pastime: fencing");
    node.run(text.split("---").next().unwrap()).ok();
    prints(&node, "prefers", "main", "I like fencing\n");
    let restarts = || node.pod("prefers")["status"]["containerStatuses"][0]["restartCount"].clone();
    assert!(wait_until(|| restarts() == 0), "nothing began again");
}

#[test]
fn a_configuration_of_several_lines_is_a_file() {
    let node = Machine::new();
    let text = run(&node, "configmap-redis").ok();
    let words: Vec<&str> = text.split_whitespace().collect();
    assert_eq!(words, ["1", "maxmemory", "3mb", "2", "maxmemory-policy", "noeviction"]);
}
