//! Pods that nobody asks for, and what only a scheduler needs.

use crate::{Machine, inside, page, run};

#[test]
fn a_manifest_in_a_folder_is_run() {
    let node = Machine::new();
    let folder = node.files().join("manifests");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("static-web.yaml"), page(&node, "static-pod")).unwrap();
    node.dwell(&["up", folder.to_str().unwrap()]).ok();
    node.wait_for_phase("static-web", "Running");
    assert!(inside(&node, "static-web", "web", "wget -q -O - http://localhost/passwd").contains("root:x:0"));
    node.dwell(&["up", folder.to_str().unwrap()]).ok();
    let restarts = node.pod("static-web")["status"]["containerStatuses"][0]["restartCount"].clone();
    assert_eq!(restarts, 0, "it runs already");
}

#[test]
fn what_only_a_scheduler_needs_is_named_and_changes_nothing() {
    let node = Machine::new();
    let said = run(&node, "scheduling");
    assert!(said.code == 0 && said.out == "I run all the same\n", "{said:#?}");
    for field in ["spec.nodeSelector", "spec.affinity", "spec.tolerations", "spec.priorityClassName"] {
        assert!(said.err.contains(&format!("{field}: ignored")), "no word of {field}: {said:#?}");
    }
}
