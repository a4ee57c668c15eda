//! What a Pod is given of the host: devices, kernel parameters, its processes and IPC, every right, later mounts.

use std::path::{Path, PathBuf};
use std::process::Command;

use dwell_tests::node::{Node, kill, wait_until};

use crate::{before_containers, guest, native, shell};

/// Not among the devices that every member has; opening it for writing does nothing.
const DEVICE: &str = "/dev/kmsg";

/// A Pod that mounts a file of the host at `/dev/mine`.
fn with_device(node: &Node, name: &str, script: &str, path: &str, kind: &str, more: &str) -> String {
    let mounts = format!("    volumeMounts: [{{name: dev, mountPath: /dev/mine{more}}}]\n");
    let volume = format!("  volumes: [{{name: dev, hostPath: {{path: {path}, type: {kind:?}}}}}]\n");
    before_containers(&(shell(node, name, "Never", script) + &mounts), &volume)
}

#[test]
fn a_device_by_host_path_is_given_and_nothing_else_by_it() {
    let node = Node::new();
    let script = "if (: > /dev/mine) 2>/dev/null; then echo open; else echo refused; fi; \
                  chmod $(stat -c %a /dev/mine) /dev/mine 2>/dev/null && echo chmod; mknod /tmp/other c 1 11 2>/dev/null || echo no mknod; (: > /dev/mem) 2>/dev/null || echo no memory";
    let run = |name: &str, kind: &str, more: &str| {
        node.run(&with_device(&node, name, script, DEVICE, kind, more)).ok().replace('\n', ", ")
    };
    // It writes to the device, and does not say who else may.
    assert_eq!(run("given", "CharDevice", ""), "open, no mknod, ");
    assert_eq!(run("to-read", "CharDevice", ", readOnly: true"), "refused, no mknod, ");
    assert_eq!(
        run("control", "", ""),
        "refused, chmod, no mknod, ",
        "any file of the host may be mounted, none is a device"
    );
    let wrong = node.run(&with_device(&node, "wrong", script, DEVICE, "BlockDevice", ""));
    assert!(wrong.code == 125 && wrong.err.contains("it is not a block device"), "{wrong:#?}");
    let missing = node.run(&with_device(&node, "missing", script, "/dev/no-such-device", "CharDevice", ""));
    assert!(missing.code == 125 && missing.err.contains("/dev/no-such-device"), "{missing:#?}");
}

#[test]
fn a_device_that_came_back_as_another_is_that_one_after_a_restart() {
    let node = Node::new();
    let link = node.files().join("modem");
    std::os::unix::fs::symlink(DEVICE, &link).unwrap();
    let pod = with_device(
        &node,
        "plugged",
        "stat -c %t:%T /dev/mine; sleep 600",
        &link.display().to_string(),
        "CharDevice",
        "",
    );
    node.start(&pod.replace("restartPolicy: Never", "restartPolicy: Always"));
    let said = |what: &str| wait_until(|| node.dwell(&["logs", "plugged"]).out.contains(what));
    assert!(said("1:b"));
    std::fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink("/dev/full", &link).unwrap();
    node.dwell(&["restart", "plugged"]).ok();
    assert!(said("1:7"), "{:#?}", node.dwell(&["logs", "plugged"]));
}

#[test]
fn a_wasm_member_is_given_no_device() {
    let node = Node::new();
    let more = "    volumeMounts: [{name: dev, mountPath: /dev/mine}]\n  volumes: [{name: dev, hostPath: {path: \
                /dev/kmsg, type: CharDevice}}]\n";
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: w}\nspec:\n  containers:\n".to_owned()
        + &guest("w", "hello.wasm", "[]", more);
    let said = node.run(&pod);
    let refused = said.code == 125 && said.err.contains("volumeMounts[0]") && said.err.contains("opens no device");
    assert!(refused, "{said:#?}");
}

