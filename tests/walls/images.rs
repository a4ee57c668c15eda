//! Hostile images: each name in them may be a link, a FIFO or a file without end.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use dwell_tests::node::Node;
use dwell_tests::rootfs;

use crate::manifest::{Manifest, rooted};
use crate::probe::host;

/// Says who it is without asking the image's account files.
const WHO: [&str; 3] = ["sh", "-c", "sed -n 's/^Uid:.//p' /proc/self/status | cut -f 1"];

fn replaced(node: &Node, path: &str) -> PathBuf {
    let path = rootfs::busybox(&node.files()).join(path);
    let _ = std::fs::remove_dir_all(&path);
    let _ = std::fs::remove_file(&path);
    path
}

/// A folder of the host's that an image would like to reach; nothing may appear in it.
fn victim(node: &Node) -> PathBuf {
    let folder = node.files().join("victim");
    std::fs::create_dir_all(&folder).expect("makes");
    folder
}

fn untouched(folder: &Path) -> bool {
    std::fs::read_dir(folder).expect("reads").next().is_none()
}

fn pod(node: &Node, name: &str, user: Option<&str>, command: &[&str]) -> String {
    let pod = Manifest::new(name).with(rooted(&rootfs::busybox(&node.files()), "main", command, &[]));
    match user {
        Some(user) => pod.annotation("dwell.dev/user.main", user).text(),
        None => pod.text(),
    }
}

/// CVE-2024-9676.
#[test]
fn an_account_file_that_is_a_fifo_holds_nobody_up() {
    let node = Node::new();
    for name in ["etc/passwd", "etc/group"] {
        let path = replaced(&node, name);
        assert_eq!(host(&["mkfifo", path.to_str().expect("a path")]), "");
    }
    assert_eq!(node.run(&pod(&node, "root", None, &WHO)).ok(), "0\n");
    let said = node.run(&pod(&node, "named", Some("app"), &WHO));
    assert!(said.code != 0 && said.err.contains("app"), "it cannot be looked up: {said:#?}");
    std::fs::write(replaced(&node, "etc/passwd"), "app:x:1234:1::/:\n").expect("writes");
    assert_eq!(node.run(&pod(&node, "control", Some("app"), &WHO)).ok(), "1234\n", "control");
}

#[test]
fn an_account_file_that_is_a_link_is_resolved_inside_the_image() {
    let node = Node::new();
    let outside = node.file("accounts", "app:x:1234:1::/:\n");
    for (name, to) in [
        ("absolute", outside.clone()),
        ("up", Path::new("../../../../../../..").join(outside.strip_prefix("/").unwrap())),
    ] {
        symlink(to, replaced(&node, "etc/passwd")).expect("links");
        let said = node.run(&pod(&node, name, Some("app"), &WHO));
        assert!(said.code != 0 && said.err.contains("app"), "it was read from the host: {said:#?}");
    }
    std::fs::write(rootfs::busybox(&node.files()).join("etc/accounts"), "app:x:1234:1::/:\n").expect("writes");
    symlink("/etc/accounts", replaced(&node, "etc/passwd")).expect("links");
    assert_eq!(node.run(&pod(&node, "control", Some("app"), &WHO)).ok(), "1234\n", "control: inside it is followed");
}

#[test]
fn an_account_file_without_end_is_read_up_to_a_bound() {
    let node = Node::new();
    let path = replaced(&node, "etc/passwd");
    std::fs::write(&path, "app:x:1234:1::/:\n").expect("writes");
    std::fs::File::options().write(true).open(&path).and_then(|file| file.set_len(1 << 40)).expect("grows");
    assert_eq!(node.run(&pod(&node, "sparse", Some("app"), &WHO)).ok(), "1234\n");
    let status = std::fs::read_to_string(format!("/proc/{}/status", node.node_pid().expect("a node"))).expect("reads");
    let peak: u64 = crate::member::field(&status, "VmHWM").split(' ').next().expect("a number").parse().expect("kB");
    assert!(peak < 500_000, "the node took {peak} kB");
}

