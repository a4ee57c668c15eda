//! Symbolic links, a FIFO, a device and a huge sparse file that one member plants in every volume it shares: the node, its
//! commands, later containers and siblings pass them by.
//!
//! The Pod `garden` has a native member and a Wasm one with the same volumes. Each plants what its kind can: WASI makes
//! links that lead upward, and has no call for the rest.

use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use dwell_tests::host::{host, host_script};
use dwell_tests::manifest::Manifest;
use dwell_tests::node::{Node, Said, kill, wait_until};

use crate::stage::{SECRET, Stage, all_shut};

/// Bytes of the sparse file, more than any disk here.
const HUGE: u64 = 1 << 40;

/// Where the volumes are in both members.
const PLACES: [&str; 4] = ["/disk", "/memory", "/claim", "/host"];

pub const MOUNTS: &str = "volumeMounts: [{name: disk, mountPath: /disk}, {name: memory, mountPath: /memory}, \
    {name: claim, mountPath: /claim}, {name: host, mountPath: /host}]";

/// The volumes of every garden; the last is a folder of the host's.
pub fn volumes(stage: &Stage) -> String {
    format!(
        "volumes: [{{name: disk, emptyDir: {{}}}}, {{name: memory, emptyDir: {{medium: Memory}}}}, {{name: claim, \
         persistentVolumeClaim: {{claimName: kept}}}}, {{name: host, hostPath: {{path: {}}}}}]",
        stage.folder("shared").display()
    )
}

/// What a native member plants in one folder.
pub fn plant(stage: &Stage, place: &str) -> String {
    let [absolute, up] = stage.ways(&stage.victim);
    format!(
        "cd {place} && ln -s {} absolute && ln -s {} up && ln -s .. parent && ln -s / root && ln -s self self && \
         ln -s {}/kept file && mkfifo fifo && mknod device c 1 5 && printf '\\0asm' > huge && truncate -s {HUGE} huge",
        absolute.display(),
        up.display(),
        absolute.display(),
    )
}

/// Everywhere.
fn plant_all(stage: &Stage) -> String {
    PLACES.map(|place| plant(stage, place)).join(" && ")
}

/// What a Wasm member plants: links that lead upward, to folders and to the file.
fn plant_as_guest(stage: &Stage) -> Vec<String> {
    let up = stage.ways(&stage.victim)[1].display().to_string();
    let links = |place: &&str| {
        ["guest-up", "guest-file", "guest-parent"].map(|name| match name {
            "guest-up" => format!("symlink {up} {place}/{name}"),
            "guest-file" => format!("symlink {up}/kept {place}/{name}"),
            _ => format!("symlink .. {place}/{name}"),
        })
    };
    PLACES.iter().flat_map(links).collect()
}

/// A garden, planted; both members live on.
fn garden(stage: &Stage) {
    let doors = plant_as_guest(stage);
    let doors: Vec<&str> = doors.iter().map(String::as_str).collect();
    let main = stage.native("main", &format!("{} && echo planted; exec sleep 600", plant_all(stage)), &[MOUNTS]);
    let guest = stage.guest("mod", &["sleep.wasm", "600"], &[MOUNTS]);
    let pod = Manifest::new("garden").spec(&volumes(stage)).with(main).with(guest);
    stage.node.start(&pod.with(stage.wasm("plants", &doors, &[MOUNTS])).text());
    stage.node.printed("garden", "main", "planted\n");
    let planted = || stage.node.dwell(&["logs", "garden", "-c", "plants"]).out;
    assert!(wait_until(|| planted().matches(": ok").count() == doors.len()), "a guest makes such links: {}", planted());
}

/// The names that were planted, and which of them lead somewhere.
const LINKS: [&str; 8] = ["absolute", "up", "root", "parent", "self", "guest-up", "guest-parent", "file"];

fn cp(node: &Node, container: &str, from: &str, to: &Path) -> Said {
    node.dwell(&["cp", "-c", container, from, to.to_str().expect("a path")])
}