#[test]
fn kernel_parameters_are_the_pods_own() {
    let node = Node::new();
    let of_host = || {
        ["net/core/somaxconn", "kernel/msgmax"]
            .map(|name| std::fs::read_to_string(format!("/proc/sys/{name}")).unwrap())
    };
    let before = of_host();
    let sysctls = "  securityContext: {sysctls: [{name: net.core.somaxconn, value: '1234'}, {name: kernel/msgmax, value: \
                   '4321'}, {name: net/ipv4/conf/eth0/arp_filter, value: '1'}]}\n";
    let script = "cd /proc/sys; cat net/core/somaxconn kernel/msgmax net/ipv4/conf/eth0/arp_filter";
    let pod = shell(&node, "tuned", "Never", script);
    assert_eq!(node.run(&before_containers(&pod, sysctls)).ok(), "1234\n4321\n1\n");
    assert_eq!(of_host(), before);
    let plain = node.run(&shell(&node, "plain", "Never", script)).ok();
    assert!(!plain.contains("1234") && !plain.contains("4321"), "control: {plain}");
    let wrong = node.run(&before_containers(&pod.replace("tuned", "wrong"), &sysctls.replace("1234", "many")));
    assert!(wrong.code == 125 && wrong.err.contains("net.core.somaxconn") && wrong.err.contains("many"), "{wrong:#?}");
    let of_the_host = node.run(&before_containers(&pod, &sysctls.replace("kernel/msgmax", "kernel.panic")));
    assert!(of_the_host.code == 125 && of_the_host.err.contains("sysctls[1].name"), "{of_the_host:#?}");
}

/// Processes of the host with this word among their arguments.
fn processes(word: &str) -> Vec<i32> {
    let pids = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let has = |pid: &i32| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.split(|byte| *byte == 0).any(|argument| argument == word.as_bytes())
    };
    pids.filter(has).collect()
}

#[test]
fn members_among_the_hosts_processes_are_ended_with_their_pod() {
    let node = Node::new();
    let mark = format!("{}", 700_000 + std::process::id());
    // One that leaves its session and its parent, as a daemon does.
    let script =
        format!("test -d /proc/{} && echo seen; (setsid sleep {mark} &); exec sleep {mark}", std::process::id());
    let pod = before_containers(&shell(&node, "watcher", "Never", &script), "  hostPID: true\n");
    node.start(&pod);
    assert!(wait_until(|| processes(&mark).len() == 2 && node.dwell(&["logs", "watcher"]).out.contains("seen")));
    assert_eq!(
        node.dwell(&["exec", "watcher", "--", "sh", "-c", "test -d /proc/$PPID && echo $PPID"])
            .ok()
            .trim()
            .parse::<i32>()
            .ok(),
        processes("default/watcher").first().copied()
    );
    node.dwell(&["rm", "-f", "watcher"]).ok();
    assert!(wait_until(|| processes(&mark).is_empty()), "the daemon is ended, too");
    let alone = node.run(&shell(&node, "control", "Never", &script.replace("exec sleep", "exec true")));
    assert!(!alone.out.contains("seen"), "control: {alone:#?}");
}

#[test]
fn a_killed_pause_leaves_no_member_among_the_hosts_processes() {
    let node = Node::new();
    let mark = format!("{}", 800_000 + std::process::id());
    node.start(&before_containers(&shell(&node, "lost", "Always", &format!("exec sleep {mark}")), "  hostPID: true\n"));
    assert!(wait_until(|| processes(&mark).len() == 1));
    let first = processes(&mark)[0];
    kill(processes("default/lost")[0], 9);
    assert!(
        wait_until(|| matches!(processes(&mark)[..], [only] if only != first)),
        "it is ended, and another takes its place"
    );
    assert!(node.kill_node());
    let second = processes(&mark)[0];
    kill(processes("default/lost")[0], 9);
    node.dwell(&["ps"]).ok();
    assert!(wait_until(|| matches!(processes(&mark)[..], [only] if only != second)), "a later node does the same");
    node.dwell(&["rm", "-f", "lost"]).ok();
    assert!(wait_until(|| processes(&mark).is_empty()));
}

#[test]
fn the_hosts_ipc_is_shared_when_asked_for() {
    let node = Node::new();
    let file = Path::new("/dev/shm").join(format!("dwell-test-{}", std::process::id()));
    std::fs::write(&file, "of the host\n").unwrap();
    let script = format!("readlink /proc/self/ns/ipc; cat {} 2>/dev/null || true", file.display());
    let pod = shell(&node, "shares", "Never", &script);
    let shared = node.run(&before_containers(&pod, "  hostIPC: true\n"));
    let alone = node.run(&pod.replace("shares", "alone"));
    let own = std::fs::read_link("/proc/self/ns/ipc").unwrap();
    assert!(file.exists(), "the end of a Pod takes nothing of the host's away");
    std::fs::remove_file(&file).unwrap();
    assert_eq!(shared.ok(), format!("{}\nof the host\n", own.display()));
    assert!(!alone.out.contains("of the host") && !alone.out.contains(&*own.to_string_lossy()), "control: {alone:#?}");
}

