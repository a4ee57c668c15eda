//! The exit status of `dwell run`, for native and Wasm members.

use dwell_tests::guest;
use dwell_tests::node::{Node, Said};
use serde_json::json;

use crate::{image, pod, script, shell};

fn native(node: &Node, script: &str) -> Said {
    let image = image(node);
    node.dwell(&["run", "--rm", "--image", &image, "--", "sh", "-c", script])
}

fn wasm(node: &Node, name: &str, args: &[&str]) -> Said {
    let path = guest::path(name);
    node.dwell(&[&["run", "--rm", path.to_str().unwrap()], args].concat())
}

#[test]
fn it_is_the_programs_own() {
    let node = Node::new();
    for status in [0, 1, 7, 255] {
        assert_eq!(native(&node, &format!("exit {status}")).code, status);
    }
    for status in [0, 7, 125] {
        assert_eq!(wasm(&node, "exit.wasm", &[&status.to_string()]).code, status);
    }
}

#[test]
fn it_is_125_when_dwell_failed() {
    let node = Node::new();
    let said = node.dwell(&["run", "--image", "rootfs:/no/such/folder", "--", "true"]);
    assert!(said.code == 125 && said.err.contains("/no/such/folder"), "{said:#?}");
    let said = node.dwell(&["run", "--image", "wasm:missing.wasm"]);
    assert!(said.code == 125 && said.err.contains("missing.wasm"), "{said:#?}");
    let broken = node.file("broken.wasm", "\0asm no module");
    let said = node.dwell(&["run", broken.to_str().unwrap()]);
    assert!(said.code == 125 || said.code == 126, "{said:#?}");
    assert!(said.err.len() > 20, "it does not say why: {said:#?}");
}

#[test]
fn it_is_126_for_what_cannot_be_executed_and_127_for_what_is_not_there() {
    let node = Node::new();
    let image = image(&node);
    std::fs::write(node.files().join("rootfs/etc/text"), "no program").unwrap();
    let run = |program: &str| node.dwell(&["run", "--image", &image, "--", program]);
    let text = run("/etc/text");
    assert!(text.code == 126 && text.err.contains("/etc/text"), "{text:#?}");
    let folder = run("/etc");
    assert!(folder.code == 126 && folder.err.contains("/etc"), "{folder:#?}");
    let missing = run("no-such-program");
    assert!(missing.code == 127 && missing.err.contains("no-such-program"), "{missing:#?}");
}

#[test]
fn it_is_126_for_a_module_with_an_import_that_nobody_has() {
    let node = Node::new();
    // (module (import "env" "missing" (func)) (func (export "_start")) (memory (export "memory") 1))
    let module = b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x02\x0f\x01\x03env\x07missing\0\0\x03\x02\x01\0\x05\x03\x01\0\x01\x07\x13\x02\x06_start\0\x01\x06memory\x02\0\x0a\x04\x01\x02\0\x0b";
    std::fs::write(node.files().join("import.wasm"), module).unwrap();
    let said = node.dwell(&["run", "import.wasm"]);
    assert!(said.code == 126 && said.err.contains("missing"), "{said:#?}");
}

#[test]
fn it_is_134_for_a_trap_and_137_for_memory_that_ran_out() {
    let node = Node::new();
    let trap = wasm(&node, "trap.wasm", &[]);
    assert!(trap.code == 134 && trap.err.contains("unreachable"), "{trap:#?}");
    let limited = guest::path("eat.wasm");
    let eats = node.dwell(&["run", "--rm", "-m", "64m", limited.to_str().unwrap()]);
    assert!(eats.code == 137 && eats.err.contains("OOMKilled"), "{eats:#?}");
    let image = image(&node);
    let eats = node.dwell(&["run", "--rm", "-m", "32m", "--image", &image, "--", "tail", "/dev/zero"]);
    assert!(eats.code == 137 && eats.err.contains("OOMKilled"), "{eats:#?}");
}

#[test]
fn it_is_128_and_the_signal() {
    let node = Node::new();
    for (name, signal, status) in [("term", "TERM", 143), ("kill", "KILL", 137), ("usr", "USR1", 138)] {
        // PID 1 of its namespace gets what it did not ask for from outside only with SIGKILL; a child of its has no such shield.
        node.start(&script(&node, name, "sh -c 'echo up; exec sleep 600' & wait $!; exit $?"));
        crate::wait_for_line(&node, name, "up");
        let inside = format!("until pid=$(pidof sleep); do :; done; kill -{signal} $pid");
        node.dwell(&["exec", name, "--", "sh", "-c", &inside]).ok();
        let pod = node.wait_for_phase(name, "Failed");
        assert_eq!(pod["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"], status, "{pod:#}");
    }
    let killed = native(&node, "kill -KILL $$; sleep 1; exit 0");
    assert_eq!(killed.code, 0, "PID 1 cannot kill itself from inside: {killed:#?}");
}

#[test]
fn of_several_containers_the_first_failure_counts() {
    let node = Node::new();
    // Kubernetes tells times in whole seconds, and a busy machine may start the early one late.
    let late =
        [shell(&node, "late", "sleep 4; exit 9"), shell(&node, "early", "exit 5"), shell(&node, "fine", "sleep 1")];
    let said = node.run(&pod("several", &late, json!({})));
    assert_eq!(said.code, 5, "{said:#?}");
    assert!(
        said.err.contains("container early")
            && said.err.contains("container late")
            && !said.err.contains("container fine"),
        "{said:#?}"
    );
}

#[test]
fn a_retried_failure_does_not_count() {
    let node = Node::new();
    let mut container = shell(&node, "main", "[ -e /v/again ] || { : >/v/again; exit 3; }");
    container["volumeMounts"] = json!([{"name": "v", "mountPath": "/v"}]);
    let more = json!({"restartPolicy": "OnFailure", "volumes": [{"name": "v", "emptyDir": {}}]});
    node.run(&pod("retried", &[container], more)).ok();
}