/// Whether a file anywhere below holds what is the victim's alone.
fn holds_the_secret(folder: &Path) -> bool {
    // FIFOs and devices are passed by, and what has no end is not read.
    !host_script(&format!("grep -rlD skip --exclude=huge \"{SECRET}\" {}", folder.display())).is_empty()
}

#[test]
fn who_asks_about_a_garden_is_answered() {
    let stage = Stage::new();
    let before = stage.look();
    garden(&stage);
    for args in [
        &["ps", "-o", "wide"][..],
        &["inspect", "garden"],
        &["logs", "garden", "-c", "main"],
        &["stats", "--no-stream", "garden"],
        &["exec", "garden", "-c", "main", "--", "/bin/ls", "/host"],
    ] {
        let said = stage.node.dwell(args);
        assert!(said.code == 0 && !said.out.contains(SECRET), "{args:?}: {said:#?}");
    }
    assert_eq!(stage.look(), before);
    let control = format!("cat {}/guest-file", stage.folder("shared").display());
    assert_eq!(host_script(&control), SECRET, "control: on the host the guest's link leads there");
}

#[test]
fn what_is_copied_out_of_a_garden_is_the_gardens() {
    let stage = Stage::new();
    let before = stage.look();
    garden(&stage);
    let out = stage.folder("out");
    for (container, place) in [("main", "/disk"), ("main", "/host"), ("mod", "/disk"), ("mod", "/host")] {
        for name in ["absolute", "up", "self", "guest-up", "guest-file", "file"] {
            let said = cp(&stage.node, container, &format!("garden:{place}/{name}"), &out.join(name));
            assert!(said.code != 0, "{container} {place}/{name}: {said:#?}");
        }
        let said = cp(&stage.node, container, &format!("garden:{place}/device"), &out.join("device"));
        assert!(said.code != 0 && !out.join("device").exists(), "{said:#?}");
        let fifo = out.join(format!("fifo{}-{container}", place.replace('/', "-")));
        cp(&stage.node, container, &format!("garden:{place}/fifo"), &fifo).ok();
        assert!(std::fs::symlink_metadata(&fifo).expect("it came").file_type().is_fifo(), "as what it is");
    }
    assert!(!holds_the_secret(&out));
    assert_eq!(stage.look(), before);
    let control = format!("cp {}/file {}", stage.folder("shared").display(), out.display());
    host_script(&control);
    assert!(holds_the_secret(&out), "control: walked by name, they lead there");
}

/// The copy of what has no end is begun and given up; the node goes on, and nothing half is left.
#[test]
fn a_huge_hole_that_is_copied_out_can_be_given_up() {
    let stage = Stage::new();
    garden(&stage);
    let out = stage.folder("out");
    for container in ["main", "mod"] {
        let args = ["cp", "-c", container, "garden:/host/huge", out.to_str().expect("a path")];
        let mut copy = stage.node.command(&args).spawn().expect("runs");
        let begun = || std::fs::read_dir(&out).expect("lists").count() == 1;
        assert!(wait_until(begun), "control: it begins");
        kill(copy.id() as i32, libc::SIGINT);
        copy.wait().expect("ends");
        assert_eq!(std::fs::read_dir(&out).expect("lists").count(), 0);
    }
    assert_eq!(stage.node.dwell(&["exec", "garden", "-c", "main", "--", "/bin/echo", "well"]).ok(), "well\n");
}

