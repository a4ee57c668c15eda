//! `dwell up` and `dwell serve --replace`: after a start of the machine, and said again.

use std::os::unix::net::UnixDatagram;
use std::process::Stdio;
use std::time::Duration;

use dwell_tests::node::{Node, kill, wait_until};
use serde_json::{Value, json};

use crate::{pod, shell};

/// A Pod that always begins again, which keeps how often it did in a claim.
fn kept(node: &Node, name: &str) -> String {
    let mut main = shell(node, "main", "echo begun >> /kept/log; exec sleep 600");
    main["volumeMounts"] = json!([{"name": "v", "mountPath": "/kept"}]);
    let volumes = json!([{"name": "v", "persistentVolumeClaim": {"claimName": format!("{name}-kept")}}]);
    pod(name, &[main], json!({"restartPolicy": "Always", "terminationGracePeriodSeconds": 1, "volumes": volumes}))
}

fn begun(node: &Node, name: &str) -> usize {
    node.dwell(&["exec", name, "--", "cat", "/kept/log"]).ok().lines().count()
}

fn uid(node: &Node, name: &str) -> Value {
    node.pod(name)["metadata"]["uid"].clone()
}

#[test]
fn said_again_it_changes_nothing() {
    let node = Node::new();
    let folder = node.files().join("pods");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("b.yaml"), kept(&node, "two")).unwrap();
    std::fs::write(folder.join("a.json"), kept(&node, "one")).unwrap();
    std::fs::write(folder.join("notes.txt"), "no manifest").unwrap();
    let up = || node.dwell(&["up", folder.to_str().unwrap()]).ok();
    assert_eq!(up(), "one\ntwo\n");
    let first = uid(&node, "one");
    assert_eq!(up(), "one\ntwo\n");
    assert_eq!((uid(&node, "one"), begun(&node, "one")), (first.clone(), 1));
    node.dwell(&["stop", "one"]).ok();
    assert_eq!(node.dwell(&["up"]).ok(), "two\n", "who was stopped stays so");
    assert_eq!(up(), "one\ntwo\n", "unless a manifest says otherwise");
    assert_eq!((uid(&node, "one"), begun(&node, "one")), (first.clone(), 2));
    std::fs::write(folder.join("a.json"), kept(&node, "one").replace("echo begun", "echo another")).unwrap();
    let other = node.dwell(&["up", folder.to_str().unwrap()]);
    assert!(other.code == 125 && other.err.contains("the Pod one is not what its manifest says"), "{other:#?}");
    assert_eq!(begun(&node, "one"), 2, "nothing happened");
    assert_eq!(node.dwell(&["up", "--replace", folder.to_str().unwrap()]).ok(), "one\ntwo\n");
    assert!(uid(&node, "one") != first && begun(&node, "one") == 3, "its claim is kept");
    assert_eq!(begun(&node, "two"), 1);
}

#[test]
fn what_does_not_run_is_named_with_its_reason() {
    let node = Node::new();
    let up = |manifest: &str, more: &[&str]| {
        let path = node.file("up.yaml", manifest);
        node.dwell(&[&["up", path.to_str().unwrap()], more].concat())
    };
    let mut lost = shell(&node, "main", "true");
    lost["image"] = json!("rootfs:/no/such/folder");
    let fails = up(&pod("fails", &[lost], json!({})), &[]);
    assert!(fails.code == 125 && fails.err.contains("the Pod fails has failed"), "{fails:#?}");
    assert_eq!(up(&crate::script(&node, "done", "true"), &[]).ok(), "done\n", "who has done its work is well");
    let mut slow = shell(&node, "main", "sleep 600");
    slow["readinessProbe"] = json!({"exec": {"command": ["false"]}});
    let slow = up(&pod("slow", &[slow], json!({})), &["--timeout", "1s"]);
    assert!(slow.code == 125 && slow.err.contains("the Pod slow does not run yet"), "{slow:#?}");
    let named = crate::script(&node, "x", "true").replace("\"name\":\"x\"", "\"generateName\":\"x-\"");
    let named = up(&named, &[]);
    assert!(named.code == 125 && named.err.contains("metadata.name"), "{named:#?}");
    let missing = node.dwell(&["up", "/no/such/manifest.yaml"]);
    assert!(missing.code == 125 && missing.err.contains("/no/such/manifest.yaml"), "{missing:#?}");
    let empty = node.files().join("empty");
    std::fs::create_dir_all(&empty).unwrap();
    assert_eq!(node.dwell(&["up", empty.to_str().unwrap()]).ok(), "");
    assert_eq!(Node::new().dwell(&["up"]).ok(), "", "nothing to do, nothing started");
}

