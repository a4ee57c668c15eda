//! `dwell cp` both ways, while a member has links in the way: what is unpacked lands below the folder that was named, what
//! is packed came from there, or nothing does.

use std::fs::File;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use dwell_tests::host::host_script;
use dwell_tests::manifest::Manifest;
use dwell_tests::member::Member;
use dwell_tests::node::Said;

use crate::flip::Flip;
use crate::stage::{MOUNTED, SECRET, Stage, host_path};

/// Copies while two names change places.
const COPIES: usize = 40;

/// A native and a Wasm member that share a folder, in which `a` is a folder and `b` a link to the victim.
fn start(stage: &Stage) -> PathBuf {
    let shared = stage.folder("shared");
    std::fs::create_dir(shared.join("a")).expect("makes");
    std::fs::write(shared.join("a/kept"), "shared").expect("writes");
    symlink(&stage.victim, shared.join("b")).expect("links");
    let guest = stage.guest("mod", &["sleep.wasm", "600"], &[MOUNTED]);
    let pod = Manifest::new("attack").spec(&host_path(&shared));
    stage.node.start(&pod.with(stage.native("main", "exec sleep 600", &[MOUNTED])).with(guest).text());
    // Until both have a root of their own.
    Member::of(&stage.node, "attack", "main", "sleep");
    Member::of(&stage.node, "attack", "mod", "dwell-worker");
    shared
}

fn cp(stage: &Stage, container: &str, from: &str, to: &str) -> Said {
    stage.node.dwell(&["cp", "-c", container, from, to])
}

/// `a` is the link now.
fn link_at_a(shared: &Path) {
    if !shared.join("a").is_symlink() {
        host_script(&format!("cd {} && mv a c && mv b a", shared.display()));
    }
}

/// The member's folder as the host's root finds it by its name: absolute links lead into the host.
fn by_name(stage: &Stage) -> String {
    let member = Member::of(&stage.node, "attack", "main", "sleep");
    member.path("root/data/a").display().to_string()
}

/// Copies a file into what is now a folder and now a link; it lands in the folder or nowhere.
fn unpacked_while_swapped(container: &str) {
    let stage = Stage::new();
    let (before, shared) = (stage.look(), start(&stage));
    let note = stage.node.file("note", "a note");
    let note = note.to_str().expect("a path");
    let flip = Flip::begin(&shared);
    let (mut tried, mut landed) = (0, 0);
    // Several walks of one copy must all find the folder; with bad luck it takes more of them.
    while tried < COPIES || (landed == 0 && tried < 50 * COPIES) {
        landed += usize::from(cp(&stage, container, note, "attack:/data/a/kept").code == 0);
        tried += 1;
    }
    flip.end();
    assert!(landed > 0, "control: no copy met the folder");
    link_at_a(&shared);
    let said = cp(&stage, container, note, "attack:/data/a/kept");
    assert!(said.code != 0, "the link for good: {said:#?}");
    assert_eq!(stage.look(), before);
    host_script(&format!("cp {note} {}/kept", by_name(&stage)));
    assert_ne!(stage.look(), before, "control: whoever walks there by name writes to the host");
}

#[test]
fn cve_2025_47290_an_archive_is_unpacked_in_its_folder_or_nowhere() {
    unpacked_while_swapped("main");
}

#[test]
fn cve_2025_47290_wasm_grant_is_not_left_by_an_archive() {
    unpacked_while_swapped("mod");
}

/// An archive that brings a link and then a file, a folder and a hard link behind it, all for everybody to write.
fn hostile_archive(stage: &Stage) -> PathBuf {
    let archive = stage.node.files().join("hostile.tar");
    let made = stage.folder("made");
    let script = format!(
        "cd {made} && ln -s {victim} x && tar -cf {archive} x && rm x && mkdir -m 777 x && echo evil > x/kept && \
         chmod 777 x/kept && tar -rf {archive} x/kept x",
        made = made.display(),
        victim = stage.victim.display(),
        archive = archive.display(),
    );
    assert_eq!(host_script(&script), "");
    archive
}

fn unpacked_behind_its_own_link(container: &str) {
    let stage = Stage::new();
    let (before, shared) = (stage.look(), start(&stage));
    let archive = hostile_archive(&stage);
    let mut command = stage.node.command(&["cp", "-c", container, "-", "attack:/data"]);
    let said = command.stdin(File::open(&archive).expect("opens")).output().expect("runs");
    assert!(!said.status.success(), "what lies behind its own link has no place: {said:?}");
    assert_eq!(stage.look(), before);
    assert!(shared.join("x").is_symlink(), "control: it was unpacked up to there");
    let unguarded = stage.folder("unguarded");
    host_script(&format!("tar -xPf {} --keep-directory-symlink -C {}", archive.display(), unguarded.display()));
    assert_ne!(stage.look(), before, "control: whoever follows it changes modes and contents there");
}

#[test]
fn cve_2021_32760_no_mode_is_changed_behind_a_link_that_an_archive_brought() {
    unpacked_behind_its_own_link("main");
}

#[test]
fn cve_2021_32760_wasm_grant_is_kept_by_what_an_archive_brings() {
    unpacked_behind_its_own_link("mod");
}

/// Whether a file anywhere below holds what is the victim's alone.
fn holds_the_secret(folder: &Path) -> bool {
    !host_script(&format!("grep -rl \"{SECRET}\" {}", folder.display())).is_empty()
}

/// Copies the shared folder out while what is in it is swapped: links stay links, and nothing comes from behind them.
fn packed_while_swapped(container: &str) {
    let stage = Stage::new();
    let (before, shared) = (stage.look(), start(&stage));
    let out = stage.folder("out");
    let flip = Flip::begin(&shared);
    for number in 0..COPIES {
        let to = out.join(number.to_string()).display().to_string();
        cp(&stage, container, "attack:/data", &to);
        cp(&stage, container, "attack:/data/a", &format!("{to}-a"));
        cp(&stage, container, "attack:/data/a/kept", &format!("{to}-kept"));
    }
    flip.end();
    assert!(!holds_the_secret(&out), "it came from behind a link");
    assert!(out.join("0").is_dir(), "control: something was copied");
    link_at_a(&shared);
    let said = cp(&stage, container, "attack:/data/a/kept", &out.join("kept").display().to_string());
    assert!(said.code != 0 && !holds_the_secret(&out), "the link for good: {said:#?}");
    assert_eq!(stage.look(), before);
    host_script(&format!("cp {}/kept {}", by_name(&stage), out.display()));
    assert!(holds_the_secret(&out), "control: whoever walks there by name has the host's");
}

#[test]
fn cve_2023_0778_a_volume_is_copied_out_and_nothing_behind_its_links() {
    packed_while_swapped("main");
}

#[test]
fn cve_2023_0778_wasm_grant_is_copied_out_and_nothing_behind_its_links() {
    packed_while_swapped("mod");
}
