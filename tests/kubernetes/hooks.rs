//! Lifecycle hooks, and rules for what follows an end.

use crate::{Machine, inside, page, run, start, status};

#[test]
fn hooks_come_after_the_start_and_before_the_end() {
    let node = Machine::new();
    start(&node, "hooks", "hooked");
    assert_eq!(inside(&node, "hooked", "hooked", "cat /tmp/word"), "A word after the start\n");
    assert!(!node.dwell(&["logs", "hooked"]).out.contains("before the end"), "control: nobody has stopped it yet");
    node.dwell(&["stop", "hooked"]).ok();
    assert_eq!(node.dwell(&["logs", "hooked"]).ok(), "A word before the end\n");
    let end = status(&node.pod("hooked"), "hooked")["state"]["terminated"].clone();
    assert_eq!(end["exitCode"], 0, "it was told, and ended by itself: {end:#}");
}

/// 42 begins again though the policy is `Never`; 3 does not.
#[test]
fn a_rule_counts_more_than_the_policy() {
    let node = Machine::new();
    let said = run(&node, "restart-rules");
    assert_eq!(said.code, 3, "{said:#?}");
    let ruled = status(&node.pod("ruled"), "retries");
    assert_eq!(ruled["restartCount"], 1, "{ruled:#}");
    assert_eq!(ruled["lastState"]["terminated"]["exitCode"], 42, "{ruled:#}");
    let plain = Machine::new();
    let without = page(&plain, "restart-rules").replace("values: [42]", "values: [41]");
    assert_eq!(plain.run(&without).code, 42, "control: a rule for another status does not apply");
}
