//! `dwell cp`: files into members of both kinds and out of them, and what is refused.

use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Stdio;

use dwell_tests::node::{Node, Said, kill, wait_until};
use serde_json::{Value, json};

use crate::{pod, shell};

/// A native member and a Wasm one that share `/data`; the module has it once more, to read only.
fn start(node: &Node) {
    let mut main = shell(node, "main", "mkdir -p /work; exec sleep 600");
    main["workingDir"] = json!("/work");
    main["volumeMounts"] = json!([{"name": "v", "mountPath": "/data"}]);
    let module = format!("wasm:{}", dwell_tests::guest::path("sleep.wasm").display());
    let mounts = json!([{"name": "v", "mountPath": "/data"}, {"name": "v", "mountPath": "/ro", "readOnly": true}]);
    let module = json!({"name": "mod", "image": module, "args": ["600"], "volumeMounts": mounts});
    node.start(&pod(
        "web",
        &[main, module],
        json!({"restartPolicy": "Always", "volumes": [{"name": "v", "emptyDir": {}}]}),
    ));
    node.wait_for("web", "both members", |pod| running(pod, "main") && running(pod, "mod"));
}

fn cp(node: &Node, args: &[&str]) -> Said {
    node.dwell(&[&["cp"], args].concat())
}

fn inside(node: &Node, script: &str) -> String {
    node.dwell(&["exec", "-c", "main", "web", "--", "sh", "-c", script]).ok()
}

/// A folder of this machine with a file, a link and a folder.
fn folder(node: &Node, name: &str) -> String {
    let folder = node.files().join(name);
    std::fs::create_dir_all(folder.join("sub")).unwrap();
    std::fs::write(folder.join("sub/deep"), "deep\n").unwrap();
    symlink("sub/deep", folder.join("link")).unwrap();
    folder.to_str().unwrap().to_owned()
}

#[test]
fn folders_and_files_go_in_and_come_back() {
    let node = Node::new();
    start(&node);
    let (dir, file) = (folder(&node, "dir"), node.file("note.txt", "note\n"));
    let (file, files) = (file.to_str().unwrap(), node.files());
    let local = |name: &str| files.join(name).to_str().unwrap().to_owned();
    for (container, place) in [("main", "/tmp"), ("mod", "/data")] {
        inside(&node, "mkdir -p /tmp");
        let of = |path: &str| format!("web:{place}/{path}");
        cp(&node, &["-c", container, &dir, &of("")]).ok();
        cp(&node, &["-c", container, &dir, &of("renamed")]).ok();
        cp(&node, &["-c", container, &format!("{dir}/."), &of("")]).ok();
        cp(&node, &["-c", container, file, &of("")]).ok();
        cp(&node, &["-c", container, file, &of("dir/sub/deep")]).ok();
        let said =
            inside(&node, &format!("cd {place}; cat dir/link renamed/link sub/deep note.txt; readlink dir/link"));
        assert_eq!(said, "note\ndeep\ndeep\nnote\nsub/deep\n", "{container}");

        let back = local(&format!("back-{container}"));
        cp(&node, &["-c", container, &of("dir"), &back]).ok();
        assert_eq!(std::fs::read_to_string(format!("{back}/link")).unwrap(), "note\n");
        cp(&node, &["-c", container, &of("dir/."), &back]).ok();
        cp(&node, &["-c", container, &of("dir"), &back]).ok();
        assert_eq!(std::fs::read_to_string(format!("{back}/dir/sub/deep")).unwrap(), "note\n");
        cp(&node, &["-c", container, &of("dir/link"), &format!("{back}/followed")]).ok();
        assert!(std::fs::symlink_metadata(format!("{back}/followed")).unwrap().is_file());
    }
    cp(&node, &["-c", "main", file, "web:here"]).ok();
    assert_eq!(inside(&node, "cat /work/here"), "note\n", "it begins in the working directory");
    cp(&node, &["-c", "main", "web:/proc/1/status", &local("status")]).ok();
    assert!(std::fs::read_to_string(local("status")).unwrap().starts_with("Name:"), "a file that says it is empty");
    cp(&node, &["-c", "main", "web:/", &local("all")]).ok();
    let all = |path: &str| Path::new(&local("all")).join(path).exists();
    assert!(all("data/note.txt") && all("bin/busybox") && !all("proc/1") && !all("sys/kernel"));
}

#[test]
fn owners_and_bits_are_kept_when_that_is_asked_for() {
    let node = Node::new();
    start(&node);
    let file = node.file("tool", "#!/bin/sh\n");
    host(&format!("chown 77:78 {0}; chmod 4751 {0}", file.display()));
    let stat = || inside(&node, "stat -c '%u %g %a' /work/tool");
    cp(&node, &["-c", "main", file.to_str().unwrap(), "web:/work/"]).ok();
    assert_eq!(stat(), "0 0 751\n");
    cp(&node, &["-a", "-c", "main", file.to_str().unwrap(), "web:/work/"]).ok();
    assert_eq!(stat(), "77 78 4751\n");
}

