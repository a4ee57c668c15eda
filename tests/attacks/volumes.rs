//! Places in volumes that members rearrange while the node or init walks to them: mount points and subPaths.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use dwell_tests::host::{host_apart, host_script};
use dwell_tests::manifest::Manifest;
use dwell_tests::node::Said;

use crate::flip::Flip;
use crate::stage::{CONFIG, SECRET, Stage, host_path};

/// Members that start while two names change places, in as many Pods.
const MEMBERS: usize = 6;
const PODS: usize = 4;

/// `a` is a folder with a file, `b` a link to the victim; soon it is the other way round.
fn folder_and_link(stage: &Stage) -> PathBuf {
    let shared = stage.folder("shared");
    std::fs::create_dir(shared.join("a")).expect("makes");
    std::fs::write(shared.join("a/kept"), "shared\n").expect("writes");
    symlink(&stage.victim, shared.join("b")).expect("links");
    shared
}

/// Starts members, again and again, while `a` and `b` change places; all that they and the node said.
fn race(stage: &Stage, shared: &Path, volumes: &str, container: impl Fn(&str) -> String) -> Vec<Said> {
    let flip = Flip::begin(shared);
    let run = |_| {
        let pod = Manifest::new("attack").spec(volumes);
        let members = (0..MEMBERS).map(|number| container(&format!("member-{number}")));
        let said = stage.node.run(&members.fold(pod, Manifest::with).text());
        stage.node.dwell(&["rm", "-f", "attack"]).ok();
        said
    };
    let said = (0..PODS).map(run).collect();
    flip.end();
    said
}

/// Leaves the link at `a`, where a runtime without the guard would walk.
fn link_at_a(shared: &Path) -> String {
    if !shared.join("a").is_symlink() {
        host_script(&format!("cd {} && mv a c && mv b a", shared.display()));
    }
    shared.join("a").display().to_string()
}

fn nobody_read_it(said: &[Said]) {
    let told = said.iter().find(|said| said.out.contains(SECRET) || said.err.contains(SECRET));
    assert!(told.is_none(), "{told:#?}");
}

#[test]
fn cve_2024_45310_no_mount_point_is_made_where_a_racing_link_leads() {
    let stage = Stage::new();
    let (before, shared) = (stage.look(), folder_and_link(&stage));
    let volumes = format!("{}, {{name: inner, emptyDir: {{}}}}]", host_path(&shared).trim_end_matches(']'));
    let mounts = "volumeMounts: [{name: v, mountPath: /v}, {name: inner, mountPath: /v/a/new/deep}]";
    let said = race(&stage, &shared, &volumes, |name| stage.native(name, "ls /v/a/new", &[mounts]));
    assert_eq!(stage.look(), before);
    assert!(said.iter().any(|said| said.out.contains("deep")), "control: some got there: {said:#?}");
    host_script(&format!("mkdir -p {}/new/deep", link_at_a(&shared)));
    assert_ne!(stage.look(), before, "control: whoever follows it makes folders there");
}

#[test]
fn cve_2024_45310_wasm_mount_point_is_not_made_where_a_racing_link_leads() {
    let stage = Stage::new();
    let (before, shared) = (stage.look(), folder_and_link(&stage));
    stage.node.run(CONFIG).ok();
    let volumes = format!("{}, {{name: c, configMap: {{name: words}}}}]", host_path(&shared).trim_end_matches(']'));
    let mounts = "volumeMounts: [{name: v, mountPath: /v}, {name: c, mountPath: /v/a/new.conf, subPath: app.conf}]";
    let said = race(&stage, &shared, &volumes, |name| stage.wasm(name, &["open /v/a/new.conf"], &[mounts]));
    assert_eq!(stage.look(), before);
    assert!(said.iter().any(|said| said.out.contains(": ok")), "control: some got there: {said:#?}");
    host_script(&format!(": > {}/new.conf", link_at_a(&shared)));
    assert_ne!(stage.look(), before, "control: whoever follows it makes a file there");
}

/// What `subPath: a` and `a/kept` give while `a` is a folder, a link to the victim, a folder …
fn swapped(part: &str, container: impl Fn(&Stage, &str, &str) -> String) -> (Stage, PathBuf) {
    let stage = Stage::new();
    let (before, shared) = (stage.look(), folder_and_link(&stage));
    let mount = format!("volumeMounts: [{{name: v, mountPath: /part, subPath: {part}}}]");
    let said = race(&stage, &shared, &host_path(&shared), |name| container(&stage, name, &mount));
    assert_eq!(stage.look(), before);
    nobody_read_it(&said);
    assert!(said.iter().any(|said| said.out.contains("shared")), "control: some got the folder: {said:#?}");
    (stage, shared)
}

/// A bind of the same path by its name, as the kernel walks it.
fn bound_by_name(stage: &Stage, path: &str) {
    let target = stage.folder("target");
    let _ = std::fs::write(stage.node.files().join("file"), "");
    let at = if path.ends_with("kept") { stage.node.files().join("file") } else { target };
    let script = format!("mount --bind {path} {0} && cat {0}/kept {0} 2>/dev/null", at.display());
    assert_eq!(host_apart(&script), SECRET, "control: whoever follows it mounts the host's");
}

/// Prints what it was given, whether a folder or a file.
const SHOW: &str = "cat /part/kept 2>/dev/null || cat /part";

#[test]
fn cve_2021_25741_a_sub_path_that_is_swapped_is_the_volumes_or_nothing() {
    let (stage, shared) = swapped("a", |stage, name, mount| stage.native(name, SHOW, &[mount]));
    bound_by_name(&stage, &link_at_a(&shared));
}

