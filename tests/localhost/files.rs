//! A file written by either kind is read by the other at once: no delay, no cache, no rename needed.

use dwell_tests::{guest, rootfs};
use serde_json::{Value, json};

use crate::pod;

const ROUNDS: u32 = 30;

fn native(root: &std::path::Path, name: &str, script: &str) -> Value {
    json!({"name": name, "image": format!("rootfs:{}", root.display()), "command": ["sh", "-c", script],
           "volumeMounts": [{"name": "shared", "mountPath": "/shared"}]})
}

#[test]
fn what_native_writes_wasm_reads_at_once() {
    let node = crate::shared();
    let root = rootfs::busybox(&node.files());
    let web = json!({"name": "web", "image": format!("wasm:{}", guest::path("http.wasm").display()), "ports": [{"containerPort": 8080}],
                     "volumeMounts": [{"name": "shared", "mountPath": "/data"}]});
    // Each round writes other bytes into the same file, and asks for them in the next breath.
    let script = format!(
        "until wget -q -O - http://localhost:8080/ >/dev/null 2>&1; do sleep 0.05; done\n\
         i=0; while [ $i -lt {ROUNDS} ]; do i=$((i+1)); echo round $i >/shared/note\n\
         got=$(wget -q -O - 'http://localhost:8080/file?path=/data/note'); [ \"$got\" = \"round $i\" ] || {{ echo \"$i: $got\"; exit 1; }}\n\
         done; echo all rounds"
    );
    node.start(&pod(
        "native-writes",
        &[web, native(&root, "writer", &script)],
        json!({"volumes": [{"name": "shared", "emptyDir": {}}]}),
    ));
    crate::wait_for_line(&node, "native-writes", "writer", "all rounds");
    node.dwell(&["rm", "-f", "native-writes"]).ok();
}

#[test]
fn what_wasm_writes_native_reads_at_once() {
    let node = crate::shared();
    let root = rootfs::busybox(&node.files());
    // The member that writes tells the other through a second file, which it makes after the first: whoever sees the
    // second must see the first, whole.
    let mut args: Vec<String> = Vec::new();
    for round in 1..=ROUNDS {
        args.extend(
            [
                "write",
                "/data/note",
                &format!("round {round}"),
                "--",
                "write",
                &format!("/data/done-{round}"),
                "x",
                "--",
            ]
            .map(String::from),
        );
        args.extend(["wait", &format!("/data/seen-{round}"), "--"].map(String::from));
    }
    args.pop();
    let writer = json!({"name": "writer", "image": format!("wasm:{}", guest::path("files.wasm").display()), "args": args,
                        "volumeMounts": [{"name": "shared", "mountPath": "/data"}]});
    let script = format!(
        "i=0; while [ $i -lt {ROUNDS} ]; do i=$((i+1)); until [ -e /shared/done-$i ]; do sleep 0.01; done\n\
         got=$(cat /shared/note); [ \"$got\" = \"round $i\" ] || {{ echo \"$i: $got\"; exit 1; }}; : >/shared/seen-$i\n\
         done; echo all rounds"
    );
    let containers = [writer, native(&root, "reader", &script)];
    let out = node.run(&pod("wasm-writes", &containers, json!({"volumes": [{"name": "shared", "emptyDir": {}}]}))).ok();
    assert!(out.contains("all rounds"), "{out}");
    node.dwell(&["rm", "wasm-writes"]).ok();
}