#[test]
fn a_privileged_member_has_every_right_and_device() {
    let node = Node::new();
    let script = "grep -E '^(CapEff|NoNewPrivs|Seccomp):' /proc/self/status | tr -s '\\t\\n' '  '; \
                  for try in 'test -c /dev/kmsg && : > /dev/kmsg' 'mount -t tmpfs none /tmp' 'echo 0 > /proc/sys/net/ipv4/ip_forward' \
                  'mkdir /sys/fs/cgroup/pids/mine || mkdir /sys/fs/cgroup/mine'; \
                  do if (eval \"$try\") >/dev/null 2>&1; then echo yes; else echo no; fi; done";
    let run = |name: &str, more: &str| {
        let pod = shell(&node, name, "Never", script);
        node.run(&format!("{pod}    securityContext: {{{more}}}\n")).ok()
    };
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let all = status.lines().find_map(|line| line.strip_prefix("CapBnd:")).unwrap().trim().to_owned();
    assert_eq!(
        run("mighty", "privileged: true"),
        format!("CapEff: {all} NoNewPrivs: 0 Seccomp: 0 yes\nyes\nyes\nyes\n")
    );
    let plain = run("plain", "privileged: false");
    assert!(plain.ends_with("NoNewPrivs: 1 Seccomp: 2 no\nno\nno\nno\n"), "control: {plain}");
    let said = node.run(&format!(
        "{}    securityContext: {{privileged: true, allowPrivilegeEscalation: false}}\n",
        shell(&node, "neither", "Never", "true")
    ));
    assert!(said.code == 125 && said.err.contains("cannot set `allowPrivilegeEscalation`"), "{said:#?}");
}

/// A shared mount of the test's own, gone at its end.
struct Shared(PathBuf);

impl Shared {
    fn new(node: &Node) -> Shared {
        let folder = node.files().join("shared");
        std::fs::create_dir_all(&folder).unwrap();
        let shared = Shared(folder);
        run("mount", &["-t", "tmpfs", "dwell-test", shared.path("").as_str()]);
        run("mount", &["--make-shared", shared.path("").as_str()]);
        for part in ["later", "inside"] {
            std::fs::create_dir(shared.0.join(part)).unwrap();
        }
        shared
    }

    fn path(&self, part: &str) -> String {
        self.0.join(part).display().to_string().trim_end_matches('/').to_owned()
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        for part in ["later", "inside", ""] {
            let _ = Command::new("umount").args(["-l", &self.path(part)]).stderr(std::process::Stdio::null()).status();
        }
    }
}

fn run(program: &str, args: &[&str]) {
    assert!(Command::new(program).args(args).status().unwrap().success(), "{program} {args:?}");
}

#[test]
fn later_mounts_are_seen_where_the_manifest_says_so() {
    let node = Node::new();
    let shared = Shared::new(&node);
    let member = |name: &str, propagation: &str| {
        let script = "mount -t tmpfs inside /data/inside && echo > /data/inside/made; touch /tmp/ready; sleep 600";
        let more = format!(
            "    securityContext: {{privileged: true}}\n    volumeMounts: [{{name: data, mountPath: /data, \
             mountPropagation: {propagation}}}]\n"
        );
        native(&node, name, script, &more)
    };
    let start = |name: &str, propagation: &str| {
        let pod = format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  terminationGracePeriodSeconds: 0\n  volumes: \
             [{{name: data, hostPath: {{path: {}}}}}]\n  containers:\n{}",
            shared.path(""),
            member("main", propagation)
        );
        node.start(&pod);
        assert!(wait_until(|| node.dwell(&["exec", name, "--", "test", "-e", "/tmp/ready"]).code == 0), "{name}");
    };
    let sees_later = |name: &str| node.dwell(&["exec", name, "--", "test", "-e", "/data/later/made"]).code == 0;
    let host_sees = || shared.0.join("inside/made").exists();
    start("none", "None");
    start("one-way", "HostToContainer");
    assert!(!host_sees(), "nothing comes out of these");
    start("both", "Bidirectional");
    assert!(host_sees(), "this one's comes out");
    run("mount", &["-t", "tmpfs", "later", &shared.path("later")]);
    std::fs::write(shared.0.join("later/made"), "").unwrap();
    assert_eq!(["none", "one-way", "both"].map(sees_later), [false, true, true]);
    node.dwell(&["rm", "-f", "--all"]).ok();
}

