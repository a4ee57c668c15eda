//! Projected volumes: several sources in one folder.

use crate::{Machine, inside, page, run, start, with_guest};

#[test]
fn two_secrets_lie_in_one_folder() {
    let node = Machine::new();
    start(&node, "projected-secrets", "both-secrets");
    let said = inside(&node, "both-secrets", "reads", "ls /both/; cat /both/who.txt; echo; cat /both/word.txt");
    assert_eq!(said, "who.txt\nword.txt\nalice\nsesame");
}

const ALL: &str = "alicezone=\"cellar\"100shoes off";

#[test]
fn all_kinds_of_sources_lie_in_one_folder() {
    let node = Machine::new();
    start(&node, "projected-all", "all-in-one");
    let script = "cd /all; cat people/guest labels cpu_limit house/rules; touch x 2>/dev/null || echo , read-only";
    let said = inside(&node, "all-in-one", "all-in-one", script).replace('\n', "");
    assert_eq!(said, format!("{ALL}, read-only"));
}

#[test]
fn a_module_reads_all_kinds_of_sources() {
    let node = Machine::new();
    let read = |path: &str| format!("read, /all/{path}, --, ");
    let args = ["people/guest", "labels", "cpu_limit", "house/rules"].map(read).concat();
    let module =
        with_guest(&page(&node, "projected-all"), "all-in-one", "files.wasm", &format!("[{args}list, /all/house]"));
    let said = node.run(&module.replace("spec:\n", "spec:\n  restartPolicy: Never\n")).ok();
    assert_eq!(said.replace('\n', ""), format!("{ALL}rules"));
}

#[test]
fn files_have_the_permissions_that_were_written() {
    let node = Machine::new();
    assert_eq!(run(&node, "projected-mode").ok(), "440 /all/people/guest\n777 /all/people/phrase\n");
}

/// Nothing is dropped in silence: who gets no token must know.
#[test]
fn a_token_that_only_a_cluster_can_issue_is_refused_by_its_path() {
    let node = Machine::new();
    let said = run(&node, "projected-token");
    assert_eq!(said.code, 125, "{said:#?}");
    assert!(said.err.contains("spec.volumes[0].projected.sources[0].serviceAccountToken"), "{said:#?}");
    let without: String = page(&node, "projected-token").replace(
        "      - serviceAccountToken:\n          path: keeper-token\n          expirationSeconds: 7200\n          audience: keeper\n",
        "      - downwardAPI: {}\n",
    );
    node.start(&without);
    node.wait_for_phase("wants-a-token", "Running");
}
