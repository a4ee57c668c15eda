//! Devices: those that every program expects, and no other, however a node for one came to be.

use dwell_tests::node::Node;

use crate::manifest::{Manifest, native, rooted, shell};
use crate::member::Member;
use crate::probe::{self, host};

/// A disk of the test's own: a loop device over a file, gone when dropped.
struct Disk {
    path: String,
    numbers: [String; 2],
}

impl Disk {
    fn new(node: &Node) -> Disk {
        let file = node.file("disk", "what a disk holds");
        std::fs::File::options().write(true).open(&file).and_then(|file| file.set_len(1 << 20)).expect("grows");
        let path = host(&["losetup", "-f", "--show", file.to_str().expect("a path")]).trim().to_owned();
        assert!(path.starts_with("/dev/"), "{path}");
        let metadata = std::fs::metadata(&path).expect("it is there");
        let number = std::os::linux::fs::MetadataExt::st_rdev(&metadata);
        let numbers = [rustix::fs::major(number), rustix::fs::minor(number)].map(|part| part.to_string());
        Disk { path, numbers }
    }

    fn mknod(&self, at: &str) -> String {
        format!("mknod {at} b {} {}", self.numbers[0], self.numbers[1])
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        host(&["losetup", "-d", &self.path]);
    }
}

#[test]
fn dev_holds_what_programs_expect() {
    let node = Node::new();
    let said = node.run(&shell(&node, "plain", "cd /dev; find . | sort | tr '\\n' ' '")).ok();
    let wanted = ". ./core ./fd ./full ./mqueue ./null ./ptmx ./pts ./pts/ptmx ./random ./shm ./stderr ./stdin \
        ./stdout ./termination-log ./tty ./urandom ./zero ";
    assert_eq!(said, wanted);
    let script =
        "echo x >/dev/null && head -c 3 /dev/zero | wc -c && head -c 3 /dev/urandom | wc -c; ! echo >/dev/full";
    assert_eq!(node.run(&shell(&node, "works", script)).ok(), "3\n3\n", "control: they work");
}

#[test]
fn no_node_is_made_for_a_disk_of_the_host() {
    let node = Node::new();
    let disk = Disk::new(&node);
    let make = format!("{} && head -c 17 /tmp/disk; true", disk.mknod("/tmp/disk"));
    let memory = "mknod /tmp/mem c 1 1 && head -c 1 /tmp/mem; true";
    node.start(&shell(&node, "maker", &format!("({make}; {memory}) 2>&1; echo over; exec sleep 600")));
    let member = Member::of(&node, "maker", "main", "sleep");
    let said = node.printed("maker", "main", "over\n");
    assert_eq!(said.matches("Operation not permitted").count(), 2, "{said}");
    assert!(!said.contains("holds"), "{said}");
    // The same place, the same mounts; entering them leaves out the device list.
    assert_eq!(member.inside(&make), "what a disk holds", "control");
    let allowed = node.run(&shell(&node, "allowed", "mknod /tmp/null c 1 3 && cat /tmp/null && echo read")).ok();
    assert_eq!(allowed, "read\n", "control: a device on the list may be made");
}

#[test]
fn a_node_that_an_image_brings_opens_no_disk() {
    let node = Node::new();
    let disk = Disk::new(&node);
    let place = dwell_tests::rootfs::busybox(&node.files()).join("disk");
    assert_eq!(crate::probe::host_script(&disk.mknod(&place.display().to_string())), "");
    node.start(&shell(&node, "image", "(head -c 17 /disk; echo >> /disk) 2>&1; echo over; exec sleep 600"));
    let member = Member::of(&node, "image", "main", "sleep");
    let said = node.printed("image", "main", "over\n");
    assert_eq!(said.matches("Operation not permitted").count(), 2, "{said}");
    assert_eq!(member.inside("head -c 17 /disk"), "what a disk holds", "control: without the device list");
}

#[test]
fn a_node_in_a_volume_opens_nothing() {
    let node = Node::new();
    let folder = node.files().join("volume");
    std::fs::create_dir(&folder).expect("makes");
    let path = folder.join("null");
    assert_eq!(host(&["mknod", path.to_str().expect("a path"), "c", "1", "3"]), "");
    let pod = |name: &str, mount: &str| {
        Manifest::new(name)
            .spec(&format!("volumes: [{{name: v, hostPath: {{path: {}}}}}]", folder.display()))
            .with(native(&node, "main", "cat /v/null 2>&1 && echo read; true", &[mount]))
            .text()
    };
    let said = node.run(&pod("volume", "volumeMounts: [{name: v, mountPath: /v}]")).ok();
    assert!(said.contains("Permission denied") && !said.contains("read"), "{said}");
    let control = host(&["cat", path.to_str().expect("a path")]);
    assert_eq!(control, "", "control: it can be opened where the mount is not nodev");
}

/// A member is root over what it holds: on the host's own `/dev/null` it could change mode and owner for everybody.
#[test]
fn standard_input_is_not_the_hosts_own_null_device() {
    let node = Node::new();
    let identity = |path: &str| host(&["stat", "-L", "-c", "%d:%i", path]);
    node.start(&shell(&node, "member", "exec sleep 600"));
    let member = Member::of(&node, "member", "main", "sleep");
    let (own, hosts) = (identity(&member.path("fd/0").display().to_string()), identity("/dev/null"));
    assert!(!hosts.is_empty() && own != hosts, "descriptor 0 is the host's /dev/null, {own}");
    let beside = node.dwell(&["exec", "member", "--", "stat", "-L", "-c", "%d:%i", "/proc/self/fd/0"]).ok();
    assert_ne!(beside, hosts, "the same of an exec");
    assert_eq!(node.dwell(&["exec", "member", "--", "wc", "-c"]).ok(), "0\n", "control: it still reads as empty");
    let script = "exec stat -L -c %d:%i /proc/self/fd/0 < /dev/null";
    assert_eq!(host(&["sh", "-c", script]), hosts, "control: a process of the host's has that very one");
}

#[test]
fn a_link_named_dev_null_in_an_image_is_never_followed() {
    let node = Node::new();
    let root = dwell_tests::rootfs::busybox(&node.files());
    let victim = node.file("victim", "untouched");
    std::fs::create_dir_all(root.join("dev")).expect("makes");
    for name in ["null", "console", "ptmx", "shm"] {
        std::os::unix::fs::symlink(&victim, root.join("dev").join(name)).expect("links");
    }
    // CVE-2025-31133, CVE-2025-52565.
    let command = [
        "sh",
        "-c",
        "echo x > /dev/null; head -c 1 /proc/timer_list /proc/keys | wc -c; [ -c /dev/null ] && echo device",
    ];
    let said = node.run(&Manifest::new("links").with(rooted(&root, "main", &command, &[])).text()).ok();
    assert!(said.ends_with("device\n"), "{said}");
    assert_eq!(std::fs::read_to_string(&victim).expect("reads"), "untouched");
    let control =
        probe::host_script(&format!("echo x > {}; cat {}", root.join("dev/null").display(), victim.display()));
    assert_eq!(control, "x\n", "control: on the host the link leads there");
}
