//! A Wasm member's grants: no path, link or rename leads out of them, and read-only is the kernel's word.

use std::os::unix::fs::symlink;
use std::path::Path;

use dwell_tests::node::Node;

use crate::manifest::{Manifest, native, wasm};

/// What `escape.wasm` answered to each attempt, in order: "ok", or the errno's name.
#[track_caller]
fn answers(node: &Node, pod: Manifest, attempts: &[&str], mounts: &str) -> Vec<(String, String)> {
    let words: Vec<&str> = attempts.iter().flat_map(|attempt| attempt.split(' ').chain(["--"])).collect();
    let said = node.run(&pod.with(wasm("guest", "escape.wasm", &words[..words.len() - 1], &[mounts])).text());
    assert_eq!(said.code, 0, "{said:#?}");
    let lines = said.out.lines().filter(|line| line.contains(": ok") || line.contains(": errno"));
    let answers: Vec<String> = lines.map(|line| line.rsplit([' ']).next().expect("a word").to_owned()).collect();
    assert_eq!(answers.len(), attempts.len(), "{said:#?}");
    attempts.iter().map(|attempt| (*attempt).to_owned()).zip(answers).collect()
}

#[track_caller]
fn all_refused(answers: &[(String, String)]) {
    assert!(!answers.is_empty());
    for (attempt, answer) in answers {
        assert_ne!(answer, "ok", "{attempt}");
    }
}

#[track_caller]
fn all_granted(answers: &[(String, String)]) {
    for (attempt, answer) in answers {
        assert_eq!(answer, "ok", "control: {attempt}");
    }
}

fn folder(node: &Node, name: &str) -> std::path::PathBuf {
    let folder = node.files().join(name);
    std::fs::create_dir(&folder).expect("makes");
    std::fs::write(folder.join("file"), name).expect("writes");
    folder
}

fn host_path(name: &str, path: &Path) -> String {
    format!("{{name: {name}, hostPath: {{path: {}}}}}", path.display())
}

const DATA: &str = "volumeMounts: [{name: data, mountPath: /data}]";

fn with_data(name: &str, data: &Path) -> Manifest {
    Manifest::new(name).spec(&format!("volumes: [{}]", host_path("data", data)))
}

#[test]
fn paths_do_not_lead_out_of_a_grant() {
    let node = Node::new();
    let data = folder(&node, "data");
    std::fs::write(node.files().join("outside"), "secret").expect("writes");
    let outside = format!("open {}", node.files().join("outside").display());
    let attempts = [
        "open /data/../outside",
        "open /data/../module",
        "open ../module",
        "open /module",
        "open /0/file",
        "open /etc/passwd",
        "open /proc/self/status",
        "open /proc/self/exe",
        "open /data/../../../../../../etc/passwd",
        "open /data/file/../../outside",
        "open /data//../..//etc/passwd",
        "open /data/./../outside",
        "list /",
        "list /data/..",
        "list /data/../",
        "stat /data/../outside",
        "write /data/../written",
        "write /written",
        "make /data/../made",
        "remove /data/../outside",
        &outside,
    ];
    all_refused(&answers(&node, with_data("out", &data), &attempts, DATA));
    assert!(!node.files().join("written").exists() && !node.files().join("made").exists());
    let attempts = ["open /data/file", "list /data", "stat /data/file", "write /data/new", "make /data/dir"];
    all_granted(&answers(&node, with_data("in", &data), &attempts, DATA));
    let etc = "volumeMounts: [{name: data, mountPath: /etc}]";
    let granted = answers(&node, with_data("etc", Path::new("/etc")), &["open /etc/passwd"], etc);
    all_granted(&granted);
    let above = answers(&node, with_data("above", &node.files()), &["open /data/outside", "list /data/data"], DATA);
    all_granted(&above);
}

#[test]
fn links_do_not_lead_out_of_a_grant_whoever_planted_them() {
    let node = Node::new();
    let (data, other) = (folder(&node, "data"), folder(&node, "other"));
    let target = other.join("file");
    let targets = [
        ("absolute", target.to_str().expect("a path")),
        ("up", "../other/file"),
        ("grant", "../1/file"),
        ("rooted", "/1/file"),
        ("guest", "/other/file"),
        ("process", "/proc/self/root/etc/passwd"),
        ("passwd", "/etc/passwd"),
        ("module", "/module"),
        ("parent", ".."),
        ("first", "second"),
        ("second", "../other/file"),
        ("self", "self"),
    ];
    // The native sibling plants them while it runs beside, and can follow its own.
    let plant = targets.map(|(name, to)| format!("ln -s {to} /v/{name}; "));
    let script = format!("{} ln -s file /v/inside; cat /v/passwd | head -n 1", plant.concat());
    let sibling = native(&node, "main", &script, &["volumeMounts: [{name: data, mountPath: /v}]"]);
    let said = node.run(&with_data("plant", &data).with(sibling).text()).ok();
    assert!(said.starts_with("root:"), "control: where its own root is, the link leads somewhere: {said}");
    let both = format!("volumes: [{}, {}]", host_path("data", &data), host_path("other", &other));
    let mounts = "volumeMounts: [{name: data, mountPath: /data}, {name: other, mountPath: /other}]";
    let attempts: Vec<String> = targets
        .iter()
        .flat_map(|(name, _)| ["open", "write", "stat"].map(|verb| format!("{verb} /data/{name}")))
        .filter(|attempt| attempt != "write /data/first")
        .chain(["list /data/parent".to_owned(), "open /data/parent/other/file".to_owned()])
        .collect();
    let attempts: Vec<&str> = attempts.iter().map(String::as_str).collect();
    all_refused(&answers(&node, Manifest::new("follow").spec(&both), &attempts, mounts));
    assert_eq!(std::fs::read_to_string(&target).expect("reads"), "other");
    let control = ["open /data/inside", "open /other/file", "write /data/inside"];
    all_granted(&answers(&node, Manifest::new("inside").spec(&both), &control, mounts));
}