#[test]
fn what_is_copied_into_a_garden_lands_there_or_nowhere() {
    let stage = Stage::new();
    let before = stage.look();
    garden(&stage);
    let name = format!("attack-{}", std::process::id());
    let note = stage.node.file(&name, "a note");
    let note = note.to_str().expect("a path");
    let into =
        |container: &str, path: &str| stage.node.dwell(&["cp", "-c", container, note, &format!("garden:{path}")]);
    for container in ["main", "mod"] {
        for link in LINKS {
            // A link inside the member's own root is followed as the member would.
            into(container, &format!("/host/{link}/{name}"));
        }
        for kind in ["fifo", "device"] {
            let said = into(container, &format!("/host/{kind}"));
            assert!(said.code != 0 && said.err.contains("is not replaced"), "{kind}: {said:#?}");
        }
        into(container, "/host/file");
    }
    assert_eq!(stage.look(), before);
    for place in [Path::new("/"), &stage.node.files(), &stage.node.state_dir()] {
        assert!(place == stage.node.files() || !place.join(&name).exists(), "{}", place.display());
    }
    let own = stage.folder("shared").join("file");
    assert!(!own.is_symlink() && own.is_file(), "a link in the place of a file is replaced, and not followed");
    host_script(&format!("cp {note} {}/guest-file", stage.folder("shared").display()));
    assert_ne!(stage.look(), before, "control: walked by name, it leads there");
}

/// What a module would be compiled from: the node reads no more of it than a module can be.
#[test]
fn a_huge_hole_that_begins_like_a_module_is_refused() {
    let stage = Stage::new();
    garden(&stage);
    let said = stage.node.dwell(&["exec", "garden", "-c", "mod", "--", "/host/huge"]);
    assert!(said.code != 0 && said.err.contains("larger than 256 MB"), "{said:#?}");
    std::fs::rename(stage.folder("shared").join("huge"), stage.image.join("bin/huge")).expect("moves");
    let said = stage.once(stage.guest("main", &["huge"], &[]), &[]);
    assert!(said.code == 126 && said.err.contains("larger than 256 MB"), "an image's: {said:#?}");
    let said = stage.node.dwell(&["exec", "garden", "-c", "mod", "--", "/bin/escape.wasm", "stat", "/host/fifo"]);
    assert!(said.out.contains(": ok"), "control: a module that is one: {said:#?}");
    let said = stage.node.dwell(&["exec", "garden", "-c", "mod", "--", "/host/fifo"]);
    assert!(said.code != 0 && said.err.contains("none"), "a FIFO is no module, and nobody waits: {said:#?}");
}

#[test]
fn a_garden_goes_with_its_pod_and_what_its_links_lead_to_stays() {
    let stage = Stage::new();
    let before = stage.look();
    garden(&stage);
    let uid = stage.node.pod("garden")["metadata"]["uid"].as_str().expect("a uid").to_owned();
    let folders =
        [stage.node.state_dir().join("lib/pods").join(&uid), stage.node.state_dir().join("run/pods").join(&uid)];
    let claim = stage.node.state_dir().join("lib/claims/default/kept");
    assert!(folders.iter().all(|folder| folder.exists()) && claim.join("huge").exists(), "control: it was there");
    stage.node.dwell(&["rm", "-f", "garden"]).ok();
    stage.node.dwell(&["rm", "pvc/kept"]).ok();
    assert!(!claim.exists() && !folders.iter().any(|folder| folder.exists()));
    let removed = stage.node.state_dir().join("lib/claims/.removed");
    assert_eq!(std::fs::read_dir(removed).map_or(0, Iterator::count), 0);
    assert_eq!(stage.look(), before);
    assert!(stage.folder("shared").join("huge").exists(), "a hostPath's is the host's");
    let shared = stage.folder("shared").display().to_string();
    host_script(&format!("rm -rf {shared}/absolute/*"));
    assert_ne!(stage.look(), before, "control: whoever follows a link while removing removes there");
}

