//! What is planted where a later start looks: a `subPath`, a mount point, the place for last words; and in what is
//! measured while a Pod runs.

use dwell_tests::host::{host_apart, host_script};
use dwell_tests::manifest::Manifest;
use dwell_tests::node::Said;

use crate::planted::plant;
use crate::stage::{MOUNTED, SECRET, Stage, host_path};

/// A Pod that plants everything in the host's folder `v`, and ends.
fn planted(stage: &Stage) -> String {
    let shared = stage.folder("shared");
    let plant = plant(stage, "/data").replace("mknod device c 1 5", "mknod device c 1 3");
    stage.once(stage.native("main", &plant, &[MOUNTED]), &[&host_path(&shared)]).ok();
    host_path(&shared)
}

const LINKS: [&str; 6] = ["absolute", "up", "parent", "root", "self", "file"];

/// A later container with a subPath of each kind: links are refused, the rest is what it is and holds nobody up.
fn later_sub_paths(container: impl Fn(&Stage, &str) -> String) {
    let stage = Stage::new();
    let before = stage.look();
    let volume = planted(&stage);
    let run = |part: &str| -> Said {
        let mount = format!("volumeMounts: [{{name: v, mountPath: /part, subPath: {part}}}]");
        stage.once(container(&stage, &mount), &[&volume])
    };
    for link in LINKS {
        let said = run(link);
        assert!(said.code != 0 && !said.out.contains("began"), "{link}: {said:#?}");
        assert!(said.err.contains(&format!("subPath {link} of volume v")), "{link}: {said:#?}");
        let said = run(&format!("{link}/new"));
        assert!(said.code != 0, "{link}/new: {said:#?}");
    }
    for kind in ["fifo", "device", "huge"] {
        let said = run(kind);
        assert!(said.out.contains("began") || said.out.contains("stat /part: ok"), "{kind}: {said:#?}");
        assert!(!said.out.contains("opened") && !said.out.contains("open /part: ok"), "{kind}: {said:#?}");
    }
    assert_eq!(stage.look(), before);
    let (shared, target) = (stage.folder("shared"), stage.folder("target"));
    let control = format!("mount --bind {}/absolute {1} && cat {1}/kept", shared.display(), target.display());
    assert_eq!(host_apart(&control), SECRET, "control: a bind by its name leads there");
}

#[test]
fn a_planted_sub_path_leads_no_later_container_astray() {
    // The device must not be opened; a FIFO would be waited for, and a hole is a file like any other.
    let script = "echo began; test -c /part && (: < /part) && echo opened; true";
    later_sub_paths(|stage, mount| stage.native("main", script, &[mount]));
}

#[test]
fn a_planted_sub_path_leads_no_later_guest_astray() {
    later_sub_paths(|stage, mount| stage.wasm("main", &["stat /part"], &[mount]));
}

/// A member's last words go to `/data/end`, where each kind was planted before it starts.
fn last_words(container: impl Fn(&Stage, &[&str]) -> String, said_at: &[&str]) {
    let stage = Stage::new();
    let before = stage.look();
    let volume = planted(&stage);
    for name in ["absolute", "up", "root", "self", "file", "fifo", "device", "huge", "none"] {
        host_script(&format!(
            "cd {} && rm -rf end && cp -a --sparse=always {name} end",
            stage.folder("shared").display()
        ));
        let more = [MOUNTED, "terminationMessagePath: /data/end"];
        let pod = Manifest::new("attack").spec(&volume).with(container(&stage, &more));
        stage.node.run(&pod.text());
        let end = stage.node.pod("attack")["status"]["containerStatuses"][0]["state"]["terminated"].clone();
        let message = end["message"].as_str().unwrap_or_default().to_owned();
        assert!(!message.contains(SECRET) && message.len() <= 4096 + 512, "{name}: {end:#}");
        assert_eq!(message == "x", said_at.contains(&name), "{name}: {end:#}");
        stage.node.dwell(&["rm", "-f", "attack"]).ok();
    }
    assert_eq!(stage.look(), before);
    let shared = stage.folder("shared").display().to_string();
    host_script(&format!("printf x > {shared}/file"));
    assert_ne!(stage.look(), before, "control: whoever opens the place by its name writes there");
}

