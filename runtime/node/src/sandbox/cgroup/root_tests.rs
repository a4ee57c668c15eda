//! On this host's real hierarchies, in groups of the tests' own, as each of the three layouts would use them.

use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};
use std::time::Instant;

use dwell_spec::plan::container::DeviceRule;

use super::*;

struct Cleared(CgroupRoot);

impl Drop for Cleared {
    fn drop(&mut self) {
        let _ = self.0.group.kill();
        let _ = self.0.group.remove();
    }
}

fn root(layout: Layout, name: &str) -> Cleared {
    let name = format!("dwell-test-{}-{name}", std::process::id());
    Cleared(CgroupRoot::open_in(layout, &name).unwrap())
}

/// A Pod's group and that of a container in it, without limits.
fn one_container(root: &Cleared) -> (PodCgroup, Group) {
    let pod = root.0.create_pod("pod", &CgroupLimits::default()).unwrap();
    let allowed = CgroupLimits { devices: every_device(), ..CgroupLimits::default() };
    let group = pod.create_container("c", &allowed).unwrap().group;
    (pod, group)
}

fn only_v1() -> Layout {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let without: Vec<_> = mounts.lines().filter(|line| !line.contains(" - cgroup2 ")).collect();
    Layout::parse(&without.join("\n"))
}

fn only_v2() -> Layout {
    Layout { v1: Vec::new(), ..Layout::detect() }
}

/// The version alone, where the host has it; one of the two it has.
fn single_versions() -> Vec<Layout> {
    let found: Vec<_> =
        [only_v1(), only_v2()].into_iter().filter(|one| !one.v1.is_empty() || one.v2.is_some()).collect();
    assert!(!found.is_empty());
    found
}

/// Every way in which this host could be used.
fn layouts() -> Vec<Layout> {
    let mut all = single_versions();
    all.push(Layout::detect());
    all
}

fn limits() -> CgroupLimits {
    let null = DeviceRule { block: false, major: Some(1), minor: Some(3), access: "rw".into() };
    CgroupLimits {
        memory: Some(16 << 20),
        cpu_quota_us: Some(50_000),
        cpu_shares: Some(512),
        pids: Some(20),
        huge_pages: Default::default(),
        devices: vec![null],
    }
}

fn every_device() -> Vec<DeviceRule> {
    vec![DeviceRule { block: false, major: None, minor: None, access: "rwm".into() }]
}

/// Runs a shell line in the group, entering it as each version allows.
fn spawn(group: &Group, line: &str) -> Child {
    let enter = |dir: &PathBuf| {
        let file = if dir.join("tasks").exists() { "tasks" } else { "cgroup.procs" };
        format!("echo 0 >{}/{file}\n", dir.display())
    };
    let script: String = group.dirs().map(enter).collect();
    Command::new("sh").arg("-ec").arg(script + "exec 2>/dev/null\n" + line).spawn().unwrap()
}

fn run(group: &Group, line: &str) -> ExitStatus {
    spawn(group, line).wait().unwrap()
}

#[test]
fn limits_arrive_and_everything_is_removed() {
    let root = root(Layout::detect(), "limits");
    let pod = root.0.create_pod("pod1", &CgroupLimits { memory: Some(32 << 20), ..CgroupLimits::default() }).unwrap();
    let container = pod.create_container("web-0", &limits()).unwrap().group;
    assert_eq!(root.0.list_pods(), ["pod1"]);
    if root.0.layout.version_of("memory") == Some(1) {
        let dir = |name: &str| container.dirs().find(|dir| dir.join(name).exists()).unwrap().join(name);
        let read = |name: &str| std::fs::read_to_string(dir(name)).unwrap();
        assert_eq!(read("memory.limit_in_bytes"), "16777216\n");
        assert_eq!(read("cpu.cfs_quota_us"), "50000\n");
        assert_eq!(read("cpu.shares"), "512\n");
        assert_eq!(read("pids.max"), "20\n");
        assert_eq!(read("devices.list"), "c 1:3 rw\n");
    }
    assert!(!root.0.remove_root_if_empty().unwrap(), "a Pod is there");
    pod.group.remove().unwrap();
    pod.group.remove().expect("again");
    assert!(container.is_gone() && pod.group.is_gone());
    assert!(root.0.remove_root_if_empty().unwrap());
    assert!(root.0.group.is_gone());
}