#[test]
fn a_guest_makes_no_link_and_moves_no_file_out_of_a_grant() {
    let node = Node::new();
    let (data, other) = (folder(&node, "data"), folder(&node, "other"));
    let both = format!("volumes: [{}, {}]", host_path("data", &data), host_path("other", &other));
    let mounts = "volumeMounts: [{name: data, mountPath: /data}, {name: other, mountPath: /other}]";
    let attempts = [
        "symlink /etc/passwd /data/absolute",
        "link /data/../other/file /data/hard",
        "link /other/file /data/hard",
        "link /data/file /other/hard",
        "link /module /data/hard",
        "link /etc/passwd /data/hard",
        "move /data/file /other/moved",
        "move /data/file /data/../moved",
        "move /other/file /data/moved",
        "symlink x /data/../link",
    ];
    all_refused(&answers(&node, Manifest::new("make").spec(&both), &attempts, mounts));
    // Such a link may exist, but following it is refused.
    let attempts = ["symlink ../other/file /data/relative", "open /data/relative", "write /data/relative"];
    let relative = answers(&node, Manifest::new("relative").spec(&both), &attempts, mounts);
    all_refused(&relative[1..]);
    for (at, names) in [(&data, ["absolute", "hard", "moved"]), (&other, ["hard", "moved", "x"])] {
        assert!(names.iter().all(|name| at.join(name).symlink_metadata().is_err()), "{}", at.display());
    }
    let control =
        ["symlink file /data/soft", "open /data/soft", "link /data/file /data/hard", "move /data/hard /data/moved"];
    all_granted(&answers(&node, Manifest::new("control").spec(&both), &control, mounts));
}

#[test]
fn a_read_only_grant_is_not_written_by_any_verb() {
    let node = Node::new();
    let data = folder(&node, "data");
    std::fs::create_dir(data.join("dir")).expect("makes");
    symlink("file", data.join("soft")).expect("links");
    let attempts = [
        "write /data/new",
        "write /data/file",
        "write /data/soft",
        "make /data/made",
        "symlink file /data/link",
        "link /data/file /data/hard",
        "move /data/file /data/moved",
        "write /data/dir/new",
        "remove /data/file",
    ];
    let read_only = "volumeMounts: [{name: data, mountPath: /data, readOnly: true}]";
    all_refused(&answers(&node, with_data("read-only", &data), &attempts, read_only));
    all_granted(&answers(&node, with_data("readable", &data), &["open /data/file", "open /data/soft"], read_only));
    assert_eq!(std::fs::read_to_string(data.join("file")).expect("reads"), "data");
    assert_eq!(std::fs::read_dir(&data).expect("reads").count(), 3);
    // The same folder, writable elsewhere: the right belongs to the mount.
    let twice = "volumeMounts: [{name: data, mountPath: /data, readOnly: true}, {name: data, mountPath: /rw}]";
    let both = answers(
        &node,
        with_data("both", &data),
        &["write /data/file", "write /rw/file", "link /rw/file /data/hard"],
        twice,
    );
    let words: Vec<&str> = both.iter().map(|(_, answer)| answer.as_str()).collect();
    assert!(words[0] != "ok" && words[1] == "ok" && words[2] != "ok", "{both:?}");
    // The last two undo what the others need.
    let order = [&attempts[..6], &attempts[7..8], &["remove /data/hard", "move /data/file /data/moved"]].concat();
    all_granted(&answers(&node, with_data("writable", &data), &order, DATA));
}

#[test]
fn a_native_member_is_held_by_the_same_read_only() {
    let node = Node::new();
    let data = folder(&node, "data");
    let script = "(touch /v/new; echo x >> /v/file; mkdir /v/dir; rm /v/file; chmod 777 /v/file; mv /v/file /v/moved; \
        ln /v/file /v/hard; mount -o remount,rw /v) 2>&1; true";
    let run = |name: &str, read_only: bool| {
        let mount = format!("volumeMounts: [{{name: data, mountPath: /v, readOnly: {read_only}}}]");
        node.run(&with_data(name, &data).with(native(&node, "main", script, &[&mount])).text()).ok()
    };
    let said = run("read-only", true);
    assert_eq!(said.matches("Read-only file system").count(), 7, "{said}");
    assert_eq!(std::fs::read_to_string(data.join("file")).expect("reads"), "data");
    let said = run("writable", false);
    assert!(!said.contains("Read-only") && data.join("dir").exists() && !data.join("file").exists(), "control: {said}");
}
