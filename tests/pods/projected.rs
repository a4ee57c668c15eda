//! Volumes whose files come from ConfigMaps, Secrets and the Pod itself: what both kinds of member read, what none may
//! write, and how an update reaches a running Pod.

use dwell_tests::node::{Node, wait_until};

use crate::{before_containers, guest, shell};

const DOCUMENTS: &str = "apiVersion: v1
kind: ConfigMap
metadata: {name: words}
data: {greeting: hello, other: unused}
---
apiVersion: v1
kind: Secret
metadata: {name: keys}
stringData: {password: open}
---
";

/// A native and a Wasm member with the same volumes; the native one runs a script.
fn pod(node: &Node, name: &str, script: &str, wasm_args: &str, volumes: &str) -> String {
    let mounts = "    volumeMounts: [{name: all, mountPath: /all}]\n";
    let native = shell(node, name, "Never", script) + mounts;
    before_containers(&native, &format!("  volumes:\n{volumes}")) + &guest("wasm", "files.wasm", wasm_args, mounts)
}

const ALL: &str = "  - name: all
    projected:
      defaultMode: 0440
      sources:
      - configMap: {name: words, items: [{key: greeting, path: app/greeting, mode: 0644}]}
      - secret: {name: keys}
      - downwardAPI:
          items:
          - {path: labels, fieldRef: {fieldPath: metadata.labels}}
          - {path: memory, resourceFieldRef: {containerName: main, resource: limits.memory, divisor: 1Mi}}
      - configMap: {name: nobody, optional: true}
";

#[test]
fn both_kinds_read_the_same_files_and_write_none() {
    let node = Node::new();
    let script = "cd /all; head -n 9 app/greeting password labels memory; echo; stat -c '%a %u %n' -L app/greeting password; \
                  stat -f -c %T .; readlink password; touch x 2>&1; ls";
    let manifest =
        pod(&node, "files", script, "[read, /all/app/greeting, --, read, /all/password, --, write, /all/x, text]", ALL)
            .replacen("metadata: {name: files}", "metadata: {name: files, labels: {app: web, tier: \"1\"}}", 1)
            .replacen("    volumeMounts", "    resources: {limits: {memory: 64Mi}}\n    volumeMounts", 1);
    let said = node.run(&(DOCUMENTS.to_owned() + &manifest));
    let logged = |container| node.dwell(&["logs", "files", "-c", container]);
    let (native, wasm) = (logged("main").out, logged("wasm"));
    let lines: Vec<&str> = native.lines().collect();
    for line in [
        "hello",
        "open",
        "app=\"web\"",
        "tier=\"1\"",
        "64",
        "644 0 app/greeting",
        "440 0 password",
        "tmpfs",
        "..data/password",
        "app",
    ] {
        assert!(lines.contains(&line), "no {line:?}: {native}\n{said:#?}");
    }
    assert_eq!(native.matches("Read-only file system").count(), 1, "{native}");
    assert!(wasm.out == "helloopen" && wasm.err.contains("write /all/x"), "{wasm:#?}");
}

#[test]
fn an_update_reaches_a_running_pod_of_both_kinds_at_once_and_whole() {
    let node = Node::new();
    let volume = "  - {name: all, configMap: {name: words}}\n  - {name: own, secret: {secretName: keys}}\n";
    // Whoever stays in the folder that counts sees files that belong together.
    let script = "while sleep 0.05; do (cd /all/..data && a=$(cat greeting) && b=$(cat other) && echo $a $b); done";
    let manifest = pod(&node, "watches", script, "[wait, /all/signal, --, wait, /all/greeting]", volume);
    node.start(&(DOCUMENTS.to_owned() + &manifest));
    node.wait_for_phase("watches", "Running");
    let printed = || node.dwell(&["logs", "watches", "-c", "main"]).out;
    assert!(wait_until(|| printed().contains("hello unused\n")), "{}", printed());
    let changed = DOCUMENTS.replace("greeting: hello, other: unused", "greeting: goodbye, other: used, signal: now");
    node.run(&changed).ok();
    assert!(wait_until(|| printed().contains("goodbye used\n")), "{}", printed());
    assert!(!printed().contains("hello used") && !printed().contains("goodbye unused"), "{}", printed());
    let wasm = || node.pod("watches")["status"]["containerStatuses"][1]["state"].to_string();
    assert!(wait_until(|| wasm().contains("\"exitCode\":0")), "the module saw the new file: {}", wasm());
    // Also what a later node is given, and the old files stay when their ConfigMap goes.
    node.kill_node();
    node.run(&changed.replace("goodbye", "again")).ok();
    assert!(wait_until(|| printed().contains("again used\n")), "{}", printed());
    node.dwell(&["rm", "configmap/words"]).ok();
    node.kill_node();
    let left = node.dwell(&["exec", "watches", "-c", "main", "--", "cat", "/all/greeting"]).ok();
    assert_eq!(left, "again");
}