/// As after a start of the machine: nothing of the Pods is left but what lies on the disk.
#[test]
fn pods_that_were_meant_to_stay_come_back_with_their_volumes() {
    let node = Node::new();
    node.start(&kept(&node, "kept"));
    node.start(&kept(&node, "stopped"));
    node.wait_for_phase("kept", "Running");
    assert!(wait_until(|| begun(&node, "kept") == 1));
    node.dwell(&["stop", "stopped"]).ok();
    node.wait_for_phase("stopped", "Failed");
    assert!(node.kill_node(), "there is a node");
    let title = "pause default/kept";
    let pauses = dwell_tests::world::Process::all();
    let pause = pauses.iter().find(|process| process.command.starts_with(title) && ours(process.pid, &node));
    kill(pause.expect("the Pod's pause").pid, 9);
    assert_eq!(node.dwell(&["up"]).ok(), "kept\n");
    assert_eq!(begun(&node, "kept"), 2);
    assert_eq!(node.pod("stopped")["status"]["phase"], "Failed");
}

/// Whether a process lives in a cgroup of this node's.
fn ours(pid: i32, node: &Node) -> bool {
    let uid = uid(node, "kept");
    let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    groups.contains(uid.as_str().unwrap_or("no uid"))
}

#[test]
fn a_service_takes_the_place_of_the_node_that_is_there_and_says_when_it_is_ready() {
    let node = Node::new();
    node.start(&kept(&node, "kept"));
    node.wait_for_phase("kept", "Running");
    let before = node.node_pid().expect("a node");
    let path = node.files().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let refused = node.dwell(&["serve"]);
    assert!(refused.code == 125 && refused.err.contains("another node holds"), "{refused:#?}");
    let mut service = node.command(&["serve", "--replace"]);
    let mut service = service.env("NOTIFY_SOCKET", &path).stderr(Stdio::null()).spawn().expect("start dwell");
    let mut said = [0; 64];
    let length = socket.recv(&mut said).expect("it says that it is ready");
    assert_eq!(&said[..length], b"READY=1");
    assert!(node.node_pid() == Some(service.id() as i32) && before != service.id() as i32);
    assert_eq!((node.dwell(&["up"]).ok(), begun(&node, "kept")), ("kept\n".to_owned(), 1), "its Pods went on");
    kill(service.id() as i32, 15);
    assert!(service.wait().expect("its end").success());
    node.dwell(&["exec", "kept", "--", "true"]).ok();
}

#[test]
fn a_generated_manifest_makes_the_same_pod_again() {
    let node = Node::new();
    let path = node.file("pod.yaml", &kept(&node, "kept"));
    node.dwell(&["up", path.to_str().unwrap()]).ok();
    let image = crate::image(&node);
    node.dwell(&["debug", "kept", "-q", "--image", &image, "--", "true"]).ok();
    let said = node.dwell(&["generate", "kept"]);
    assert!(said.err.contains("kept also needs persistentvolumeclaim/kept-kept"), "{said:#?}");
    let text = said.ok();
    assert!(!text.contains("status") && !text.contains("uid") && !text.contains("ephemeral"), "{text}");
    let before = uid(&node, "kept");
    let generated = node.file("generated.yaml", &text);
    assert_eq!(node.dwell(&["up", generated.to_str().unwrap()]).ok(), "kept\n");
    assert_eq!(uid(&node, "kept"), before, "it is the same");
    node.dwell(&["rm", "-f", "kept"]).ok();
    assert_eq!(node.dwell(&["up", generated.to_str().unwrap()]).ok(), "kept\n");
    assert_eq!(node.dwell(&["generate", "kept"]).ok(), text);
    let list: Value = serde_json::from_str(&node.dwell(&["generate", "--all", "-o", "json"]).ok()).unwrap();
    assert_eq!(list["metadata"]["name"], "kept");
    let none = node.dwell(&["generate", "kepd"]);
    assert!(none.code == 125 && none.err.contains("did you mean kept?"), "{none:#?}");
}
