//! Logs, and last words.

use crate::{Machine, page, prints, run, status, with_guest};

#[test]
fn what_a_container_writes_is_its_log() {
    let node = Machine::new();
    node.start(&page(&node, "logging-counter"));
    let log = prints(&node, "ticks", "tick", "tick 1: ");
    assert!(log.starts_with("tick 0: "), "{log}");
    let last = node.dwell(&["logs", "ticks", "--tail", "1"]).ok();
    assert_eq!(last.lines().count(), 1, "{last}");
}

#[test]
fn each_streaming_container_has_a_log_of_its_own() {
    let node = Machine::new();
    node.start(&page(&node, "logging-streams"));
    let first = prints(&node, "streams", "first", "one 1\n");
    let second = prints(&node, "streams", "second", "TWO 1\n");
    assert!(first.starts_with("one 0\n") && !first.contains("TWO"), "{first}");
    assert!(!second.contains("one"), "{second}");
    assert_eq!(node.dwell(&["logs", "streams", "-c", "tick"]).ok(), "", "the member itself prints nothing");
}

#[test]
fn a_module_writes_the_files_that_the_others_stream() {
    let node = Machine::new();
    let args =
        "[append, /var/log/one.log, one by a module, --, append, /var/log/two.log, TWO by a module, --, wait, /never]";
    node.start(&with_guest(&page(&node, "logging-streams"), "tick", "files.wasm", args));
    prints(&node, "streams", "first", "one by a module\n");
    prints(&node, "streams", "second", "TWO by a module\n");
}

#[test]
fn last_words_are_the_message_of_the_status() {
    let node = Machine::new();
    assert_eq!(run(&node, "termination-message").code, 0);
    let end = status(&node.pod("last-words"), "says")["state"]["terminated"].clone();
    assert_eq!((end["exitCode"].as_i64(), end["message"].as_str()), (Some(0), Some("Tired of it\n")), "{end:#}");
}

#[test]
fn last_words_may_lie_elsewhere_or_be_the_end_of_the_log() {
    let node = Machine::new();
    assert_eq!(run(&node, "termination-path").code, 1);
    let pod = node.pod("other-words");
    for (container, words) in [("says", "Tired of this\n"), ("logs", "nothing helped\n")] {
        let end = status(&pod, container)["state"]["terminated"].clone();
        assert_eq!((end["exitCode"].as_i64(), end["message"].as_str()), (Some(1), Some(words)), "{end:#}");
    }
}