/// Its own root is where a link leads: the file is mounted there, and found again the same way.
#[test]
fn last_words_are_a_members_own_whatever_lies_at_their_place() {
    let said = ["absolute", "up", "file", "fifo", "device", "huge", "none"];
    last_words(|stage, more| stage.native("main", "printf x > /data/end", more), &said);
}

#[test]
fn last_words_are_a_guests_own_whatever_lies_at_their_place() {
    last_words(|stage, more| stage.wasm("main", &["write /data/end"], more), &["fifo", "device", "huge", "none"]);
}

/// A member makes the file for its last words as large as a file can be.
#[test]
fn last_words_without_end_are_read_up_to_a_bound() {
    let stage = Stage::new();
    let script = "truncate -s 1099511627776 /dev/termination-log; exit 3";
    assert_eq!(stage.once(stage.native("main", script, &[]), &[]).code, 3);
    let pod = Manifest::new("attack").with(stage.native("main", script, &[]));
    stage.node.run(&pod.text());
    let end = stage.node.pod("attack")["status"]["containerStatuses"][0]["state"]["terminated"].clone();
    let length = end["message"].as_str().map_or(0, str::len);
    assert!((1..=4096).contains(&length), "it is read, and no more of it than that: {length}");
}

/// The mount point of a next start, in a volume that the run before has rearranged.
fn next_starts(container: impl Fn(&Stage, &[&str]) -> String) {
    let stage = Stage::new();
    let (before, shared) = (stage.look(), stage.folder("shared"));
    let spec = format!("{}, {{name: w, emptyDir: {{}}}}]", host_path(&shared).trim_end_matches(']'));
    let mounts = "volumeMounts: [{name: v, mountPath: /data}, {name: w, mountPath: /data/at/inner}]";
    let pod = Manifest::new("attack").spec(&spec).with(container(&stage, &[mounts]));
    let pod = pod.text().replacen("restartPolicy: Never", "restartPolicy: OnFailure", 1);
    std::fs::create_dir(shared.join("at")).expect("makes");
    stage.node.start(&pod);
    stage.node.wait_for("attack", "its first start", |pod| {
        let status = &pod["status"]["containerStatuses"][0];
        status["state"]["running"].is_object()
            || status["state"]["terminated"].is_object()
            || status["restartCount"].as_u64() > Some(0)
    });
    for to in stage.ways(&stage.victim) {
        host_script(&format!("cd {} && rm -rf at && ln -s {} at", shared.display(), to.display()));
        let count = stage.node.pod("attack")["status"]["containerStatuses"][0]["restartCount"].clone();
        stage.node.dwell(&["restart", "attack"]).ok();
        let again = |pod: &serde_json::Value| pod["status"]["containerStatuses"][0]["restartCount"] != count;
        stage.node.wait_for("attack", "its next start", again);
    }
    assert_eq!(stage.look(), before);
    host_script(&format!("mkdir -p {}/at/inner", shared.display()));
    assert_ne!(stage.look(), before, "control: whoever follows it makes folders there");
}

#[test]
fn a_restart_makes_no_mount_point_behind_a_planted_link() {
    next_starts(|stage, more| stage.native("main", "exec sleep 600", more));
}

#[test]
fn a_guests_restart_makes_no_mount_point_behind_a_planted_link() {
    next_starts(|stage, more| stage.guest("main", &["spin.wasm"], more));
}

/// Two volumes with the same limit: one is planted, one takes what it may not. The measure names the second alone, so
/// it had counted neither a hole nor what links, a FIFO or a device lead to in the first.
#[test]
fn nothing_that_is_planted_counts_as_taken() {
    let stage = Stage::new();
    let script = format!("{} && dd if=/dev/zero of=/b/taken bs=1048576 count=8; exec sleep 600", plant(&stage, "/a"));
    let mounts = "volumeMounts: [{name: a, mountPath: /a}, {name: b, mountPath: /b}]";
    let volumes = "volumes: [{name: a, emptyDir: {sizeLimit: 4Mi}}, {name: b, emptyDir: {sizeLimit: 4Mi}}]";
    let main = stage.native("main", &script, &[mounts, "resources: {limits: {ephemeral-storage: 64Mi}}"]);
    stage.node.start(&Manifest::new("attack").spec(volumes).with(main).text());
    let pod = stage.node.wait_for_phase("attack", "Failed");
    let message = pod["status"]["message"].as_str().unwrap_or_default().to_owned();
    assert!(message.contains("volume \"b\" exceeds") && !message.contains("\"a\""), "control: {pod:#}");
}
