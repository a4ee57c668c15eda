//! What images and environments say: nothing that is written in an image decides what the host does, nothing of the
//! node's own environment reaches a member, and no link among log files is followed.

use std::os::unix::fs::symlink;
use std::process::Command;

use dwell_tests::host::{host, host_script};
use dwell_tests::manifest::{Manifest, wasm};
use dwell_tests::node::{Said, wait_until};

use crate::stage::{SECRET, Stage};

/// What is planned for a Pod, without running it.
fn plan(stage: &Stage, pod: &Manifest) -> String {
    let path = stage.node.file("planned.yaml", &pod.text());
    stage.node.dwell(&["plan", path.to_str().expect("a path")]).ok()
}

/// The same is planned and run with these files in the image and without; returns what the member said.
fn files_decide_nothing(stage: &Stage, files: &[(&str, String)], container: String) -> Said {
    let before = stage.look();
    let pod = Manifest::new("attack").with(container);
    let without = plan(stage, &pod);
    files.iter().for_each(|(at, text)| stage.file(at, text));
    assert_eq!(plan(stage, &pod), without);
    let said = stage.node.run(&pod.text());
    assert_eq!(stage.look(), before);
    said
}

/// Labels, with which an image would name a program of the host's for its output, or a health check.
fn labels(stage: &Stage) -> Vec<(&'static str, String)> {
    let run = format!("binary:///bin/sh?-c=touch {}/ran", stage.victim.display());
    let config = format!(
        r#"{{"config":{{"Labels":{{"containerd.io/restart.loguri":"{run}","containerd.io/restart.status":"running"}},
        "Entrypoint":["/bin/false"],"Healthcheck":{{"Test":["CMD-SHELL","{run}"]}}}}}}"#
    );
    ["config.json", "manifest.json", "index.json", "oci-layout"].map(|name| (name, config.clone())).to_vec()
}

/// What somebody would do who believed the label.
fn believed(stage: &Stage) {
    let before = stage.look();
    let label =
        host_script(&format!("sed -n 's/.*-c=\\(touch [^\"]*\\)\",.*/\\1/p' {}/config.json", stage.image.display()));
    host_script(label.trim());
    assert_ne!(stage.look(), before, "control: whoever believes it runs {label}");
}

#[test]
fn cve_2026_53488_no_label_of_an_image_runs_a_program_of_the_hosts() {
    let stage = Stage::new();
    let said = files_decide_nothing(&stage, &labels(&stage), stage.native("main", "echo own words", &[]));
    assert_eq!(said.ok(), "own words\n");
    believed(&stage);
}

#[test]
fn cve_2026_53488_wasm_image_has_no_say_either() {
    let stage = Stage::new();
    let said = files_decide_nothing(&stage, &labels(&stage), stage.wasm("main", &["stat /config.json"], &[]));
    assert!(said.out.contains(": ok"), "{said:#?}");
    believed(&stage);
}

/// What a checkpoint would bring of devices, mounts and the state of a container.
fn checkpoint(stage: &Stage) -> Vec<(&'static str, String)> {
    let spec = format!(
        r#"{{"annotations":{{"cdi.k8s.io/attack":"vendor.example/device=all"}},"linux":{{"devices":[{{"path":"/dev/host","type":"c",
        "major":1,"minor":1}}]}},"mounts":[{{"destination":"/mnt","type":"bind","source":"{}","options":["rbind"]}}]}}"#,
        stage.victim.display()
    );
    let names = ["spec.dump", "config.dump", "status", "checkpoint/descriptors.json", "etc/cdi/attack.json"];
    names.map(|name| (name, spec.clone())).to_vec()
}

/// A manifest that asks for what a checkpoint smuggles has it, so a plan would show it.
fn asked_for(stage: &Stage, container: String, more: String) {
    let plain = plan(stage, &Manifest::new("attack").with(container));
    let volume = format!("volumes: [{{name: v, hostPath: {{path: {}}}}}]", stage.victim.display());
    let asked = plan(stage, &Manifest::new("attack").spec(&volume).with(more));
    assert!(asked != plain && asked.contains("volume v"), "control: {asked}");
}

const MNT: &str = "volumeMounts: [{name: v, mountPath: /mnt}]";

#[test]
fn cve_2026_53492_no_device_or_mount_comes_with_an_image() {
    let stage = Stage::new();
    let script = "ls /dev/host /mnt/kept 2>&1; true";
    let said = files_decide_nothing(&stage, &checkpoint(&stage), stage.native("main", script, &[])).ok();
    assert_eq!(said.matches("No such file").count(), 2, "{said}");
    asked_for(&stage, stage.native("main", script, &[]), stage.native("main", script, &[MNT]));
}

