//! A Pod that runs becomes another in part: images, limits, labels, time. Who is not concerned goes on.

use dwell_tests::node::Node;
use serde_json::{Value, json};

use crate::{before_containers, guest, native, patch, patch_as};

const HEAD: &str = "apiVersion: v1\nkind: Pod\nmetadata: {name: web, labels: {tier: front}}\nspec:\n  \
                    terminationGracePeriodSeconds: 1\n";

/// A Pod `web` of these containers, with further lines of its spec.
fn pod(spec: &str, containers: &str) -> String {
    format!("{HEAD}{spec}  containers:\n{containers}")
}

fn of(pod: &Value, list: &str, name: &str) -> Value {
    let all = pod["status"][list].as_array().into_iter().flatten();
    all.into_iter().find(|status| status["name"] == name).cloned().unwrap_or_default()
}

fn container(pod: &Value, name: &str) -> Value {
    of(pod, "containerStatuses", name)
}

/// A second root file system, which knows its name.
fn second_root(node: &Node) -> String {
    let root = node.files().join("second");
    let first = dwell_tests::rootfs::busybox(&node.files());
    let copied = std::process::Command::new("cp").arg("-a").arg(first).arg(&root).status().expect("run cp");
    assert!(copied.success());
    std::fs::write(root.join("name"), "second\n").expect("write into it");
    root.display().to_string()
}

#[test]
fn one_container_gets_another_image_and_nobody_else_notices() {
    let node = Node::new();
    let mount = "    volumeMounts: [{name: v, mountPath: /data}]\n";
    let app = native(
        &node,
        "app",
        "cat /name; ls /data; touch /data/of-the-first; until [ -e /data/end ]; do sleep 0.1; done; exit 3",
        mount,
    );
    let other = native(&node, "other", "exec sleep 600", "");
    let wasm = guest("module", "sleep.wasm", "['600']", "");
    node.start(&pod("  restartPolicy: Never\n  volumes: [{name: v, emptyDir: {}}]\n", &(app + &other + &wasm)));
    let before = node.wait_for_phase("web", "Running");
    node.wait_for("web", "the file", |_| {
        node.dwell(&["exec", "web", "-c", "app", "--", "ls", "/data/of-the-first"]).code == 0
    });
    let set = node.dwell(&["set", "image", "web", &format!("app=rootfs:{}", second_root(&node))]);
    assert_eq!(set.ok(), "web\n");
    let after = node.wait_for("web", "the second", |pod| {
        container(pod, "app")["restartCount"] == 1 && container(pod, "app")["state"]["running"].is_object()
    });
    assert_eq!(node.printed("web", "app", "of-the-first\n"), "second\nof-the-first\n", "with the volume as it was");
    assert_eq!(after["status"]["podIP"], before["status"]["podIP"]);
    for name in ["other", "module"] {
        assert_eq!(container(&after, name), container(&before, name), "{name} goes on");
    }
    let last = &container(&after, "app")["lastState"]["terminated"];
    assert_eq!(last["message"], "Container app definition changed, will be restarted", "{last:#}");
    let events = node.dwell(&["events", "web"]).ok();
    assert!(events.contains("definition changed"), "{events}");
    // The new one ends as the policy says.
    node.dwell(&["exec", "web", "-c", "app", "--", "touch", "/data/end"]).ok();
    let end = node.wait_for("web", "its end", |pod| container(pod, "app")["state"]["terminated"].is_object());
    assert_eq!(container(&end, "app")["restartCount"], 1, "Never: the replacement was no failure, this was");
}

#[test]
fn modules_and_sidecars_are_replaced_too_also_when_the_node_is_killed_meanwhile() {
    let node = Node::new();
    let side = native(&node, "side", "exec sleep 600", "    restartPolicy: Always\n");
    let wasm = guest("module", "sleep.wasm", "['600']", "");
    let text = before_containers(&pod("", &wasm), &format!("  initContainers:\n{side}"));
    node.start(&text);
    node.wait_for_phase("web", "Running");
    let hello = dwell_tests::guest::path("spin.wasm");
    let images = [format!("module=wasm:{}", hello.display()), format!("side=rootfs:{}", second_root(&node))];
    node.dwell(&["set", "image", "web", &images[0], &images[1]]).ok();
    assert!(node.kill_node(), "there is a node");
    let now = node.wait_for("web", "both", |pod| {
        let (module, side) = (container(pod, "module"), of(pod, "initContainerStatuses", "side"));
        let runs = |status: &Value| status["state"]["running"].is_object();
        module["restartCount"] == 1 && side["restartCount"] == 1 && runs(&module) && runs(&side)
    });
    assert_eq!(container(&now, "module")["image"], format!("wasm:{}", hello.display()));
    assert_eq!(node.dwell(&["exec", "web", "-c", "side", "--", "cat", "/name"]).ok(), "second\n");
}

