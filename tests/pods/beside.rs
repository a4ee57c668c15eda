//! Another module beside a Wasm member: by `dwell exec`, and by its probes and hooks.

use std::path::Path;

use dwell_tests::guest;
use dwell_tests::node::{Node, wait_until};

/// A Pod of one guest that sleeps, with the guests' folder at `/guests` and a volume at `/v`; `more` are lines of it.
fn pod(name: &str, more: &str) -> String {
    let guests = guest::path("sleep.wasm");
    let folder = guests.parent().unwrap_or(Path::new("/")).display();
    let mounts = "    volumeMounts: [{name: guests, mountPath: /guests, readOnly: true}, {name: v, mountPath: /v}]\n";
    let container = crate::guest("main", "sleep.wasm", "['600']", &format!("{mounts}{more}"));
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  restartPolicy: OnFailure\n  volumes:\n  - {{name: guests, \
         hostPath: {{path: {folder}}}}}\n  - {{name: v, emptyDir: {{}}}}\n  terminationGracePeriodSeconds: 5\n  containers:\n{container}"
    )
}

#[test]
fn a_module_of_a_volume_runs_in_the_members_walls_with_its_volumes() {
    let node = Node::new();
    node.start(&pod("beside", ""));
    node.wait_for_phase("beside", "Running");
    let exec = |command: &[&str]| node.dwell(&[&["exec", "beside", "--"], command].concat());
    let exit = exec(&["/guests/exit.wasm", "7", "last words"]);
    assert_eq!((exit.code, exit.err.trim()), (7, "last words"));
    exec(&["/guests/files.wasm", "write", "/v/note", "from beside"]).ok();
    assert_eq!(exec(&["/guests/files.wasm", "read", "/v/note"]).ok(), "from beside\n");
    let denied = exec(&["/guests/files.wasm", "write", "/guests/new", "x"]);
    assert_eq!(denied.code, 1, "its grants are the member's, and read-only where they are: {denied:#?}");
    assert_eq!(exec(&["sleep.wasm", "0"]).code, 0, "the image's own module, by its name");
    let trap = exec(&["/guests/trap.wasm"]);
    assert!(trap.code == 134 && trap.err.contains("Trap"), "{trap:#?}");
    assert_eq!(node.pod("beside")["status"]["containerStatuses"][0]["restartCount"], 0);
    assert_eq!(exec(&["/guests/files.wasm", "list", "/v"]).ok(), "note\n", "the member lives on, and nothing is left");
}

#[test]
fn what_is_no_module_is_refused_and_says_why() {
    let node = Node::new();
    node.start(&pod("beside", ""));
    node.wait_for_phase("beside", "Running");
    for (command, why) in [
        ("sh", "only another module can run"),
        ("/elsewhere/x.wasm", "nothing is granted there"),
        ("/guests/net", "does not begin with"),
        ("/guests/../../../etc/passwd", "only another module can run"),
        ("/guests/http.wasm", "serves requests"),
    ] {
        let said = node.dwell(&["exec", "beside", "--", command]);
        assert!(said.code != 0 && said.err.contains(why), "{command}: {said:#?}");
    }
}

#[test]
fn probes_and_hooks_of_a_wasm_member_run_modules() {
    let node = Node::new();
    let life = "    lifecycle: {postStart: {exec: {command: [/guests/files.wasm, write, /v/hook, done]}}}\n    \
                readinessProbe: {exec: {command: [/guests/files.wasm, size, /v/ready]}, periodSeconds: 1, failureThreshold: 1}\n    \
                livenessProbe: {exec: {command: [/guests/files.wasm, size, /v/hook]}, periodSeconds: 1, timeoutSeconds: 9, \
                failureThreshold: 1}\n";
    node.start(&pod("probed", life));
    let status = || node.pod("probed")["status"]["containerStatuses"][0].clone();
    let exec = |command: &[&str]| node.dwell(&[&["exec", "probed", "--", "/guests/files.wasm"], command].concat()).ok();
    assert!(wait_until(|| status()["started"] == true), "{:#}", status());
    assert_eq!(exec(&["read", "/v/hook"]), "done\n");
    assert_eq!(status()["ready"], false);
    exec(&["write", "/v/ready", "yes"]);
    assert!(wait_until(|| status()["ready"] == true), "{:#}", status());
    exec(&["remove", "/v/hook"]);
    assert!(wait_until(|| status()["restartCount"].as_i64() > Some(0)), "{:#}", status());
    let last = status()["lastState"]["terminated"].clone();
    let message = last["message"].as_str().unwrap_or_default();
    assert!(message.starts_with("its liveness probe failed: exit status 1: size /v/hook:"), "{last:#}");
}