/// CVE-2023-27561, CVE-2026-41579.
#[test]
fn a_link_where_the_kernels_file_systems_go_is_refused_by_name() {
    let node = Node::new();
    let victim = victim(&node);
    for name in ["dev", "proc", "sys"] {
        for to in [
            victim.clone(),
            Path::new("../../../../../../../..").join(victim.strip_prefix("/").expect("absolute")),
            "tmp".into(),
        ] {
            symlink(to, replaced(&node, name)).expect("links");
            let said = node.run(&pod(&node, name, None, &["sh", "-c", "echo started"]));
            assert!(said.code != 0 && !said.out.contains("started"), "{name}: {said:#?}");
            assert!(said.err.contains(&format!("/{name}")) && said.err.contains("symbolic link"), "{said:#?}");
            assert!(untouched(&victim), "{name}");
            let end = node.pod(name)["status"]["containerStatuses"][0]["state"]["terminated"].clone();
            assert!(end["message"].as_str().is_some_and(|message| message.contains(name)), "{end:#}");
            node.dwell(&["rm", name]).ok();
        }
        std::fs::create_dir(replaced(&node, name)).expect("makes");
        assert_eq!(node.run(&pod(&node, name, None, &["sh", "-c", "echo started"])).ok(), "started\n", "control");
        node.dwell(&["rm", name]).ok();
    }
}

#[test]
fn mount_points_behind_links_are_made_inside_the_image() {
    let node = Node::new();
    let victim = victim(&node);
    let root = rootfs::busybox(&node.files());
    // All of Debian's images with systemd have this one, dangling.
    symlink("../run/systemd/resolve/stub-resolv.conf", replaced(&node, "etc/resolv.conf")).expect("links");
    symlink(victim.join("hosts"), replaced(&node, "etc/hosts")).expect("links");
    symlink(&victim, root.join("link")).expect("links");
    let mount = "volumeMounts: [{name: v, mountPath: /link/new}]";
    let command =
        ["sh", "-c", "grep -c localhost /etc/hosts; test -e /etc/resolv.conf && echo x > /link/new/file && echo done"];
    let linked = Manifest::new("linked").spec("volumes: [{name: v, emptyDir: {}}]").with(rooted(
        &root,
        "main",
        &command,
        &[mount],
    ));
    let said = node.run(&linked.text());
    assert!(untouched(&victim), "{said:#?}");
    assert!(said.code == 0 && said.out.ends_with("done\n"), "links inside an image are usual: {said:#?}");
    std::fs::write(root.join("link/file"), "").expect("writes");
    assert!(!untouched(&victim), "control: on the host the link leads there");
}

#[test]
fn an_entry_point_behind_a_link_is_the_images_own() {
    let node = Node::new();
    let root = rootfs::busybox(&node.files());
    let program = node.file("program", "#!/bin/sh\necho from the host\n");
    let guest = dwell_tests::guest::path("hello.wasm");
    host(&["chmod", "755", program.to_str().expect("a path")]);
    for (name, target) in [("script", &program), ("module", &guest)] {
        symlink(target, root.join("bin").join(name)).expect("links");
        let said = node.run(&pod(&node, name, None, &[&format!("/bin/{name}")]));
        assert!(said.code == 127 && said.out.is_empty(), "{said:#?}");
        let host = host(&["sh", "-c", &format!("head -c 1 {}", root.join("bin").join(name).display())]);
        assert!(!host.contains("No such file"), "control: on the host the link leads there: {host}");
    }
    symlink("busybox", root.join("bin/uname-too")).expect("links");
    assert_eq!(node.run(&pod(&node, "control", None, &["/bin/sh", "-c", "echo inside"])).ok(), "inside\n", "control");
}

#[test]
fn a_fifo_as_image_module_or_program_holds_nobody_up() {
    let node = Node::new();
    let root = rootfs::busybox(&node.files());
    for path in [root.join("bin/fifo"), node.files().join("fifo.wasm")] {
        assert_eq!(host(&["mkfifo", "-m", "755", path.to_str().expect("a path")]), "");
    }
    let said = node.run(&pod(&node, "program", None, &["/bin/fifo"]));
    assert_eq!(said.code, 126, "{said:#?}");
    let said = node.dwell(&["run", node.files().join("fifo.wasm").to_str().expect("a path")]);
    assert!(said.code == 125 && said.err.contains("fifo.wasm") && said.err.contains("regular file"), "{said:#?}");
    assert_eq!(node.run(&pod(&node, "control", None, &WHO)).ok(), "0\n", "control");
}
