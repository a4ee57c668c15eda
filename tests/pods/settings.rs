//! ConfigMaps and Secrets of the same files: variables, whole and by key, for both kinds; what is missing.

use dwell_tests::node::Node;

use crate::{shell, wasm};

const SETTINGS: &str = "apiVersion: v1
kind: ConfigMap
metadata: {name: words}
data: {GREETING: hello, dotted.key: a$(GREETING)}
---
apiVersion: v1
kind: Secret
metadata: {name: keys}
stringData: {PASSWORD: open}
data: {TOKEN: c2VzYW1l}
---
";

const ENV: &str = "    envFrom: [{configMapRef: {name: words}, prefix: W_}, {secretRef: {name: none, optional: true}}]
    env:
    - {name: PASSWORD, valueFrom: {secretKeyRef: {name: keys, key: PASSWORD}}}
    - {name: TOKEN, valueFrom: {secretKeyRef: {name: keys, key: TOKEN}}}
    - {name: ABSENT, valueFrom: {configMapKeyRef: {name: words, key: none, optional: true}}}
    - {name: BOTH, value: $(W_GREETING) $(TOKEN)}
";

#[test]
fn they_become_variables_of_both_kinds() {
    let node = Node::new();
    // Not by a shell, which drops names that it could not say.
    let native = shell(&node, "native", "Never", "env").replacen("[sh, -c, \"env\"]", "[env]", 1);
    let native = SETTINGS.to_owned() + &native + ENV;
    let wasm = wasm::pod("wasm", "env.wasm", "[]", ENV);
    // The second Pod finds what the first one's file brought.
    for manifest in [native, wasm] {
        let said = node.run(&manifest);
        let lines: Vec<&str> = said.out.lines().collect();
        let expected =
            ["W_GREETING=hello", "W_dotted.key=a$(GREETING)", "PASSWORD=open", "TOKEN=sesame", "BOTH=hello sesame"];
        assert!(expected.iter().all(|line| lines.contains(line)) && !said.out.contains("ABSENT"), "{said:#?}");
    }
    let kept = node.state_dir().join("lib/settings/secret/default/keys.json");
    assert!(kept.exists());
    node.kill_node();
    let said = node.run(&(shell(&node, "later", "Never", "echo $W_GREETING") + ENV));
    assert_eq!(said.out, "hello\n", "after a new start of the node: {said:#?}");
    let both = node.dwell(&["rm", "secret/nobody", "secret/keys", "configmap/none", "configmap/words"]);
    assert!(both.code == 125 && both.out == "secret/keys\nconfigmap/words\n", "{both:#?}");
    assert!(both.err.contains("nobody") && both.err.contains("none"), "each that there is not is named: {both:#?}");
    assert!(!kept.exists());
    let gone = node.dwell(&["rm", "secret/keys"]);
    assert!(gone.code == 125 && gone.err.contains("no secret named default/keys"), "{gone:#?}");
}

#[test]
fn a_file_may_bring_nothing_else_and_replaces_what_there_was() {
    let node = Node::new();
    assert_eq!(node.run(SETTINGS).ok(), "configmap/words\nsecret/keys\n");
    node.run(&SETTINGS.replace("hello", "goodbye")).ok();
    let said = node.run(&(shell(&node, "reads", "Never", "echo $W_GREETING") + ENV));
    assert_eq!(said.out, "goodbye\n", "{said:#?}");
}

#[test]
fn what_is_missing_is_named_and_what_is_wrong_refused_with_its_place() {
    let node = Node::new();
    let said = node.run(&(shell(&node, "lacks", "Never", "env") + ENV));
    assert!(said.code == 125 && said.err.contains("configmap \"words\" not found"), "{said:#?}");
    for (from, to, place) in [
        ("c2VzYW1l", "'?'", "base64"),
        ("dotted.key", "'dotted key'", "data[dotted key]"),
        ("data: {TOKEN", "date: {TOKEN", "unknown field"),
        ("{name: keys}", "{name: Keys}", "RFC 1123"),
    ] {
        let said = node.run(&SETTINGS.replace(from, to));
        assert!(said.code == 125 && said.err.contains(place) && said.err.contains(".yaml:"), "{place}: {said:#?}");
    }
}