#[test]
fn cve_2021_25741_wasm_sub_path_that_is_swapped_is_the_volumes_or_nothing() {
    let read = ["files.wasm", "read", "/part/kept"];
    let (stage, shared) = swapped("a", |stage, name, mount| stage.guest(name, &read, &[mount]));
    bound_by_name(&stage, &link_at_a(&shared));
    let mount = ["volumeMounts: [{name: v, mountPath: /part, subPath: a}]"];
    let said = stage.once(stage.guest("main", &read, &mount), &[&host_path(&shared)]);
    assert!(said.code != 0 && said.out.is_empty() && said.err.contains("subPath a"), "the link for good: {said:#?}");
}

#[test]
fn cve_2024_11218_a_file_below_what_is_swapped_is_the_volumes_or_nothing() {
    let (stage, shared) = swapped("a/kept", |stage, name, mount| stage.native(name, SHOW, &[mount]));
    bound_by_name(&stage, &format!("{}/kept", link_at_a(&shared)));
}

#[test]
fn cve_2024_11218_wasm_file_below_what_is_swapped_is_the_volumes_or_nothing() {
    let read = ["files.wasm", "read", "/part"];
    let (stage, shared) = swapped("a/kept", |stage, name, mount| stage.guest(name, &read, &[mount]));
    let linked = format!("{}/kept", link_at_a(&shared));
    let mount = ["volumeMounts: [{name: v, mountPath: /part, subPath: a/kept}]"];
    let said = stage.once(stage.guest("main", &read, &mount), &[&host_path(&shared)]);
    assert!(said.code != 0 && said.out.is_empty() && said.err.contains("subPath a/kept"), "for good: {said:#?}");
    bound_by_name(&stage, &linked);
}

/// A mount with these words besides is refused before anything is walked.
fn refused(stage: &Stage, shared: &Path, container: impl Fn(&str) -> String, words: &[&str]) {
    let before = stage.look();
    for more in words {
        let mount = format!("volumeMounts: [{{name: v, mountPath: /part, {more}}}]");
        let said = stage.once(container(&mount), &[&host_path(shared)]);
        assert!(said.code != 0 && said.out.is_empty(), "{more}: {said:#?}");
    }
    assert_eq!(stage.look(), before);
}

/// Links of the volume under the ways in which a mount may be propagated, and ways that there are not.
const PROPAGATED: [&str; 5] = [
    "subPath: b, mountPropagation: HostToContainer",
    "subPath: b, mountPropagation: Bidirectional",
    "subPath: b, mountPropagation: None",
    "subPath: a, mountPropagation: rshared",
    "subPath: a, mountPropagation: 'None,src=/'",
];

#[test]
fn cve_2024_9407_how_a_mount_is_propagated_opens_no_other_folder() {
    let stage = Stage::new();
    let shared = folder_and_link(&stage);
    refused(&stage, &shared, |mount| stage.native("main", SHOW, &[mount]), &PROPAGATED);
    let plain = ["volumeMounts: [{name: v, mountPath: /part, subPath: a, mountPropagation: None}]"];
    assert_eq!(stage.once(stage.native("main", SHOW, &plain), &[&host_path(&shared)]).ok(), "shared\n", "control");
    bound_by_name(&stage, &shared.join("b").display().to_string());
}

#[test]
fn cve_2024_9407_wasm_mount_is_not_propagated_at_all() {
    let stage = Stage::new();
    let shared = folder_and_link(&stage);
    let guest = |mount: &str| stage.wasm("main", &["open /part/kept"], &[mount]);
    refused(&stage, &shared, guest, &PROPAGATED);
    refused(&stage, &shared, guest, &["subPath: a, mountPropagation: HostToContainer"]);
    let plain = ["volumeMounts: [{name: v, mountPath: /part, subPath: a, mountPropagation: None}]"];
    let said = stage.once(stage.wasm("main", &["open /part/kept"], &plain), &[&host_path(&shared)]);
    assert!(said.out.contains(": ok"), "control: {said:#?}");
    bound_by_name(&stage, &shared.join("b").display().to_string());
}

/// Names of what is kept for members that would climb, were they walked.
const CLIMBING: [&str; 5] = [
    "subPath: ../victim",
    "subPath: a/../../victim",
    "subPath: /etc",
    "subPathExpr: $(UP)/victim",
    "subPathExpr: a/$(UP)/$(UP)/victim",
];

fn climbs_nowhere(container: impl Fn(&Stage, &str) -> String) {
    let stage = Stage::new();
    let shared = folder_and_link(&stage);
    refused(&stage, &shared, |mount| container(&stage, mount), &CLIMBING);
    for volume in [
        "persistentVolumeClaim: {claimName: ../../../../files/victim}",
        "persistentVolumeClaim: {claimName: a/b}",
        "configMap: {name: ../../../../files/victim}",
        "secret: {secretName: words, items: [{key: a, path: ../victim/new}]}",
    ] {
        let pod = format!("volumes: [{{name: v, {volume}}}]");
        let said = stage.once(container(&stage, "volumeMounts: [{name: v, mountPath: /part}]"), &[&pod]);
        assert!(said.code != 0 && said.out.is_empty(), "{volume}: {said:#?}");
    }
    let climbed = format!("cat {}/../victim/kept", shared.display());
    assert_eq!(host_script(&climbed), SECRET, "control: walked by name, it leads there");
}

#[test]
fn cve_2024_9675_no_name_climbs_out_of_where_it_is_kept() {
    climbs_nowhere(|stage, mount| stage.native("main", SHOW, &[mount, "env: [{name: UP, value: ..}]"]));
}

#[test]
fn cve_2024_9675_wasm_names_climb_no_further() {
    climbs_nowhere(|stage, mount| stage.wasm("main", &["open /part/kept"], &[mount, "env: [{name: UP, value: ..}]"]));
}