fn host(script: &str) {
    assert!(std::process::Command::new("sh").args(["-c", script]).status().unwrap().success());
}

#[test]
fn a_tar_stream_goes_both_ways() {
    let node = Node::new();
    start(&node);
    cp(&node, &["-c", "mod", &folder(&node, "dir"), "web:/data"]).ok();
    let binary = dwell_tests::node::binary();
    let dwell = format!("{} --state-dir {}", binary.display(), node.state_dir().display());
    host(&format!("{dwell} cp -c mod web:/data/dir - | {dwell} cp -c main - web:/work"));
    assert_eq!(inside(&node, "cat /work/dir/link"), "deep\n");
    host(&format!("{dwell} cp -c main web:/work/dir - | tar -tf - | grep -qx dir/sub/deep"));
    for (input, why) in [
        ("echo this is no archive |", "web: /work: read the archive"),
        ("</dev/null", "it is none, or it is cut off"),
        ("</tmp", "read standard input: Is a directory"),
    ] {
        let line = format!("{input} {dwell} cp -c main - web:/work");
        let said = std::process::Command::new("sh").args(["-c", &line]).output().unwrap();
        let err = String::from_utf8_lossy(&said.stderr);
        assert!(said.status.code() == Some(125) && err.contains(why), "{input}: {err}");
    }
}

#[test]
fn what_cannot_be_copied_is_refused_and_named() {
    let node = Node::new();
    start(&node);
    let (dir, file) = (folder(&node, "dir"), node.file("f", "x"));
    let file = file.to_str().unwrap();
    inside(&node, "mkfifo /work/fifo; ln -s /proc/1/root /work/magic");
    for (args, why) in [
        (&[file, "web:/ro/x", "-c", "mod"][..], "/ro is read-only for the member"),
        (&[file, "web:/proc/x", "-c", "main"], "/proc: unpack x"),
        (&[file, "web:/none/x", "-c", "main"], "there is no folder /none"),
        (&[file, "web:/work/none/", "-c", "main"], "there is no such folder"),
        (&[file, "web:/etc/x", "-c", "mod"], "was not granted /etc/x, but /data, /ro"),
        (&[&dir, "web:/etc/hosts", "-c", "main"], "cannot take a folder in"),
        (&[file, "web:/work/fifo", "-c", "main"], "is not replaced"),
        (&["web:/none", ".", "-c", "main"], "there is no /none"),
        (&["web:/dev/null", &dir, "-c", "main"], "neither a file nor a folder"),
        (&["web:/work/magic/etc", &dir, "-c", "main"], "symbolic links"),
        (&["web:/etc", file, "-c", "main"], "cannot take a folder in"),
        (&["/none", "web:/work", "-c", "main"], "/none: No such file"),
        (&["web:/x", &dir], "has several containers: main, mod"),
        (&["web:/x", &dir, "-c", "mian"], "did you mean main?"),
        (&["wbe:/x", &dir], "did you mean web?"),
        (&["web:/x", "web:/y"], "both are in Pods"),
        (&[file, "elsewhere"], "neither is in a Pod"),
        (&["web:", &dir], "no path behind the colon"),
    ] {
        let said = cp(&node, args);
        assert!(said.code == 125 && said.err.contains(why), "{args:?}: {said:#?}");
    }
    let target = node.files().join("target");
    cp(&node, &["web:/dev/null", target.to_str().unwrap(), "-c", "main"]);
    assert!(!target.exists());
    node.dwell(&["stop", "-t", "0", "web"]).ok();
    let ended = cp(&node, &["web:/work", &dir, "-c", "main"]);
    assert!(ended.code == 125 && ended.err.contains("is not running"), "{ended:#?}");
}

/// A member put a link in the way of the next copy, which led next to the folder that the user had chosen.
#[test]
fn a_copy_that_is_made_again_follows_no_link_of_the_member() {
    let node = Node::new();
    start(&node);
    let here = node.files().join("here");
    std::fs::create_dir_all(here.join("secret")).unwrap();
    inside(&node, "ln -s ../secret /data/x");
    cp(&node, &["-c", "main", "web:/data", here.to_str().unwrap()]).ok();
    inside(&node, "rm /data/x; mkdir /data/x; echo evil > /data/x/keys");
    let said = cp(&node, &["-c", "main", "web:/data", here.to_str().unwrap()]);
    assert!(said.code == 125 && said.err.contains("unpack data/x"), "{said:#?}");
    assert_eq!(std::fs::read_dir(here.join("secret")).unwrap().count(), 0);
    std::fs::remove_file(here.join("data/x")).unwrap();
    cp(&node, &["-c", "main", "web:/data", here.to_str().unwrap()]).ok();
    assert!(here.join("data/x/keys").exists(), "control");
}

