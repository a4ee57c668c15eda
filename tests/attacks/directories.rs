//! Where a member's working directory leads: at its start, and for what is executed beside it once the member had its
//! way with the place.

use dwell_tests::host::{host_apart, host_script};
use dwell_tests::manifest::Manifest;

use crate::stage::{MOUNTED, SECRET, Stage, all_shut, host_path};

/// What init holds open, and what of `/proc` leads out of any root.
fn descriptors() -> Vec<String> {
    let numbers = (0..24).map(|number| format!("/proc/self/fd/{number}"));
    numbers.chain(["/proc/self/cwd", "/proc/self/root", "/proc/1/cwd", "/proc/1/root"].map(str::to_owned)).collect()
}

#[test]
fn cve_2024_21626_an_exec_does_not_begin_where_the_member_has_led_it() {
    let stage = Stage::new();
    let marker = stage.victim.join("kept");
    let main = stage.native("main", "echo up; exec sleep 600", &["workingDir: /w"]);
    stage.node.start(&Manifest::new("attack").with(main).text());
    stage.node.printed("attack", "main", "up\n");
    let exec = |script: &str| stage.node.dwell(&["exec", "attack", "--", "/bin/sh", "-c", script]);
    let seek = format!("pwd; cat ../../../../../../../..{0} .{0}", marker.display());
    assert_eq!(exec("cd /; rmdir /w; ln -s /tmp /w; pwd").ok(), "/\n");
    assert!(exec(&seek).out.starts_with("/tmp\n"), "control: a link that stays inside is followed");
    for to in descriptors() {
        exec("cd /; rm /w; ln -s /tmp /w").ok();
        exec(&format!("rm /w; ln -s {to} /w; true")).ok();
        let said = exec(&seek);
        assert!(said.code != 0 && !said.out.contains(SECRET) && !said.out.contains("unreachable"), "{to}: {said:#?}");
        // Whoever cannot begin there cannot repair it either: a root of the host's view does.
        repair(&stage);
    }
    let (image, path) = (stage.image.display(), marker.display());
    std::fs::create_dir_all(stage.image.join("proc")).expect("makes");
    let leak = format!(
        "mount -t proc proc {image}/proc && exec 9</ && exec chroot {image} /bin/sh -c 'cd /proc/self/fd/9 && cat .{path}'"
    );
    assert_eq!(host_apart(&leak), SECRET, "control: a descriptor that is left open leads out of a root");
}

/// Makes the member's working directory a folder again.
fn repair(stage: &Stage) {
    let member = dwell_tests::member::Member::of(&stage.node, "attack", "main", "sleep");
    let said = host_script(&format!("rm {0}/w && ln -s /tmp {0}/w", member.path("root").display()));
    assert_eq!(said, "");
}

#[test]
fn cve_2024_21626_wasm_working_directory_stays_in_its_grant() {
    let stage = Stage::new();
    let (before, shared) = (stage.look(), stage.folder("shared"));
    std::fs::create_dir(shared.join("real")).expect("makes");
    std::fs::write(shared.join("real/kept"), "shared").expect("writes");
    let mut targets = descriptors();
    targets.truncate(6);
    targets.extend(stage.ways(&stage.victim).map(|way| way.display().to_string()));
    targets.extend(["..", "/", "../module", "/module", "/0"].map(str::to_owned));
    let run = |dir: &str| {
        let doors = ["open kept", "open ./kept", "open ../victim/kept", "list ../bin"];
        let more = [MOUNTED, &format!("workingDir: {dir}")];
        stage.once(stage.module("main", &doors, &more), &[&host_path(&shared)])
    };
    for to in targets {
        std::os::unix::fs::symlink(&to, shared.join("w")).expect("links");
        let said = run("/data/w");
        assert!(!said.out.contains(": ok"), "{to}: {said:#?}");
        std::fs::remove_file(shared.join("w")).expect("it is a link");
    }
    assert_eq!(stage.look(), before);
    let said = run("/data/real");
    assert_eq!(said.out.matches(": ok").count(), 2, "control: a folder of the grant: {said:#?}");
    std::os::unix::fs::symlink(&stage.victim, shared.join("w")).expect("links");
    assert_eq!(host_script(&format!("cd {}/w; cat kept", shared.display())), SECRET, "control: it leads there");
}

/// A folder is made and given to a user where a path leads: what a runtime without the guard would do.
fn makes_and_gives(stage: &Stage, path: &str) {
    let before = stage.look();
    host_script(&format!("mkdir -p {path} && chown 1000:1000 {path}"));
    assert_ne!(stage.look(), before, "control: {path} leads to the victim");
    let made = std::fs::metadata(stage.victim.join("new")).expect("it was made");
    assert_eq!(std::os::unix::fs::MetadataExt::uid(&made), 1000, "control");
}

const USER: &str = "securityContext: {runAsUser: 1000, runAsGroup: 1000}";

#[test]
fn cve_2026_55686_a_missing_directory_is_made_and_given_away_inside() {
    let stage = Stage::new();
    let before = stage.look();
    for to in stage.ways(&stage.victim) {
        stage.link("link", to);
        for dir in ["/link/new", "/link", "/link/new/deep"] {
            let said = stage.once(stage.native("main", "stat -c %u .", &[&format!("workingDir: {dir}"), USER]), &[]);
            assert_eq!(said.ok(), "1000\n", "{dir}: it is made, in the member's own root");
        }
    }
    assert_eq!(stage.look(), before);
    makes_and_gives(&stage, &format!("{}/link/new", stage.image.display()));
}

#[test]
fn cve_2026_55686_wasm_directory_is_made_in_its_grant_or_not_at_all() {
    let stage = Stage::new();
    let (before, shared) = (stage.look(), stage.folder("shared"));
    for to in stage.ways(&stage.victim) {
        stage.link("link", &to);
        std::os::unix::fs::symlink(&to, shared.join("link")).expect("links");
        for dir in ["/link/new", "/data/link/new", "/data/link/new/deep"] {
            let more = [MOUNTED, &format!("workingDir: {dir}"), USER];
            let said = stage.once(stage.wasm("main", &["open ../kept", "stat ../kept"], &more), &[&host_path(&shared)]);
            assert!(!said.out.contains(": ok"), "{dir}: {said:#?}");
        }
        std::fs::remove_file(shared.join("link")).expect("it is a link");
    }
    assert_eq!(stage.look(), before);
    let plain = stage.wasm("main", &["stat ."], &[MOUNTED, "workingDir: /data/new"]);
    let said = stage.once(plain, &[&host_path(&shared)]);
    assert!(said.out.contains(": ok") && shared.join("new").is_dir(), "control: {said:#?}");
    all_shut(&stage.once(stage.wasm("main", &["stat /data/none"], &[MOUNTED]), &[&host_path(&shared)]));
    std::os::unix::fs::symlink(&stage.victim, shared.join("link")).expect("links");
    makes_and_gives(&stage, &format!("{}/link/new", shared.display()));
}