#[test]
fn cve_2026_53492_wasm_grants_do_not_come_with_an_image() {
    let stage = Stage::new();
    let doors = ["open /dev/host", "open /mnt/kept", "stat /mnt"];
    let said = files_decide_nothing(&stage, &checkpoint(&stage), stage.wasm("main", &doors, &[]));
    crate::stage::all_shut(&said);
    asked_for(&stage, stage.wasm("main", &doors, &[]), stage.wasm("main", &doors, &[MNT]));
}

/// Links and a FIFO stand where the log's next files go, as if somebody could put them there: nothing is read from them,
/// nothing written to them, and nobody waits.
fn no_log_is_a_link(container: impl Fn(&Stage) -> String) {
    let stage = Stage::new();
    stage.link("container.log", stage.victim.join("kept"));
    let before = stage.look();
    stage.node.start(&Manifest::new("attack").with(container(&stage)).text());
    let logs = || stage.node.dwell(&["logs", "attack", "-c", "main"]);
    assert!(wait_until(|| logs().out.contains("ok")));
    let uid = stage.node.pod("attack")["metadata"]["uid"].as_str().expect("a uid").to_owned();
    let folder = stage.node.state_dir().join("lib/pods").join(uid).join("logs/main");
    for name in ["1.0.log", "1.1.log", "8.0.log"] {
        symlink(stage.victim.join("kept"), folder.join(name)).expect("links");
    }
    assert_eq!(host(&["mkfifo", &folder.join("9.0.log").display().to_string()]), "");
    for args in [
        &["logs", "attack", "-c", "main"][..],
        &["logs", "-p", "attack", "-c", "main"],
        &["logs", "--tail", "5", "attack", "-c", "main"],
    ] {
        let said = stage.node.dwell(args);
        assert!(!said.out.contains(SECRET) && !said.err.contains(SECRET), "{said:#?}");
    }
    stage.node.dwell(&["restart", "attack"]);
    let started = |pod: &serde_json::Value| pod["status"]["containerStatuses"][0]["restartCount"].as_u64() > Some(0);
    stage.node.wait_for("attack", "its next start", started);
    stage.node.dwell(&["rm", "-f", "attack"]).ok();
    assert_eq!(stage.look(), before, "the next start writes through no link");
    let control = stage.node.files().join("1.0.log");
    symlink(stage.victim.join("kept"), &control).expect("links");
    host_script(&format!("echo line >> {}", control.display()));
    assert_ne!(stage.look(), before, "control: whoever opens it by its name writes there");
}

#[test]
fn cve_2026_53489_no_link_among_log_files_is_followed() {
    no_log_is_a_link(|stage| stage.native("main", "echo ok; exec sleep 600", &[]));
}

#[test]
fn cve_2026_53489_wasm_log_is_no_link() {
    no_log_is_a_link(|stage| {
        stage.wasm("main", &["stat /container.log", "stat /bin"], &[]) + &stage.native("stays", "exec sleep 600", &[])
    });
}

/// Runs a Pod on a node that was started with a secret in its environment.
fn of_a_node_with_a_secret(stage: &Stage, container: String) -> String {
    let path = stage.node.file("env.yaml", &Manifest::new("attack").with(container).text());
    let mut command = stage.node.command(&["run", path.to_str().expect("a path")]);
    let output = command.env("HOST_ONLY", SECRET).output().expect("runs");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Variables of an image without a value, which elsewhere are taken from whoever runs it.
fn nameless(stage: &Stage) {
    stage.file("config.json", r#"{"config":{"Env":["HOST_ONLY","HOST_ONLY=$HOST_ONLY","*"]}}"#);
    stage.file("etc/environment", "HOST_ONLY\nHOST_ONLY=$HOST_ONLY\n");
}

fn is_inherited_by_others() {
    let child = Command::new("env").env("HOST_ONLY", SECRET).output().expect("runs");
    assert!(String::from_utf8_lossy(&child.stdout).contains(SECRET), "control: any other child has it");
}

const UNVALUED: &str = "env: [{name: HOST_ONLY}, {name: GIVEN, value: $(HOST_ONLY)x}]";

#[test]
fn cve_2026_57231_nothing_of_the_hosts_environment_is_a_members() {
    let stage = Stage::new();
    nameless(&stage);
    let said = of_a_node_with_a_secret(&stage, stage.native("main", "env; cat /proc/self/environ", &[UNVALUED]));
    assert!(said.contains("GIVEN=") && !said.contains(SECRET), "{said}");
    is_inherited_by_others();
}

#[test]
fn cve_2026_57231_wasm_environment_has_nothing_of_the_hosts() {
    let stage = Stage::new();
    let said = of_a_node_with_a_secret(&stage, wasm("main", "env.wasm", &["HOST_ONLY", "GIVEN"], &[UNVALUED]));
    assert!(said.contains("GIVEN") && !said.contains(SECRET), "{said}");
    is_inherited_by_others();
}
