//! What of the host is beside a member: the node's folders, its sockets, the cgroups.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr, UnixListener};

use dwell_tests::host::host;
use dwell_tests::manifest::{Manifest, wasm};
use dwell_tests::member::Member;
use dwell_tests::node::wait_until;

use crate::contents::kinds;
use crate::stage::{MOUNTED, Stage, all_shut};

/// What a user of the host's finds of a node's state, in the folder and below.
fn found_by_nobody(stage: &Stage) -> Vec<String> {
    let state = stage.node.state_dir().display().to_string();
    let nobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--", "find"];
    let found = host(&[&nobody[..], &[&state, "-mindepth", "2"]].concat());
    found.lines().filter(|line| line.starts_with(&state)).map(|line| line[state.len()..].to_owned()).collect()
}

/// A Pod with volumes of every kind, whose member leaves a program for whoever finds it; in folders that a careless
/// hand has made, for everybody to enter.
fn nobody_enters(container: impl Fn(&Stage, &str) -> String) {
    let stage = Stage::new();
    for folder in ["lib", "run"] {
        std::fs::create_dir_all(stage.node.state_dir().join(folder)).expect("makes");
    }
    let volumes = "volumes: [{name: v, emptyDir: {}}, {name: m, emptyDir: {medium: Memory}}, {name: c, \
        persistentVolumeClaim: {claimName: kept}}, {name: s, secret: {secretName: keys}}]";
    let mounts = "volumeMounts: [{name: v, mountPath: /data}, {name: m, mountPath: /m}, {name: c, mountPath: /c}, \
        {name: s, mountPath: /s}]";
    let secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: keys}\nstringData: {key: hidden}\n---\n";
    let pod = Manifest::new("attack").spec(volumes).with(container(&stage, mounts));
    stage.node.run(secret).ok();
    stage.node.start(&pod.text());
    assert!(wait_until(|| stage.node.dwell(&["logs", "attack", "-c", "main"]).out.contains("ok")), "it ran");
    let own: Vec<String> = found_by_nobody(&stage).into_iter().filter(|path| path.matches('/').count() > 2).collect();
    assert_eq!(own, Vec::<String>::new(), "whoever finds a member's program runs it");
    for folder in ["lib/pods", "run/pods"] {
        let everybody = std::fs::Permissions::from_mode(0o755);
        let folder = stage.node.state_dir().join(folder);
        std::fs::set_permissions(&folder, everybody.clone()).expect("sets");
        for pod in std::fs::read_dir(folder).expect("lists").flatten() {
            std::fs::set_permissions(pod.path(), everybody.clone()).expect("sets");
        }
    }
    let found = found_by_nobody(&stage);
    let inside = found.iter().filter(|path| path.matches('/').count() > 3).count();
    assert!(inside > 0, "control: folders that are open are entered: {found:?}");
}

#[test]
fn cve_2024_25621_nobody_of_the_host_enters_where_members_live() {
    let script = "cp /bin/busybox /data/sh && chmod 4755 /data/sh && cp -p /data/sh /c && echo ok; exec sleep 600";
    nobody_enters(|stage, more| stage.native("main", script, &[more]));
}

#[test]
fn cve_2024_25621_wasm_volumes_and_compiled_code_are_nobodys() {
    nobody_enters(|stage, more| {
        let guest = stage.wasm("main", &["write /data/file", "write /c/file"], &[more]);
        guest + &stage.native("stays", "exec sleep 600", &[more])
    });
}

/// Inodes of the sockets that a process holds.
fn sockets(pid: i32) -> Vec<String> {
    let links = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let links = links.filter_map(|entry| std::fs::read_link(entry.path()).ok());
    links.filter_map(|link| Some(link.to_str()?.strip_prefix("socket:[")?.trim_end_matches(']').to_owned())).collect()
}

/// Names, of those sockets, that everybody in the host's network can connect to.
fn abstract_names(pid: i32) -> Vec<String> {
    let held = sockets(pid);
    let all = std::fs::read_to_string("/proc/net/unix").expect("reads");
    let named = all.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let own = named.filter(|words| words.get(6).is_some_and(|inode| held.contains(&(*inode).to_owned())));
    own.filter_map(|words| words.get(7).filter(|name| name.starts_with('@')).map(|name| (*name).to_owned())).collect()
}

