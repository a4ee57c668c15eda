//! What lies in a claim when a Pod comes, and mounts that come later.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use dwell_tests::node::{Node, wait_until};
use serde_json::{Value, json};

use crate::bench::shared;

/// A file of the host's in a claim whose folder is the group's already: who looks at the folder only leaves it as it is.
pub fn a_claim_changes_hands_as_the_policy_says() {
    let bench = shared();
    let mounts = json!({"volumeMounts": [{"name": "v", "mountPath": "/v"}]});
    let run = |policy: &str| {
        let script = "stat -c %g /v/file";
        let mut reads = bench.container("wasm", "files.wasm", &mounts);
        reads["args"] = json!(["read", "/v/file"]);
        let context = json!({"runAsUser": 1234, "runAsGroup": 1234, "fsGroup": 88, "fsGroupChangePolicy": policy});
        let volumes = json!([{"name": "v", "persistentVolumeClaim": {"claimName": "hands"}}]);
        let spec = json!({"securityContext": context, "volumes": volumes});
        let pod = bench.pod("hands", &[bench.shell("native", script, &mounts), reads], &spec);
        bench.start(&pod);
        bench.node.wait_for("hands", "its end", |pod| {
            ["Succeeded", "Failed"].iter().any(|end| pod["status"]["phase"] == *end)
        });
        let said = ["native", "wasm"].map(|name| bench.log("hands", name));
        bench.remove("hands");
        said
    };
    run("Always");
    let file = bench.node.state_dir().join("lib/claims/default/hands/file");
    std::fs::write(&file, "content\n").expect("write into the claim");
    std::os::unix::fs::chown(&file, Some(0), Some(0)).expect("change its owner");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).expect("change its bits");
    let [native, wasm] = run("OnRootMismatch");
    assert_eq!(native, "0\n");
    assert!(wasm.contains("Permission denied"), "{wasm}");
    assert_eq!(run("Always"), ["88\n", "content\n"], "control");
}

/// A shared mount of the test's own, gone at its end.
struct Shared(PathBuf);

impl Shared {
    fn new(node: &Node) -> Shared {
        let folder = node.files().join("shared");
        std::fs::create_dir_all(&folder).expect("make a folder");
        mount(&["-t", "tmpfs", "dwell-test"], &folder);
        mount(&["--make-shared"], &folder);
        let shared = Shared(folder);
        ["later", "inside"].iter().for_each(|part| std::fs::create_dir(shared.0.join(part)).expect("make a folder"));
        shared
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        for path in ["later", "inside"].map(|part| self.0.join(part)).iter().chain([&self.0]) {
            let _ = Command::new("umount").arg("-l").arg(path).stderr(std::process::Stdio::null()).status();
        }
    }
}

fn mount(args: &[&str], on: &Path) {
    assert!(Command::new("mount").args(args).arg(on).status().expect("run mount").success(), "mount {args:?}");
}

/// Its own folder goes with the bench's.
pub fn later_mounts_are_seen_where_the_manifest_says_so() {
    let bench = shared();
    let host = Shared::new(&bench.node);
    let script = "mount -t tmpfs inside /data/inside && echo > /data/inside/made; touch /ready; exec sleep 600";
    let start = |name: &str, mount: &Value| {
        let mut mounts = json!({"name": "data", "mountPath": "/data"});
        crate::merge::merge(&mut mounts, mount);
        let more = json!({"securityContext": {"privileged": true}, "volumeMounts": [mounts]});
        let volumes = json!({"volumes": [{"name": "data", "hostPath": {"path": host.0}}]});
        bench.start(&bench.pod(name, &[bench.shell("main", script, &more)], &volumes));
        assert!(wait_until(|| bench.node.dwell(&["exec", name, "--", "test", "-e", "/ready"]).code == 0), "{name}");
    };
    let came_out = || host.0.join("inside/made").exists();
    start("mounts-none", &json!({}));
    start("mounts-in", &json!({"mountPropagation": "HostToContainer"}));
    assert!(!came_out(), "nothing comes out of these");
    start("mounts-both", &json!({"mountPropagation": "Bidirectional"}));
    assert!(came_out(), "this one's comes out");
    mount(&["-t", "tmpfs", "later"], &host.0.join("later"));
    std::fs::write(host.0.join("later/made"), "").expect("write into it");
    let names = ["mounts-none", "mounts-in", "mounts-both"];
    let sees = |name: &str| bench.node.dwell(&["exec", name, "--", "test", "-e", "/data/later/made"]).code == 0;
    assert_eq!(names.map(sees), [false, true, true]);
    names.iter().for_each(|name| bench.remove(name));
}
