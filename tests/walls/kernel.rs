//! The kernel's own file systems: mounts, `/proc`, `/sys`, cgroups.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use dwell_tests::node::Node;

use crate::manifest::{Manifest, native, shell};
use crate::member::Member;
use crate::probe::{host, host_script};

/// A mount of the test's own on the host, gone when dropped.
struct Mounted(PathBuf);

impl Mounted {
    fn at(path: PathBuf) -> Mounted {
        fs::create_dir(&path).expect("makes");
        let said = host(&["mount", "-t", "tmpfs", "walls", path.to_str().expect("a path")]);
        assert_eq!(said, "");
        fs::write(path.join("inside"), "").expect("writes");
        Mounted(path)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        host(&["umount", self.0.to_str().expect("a path")]);
    }
}

/// Where something is mounted, and its options.
fn mounts(mountinfo: &str) -> Vec<(String, String)> {
    let fields = mountinfo.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    fields.map(|fields| (fields[4].to_owned(), fields[5].to_owned())).collect()
}

#[test]
fn nothing_is_mounted_but_what_belongs_to_the_member() {
    let node = Node::new();
    let before = Mounted::at(node.files().join("before"));
    node.start(&shell(&node, "member", "exec sleep 600"));
    let member = Member::of(&node, "member", "main", "sleep");
    let after = Mounted::at(node.files().join("after"));
    let found = mounts(&member.proc("mountinfo"));
    let exact = ["/", "/proc", "/dev", "/dev/pts", "/dev/mqueue", "/dev/shm", "/sys"];
    let pod = ["/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/dev/termination-log"];
    let covers = ["/proc/", "/sys/"];
    for (point, options) in &found {
        let own = exact.contains(&point.as_str()) || pod.contains(&point.as_str());
        assert!(own || covers.iter().any(|top| point.starts_with(top)), "{point}");
        let inert = |option: &str| options.split(',').any(|one| one == option);
        assert!(point == "/" || inert("nosuid"), "{point} {options}");
        assert!(point == "/" || inert("noexec"), "{point} {options}");
    }
    let points: BTreeSet<_> = found.iter().map(|(point, _)| point.as_str()).collect();
    assert!(exact.iter().chain(&pod).all(|point| points.contains(point)), "control: {points:?}");
    let own = fs::read_to_string("/proc/self/mountinfo").expect("reads");
    for mounted in [&before, &after] {
        assert!(own.contains(mounted.0.to_str().expect("a path")), "control: the host has it");
        assert!(!member.path("root").join(mounted.0.strip_prefix("/").expect("absolute")).exists());
    }
}

#[test]
fn a_volume_shows_a_hosts_later_mounts_to_nobody() {
    let node = Node::new();
    let folder = node.files().join("volume");
    fs::create_dir(&folder).expect("makes");
    let pod = Manifest::new("member")
        .spec(&format!("volumes: [{{name: v, hostPath: {{path: {}}}}}]", folder.display()))
        .with(native(&node, "main", "exec sleep 600", &["volumeMounts: [{name: v, mountPath: /v}]"]));
    node.start(&pod.text());
    let member = Member::of(&node, "member", "main", "sleep");
    let later = Mounted::at(folder.join("later"));
    fs::write(folder.join("plain"), "").expect("writes");
    let seen = |path: &str| member.path("root/v").join(path).exists();
    assert!(seen("plain") && seen("later") && !seen("later/inside"));
    assert!(later.0.join("inside").exists(), "control: on the host it is there");
}

#[test]
fn switches_of_the_whole_host_cannot_be_opened_for_writing() {
    let node = Node::new();
    let files = [
        "/proc/sys/kernel/domainname",
        "/proc/sys/kernel/core_pattern",
        "/proc/sys/vm/drop_caches",
        "/proc/sys/net/ipv4/ip_forward",
        "/proc/sys/fs/file-max",
        "/proc/sysrq-trigger",
        "/proc/irq/default_smp_affinity",
        "/sys/kernel/mm/ksm/run",
        "/sys/kernel/mm/transparent_hugepage/enabled",
        "/sys/power/state",
    ];
    let present: Vec<_> = files.into_iter().filter(|file| Path::new(file).exists()).collect();
    let script = format!("for each in {}; do (: >> $each) 2>&1; done; true", present.join(" "));
    let said = node.run(&shell(&node, "member", &script)).ok();
    let refused = said.matches("Read-only file system").count() + said.matches("Permission denied").count();
    assert_eq!(refused, present.len(), "{said}");
    let host = host_script(&script);
    let refused = host.matches("Read-only file system").count();
    assert!(refused == 0 && present.len() >= 4, "control: {host}");
}

#[test]
fn what_tells_of_the_host_is_covered() {
    let node = Node::new();
    let files = ["/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/interrupts", "/proc/sched_debug"];
    let present: Vec<_> = files.into_iter().filter(|file| Path::new(file).exists()).collect();
    let script = format!(
        "for each in {}; do head -c 1 $each 2>/dev/null; done | wc -c; ls /sys/firmware | wc -l",
        present.join(" ")
    );
    let said = node.run(&shell(&node, "member", &script)).ok();
    assert_eq!(said, "0\n0\n");
    let host = host_script(&script);
    let bytes: usize = host.lines().next().expect("a count").trim().parse().expect("a number");
    assert!(bytes >= 2, "control: {host}");
}

#[test]
fn cgroups_can_be_read_and_not_changed() {
    let node = Node::new();
    let files = "/sys/fs/cgroup/*/cgroup.procs /sys/fs/cgroup/*/tasks /sys/fs/cgroup/cgroup.procs \
        /sys/fs/cgroup/*/release_agent /sys/fs/cgroup/*/devices.allow /sys/fs/cgroup/*/memory.limit_in_bytes \
        /sys/fs/cgroup/memory.max";
    let write = format!("for each in {files}; do [ -e $each ] && (: >> $each) 2>&1 && echo open $each; done");
    let make = "for each in /sys/fs/cgroup /sys/fs/cgroup/*/; do mkdir ${each}x 2>&1; done";
    let script = format!("cat /proc/self/cgroup; {write}; {make}; echo over; exec sleep 600");
    node.start(&shell(&node, "member", &script));
    let member = Member::of(&node, "member", "main", "sleep");
    let said = node.printed("member", "main", "over\n");
    assert!(!said.contains("open /") && said.contains("Read-only file system"), "{said}");
    let paths = said.lines().filter(|line| line.split(':').count() == 3 && !line.contains(' '));
    assert!(paths.clone().count() > 0 && paths.clone().all(|line| line.ends_with(":/")), "{said}");
    let group = member.cgroup("pids");
    let inner = group.join("walls");
    fs::create_dir(&inner).expect("control: the host may");
    fs::remove_dir(&inner).expect("removes");
    assert!(group.components().count() > 4, "control: it is not the root that is seen there: {}", group.display());
}