#[test]
fn a_secret_lies_in_memory_alone_and_goes_with_its_pod() {
    let node = Node::new();
    let volume = "  - {name: all, secret: {secretName: keys, defaultMode: 0400}}\n";
    let manifest = pod(&node, "keeps", "exec sleep 300", "[wait, /all/none]", volume);
    node.start(&(DOCUMENTS.to_owned() + &manifest));
    node.wait_for_phase("keeps", "Running");
    assert_eq!(node.dwell(&["exec", "keeps", "-c", "main", "--", "cat", "/all/password"]).ok(), "open");
    let mounts = || std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let own = node.state_dir().join("run/pods").display().to_string();
    assert!(mounts().lines().any(|line| line.contains(&own) && line.contains("- tmpfs")), "{}", mounts());
    node.dwell(&["rm", "-f", "keeps"]).ok();
    assert!(!mounts().contains(&own), "{}", mounts());
}

#[test]
fn what_is_missing_or_wrong_is_named() {
    let node = Node::new();
    let run = |volume: &str| node.run(&(DOCUMENTS.to_owned() + &pod(&node, "lacks", "true", "[]", volume)));
    for (volume, words) in [
        ("  - {name: all, configMap: {name: none}}\n", "volume \"all\": configmap \"none\" not found"),
        ("  - {name: all, secret: {secretName: keys, items: [{key: x, path: x}]}}\n", "couldn't find key \"x\""),
    ] {
        let said = run(volume);
        assert!(said.code != 0 && said.err.contains(words), "{words}: {said:#?}");
        node.dwell(&["rm", "-f", "lacks"]);
    }
    for (volume, words) in [
        ("  - {name: all, configMap: {name: w, items: [{key: a, path: ../a}]}}\n", "must not contain '..'"),
        ("  - {name: all, configMap: {name: w, items: [{key: a, path: /a}]}}\n", "must be a relative path"),
        ("  - {name: all, configMap: {name: w, items: [{key: a, path: ..a}]}}\n", "must not start with '..'"),
        ("  - {name: all, configMap: {name: w, items: [{key: a, path: a}, {key: b, path: ./a}]}}\n", "duplicate paths"),
        ("  - {name: all, configMap: {name: w, defaultMode: 01000}}\n", "0 and 0777"),
        ("  - {name: all, secret: {}}\n", "secretName"),
        ("  - {name: all, secret: {secretName: s}, configMap: {name: w}}\n", "more than 1 volume type"),
        ("  - {name: all, downwardAPI: {items: [{path: a, fieldRef: {fieldPath: status.podIP}}]}}\n", "status.podIP"),
        (
            "  - {name: all, downwardAPI: {items: [{path: a, resourceFieldRef: {resource: limits.cpu}}]}}\n",
            "containerName",
        ),
        ("  - {name: all, projected: {sources: [{serviceAccountToken: {path: t}}]}}\n", "serviceAccountToken"),
    ] {
        let said = run(volume);
        assert!(said.code == 125 && said.err.contains(words) && said.err.contains(".yaml:"), "{words}: {said:#?}");
    }
}