/// The limit as its cgroup has it, of either version.
fn memory_limit(node: &Node, pod: &str, container: &str) -> u64 {
    let uid = node.pod(pod)["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
    let find = format!(
        "find /sys/fs/cgroup -path '*{uid}/{container}-*' -name 'memory.max' -o -path '*{uid}/{container}-*' -name memory.limit_in_bytes"
    );
    let found = std::process::Command::new("sh").args(["-c", &find]).output().expect("run find").stdout;
    let paths = String::from_utf8(found).expect("paths");
    let path = paths.lines().next().unwrap_or_else(|| panic!("no group of {container}: {paths}"));
    std::fs::read_to_string(path).expect("read the limit").trim().parse().expect("a number")
}

#[test]
fn limits_change_while_it_runs_and_in_the_kernel() {
    let node = Node::new();
    let limited = "    resources: {limits: {memory: 64Mi, cpu: 500m}}\n    resizePolicy: [{resourceName: cpu, restartPolicy: RestartContainer}]\n";
    let app = native(&node, "app", "exec sleep 600", limited);
    let free = native(&node, "free", "exec sleep 600", "    resources: {limits: {memory: 32Mi, cpu: 100m}}\n");
    let wasm = guest("module", "sleep.wasm", "['600']", "    resources: {limits: {memory: 64Mi, cpu: 100m}}\n");
    node.start(&pod("", &(app + &free + &wasm)));
    let before = node.wait_for_phase("web", "Running");
    let resize = |name: &str, memory: &str, cpu: &str| {
        let amounts = json!({"memory": memory, "cpu": cpu});
        let list = json!([{"name": name, "resources": {"limits": amounts, "requests": amounts}}]);
        patch(&node, "web/resize", &json!({"spec": {"containers": list}}))
    };
    for (memory, bytes) in [("256Mi", 256 << 20), ("16Mi", 16 << 20), ("128Mi", 128 << 20)] {
        let answer = resize("free", memory, "100m");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert_eq!(memory_limit(&node, "web", "free"), bytes, "when it is answered");
    }
    let now = node.pod("web");
    let free = container(&now, "free");
    assert_eq!(free["restartCount"], 0);
    assert_eq!(free["state"], container(&before, "free")["state"]);
    assert_eq!(free["resources"]["limits"]["memory"], "128Mi");
    assert_eq!(free["allocatedResources"]["memory"], "128Mi");
    node.dwell(&["set", "resources", "web", "-c", "app", "--limits", "cpu=600m,memory=64Mi"]).ok();
    node.dwell(&["set", "resources", "web", "-c", "module", "--limits", "cpu=100m,memory=96Mi"]).ok();
    let after = node.wait_for("web", "those that begin anew", |pod| {
        ["app", "module"].iter().all(|name| {
            let status = container(pod, name);
            status["restartCount"] == 1 && status["state"]["running"].is_object()
        })
    });
    assert_eq!(container(&after, "free")["restartCount"], 0);
    assert_eq!(memory_limit(&node, "web", "app"), 64 << 20);
}

#[test]
fn nobody_is_ended_by_a_limit_below_what_it_uses() {
    let node = Node::new();
    let eats = "a=$(head -c 30000000 /dev/zero | tr '\\0' x); echo full; while :; do sleep 1; done";
    let app = native(&node, "app", eats, "    resources: {limits: {memory: 256Mi}}\n");
    node.start(&pod("", &app));
    node.wait_for_phase("web", "Running");
    assert_eq!(node.printed("web", "app", "full\n"), "full\n");
    let less = node.dwell(&["set", "resources", "web", "--limits", "memory=8Mi"]);
    assert!(less.code == 125 && less.err.contains("more than the limit of 8388608"), "{less:#?}");
    assert_eq!(memory_limit(&node, "web", "app"), 256 << 20, "all is as it was");
    let status = container(&node.pod("web"), "app");
    assert_eq!((&status["restartCount"], &status["resources"]["limits"]["memory"]), (&json!(0), &json!("256Mi")));
}

#[test]
fn words_about_it_reach_its_volumes() {
    let node = Node::new();
    let mount = "    volumeMounts: [{name: info, mountPath: /info}]\n";
    let volume =
        "  volumes: [{name: info, downwardAPI: {items: [{path: labels, fieldRef: {fieldPath: metadata.labels}}]}}]\n";
    node.start(&pod(volume, &native(&node, "app", "exec sleep 600", mount)));
    node.wait_for_phase("web", "Running");
    let operations = json!([{"op": "replace", "path": "/metadata/labels/tier", "value": "back"}]);
    let answer = patch_as("json-patch", &node, "web", &operations);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let answer = patch_as("merge-patch", &node, "web", &json!({"metadata": {"labels": {"more": "x"}}}));
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let labels = node.dwell(&["exec", "web", "--", "cat", "/info/labels"]).ok();
    assert_eq!(labels, "more=\"x\"\ntier=\"back\"");
    assert_eq!(container(&node.pod("web"), "app")["restartCount"], 0);
}

#[test]
fn what_may_not_change_is_refused_and_named() {
    let node = Node::new();
    node.start(&pod("", &native(&node, "app", "exec sleep 600", "")));
    let before = node.wait_for_phase("web", "Running");
    let refused = |body: Value, word: &str| {
        let answer = patch(&node, "web", &body);
        assert!(answer.starts_with("HTTP/1.1 422") && answer.contains(word), "{answer}");
    };
    refused(json!({"spec": {"hostNetwork": true}}), "spec.hostNetwork");
    refused(json!({"spec": {"containers": [{"name": "app", "command": ["true"]}]}}), "spec.containers[0].command");
    refused(json!({"spec": {"containers": [{"name": "new", "image": "wasm:/x"}]}}), "spec.containers");
    refused(json!({"spec": {"containers": [{"name": "app", "image": "nginx"}]}}), "spec.containers[0].image");
    let renamed = patch(&node, "web", &json!({"metadata": {"name": "other"}}));
    assert!(renamed.starts_with("HTTP/1.1 400"), "{renamed}");
    let yaml = patch_as("apply-patch", &node, "web", &json!({}));
    assert!(yaml.starts_with("HTTP/1.1 415"), "{yaml}");
    let missing = node.dwell(&["set", "image", "web", "nobody=wasm:/x"]);
    assert!(missing.code == 125 && missing.err.contains("nobody"), "{missing:#?}");
    let now = node.pod("web");
    assert_eq!((&now["spec"], &now["status"]), (&before["spec"], &before["status"]));
}

#[test]
fn a_pod_is_given_less_time() {
    let node = Node::new();
    node.start(&pod("", &native(&node, "app", "exec sleep 600", "")));
    node.wait_for_phase("web", "Running");
    let answer = patch(&node, "web", &json!({"spec": {"activeDeadlineSeconds": 1}}));
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let pod = node.wait_for_phase("web", "Failed");
    assert_eq!(pod["status"]["reason"], "DeadlineExceeded");
}

#[test]
fn up_changes_what_can_change() {
    let node = Node::new();
    let app = native(&node, "app", "cat /name; exec sleep 600", "");
    node.start(&pod("", &app));
    let before = node.wait_for_phase("web", "Running");
    let root = dwell_tests::rootfs::busybox(&node.files()).display().to_string();
    let file = node.file("next.yaml", &pod("", &app.replace(&root, &second_root(&node))));
    node.dwell(&["up", file.to_str().unwrap()]).ok();
    node.wait_for("web", "the second", |pod| container(pod, "app")["restartCount"] == 1);
    assert_eq!(node.printed("web", "app", "second\n"), "second\n");
    let now = node.pod("web");
    assert_eq!(now["metadata"]["uid"], before["metadata"]["uid"], "it is the same Pod");
    let other = node.file("other.yaml", &pod("  hostname: other\n", &app));
    let said = node.dwell(&["up", other.to_str().unwrap()]);
    assert!(said.code == 125 && said.err.contains("spec.hostname") && said.err.contains("--replace"), "{said:#?}");
}

/// Once, the new image waited for as long as the failures of the one before had earned.
#[test]
fn an_image_that_is_mended_begins_at_once() {
    let node = Node::new();
    let app = native(&node, "app", "test -e /name && grep -q second /name && exec sleep 600; exit 7", "");
    node.start(&pod("", &app));
    node.wait_for("web", "a back-off", |pod| {
        container(pod, "app")["restartCount"].as_u64() >= Some(1)
            && container(pod, "app")["state"]["waiting"]["reason"] == "CrashLoopBackOff"
    });
    let set = node.dwell(&["set", "image", "web", &format!("app=rootfs:{}", second_root(&node))]);
    assert_eq!(set.ok(), "web\n");
    let events = |node: &Node| node.dwell(&["events", "web"]).ok();
    let before = events(&node).matches("BackOff").count();
    node.wait_for("web", "it runs", |pod| container(pod, "app")["state"]["running"].is_object());
    assert_eq!(events(&node).matches("BackOff").count(), before, "and not by another try");
}

/// Once, the lower limit held while the run before it was still to end, and the kernel ended it.
#[test]
fn a_member_that_must_begin_anew_ends_with_the_limit_it_had() {
    let node = Node::new();
    let eats = "a=$(head -c 30000000 /dev/zero | tr '\\0' x); trap 'echo in order; exit 0' TERM; echo full; \
                while :; do sleep 0.1; done";
    let more = "    resources: {limits: {memory: 256Mi}}\n    \
                resizePolicy: [{resourceName: memory, restartPolicy: RestartContainer}]\n";
    node.start(&pod("", &native(&node, "app", eats, more)).replace("Seconds: 1\n", "Seconds: 20\n"));
    node.wait_for_phase("web", "Running");
    assert_eq!(node.printed("web", "app", "full\n"), "full\n");
    node.dwell(&["set", "resources", "web", "-c", "app", "--limits", "memory=16Mi"]).ok();
    let after = node.wait_for("web", "its end", |pod| container(pod, "app")["lastState"]["terminated"].is_object());
    let last = &container(&after, "app")["lastState"]["terminated"];
    assert_eq!((&last["exitCode"], &last["reason"]), (&json!(0), &json!("Completed")), "{last:#}");
    let previous = node.dwell(&["logs", "web", "-c", "app", "-p"]).ok();
    assert!(previous.ends_with("in order\n"), "{previous}");
}

#[test]
fn up_begins_what_has_ended_or_says_that_it_does_not() {
    let node = Node::new();
    let root = dwell_tests::rootfs::busybox(&node.files()).display().to_string();
    let (app, second) = (native(&node, "app", "cat /name; exec sleep 600", ""), second_root(&node));
    node.start(&pod("", &app));
    node.wait_for_phase("web", "Running");
    node.dwell(&["stop", "web"]).ok();
    let uid = node.pod("web")["metadata"]["uid"].clone();
    let next = node.file("next.yaml", &pod("", &app.replace(&root, &second)));
    node.dwell(&["up", next.to_str().unwrap()]).ok();
    assert_eq!(node.printed("web", "app", "second\n"), "second\n");
    assert_eq!(node.pod("web")["metadata"]["uid"], uid);
    node.dwell(&["rm", "-f", "web"]).ok();
    let job =
        |image: &str| pod("  restartPolicy: Never\n", &native(&node, "app", "cat /name", "").replace(&root, image));
    node.run(&job(&root));
    let next = node.file("job.yaml", &job(&second));
    let said = node.dwell(&["up", next.to_str().unwrap()]);
    assert!(said.code == 125 && said.err.contains("--replace"), "{said:#?}");
    node.dwell(&["up", "--replace", next.to_str().unwrap()]).ok();
    assert_eq!(node.printed("web", "app", "second\n"), "second\n");
}

/// Once, a change of one that has ended made a record in the run folder again, which hid what came later.
#[test]
fn what_has_ended_is_changed_in_its_record_alone() {
    let node = Node::new();
    node.run(&pod("  restartPolicy: Never\n", &native(&node, "app", "true", ""))).ok();
    let uid = node.pod("web")["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
    let answer = patch(&node, "web", &json!({"metadata": {"labels": {"tier": "past"}}}));
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(node.pod("web")["metadata"]["labels"]["tier"], "past");
    assert!(!node.state_dir().join("run/pods").join(&uid).join("pod.json").exists());
    node.dwell(&["rm", "web"]).ok();
    assert!(!node.state_dir().join("run/pods").join(&uid).exists(), "nothing is left");
}
