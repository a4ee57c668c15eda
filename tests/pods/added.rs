//! Containers that are added to a Pod that runs (`dwell debug`), beside members of both kinds.

use std::process::Stdio;

use dwell_tests::node::{Node, Said, wait_until};
use serde_json::{Value, json};

use crate::{before_containers, native, patch, shell};

fn debug(node: &Node, args: &[&str]) -> Said {
    let root = format!("rootfs:{}", dwell_tests::rootfs::busybox(&node.files()).display());
    node.dwell(&[&["debug", "--image", &root], args].concat())
}

fn added<'a>(pod: &'a Value, name: &str) -> &'a Value {
    let statuses = pod["status"]["ephemeralContainerStatuses"].as_array().into_iter().flatten();
    statuses.into_iter().find(|status| status["name"] == name).unwrap_or(&Value::Null)
}

/// `main` of the one or the other kind with a volume at `/data`, filled by an init container.
fn with_volume(node: &Node, name: &str, main: &str) -> String {
    let mounts = "    volumeMounts: [{name: v, mountPath: /data}]\n";
    let filled = native(node, "fill", "echo from the volume > /data/note", mounts);
    let pod = format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  restartPolicy: Never\n  \
         terminationGracePeriodSeconds: 1\n  volumes: [{{name: v, emptyDir: {{}}}}]\n  containers:\n{main}{mounts}"
    );
    before_containers(&pod, &format!("  initContainers:\n{filled}"))
}

#[test]
fn it_sees_the_targets_processes_and_volumes_whatever_kind_that_is() {
    let node = Node::new();
    let kinds = [
        ("one", native(&node, "main", "exec sleep 600", ""), "sleep 600"),
        ("two", crate::guest("main", "sleep.wasm", "['600']", ""), "dwell-worker"),
    ];
    for (pod, main, first) in kinds {
        node.start(&with_volume(&node, pod, &main));
        node.wait_for_phase(pod, "Running");
        let look =
            "ps -o pid,args | sed -n 2p; cat /data/note; ls /proc/1/root >/dev/null && echo sees its root; exit 4";
        let said = debug(&node, &[pod, "--target", "main", "--", "sh", "-c", look]);
        let lines: Vec<&str> = said.out.lines().map(str::trim).collect();
        assert_eq!(lines, [&*format!("1 {first}"), "from the volume", "sees its root"], "{said:#?}");
        assert_eq!(said.code, 4);
        let alone = debug(&node, &[pod, "--", "sh", "-c", "echo $$; ls /data"]);
        assert_eq!((alone.code, alone.out.trim()), (1, "1"), "without a target it is by itself: {alone:#?}");
        let now = node.pod(pod);
        assert_eq!(now["status"]["phase"], "Running");
        assert_eq!(now["status"]["containerStatuses"][0]["restartCount"], 0);
        assert_eq!(now["status"]["ephemeralContainerStatuses"].as_array().map(Vec::len), Some(2));
        assert_eq!(node.dwell(&["exec", pod, "-c", "main", "--", "sleep.wasm", "0"]).code == 0, pod == "two");
    }
}

#[test]
fn it_shares_the_pods_network_and_outlives_the_node() {
    let node = Node::new();
    node.start(&shell(&node, "web", "Always", "echo served | nc -l -p 7000; exec sleep 600"));
    node.wait_for_phase("web", "Running");
    assert_eq!(
        debug(&node, &["web", "--", "sh", "-c", "until nc 127.0.0.1 7000; do sleep 0.1; done"]).ok(),
        "served\n"
    );
    let script = "i=0; while [ $i -lt 3 ]; do [ -e /go ] && i=3; sleep 0.05; done; echo over; exit 9";
    assert_eq!(debug(&node, &["web", "-d", "-c", "late", "--", "sh", "-c", script]).ok(), "late\n");
    node.wait_for("web", "the debugger", |pod| added(pod, "late")["state"]["running"].is_object());
    assert!(node.kill_node(), "there is a node");
    node.dwell(&["exec", "web", "-c", "late", "--", "touch", "/go"]).ok();
    let pod = node.wait_for("web", "its end", |pod| added(pod, "late")["state"]["terminated"].is_object());
    assert_eq!(added(&pod, "late")["state"]["terminated"]["exitCode"], 9);
    assert_eq!(node.dwell(&["logs", "web", "-c", "late"]).ok(), "over\n");
    assert_eq!(pod["status"]["containerStatuses"][0]["restartCount"], 0);
    node.dwell(&["restart", "web"]).ok();
    node.wait_for_phase("web", "Running");
    // What is begun after it would have been.
    debug(&node, &["web", "--", "true"]).ok();
    assert_eq!(added(&node.pod("web"), "late"), added(&pod, "late"), "it is begun once");
    node.dwell(&["exec", "web", "--", "true"]).ok();
}