fn nothing_of_dwell_listens_abstractly(container: impl Fn(&Stage) -> String, program: &str) {
    let stage = Stage::new();
    stage.node.start(&Manifest::new("attack").spec("hostNetwork: true").with(container(&stage)).text());
    let member = Member::of(&stage.node, "attack", "main", program);
    let own = Member { pid: std::process::id() as i32 };
    assert_eq!(member.namespace("net"), own.namespace("net"), "control: it is on the host's network");
    for pid in [member.pid, Member::pause(&stage.node, "attack").pid, stage.node.node_pid().expect("a node")] {
        assert_eq!(abstract_names(pid), Vec::<String>::new());
    }
    let name = format!("attacks-{program}-{}", own.pid);
    let address = SocketAddr::from_abstract_name(name.as_bytes()).expect("an address");
    let _listener = UnixListener::bind_addr(&address).expect("binds");
    assert!(abstract_names(own.pid).contains(&format!("@{name}")), "control: one would be seen");
}

#[test]
fn cve_2020_15257_no_socket_of_dwells_is_on_the_hosts_network() {
    nothing_of_dwell_listens_abstractly(|stage| stage.native("main", "exec sleep 600", &[]), "sleep");
}

#[test]
fn cve_2020_15257_wasm_worker_holds_no_socket_of_the_hosts_network() {
    nothing_of_dwell_listens_abstractly(|_| wasm("main", "spin.wasm", &[], &[]), "dwell-worker");
}

/// Tries to make a group, and to move somebody, in every hierarchy.
const GROUPS: &str = "for each in $(find /sys/fs/cgroup -maxdepth 1 -type d); do mkdir $each/attack 2>&1; \
    (echo 1 > $each/cgroup.procs) 2>&1; done; echo over; exec sleep 600";

/// Mounts its hierarchy once more, as nobody did for the member, and makes a group there.
const ANEW: &str = "(mount -t cgroup -o pids x /tmp || mount -t cgroup2 x /tmp) 2>/dev/null; mkdir /tmp/attack && \
    rmdir /tmp/attack && echo made; umount /tmp";

#[test]
fn cve_2023_25809_cgroups_are_the_members_own_and_read_only() {
    let stage = Stage::new();
    stage.node.start(&Manifest::new("attack").with(stage.native("main", GROUPS, &[])).text());
    let said = stage.node.printed("attack", "main", "over\n");
    let tried: Vec<&str> = said.lines().filter(|line| *line != "over").collect();
    assert!(tried.len() >= 2 && tried.iter().all(|line| line.contains("Read-only file system")), "{said}");
    let member = Member::of(&stage.node, "attack", "main", "sleep");
    assert_eq!(member.inside_as(ANEW, &["-C"]), "made\n", "control: a mount that may be written takes a group");
}

#[test]
fn cve_2023_25809_wasm_has_no_cgroup_mounted() {
    let stage = Stage::new();
    let doors = ["list /sys/fs/cgroup", "make /sys/fs/cgroup/attack", "write /sys/fs/cgroup/cgroup.procs"];
    all_shut(&stage.once(stage.wasm("main", &doors, &[MOUNTED]), &["volumes: [{name: v, emptyDir: {}}]"]));
    let guest = wasm("main", "spin.wasm", &[], &[]);
    let pod = Manifest::new("attack").with(guest).with(stage.native("native", "exec sleep 600", &[]));
    stage.node.start(&pod.text());
    let [guest, sibling] = [("main", "dwell-worker"), ("native", "sleep")]
        .map(|(container, program)| kinds(&Member::of(&stage.node, "attack", container, program)));
    let has = |found: &[String]| found.iter().any(|kind| kind.starts_with("cgroup"));
    assert!(!has(&guest) || guest.iter().any(|kind| kind == "proc"), "once it has its root: {guest:?}");
    assert!(has(&sibling), "control: a native member has them: {sibling:?}");
}