#[test]
fn a_group_is_given_the_claim_and_nothing_behind_its_links() {
    let stage = Stage::new();
    let (before, zero) = (stage.look(), host(&["stat", "-c", "%a %u:%g", "/dev/zero"]));
    garden(&stage);
    stage.node.dwell(&["rm", "-f", "garden"]).ok();
    let group = "securityContext: {fsGroup: 4321}";
    let claim = "volumes: [{name: claim, persistentVolumeClaim: {claimName: kept}}]";
    let mount = ["volumeMounts: [{name: claim, mountPath: /claim}]"];
    for container in [stage.native("main", "true", &mount), stage.wasm("main", &["stat /claim"], &mount)] {
        assert_eq!(stage.once(container, &[group, claim]).code, 0, "nobody waits for a FIFO");
    }
    assert_eq!((stage.look(), host(&["stat", "-c", "%a %u:%g", "/dev/zero"])), (before.clone(), zero));
    let claim = stage.node.state_dir().join("lib/claims/default/kept");
    for name in ["fifo", "device", "huge", "absolute", "guest-file"] {
        let found = std::fs::symlink_metadata(claim.join(name)).expect("it is there");
        assert_eq!(found.gid(), 4321, "control: {name} itself is given");
    }
    host_script(&format!("chgrp 4321 {}/guest-file", claim.display()));
    assert_ne!(stage.look(), before, "control: whoever follows it gives that away");
}

#[test]
fn what_a_native_member_planted_shuts_a_guest_out() {
    let stage = Stage::new();
    let before = stage.look();
    garden(&stage);
    let doors: Vec<String> = PLACES
        .iter()
        .flat_map(|place| LINKS.map(|link| format!("open {place}/{link}/kept")))
        .chain(PLACES.iter().flat_map(|place| ["file", "device"].map(|name| format!("open {place}/{name}"))))
        .chain(PLACES.iter().map(|place| format!("write {place}/file")))
        .collect();
    let words: Vec<&str> = doors.iter().flat_map(|door| door.split(' ').chain(["--"])).collect();
    let command = [&["exec", "garden", "-c", "mod", "--", "/bin/escape.wasm"], &words[..words.len() - 1]].concat();
    all_shut(&stage.node.dwell(&command));
    assert_eq!(stage.look(), before);
    let control = format!("cat {}/absolute/kept", stage.folder("shared").display());
    assert_eq!(host_script(&control), SECRET, "control: on the host it leads there");
}

#[test]
fn what_a_guest_planted_leads_its_sibling_nowhere() {
    let stage = Stage::new();
    let before = stage.look();
    garden(&stage);
    let read = "cat /host/guest-file /host/guest-up/kept /disk/guest-file; echo x > /host/guest-file; cat /host/guest-parent/etc/passwd";
    let said = stage.node.dwell(&["exec", "garden", "-c", "main", "--", "/bin/sh", "-c", read]);
    assert!(!said.out.contains(SECRET) && said.out.contains("root:x:0"), "in its own root, links lead: {said:#?}");
    assert_eq!(stage.look(), before);
}

/// A FIFO holds the guest that opens it, and nobody else; whoever stops the Pod need not wait for the other side.
#[test]
fn a_guest_that_waits_at_a_fifo_can_be_ended() {
    let stage = Stage::new();
    let plant = stage.native("plant", "mkfifo /disk/fifo", &[MOUNTS]);
    let pod = Manifest::new("held").spec(&volumes(&stage)).first(plant);
    stage
        .node
        .start(&pod.with(stage.wasm("main", &["stat /disk/fifo", "open /disk/fifo", "stat /disk"], &[MOUNTS])).text());
    assert!(wait_until(|| stage.node.dwell(&["logs", "held", "-c", "main"]).out.contains("stat /disk/fifo: ok")));
    stage.node.dwell(&["stop", "-t", "0", "held"]).ok();
    let phase = stage.node.pod("held")["status"]["phase"].clone();
    assert!(phase == "Failed" || phase == "Succeeded", "{phase}");
    let uid = stage.node.pod("held")["metadata"]["uid"].as_str().expect("a uid").to_owned();
    let left = stage.node.state_dir().join("run/pods").join(uid);
    assert!(wait_until(|| !left.exists()), "nothing of it is left");
    let fifo = stage.node.files().join("fifo");
    assert_eq!(host(&["mkfifo", &fifo.display().to_string()]), "");
    assert!(std::fs::symlink_metadata(&fifo).expect("made").file_type().is_fifo());
    let control = format!("timeout 1 cat {}; echo $?", fifo.display());
    assert_eq!(host_script(&control), "124\n", "control: whoever opens it waits");
}
