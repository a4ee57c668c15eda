//! `subPath` and `subPathExpr`: a file or folder of a volume instead of all of it, for both kinds of member.

use std::os::unix::fs::symlink;

use dwell_tests::node::{Node, Said};

use crate::{before_containers, guest, shell};

const CONFIG: &str = "apiVersion: v1
kind: ConfigMap
metadata: {name: words}
data: {app.conf: setting}
---
";

/// A Pod of one shell with these volumes, mounts and variables.
fn pod(node: &Node, name: &str, script: &str, volumes: &str, more: &str) -> String {
    before_containers(&shell(node, name, "Never", script), &format!("  volumes:\n{volumes}")) + more
}

#[test]
fn one_file_of_a_config_map_is_at_its_place_for_both_kinds() {
    let node = Node::new();
    let volumes = "  - {name: cfg, configMap: {name: words}}\n";
    let mounts = "    volumeMounts: [{name: cfg, mountPath: /etc/app.conf, subPath: app.conf}]\n";
    let script = "cat /etc/app.conf; echo; ls /etc/hosts; echo x 2>&1 > /etc/app.conf";
    let wasm = guest("wasm", "files.wasm", "[read, /etc/app.conf]", mounts);
    let said = node.run(&(CONFIG.to_owned() + &pod(&node, "one", script, volumes, mounts) + &wasm));
    let logs = |container| node.dwell(&["logs", "one", "-c", container]);
    let (native, wasm) = (logs("main"), logs("wasm"));
    assert!(native.out.starts_with("setting\n/etc/hosts\n"), "{native:#?}\n{said:#?}");
    assert!((native.out + &native.err).contains("Read-only file system"), "nobody writes there");
    assert_eq!(wasm.out, "setting", "{said:#?}");
}

#[test]
fn a_folder_is_made_where_there_is_nothing_and_each_has_its_own() {
    let node = Node::new();
    let shared = node.files().join("shared");
    std::fs::create_dir(&shared).unwrap();
    let volumes = format!("  - {{name: v, hostPath: {{path: {}}}}}\n", shared.display());
    let more = "    env: [{name: NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]
    volumeMounts:
    - {name: v, mountPath: /own, subPathExpr: pods/$(NAME)}
    - {name: v, mountPath: /all, readOnly: true}
";
    for name in ["first", "second"] {
        let script = format!("echo {name} > /own/file; ls /own; ls /all/pods; cat /all/pods/{name}/file");
        let said = node.run(&pod(&node, name, &script, &volumes, more)).ok();
        assert!(said.starts_with("file\nfirst\n") && said.ends_with(&format!("{name}\n")), "{said}");
    }
    assert_eq!(std::fs::read_to_string(shared.join("pods/second/file")).unwrap(), "second\n");
}

#[test]
fn no_link_in_a_volume_leads_out_of_it() {
    let node = Node::new();
    let (shared, secret) = (node.files().join("shared"), node.files().join("secret"));
    std::fs::create_dir_all(shared.join("inside")).unwrap();
    std::fs::write(&secret, "secret\n").unwrap();
    std::fs::write(shared.join("inside/file"), "mine\n").unwrap();
    symlink(&secret, shared.join("absolute")).unwrap();
    symlink("../secret", shared.join("relative")).unwrap();
    symlink("..", shared.join("up")).unwrap();
    symlink("inside/file", shared.join("stays")).unwrap();
    let volumes = format!("  - {{name: v, hostPath: {{path: {}}}}}\n", shared.display());
    let run = |name: &str, part: &str| -> Said {
        let mounts = format!("    volumeMounts: [{{name: v, mountPath: /part, subPath: {part}}}]\n");
        node.run(&pod(&node, name, "cat /part || ls /part", &volumes, &mounts))
    };
    assert_eq!(run("stays", "stays").out, "mine\n", "control");
    for (name, part) in [("absolute", "absolute"), ("relative", "relative"), ("up", "up/secret"), ("makes", "up/new")] {
        let said = run(name, part);
        assert!(said.code != 0 && said.err.contains(&format!("subPath {part} of volume v")), "{part}: {said:#?}");
        assert!(!said.out.contains("secret"), "{part}: {said:#?}");
    }
    assert!(!node.files().join("new").exists());
}

#[test]
fn what_is_missing_or_wrong_is_named() {
    let node = Node::new();
    let volumes = "  - {name: v, emptyDir: {}}\n  - {name: cfg, configMap: {name: words}}\n";
    let run = |mount: &str| {
        let mounts = format!("    volumeMounts: [{{mountPath: /m, {mount}}}]\n");
        let said = node.run(&(CONFIG.to_owned() + &pod(&node, "wrong", "true", volumes, &mounts)));
        node.dwell(&["rm", "-f", "wrong"]);
        said
    };
    for (mount, words) in [
        ("name: v, subPath: /a", "must be a relative path"),
        ("name: v, subPath: a/../b", "must not contain '..'"),
        ("name: v, subPath: a, subPathExpr: b", "mutually exclusive"),
        ("name: v, subPathExpr: $(NONE)/a", "missing value for \"NONE\""),
        ("name: cfg, subPath: none", "subPath none of volume cfg: No such file"),
    ] {
        let said = run(mount);
        assert!(said.code != 0 && said.err.contains(words), "{words}: {said:#?}");
    }
}
