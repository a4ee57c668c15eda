//! What members leave in volumes and layers does nothing to the host, least of all when the node removes it.

use std::path::Path;

use dwell_tests::node::Node;

use crate::manifest::{Manifest, native, shell};

/// Names and depths that a careless removal stumbles over, below the current folder.
const MESS: &str = "mkdir -p a/b; touch \"$(printf 'new\\nline')\" -- -rf '*' ' '; mkdir locked; touch locked/in; \
    chmod 0 locked; mkfifo fifo; mkdir deep; i=0; while [ $i -lt 300 ]; do i=$((i+1)); \
    mkdir next && mv deep next/deeper-and-deeper-and-deeper && mv next deep; done; echo made";

fn leftovers(state: &Path, uid: &str) -> Vec<std::path::PathBuf> {
    [state.join("lib/pods").join(uid), state.join("run/pods").join(uid)]
        .into_iter()
        .filter(|path| path.exists())
        .collect()
}

#[test]
fn removing_a_pod_follows_no_link_and_leaves_nothing() {
    let node = Node::new();
    let precious = node.files().join("precious");
    std::fs::create_dir_all(precious.join("deep")).expect("makes");
    std::fs::write(precious.join("deep/file"), "kept").expect("writes");
    let links = format!("ln -s {0} folder; ln -s {0}/deep/file file; ln -s / slash; ln -s .. up", precious.display());
    let script =
        format!("set -e; cd /disk; {links}; ({MESS}); cd /memory; {links}; cd /; {links}; ({MESS}); ls /disk/up/bin");
    let mounts = "volumeMounts: [{name: disk, mountPath: /disk}, {name: memory, mountPath: /memory}]";
    let pod = Manifest::new("mess")
        .spec("volumes: [{name: disk, emptyDir: {}}, {name: memory, emptyDir: {medium: Memory}}]")
        .with(native(&node, "main", &script, &[mounts]));
    node.run(&pod.text()).ok();
    let uid = node.pod("mess")["metadata"]["uid"].as_str().expect("a uid").to_owned();
    assert!(!leftovers(&node.state_dir(), &uid).is_empty(), "control: there was something to remove");
    node.dwell(&["rm", "mess"]).ok();
    assert_eq!(leftovers(&node.state_dir(), &uid), Vec::<std::path::PathBuf>::new());
    assert_eq!(std::fs::read_to_string(precious.join("deep/file")).expect("it is still there"), "kept");
}

#[test]
fn a_host_path_volume_outlives_its_pod() {
    let node = Node::new();
    let folder = node.files().join("volume");
    std::fs::create_dir(&folder).expect("makes");
    let pod = Manifest::new("guest")
        .spec(&format!("volumes: [{{name: v, hostPath: {{path: {}}}}}]", folder.display()))
        .with(native(&node, "main", "echo x > /v/file", &["volumeMounts: [{name: v, mountPath: /v}]"]));
    node.run(&pod.text()).ok();
    node.dwell(&["rm", "guest"]).ok();
    assert_eq!(std::fs::read_to_string(folder.join("file")).expect("it is still there"), "x\n");
}

/// CVE-2024-45310 and its family: a mount point lies in a volume that a member could rearrange.
#[test]
fn a_mount_point_that_became_a_link_stays_in_the_member() {
    let node = Node::new();
    let victim = node.files().join("victim");
    std::fs::create_dir(&victim).expect("makes");
    let mounts = "volumeMounts: [{name: outer, mountPath: /v}, {name: inner, mountPath: /v/b/new}]";
    let pod = |name: &str, plant: &str| {
        Manifest::new(name)
            .spec("volumes: [{name: outer, emptyDir: {}}, {name: inner, emptyDir: {}}]")
            .first(native(&node, "plant", plant, &["volumeMounts: [{name: outer, mountPath: /v}]"]))
            .with(native(&node, "main", "echo x > /v/b/new/file; cat /v/b/new/file", &[mounts]))
            .text()
    };
    for (name, to) in
        [("absolute", victim.display().to_string()), ("up", format!("../../../../../..{}", victim.display()))]
    {
        // Whether it is refused or resolved in the member's own root, the host's folder stays as it was.
        node.run(&pod(name, &format!("ln -s {to} /v/b")));
        assert_eq!(std::fs::read_dir(&victim).expect("reads").count(), 0, "{name}");
    }
    let said = node.run(&pod("plain", "mkdir /v/b")).ok();
    assert!(said.ends_with("x\n"), "control: {said}");
}

#[test]
fn a_working_directory_leads_to_nothing_of_the_host() {
    let node = Node::new();
    let marker = node.file("marker", "");
    let victim = node.files().join("victim");
    std::fs::create_dir(&victim).expect("makes");
    let root = dwell_tests::rootfs::busybox(&node.files());
    std::os::unix::fs::symlink(&victim, root.join("link")).expect("links");
    let run = |name: &str, dir: &str| {
        let script = format!("ls -d ../../../../../..{} ./bin/busybox 2>/dev/null; pwd", marker.display());
        node.run(&Manifest::new(name).with(native(&node, "main", &script, &[&format!("workingDir: {dir}")])).text())
    };
    // CVE-2024-21626: any descriptor that init still holds.
    for number in 0..24 {
        let said = run(&format!("fd-{number}"), &format!("/proc/self/fd/{number}"));
        assert!(!said.out.contains("marker") && !said.out.contains("unreachable"), "{number}: {said:#?}");
        // One of init's own, opened on the way, is its own `/proc/self/fd`, by its name.
        assert!(said.code != 0 || said.out == "/proc/1/fd\n", "{number}: {said:#?}");
    }
    let said = run("root", "/proc/1/root/tmp");
    assert!(!said.out.contains("marker"), "{said:#?}");
    // CVE-2026-55686: it is made if it is missing, but not on the host.
    run("linked", "/link/new");
    assert_eq!(std::fs::read_dir(&victim).expect("reads").count(), 0);
    assert_eq!(run("plain", "/tmp/new").ok(), "/tmp/new\n", "control");
    assert!(
        crate::probe::host_script(&format!("cd /tmp; ls -d ../../..{}", marker.display())).contains("marker"),
        "control"
    );
}

#[test]
fn a_read_only_root_takes_no_write_and_no_image_is_ever_written() {
    let node = Node::new();
    let script = "(echo x > /new; echo x >> /etc/passwd; rm /bin/ls) 2>&1; true";
    let sealed = native(&node, "main", script, &["securityContext: {readOnlyRootFilesystem: true}"]);
    let said = node.run(&Manifest::new("sealed").with(sealed).text()).ok();
    assert_eq!(said.matches("Read-only file system").count(), 3, "{said}");
    let said = node.run(&shell(&node, "open", script)).ok();
    assert_eq!(said, "", "control: a writable root takes them");
    let root = dwell_tests::rootfs::busybox(&node.files());
    assert!(!root.join("new").exists() && root.join("bin/ls").symlink_metadata().is_ok());
}
