//! The walls around pause, its size, and what its start leaves or refuses.

use std::os::fd::AsRawFd;

use crate::births::children;
use crate::harness::*;
use crate::logs::output;
use crate::protocol::*;

/// It may only shrink.
const BINARY_MAX: u64 = 8_192;

#[test]
fn the_binary_is_small() {
    let size = std::fs::metadata(pause_binary()).unwrap().len();
    assert!(size <= BINARY_MAX, "{size} bytes");
}

fn resident(pod: &Pod) -> u64 {
    let rollup = std::fs::read_to_string(format!("/proc/{}/smaps_rollup", pod.pid())).unwrap();
    let line = rollup.lines().find_map(|line| line.strip_prefix("Rss:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn an_idle_pause_is_small_also_after_a_flood() {
    // Where the kernel puts the stack within its pages is chance: one start in twenty has a page more than the others.
    let idle: Vec<u64> = (0..100).map(|_| resident(&Pod::new())).collect();
    assert!(idle.iter().all(|size| *size <= 32), "{idle:?} kB");
    let mut pod = Pod::new();
    let log = log_file();
    pod.birth(1, &Ask::new(&["sleep"]).log(&[&log], 0));
    pod.run(2, &Ask::new(&["lines", "100000"]).log(&[&log], 0));
    eventually("the buffers are given back", || resident(&pod) <= 32);
}

fn spied(pod: &mut Pod, seq: u64, with_ptrace: &str) -> String {
    let log = log_file();
    let exit = pod.run(seq, &Ask::new(&["spy", with_ptrace]).flags(0).log(&[&log], 0));
    assert_eq!(exit.status, 0, "{}", String::from_utf8_lossy(&output(&[&log], true)));
    String::from_utf8(output(&[&log], false)).unwrap()
}

#[test]
fn proc_1_root_is_empty_for_a_member_that_may_trace() {
    let mut pod = Pod::new();
    let seen = spied(&mut pod, 1, "1");
    assert!(seen.contains("root []\n"), "{seen}");
    assert!(seen.contains("ptrace 0\n"), "the control: this member may trace\n{seen}");
    for path in ["1/root/etc/passwd", "1/root/proc"] {
        assert!(seen.contains(&format!("path {path} refused\n")), "{seen}");
    }
    for path in ["1/cwd/..", "1/root/.."] {
        assert!(seen.contains(&format!("path {path} []\n")), "{seen}");
    }
    let fds = seen.lines().find_map(|line| line.strip_prefix("fds ")).unwrap();
    let allowed = ["/null", "socket:", "anon_inode:", "pipe:", "/memfd:"];
    for link in fds.trim_matches(['[', ']']).split(", ") {
        let link = link.trim_matches('"');
        assert!(allowed.iter().any(|start| link.starts_with(start)), "{link}");
    }
    let mounts = seen.lines().find_map(|line| line.strip_prefix("mounts ")).unwrap();
    assert!(mounts.contains(" / / ro,nosuid,nodev,noexec") && mounts.matches("\\n").count() == 1, "{mounts}");
}

#[test]
fn a_member_that_may_not_trace_sees_nothing_of_pause() {
    let mut pod = Pod::new();
    let seen = spied(&mut pod, 1, "0");
    for line in ["root refused", "ptrace -1", "path 1/cwd/.. refused", "path 1/root/.. refused"] {
        assert!(seen.contains(&format!("{line}\n")), "{seen}");
    }
    // The numbers can be listed; where they lead cannot be seen.
    let fds = seen.lines().find_map(|line| line.strip_prefix("fds ")).unwrap();
    assert!(!fds.contains(|letter: char| letter.is_alphanumeric()), "{fds}");
}

fn status_line(pod: &Pod, name: &str) -> String {
    let status = std::fs::read_to_string(format!("/proc/{}/status", pod.pid())).unwrap();
    status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_string()
}

#[test]
fn pause_keeps_two_capabilities_and_the_bounding_set_it_was_given() {
    const SYS_PTRACE_AND_SYS_ADMIN: u64 = 1 << 19 | 1 << 21;
    let set = |pod: &Pod, name: &str| u64::from_str_radix(&status_line(pod, name), 16).unwrap();
    let wide = Pod::new();
    assert_eq!(set(&wide, "CapPrm:"), SYS_PTRACE_AND_SYS_ADMIN);
    assert_eq!(set(&wide, "CapEff:"), SYS_PTRACE_AND_SYS_ADMIN);
    assert_eq!((set(&wide, "CapInh:"), set(&wide, "CapAmb:")), (0, 0));
    let given = 1 << 21 | 1 << 8 | 1;
    let mut narrow = Pod::with(&Setup { capabilities: given, ..named(setup(USUAL), "narrow") }, &[]);
    assert_eq!(set(&narrow, "CapBnd:"), given);
    assert_eq!(set(&wide, "CapBnd:") & given, given);
    // A newborn is uid 0 and has the bounding set, not what pause has left.
    let pidfd = narrow.birth(1, &Ask::new(&["sleep"]));
    // BORN may arrive a moment before execve has changed the credentials.
    eventually("the newborn has the bounding set", || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", pid_of(&pidfd))).unwrap();
        status.contains(&format!("CapEff:\t{given:016x}\n"))
    });
}

#[test]
fn every_kind_of_birth_works_with_those_capabilities() {
    let mut pod = Pod::new();
    for seq in [1, 3, 5] {
        let member = pod.birth(seq, &Ask::new(&["sleep"]));
        let mut join = Ask::new(&["exit", "0"]).flags(Birth::JOIN);
        join.target = seq;
        assert_eq!(pod.run(seq + 1, &join).status, 0);
        kill(&member, libc::SIGKILL);
        assert_eq!(pod.exit(seq).status, 9);
    }
}

#[test]
fn ps_shows_the_pod_and_the_namespaces_are_its_own() {
    let pod = Pod::new();
    let pid = pod.pid();
    let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap();
    assert_eq!(command, b"pause\0default/test\0");
    assert_eq!(std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap(), "pause\n");
    for kind in ["net", "ipc", "uts", "pid", "mnt"] {
        let of = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/{kind}")).unwrap();
        assert_ne!(of(&pid.to_string()), of("self"), "{kind}");
    }
    let host = Pod::with(&setup(Setup::NEW_PID), &[]);
    for kind in ["net", "ipc", "uts"] {
        let of = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/{kind}")).unwrap();
        assert_eq!(of(&host.pid().to_string()), of("self"), "{kind}");
    }
    assert_eq!(status_line(&pod, "SigBlk:"), "fffffffffffbfeff");
}

#[test]
fn namespaces_can_be_handed_over() {
    let first = Pod::new();
    let holder = dwell_sys::process::open(first.pid()).unwrap();
    let second = Pod::with(&setup(Setup::NEW_PID | Setup::JOIN), &[holder.as_raw_fd()]);
    for kind in ["net", "ipc", "uts"] {
        let of = |pod: &Pod| std::fs::read_link(format!("/proc/{}/ns/{kind}", pod.pid())).unwrap();
        assert_eq!(of(&first), of(&second), "{kind}");
    }
}

#[test]
fn a_failed_start_says_which_step_failed() {
    let failed = |block: &[u8], more: &[i32]| {
        let (connection, dir, status) = start(block, more);
        let event = connection.next().unwrap().event;
        assert!(connection.next().is_none());
        std::fs::remove_dir_all(dir).unwrap();
        let Event::Failed { operation, errno } = event else { panic!("{event:?}") };
        (operation, errno as i32, status.code())
    };
    assert_eq!(failed(b"too short", &[]), (Operation::ReadSetup, 0, Some(1)));
    assert_eq!(failed(&[0; Setup::SIZE], &[]), (Operation::ReadSetup, 0, Some(1)));
    let read_only = std::fs::File::open("/dev/null").unwrap();
    let tasks = Setup { tasks: 1, ..setup(USUAL) };
    assert_eq!(failed(&tasks.encode(), &[read_only.as_raw_fd()]), (Operation::EnterCgroup, libc::EBADF, Some(1)));
    let cgroup = setup(USUAL | Setup::CGROUP_DIR);
    assert_eq!(failed(&cgroup.encode(), &[read_only.as_raw_fd()]), (Operation::CloneSandbox, libc::EBADF, Some(1)));
    let join = setup(Setup::NEW_PID | Setup::JOIN);
    assert_eq!(failed(&join.encode(), &[read_only.as_raw_fd()]), (Operation::Join, libc::EINVAL, Some(1)));
}

/// A cgroup of the test's own, removed at the end.
struct Cgroup(std::path::PathBuf);

impl Cgroup {
    fn new(hierarchy: &str, name: &str) -> Option<Self> {
        let path = std::path::Path::new("/sys/fs/cgroup").join(hierarchy);
        let path = path.join(format!("dwell-pause-test-{}-{name}", std::process::id()));
        std::fs::create_dir(&path).ok().map(|()| Self(path))
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        eventually("the cgroup is empty", || std::fs::remove_dir(&self.0).is_ok());
    }
}

#[test]
fn sandbox_and_members_are_born_into_their_cgroups() {
    let v2 = if std::path::Path::new("/sys/fs/cgroup/unified").exists() { "unified" } else { "" };
    let group = Cgroup::new(v2, "pod").expect("a v2 hierarchy");
    let inner = Cgroup::new(v2, "member").unwrap();
    let v1 = Cgroup::new("pids", "pod");
    let tasks = v1.as_ref().map(|group| std::fs::File::options().write(true).open(group.0.join("tasks")).unwrap());
    let folder = std::fs::File::open(&group.0).unwrap();
    let mut more: Vec<i32> = tasks.iter().map(AsRawFd::as_raw_fd).collect();
    more.push(folder.as_raw_fd());
    let setup = Setup { tasks: more.len() as u16 - 1, ..setup(USUAL | Setup::CGROUP_DIR) };
    let mut pod = Pod::with(&setup, &more);
    let groups = |pid: i32| std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    let name = |group: &Cgroup| group.0.file_name().unwrap().to_str().unwrap().to_string();
    assert!(groups(pod.pid()).contains(&name(&group)));
    if let Some(v1) = &v1 {
        assert_eq!(groups(pod.pid()).matches(&name(v1)).count(), 2, "v1 and v2 have the same name here");
    }
    let member_folder = std::fs::File::open(&inner.0).unwrap();
    let ask = Ask::new(&["sleep"]).flags(Birth::NEW_PID | Birth::INTO_CGROUP);
    let pidfd = pod.birth(1, &ask.fds(&[member_folder.as_raw_fd()]));
    assert!(groups(pid_of(&pidfd)).contains(&name(&inner)));
    assert_eq!(children(pod.pid()), [pid_of(&pidfd)]);
    drop(pod);
}