#[test]
fn huge_pages_are_limited_where_the_controller_is() {
    let layout = Layout::detect();
    let Some(page) =
        crate::volume::huge_pages::sizes().first().copied().filter(|_| layout.version_of("hugetlb").is_some())
    else {
        return;
    };
    let root = root(layout, "pages");
    let with =
        |bytes| CgroupLimits { huge_pages: [(page, bytes)].into(), devices: every_device(), ..CgroupLimits::default() };
    let read = |group: &Group| {
        let files = group.dirs().flat_map(|dir| std::fs::read_dir(dir).into_iter().flatten().flatten());
        let is_limit =
            |name: &str| name.starts_with("hugetlb") && (name.ends_with("B.max") || name.ends_with("B.limit_in_bytes"));
        let mut files = files.filter(|file| file.file_name().to_str().is_some_and(is_limit)).map(|file| file.path());
        let amounts = files.by_ref().map(|file| std::fs::read_to_string(file).unwrap().trim().to_owned());
        amounts.collect::<Vec<_>>()
    };
    let asks = root.0.create_pod("asks", &with(2 * page)).unwrap();
    let container = asks.create_container("c", &with(page)).unwrap().group;
    assert!(read(&asks.group).contains(&(2 * page).to_string()), "{:?}", read(&asks.group));
    assert!(read(&container).contains(&page.to_string()));
    assert!(run(&container, "true").success(), "a member is born there");
    let none = root.0.create_pod("none", &with(0)).unwrap();
    let inside = none.create_container("c", &CgroupLimits { huge_pages: Default::default(), ..with(0) }).unwrap().group;
    assert!(read(&none.group).contains(&"0".to_owned()));
    assert!(run(&inside, "true").success(), "and there, below the Pod's own limit");
    for pod in [asks, none] {
        pod.group.remove().unwrap();
    }
}

#[test]
fn an_oom_kill_is_told_from_a_plain_kill() {
    if Layout::detect().version_of("memory").is_none() {
        panic!("this host limits no memory");
    }
    let root = root(Layout::detect(), "oom");
    let pod = root.0.create_pod("pod", &CgroupLimits::default()).unwrap();
    let limits = CgroupLimits { devices: every_device(), ..limits() };
    let fits = pod.create_container("fits", &limits).unwrap().group;
    assert!(run(&fits, "x=$(yes | head -c 1m)").success(), "control: a small meal");
    let hungry = pod.create_container("hungry", &limits).unwrap().group;
    assert!(!run(&hungry, "x=$(yes | head -c 64m)").success());
    // Version 2 ends the container as a whole, and counts each of its processes.
    assert!(hungry.oom_kills() >= Some(1));
    assert!(hungry.memory_peak() > Some(8 << 20));
    let killed = pod.create_container("killed", &limits).unwrap().group;
    assert_eq!(run(&killed, "kill -9 $$").signal(), Some(9));
    assert_eq!(killed.oom_kills(), Some(0), "control: the same status, another cause");
}

#[test]
fn kill_reaches_everyone_in_every_layout() {
    for (number, layout) in layouts().into_iter().enumerate() {
        let root = root(layout, &format!("kill{number}"));
        let (pod, group) = one_container(&root);
        let mut child = spawn(&group, "sleep 100 & sleep 100 & sleep 100 & wait");
        while group.dirs().any(|dir| std::fs::read_to_string(dir.join("cgroup.procs")).unwrap().lines().count() < 4) {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        assert!(matches!(group.remove(), Err(CgroupError::Busy { .. })), "control: it holds processes");
        assert!(group.pids_current().is_none_or(|count| count >= 4));
        pod.group.kill().unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(9), "layout {number}");
        pod.group.remove().unwrap();
        pod.group.kill().expect("a group that is gone has none");
    }
}