#[test]
fn propagation_needs_a_shared_mount_and_the_right() {
    let node = Node::new();
    let with = |propagation: &str, privileged: bool| {
        let more = format!(
            "    securityContext: {{privileged: {privileged}}}\n    volumeMounts: [{{name: data, mountPath: /data, \
             mountPropagation: {propagation}}}]\n"
        );
        let volume = "  volumes: [{name: data, hostPath: {path: /proc/self}}]\n";
        node.run(&before_containers(&(shell(&node, "p", "Never", "true") + &more), volume))
    };
    let refused = with("Bidirectional", false);
    assert!(refused.code == 125 && refused.err.contains("only to privileged containers"), "{refused:#?}");
    let unknown = with("Sideways", true);
    assert!(unknown.code == 125 && unknown.err.contains("supported values"), "{unknown:#?}");
}

/// The compiler gave its capabilities up and stayed open to others: a member among the host's processes, with fewer rights
/// than it takes, walked into the host's root through it.
#[test]
fn the_compiler_is_no_door_to_the_hosts_root() {
    let node = Node::new();
    let mark = format!("{}", 900_000 + std::process::id());
    // Control: another process of the host's without capabilities, which hides from nobody.
    let open = ["--inh-caps=-all", "--bounding-set=-all", "sleep", &mark];
    let mut open = Command::new("setpriv").args(open).spawn().unwrap();
    let script = "while :; do for p in /proc/[0-9]*; do name=$(tr '\\0' ' ' <$p/cmdline 2>/dev/null); case $name in \
                  dwell-compile*|sleep*) ls $p/root/ >/dev/null 2>&1 && echo ${name%% *} open || echo ${name%% *} \
                  closed;; esac; done; done";
    node.start(&before_containers(&shell(&node, "peeks", "Never", script), "  hostPID: true\n"));
    let said = || node.dwell(&["logs", "peeks"]).out;
    let controlled = wait_until(|| said().contains("sleep open"));
    let module = dwell_tests::guest::path("net.wasm");
    node.start(&format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: w}}\nspec:\n  containers:\n  - name: w\n    image: wasm:{}\n",
        module.display()
    ));
    let met = wait_until(|| said().contains("dwell-compile"));
    let walked_in = said().contains("dwell-compile open");
    node.dwell(&["rm", "-f", "--all", "--grace-period", "0"]).ok();
    open.kill().unwrap();
    open.wait().unwrap();
    assert!(controlled && met && !walked_in, "{controlled} {met} {walked_in}");
}

#[test]
fn what_would_come_out_or_come_in_writable_is_refused() {
    let node = Node::new();
    let with = |mounts: &str| {
        let more = format!("    securityContext: {{privileged: true}}\n    volumeMounts: [{mounts}]\n");
        let volumes = "  volumes: [{name: a, emptyDir: {}}, {name: b, emptyDir: {}}]\n";
        node.run(&before_containers(&(shell(&node, "p", "Never", "true") + &more), volumes))
    };
    let outer = "{name: a, mountPath: /data, mountPropagation: Bidirectional}";
    let inside = with(&format!("{outer}, {{name: b, mountPath: /data/sub}}"));
    assert!(inside.code == 125 && inside.err.contains("/data/sub lies in /data"), "{inside:#?}");
    let sealed = "readOnly: true, recursiveReadOnly: Enabled, mountPropagation: HostToContainer";
    let sealed = with(&format!("{{name: a, mountPath: /data, {sealed}}}"));
    assert!(sealed.code == 125 && sealed.err.contains("when mountPropagation is None"), "{sealed:#?}");
}

#[test]
fn a_port_of_sctp_needs_a_kernel_that_has_it_only_if_the_host_leads_there() {
    let node = Node::new();
    let with = |name: &str, port: &str| {
        let ports = format!("    ports: [{{containerPort: 9, protocol: SCTP{port}}}]\n");
        node.run(&(shell(&node, name, "Never", "echo runs") + &ports))
    };
    assert_eq!(with("told", "").ok(), "runs\n", "without a port of the host it is information");
    let led = with("led", ", hostPort: 38412");
    let kernel_has_it = Path::new("/proc/sys/net/sctp").exists();
    match kernel_has_it {
        true => assert_eq!(led.ok(), "runs\n"),
        false => {
            assert!(led.code == 125 && led.err.contains("this kernel has no SCTP: ports[].protocol: SCTP"), "{led:#?}")
        }
    }
}