/// They were root's, with the mode of the file here: a member that is not root could not read its own configuration.
#[test]
fn what_arrives_is_the_members() {
    let node = Node::new();
    let mut main = shell(&node, "main", "echo old > /v/own; chmod 640 /v/own; mkdir -m 700 /v/d; exec sleep 600");
    main["securityContext"] = json!({"runAsUser": 1000, "runAsGroup": 1001});
    main["volumeMounts"] = json!([{"name": "v", "mountPath": "/v"}]);
    node.start(&pod("web", &[main], json!({"volumes": [{"name": "v", "emptyDir": {}}]})));
    node.wait_for("web", "its member", |pod| running(pod, "main"));
    assert!(wait_until(|| node.dwell(&["exec", "web", "--", "test", "-d", "/v/d"]).code == 0));
    let file = node.file("key", "new\n");
    host(&format!("chmod 600 {}; mkdir -p {}/d; touch {1}/d/f", file.display(), node.files().display()));
    cp(&node, &[file.to_str().unwrap(), "web:/v/"]).ok();
    cp(&node, &[file.to_str().unwrap(), "web:/v/own"]).ok();
    cp(&node, &[node.files().join("d").to_str().unwrap(), "web:/v"]).ok();
    let said = inside(&node, "cd /v; cat key own; stat -c '%u %g %a' key own d d/f");
    assert_eq!(said, "new\nnew\n1000 1001 600\n1000 1001 640\n1000 1001 700\n1000 1001 644\n");
}

/// A refusal came when the input ended, which may be never; and who waited for a reader heard no signal.
#[test]
fn nobody_waits_for_a_stream_that_stands_still() {
    let node = Node::new();
    start(&node);
    for (place, why) in [("web:/none", "there is no folder /none"), ("web:/proc", "read the archive")] {
        let args = ["cp", "-c", "main", "-", place];
        let mut client = node.command(&args).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stdin = client.stdin.take().unwrap();
        let _ = stdin.write_all(&[b'x'; 2000]);
        let said = client.wait_with_output().unwrap();
        let err = String::from_utf8_lossy(&said.stderr);
        assert!(said.status.code() == Some(125) && err.contains(why), "{place}: {err}");
        drop(stdin);
    }
    inside(&node, "head -c 3000000 /dev/zero > /data/big");
    let args = ["cp", "-c", "main", "web:/data/big", "-"];
    let mut client = node.command(&args).stdout(Stdio::piped()).spawn().unwrap();
    let mut first = [0; 600];
    std::io::Read::read_exact(client.stdout.as_mut().unwrap(), &mut first).unwrap();
    kill(client.id() as i32, libc::SIGTERM);
    assert_eq!(client.wait().unwrap().code(), Some(143));
}

/// Whether a copy has begun in that folder of the native member.
fn half(node: &Node, folder: &str) -> bool {
    inside(node, &format!("ls -A {folder}")).contains(".dwell-")
}

/// The head of an archive of a large file, and some of that.
fn beginning() -> Vec<u8> {
    let size = 10 << 20;
    let script =
        format!("cd $(mktemp -d) && truncate -s {size} big && tar -cf - big | head -c 300000; rm big; rmdir $PWD");
    std::process::Command::new("sh").args(["-c", &script]).output().unwrap().stdout
}

#[test]
fn a_copy_that_breaks_off_leaves_nothing_half() {
    let node = Node::new();
    start(&node);
    for what in ["interrupted", "killed", "the member ended"] {
        let args = ["cp", "-c", "main", "-", "web:/data"];
        let mut client = node.command(&args).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stdin = client.stdin.take().unwrap();
        stdin.write_all(&beginning()).unwrap();
        assert!(wait_until(|| half(&node, "/data")), "{what}: it did not begin");
        match what {
            "interrupted" => kill(client.id() as i32, libc::SIGINT),
            "killed" => kill(client.id() as i32, libc::SIGKILL),
            _ => drop(node.dwell(&["kill", "-c", "main", "web"]).ok()),
        }
        drop(stdin);
        client.wait().unwrap();
        node.wait_for("web", "its member", |pod| running(pod, "main"));
        assert!(wait_until(|| !half(&node, "/data")), "{what}: {}", inside(&node, "ls -la /data"));
    }
}

fn running(pod: &Value, name: &str) -> bool {
    let mut all = pod["status"]["containerStatuses"].as_array().into_iter().flatten();
    all.any(|one| one["name"] == name && one["state"]["running"].is_object())
}

/// The node goes in the middle: the client says so, and what it had begun to write is gone.
#[test]
fn a_node_that_goes_is_told_and_leaves_nothing_half_here() {
    let node = Node::new();
    start(&node);
    inside(&node, "truncate -s 1000000000000 /data/endless");
    let here = node.files().join("here");
    std::fs::create_dir(&here).unwrap();
    let args = ["cp", "-c", "main", "web:/data/endless", here.to_str().unwrap()];
    let client = node.command(&args).stderr(Stdio::piped()).spawn().unwrap();
    let half = || std::fs::read_dir(&here).unwrap().count();
    assert!(wait_until(|| half() == 1), "it did not begin");
    assert!(node.kill_node());
    let said = client.wait_with_output().unwrap();
    let err = String::from_utf8_lossy(&said.stderr);
    assert!(said.status.code() == Some(125) && err.contains("the connection to the node broke"), "{err}");
    assert_eq!(half(), 0);
}