#[test]
fn a_pod_ends_without_asking_what_was_added() {
    let node = Node::new();
    node.start(&shell(&node, "short", "Never", "until [ -e /end ]; do sleep 0.05; done"));
    node.wait_for_phase("short", "Running");
    debug(&node, &["short", "-d", "-c", "shell", "--", "sleep", "600"]).ok();
    node.wait_for("short", "the debugger", |pod| added(pod, "shell")["state"]["running"].is_object());
    node.dwell(&["exec", "short", "-c", "main", "--", "touch", "/end"]).ok();
    let pod = node.wait_for_phase("short", "Succeeded");
    assert_eq!(
        added(&pod, "shell")["state"]["terminated"]["exitCode"],
        137,
        "sleep is deaf to SIGTERM as a first process"
    );
    let late = debug(&node, &["short", "--", "true"]);
    assert!(late.code == 125 && late.err.contains("the Pod is not running but ended"), "{late:#?}");
}

#[test]
fn one_waits_for_a_target_that_will_run_and_fails_when_it_will_not() {
    let node = Node::new();
    let init = native(&node, "first", "until [ -e /go ]; do sleep 0.05; done", "");
    let pod = shell(&node, "slow", "Never", "until [ -e /end ]; do sleep 0.05; done");
    let second = native(&node, "other", "exec sleep 600", "");
    node.start(&(before_containers(&pod, &format!("  initContainers:\n{init}")) + &second));
    node.wait_for("slow", "the init container", |pod| {
        pod["status"]["initContainerStatuses"][0]["state"]["running"].is_object()
    });
    debug(&node, &["slow", "-d", "-c", "early", "--target", "main", "--", "sleep", "600"]).ok();
    debug(&node, &["slow", "--", "true"]).ok();
    assert!(added(&node.pod("slow"), "early")["state"]["waiting"].is_object(), "others do not wait");
    node.dwell(&["exec", "slow", "-c", "first", "--", "touch", "/go"]).ok();
    node.wait_for("slow", "the debugger", |pod| added(pod, "early")["state"]["running"].is_object());
    node.dwell(&["exec", "slow", "-c", "main", "--", "touch", "/end"]).ok();
    let pod = node.wait_for("slow", "its end", |pod| added(pod, "early")["state"]["terminated"].is_object());
    assert_eq!(pod["status"]["phase"], "Running", "the other member lives");
    let late = debug(&node, &["slow", "--target", "main", "--", "true"]);
    assert!(late.code == 125 && late.err.contains("look for its target: container main is not running"), "{late:#?}");
}

#[test]
fn what_cannot_be_added_is_named_and_nothing_is_left() {
    let node = Node::new();
    node.start(&shell(&node, "web", "Always", "exec sleep 600"));
    node.wait_for_phase("web", "Running");
    for (args, why) in [
        (&["web", "--target", "mian", "--", "true"][..], "did you mean main?"),
        (&["web", "-c", "main", "--", "true"], "Duplicate value: \"main\""),
        (&["web", "-c", "Not_A_Name", "--", "true"], "RFC 1123 label"),
        (&["wbe", "--", "true"], "did you mean web?"),
        (&["web", "-e", "=x", "--", "true"], "expected NAME=VALUE"),
    ] {
        let said = debug(&node, args);
        assert!(said.code == 125 && said.err.contains(why), "{args:?}: {said:#?}");
    }
    assert_eq!(node.pod("web")["spec"]["ephemeralContainers"], Value::Null);
    let missing = node.dwell(&["debug", "web", "--image", "rootfs:/no/such/folder", "--", "true"]);
    assert!(missing.code == 125 && missing.err.contains("/no/such/folder"), "{missing:#?}");
    assert_eq!(debug(&node, &["web", "--", "no-such-program"]).code, 127);
    let module = format!("wasm:{}", dwell_tests::guest::path("hello.wasm").display());
    let hello = node.dwell(&["debug", "web", "--target", "main", "--image", &module]);
    assert!(hello.code == 0 && hello.out.contains("hello from WebAssembly"), "{hello:#?}");
    node.dwell(&["exec", "web", "--", "true"]).ok();
    assert_eq!(node.pod("web")["status"]["phase"], "Running");
}

#[test]
fn profiles_give_what_they_say() {
    let node = Node::new();
    node.start(&shell(&node, "web", "Always", "exec sleep 600"));
    node.wait_for_phase("web", "Running");
    let capabilities = |profile: &str| {
        let said = debug(&node, &["web", "--profile", profile, "--", "grep", "CapEff", "/proc/self/status"]).ok();
        u64::from_str_radix(said.trim().trim_start_matches("CapEff:").trim(), 16).expect("a mask")
    };
    let (ptrace, net_admin) = (1 << 19, 1 << 12);
    let baseline = capabilities("baseline");
    assert_eq!(capabilities("general"), baseline | ptrace);
    assert_eq!(capabilities("netadmin"), baseline | net_admin);
    assert_ne!(capabilities("sysadmin") & 1 << 21, 0, "CAP_SYS_ADMIN");
    let root = debug(&node, &["web", "--profile", "restricted", "--", "true"]);
    assert!(root.code == 125 && root.err.contains("must not run as root"), "{root:#?}");
}