/// As a privileged member may leave them: the end of a Pod waited two seconds for the dead, and its groups stayed.
#[test]
fn groups_made_below_go_with_it_and_the_dead_are_not_waited_for() {
    for (number, layout) in layouts().into_iter().enumerate() {
        let root = root(layout, &format!("below{number}"));
        let (pod, group) = one_container(&root);
        let mut child = spawn(&group, "exec sleep 100");
        for dir in group.dirs() {
            let deep = dir.join("d/".repeat(20));
            std::fs::create_dir_all(&deep).unwrap();
            std::fs::write(deep.join("cgroup.procs"), child.id().to_string()).unwrap();
        }
        assert!(pod.group.is_alive() && matches!(group.remove(), Err(CgroupError::Busy { .. })), "control");
        pod.group.kill().unwrap();
        let began = Instant::now();
        while pod.group.is_alive() {
            assert!(began.elapsed().as_secs() < 60, "layout {number}: the dead count as alive");
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        assert!(pod.group.pids_current().is_none_or(|count| count == 1), "control: nobody has waited for it");
        assert_eq!(child.wait().unwrap().signal(), Some(9));
        pod.group.remove().unwrap();
        assert!(group.is_gone());
    }
}

#[test]
fn devices_are_an_allow_list_in_both_versions() {
    for (number, layout) in single_versions().into_iter().enumerate() {
        let root = root(layout, &format!("devices{number}"));
        let pod = root.0.create_pod("pod", &CgroupLimits::default()).unwrap();
        let null = DeviceRule { block: false, major: Some(1), minor: Some(3), access: "rw".into() };
        let narrow = CgroupLimits { devices: vec![null], ..CgroupLimits::default() };
        let group = pod.create_container("narrow", &narrow).unwrap().group;
        let place = std::env::temp_dir().join(format!("dwell-test-{}-node{number}", std::process::id()));
        let make = format!("rm -f {0}; mknod {0} c 1 3", place.display());
        assert!(run(&group, "echo >/dev/null").success(), "layout {number}");
        assert!(!run(&group, "head -c1 /dev/zero >/dev/null").success(), "layout {number}");
        assert!(!run(&group, "head -c1 /dev/urandom >/dev/null").success());
        assert!(!run(&group, &make).success(), "mknod needs m");
        let wide = CgroupLimits { devices: every_device(), ..CgroupLimits::default() };
        let group = pod.create_container("wide", &wide).unwrap().group;
        assert!(run(&group, "head -c1 /dev/zero >/dev/null").success(), "control: allowed, version {}", number + 1);
        assert!(run(&group, &make).success(), "control: m allowed");
        std::fs::remove_file(place).unwrap();
    }
}

#[test]
fn processor_time_is_counted() {
    for (number, layout) in layouts().into_iter().enumerate() {
        let root = root(layout, &format!("time{number}"));
        let (pod, member) = one_container(&root);
        let before = pod.group.cpu_usage_ns().unwrap();
        assert!(run(&member, "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done").success());
        assert!(pod.group.cpu_usage_ns().unwrap() > before + 1_000_000);
    }
}

#[test]
fn names_that_could_be_files_are_refused() {
    let root = root(Layout::detect(), "names");
    for name in ["", "..", "a/b", "cpu.max", "tasks", "a.b", "x\0"] {
        assert!(matches!(root.0.pod(name), Err(CgroupError::BadName { .. })), "{name:?}");
    }
    let pod = root.0.pod("0f3a_b-C").expect("control");
    assert!(pod.container("pause").is_none());
}

#[test]
fn two_roots_side_by_side() {
    let (one, two) = (root(Layout::detect(), "left"), root(Layout::detect(), "right"));
    let (left, right) = (one.0.create_pod("p", &limits()).unwrap(), two.0.create_pod("p", &limits()).unwrap());
    left.group.remove().unwrap();
    assert!(one.0.remove_root_if_empty().unwrap());
    assert!(!right.group.is_gone());
    assert_eq!(two.0.list_pods(), ["p"]);
}

/// Says how long making takes; asserts nothing about it.
#[test]
fn making_a_hundred() {
    let root = root(Layout::detect(), "many");
    let mut times = Vec::new();
    for number in 0..100 {
        let started = Instant::now();
        let pod = root.0.create_pod(&format!("p{number}"), &limits()).unwrap();
        let half = started.elapsed();
        pod.create_container("c", &limits()).unwrap();
        times.push((half, started.elapsed() - half));
    }
    let mut halves = [times.iter().map(|t| t.0).collect::<Vec<_>>(), times.iter().map(|t| t.1).collect()];
    halves.iter_mut().for_each(|list| list.sort());
    println!(
        "pod: min {:?} median {:?}; container: min {:?} median {:?}",
        halves[0][0], halves[0][50], halves[1][0], halves[1][50]
    );
    let started = Instant::now();
    root.0.list_pods().iter().for_each(|id| root.0.pod(id).unwrap().group.remove().unwrap());
    println!("removing a hundred of both: {:?}", started.elapsed());
}