#[test]
fn a_signal_ends_what_was_added_and_not_the_pod() {
    let node = Node::new();
    node.start(&shell(&node, "web", "Always", "exec sleep 600"));
    node.wait_for_phase("web", "Running");
    let root = format!("rootfs:{}", dwell_tests::rootfs::busybox(&node.files()).display());
    let script = "trap 'echo told; exit 0' TERM; echo ready; while :; do sleep 0.05; done";
    let args = ["debug", "web", "-c", "d", "--image", &root, "--", "sh", "-c", script];
    let mut child = node.command(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("start dwell");
    assert!(wait_until(|| node.dwell(&["logs", "web", "-c", "d"]).out == "ready\n"));
    dwell_tests::node::kill(child.id() as i32, 2);
    assert_eq!(child.wait().expect("its end").code(), Some(0));
    assert_eq!(node.dwell(&["logs", "web", "-c", "d"]).ok(), "ready\ntold\n");
    assert_eq!(node.pod("web")["status"]["phase"], "Running");
}

/// What `kubectl debug` sends is a strategic merge with directions of its own.
#[test]
fn a_merge_of_kubectls_adds_and_changes_nothing_that_is_there() {
    let node = Node::new();
    node.start(&shell(&node, "web", "Always", "exec sleep 600"));
    node.wait_for_phase("web", "Running");
    let patch = |body: Value| patch(&node, "web/ephemeralcontainers?fieldManager=kubectl-debug", &body);
    let root = format!("rootfs:{}", dwell_tests::rootfs::busybox(&node.files()).display());
    let one = |args: &[&str], more: Value| {
        let mut one = json!({"name": "d", "image": root, "args": args, "resources": {},
            "terminationMessagePolicy": "File", "imagePullPolicy": "IfNotPresent"});
        more.as_object().unwrap().iter().for_each(|(key, value)| one[key] = value.clone());
        json!({"spec": {"$setElementOrder/ephemeralContainers": [{"name": "d"}], "ephemeralContainers": [one]}})
    };
    for (body, status, why) in [
        (one(&["true"], json!({"comand": ["x"]})), 422, "spec.ephemeralContainers[0].comand"),
        (one(&["true"], json!({"ports": [{"containerPort": 1}]})), 422, "has no ports"),
        (json!({"spec": {"ephemeralContainers": "d"}}), 422, "spec.ephemeralContainers"),
        (json!({"spec": {"ephemeralContainers": []}}), 200, "\"name\":\"web\""),
        (json!({}), 200, "\"name\":\"web\""),
        (one(&["echo", "first"], json!({})), 200, "\"name\":\"d\""),
        (one(&["echo", "first"], json!({})), 200, "\"name\":\"d\""),
        (one(&["echo", "second"], json!({})), 422, "was added before"),
    ] {
        let answer = patch(body.clone());
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")) && answer.contains(why), "{body}: {answer}");
    }
    node.wait_for("web", "its end", |pod| added(pod, "d")["state"]["terminated"].is_object());
    assert_eq!(node.dwell(&["logs", "web", "-c", "d"]).ok(), "first\n");
}

/// The client waited for ever: the container that it had added was never to begin, and the Pod was over.
#[test]
fn who_waits_for_a_target_hears_of_its_pods_end_and_can_give_up() {
    let node = Node::new();
    let init = native(&node, "first", "exec sleep 600", "");
    let pod = before_containers(&shell(&node, "slow", "Never", "true"), &format!("  initContainers:\n{init}"));
    node.start(&pod.replace("terminationGracePeriodSeconds: 5", "terminationGracePeriodSeconds: 0"));
    node.wait_for("slow", "the init container", |pod| {
        pod["status"]["initContainerStatuses"][0]["state"]["running"].is_object()
    });
    let root = format!("rootfs:{}", dwell_tests::rootfs::busybox(&node.files()).display());
    let begin = |name: &str| {
        let args = ["debug", "slow", "-q", "-c", name, "--target", "main", "--image", &root, "--", "true"];
        let child = node.command(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("start dwell");
        node.wait_for("slow", name, |pod| added(pod, name)["state"]["waiting"].is_object());
        child
    };
    let (mut leaves, mut stays) = (begin("leaves"), begin("stays"));
    dwell_tests::node::kill(leaves.id() as i32, 2);
    assert_eq!(leaves.wait().expect("its end").code(), Some(137));
    assert!(added(&node.pod("slow"), "leaves")["state"]["terminated"].is_object(), "nobody waits for it");
    node.dwell(&["stop", "slow"]).ok();
    assert_eq!(stays.wait().expect("its end").code(), Some(137));
    let over = node.pod("slow");
    assert!(added(&over, "stays")["state"]["terminated"].is_object(), "{over:#}");
}
