//! Restarts, stops, deaths: of members, of pause, of the node.

use std::time::{Duration, Instant};

use dwell_tests::inventory::Scope;
use dwell_tests::node::{Node, kill, wait_until};

use crate::{before_containers, shell};

fn restarts(pod: &serde_json::Value) -> u64 {
    pod["status"]["containerStatuses"][0]["restartCount"].as_u64().unwrap_or(0)
}

#[test]
fn always_restarts_at_once_and_then_backs_off() {
    let node = Node::new();
    node.start(&shell(&node, "again", "Always", "echo run; exit 1"));
    let pod = node.wait_for("again", "a back-off", |pod| {
        pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"] == "CrashLoopBackOff"
    });
    assert_eq!(restarts(&pod), 1, "{pod:#}");
    assert_eq!(node.dwell(&["logs", "--previous", "again"]).ok(), "run\n");
}

#[test]
fn on_failure_leaves_success_alone() {
    let node = Node::new();
    node.run(&shell(&node, "fine", "OnFailure", "exit 0")).ok();
    assert_eq!(restarts(&node.pod("fine")), 0);
}

#[test]
fn a_stop_asks_first_and_kills_afterwards() {
    let node = Node::new();
    node.start(&shell(&node, "polite", "Always", "trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.1; done"));
    assert!(wait_until(|| node.dwell(&["logs", "polite"]).out.contains("up")));
    node.dwell(&["stop", "polite"]).ok();
    assert!(node.dwell(&["logs", "polite"]).ok().contains("bye"));
    node.start(&shell(&node, "deaf", "Always", "trap '' TERM; echo up; while :; do sleep 0.1; done"));
    assert!(wait_until(|| node.dwell(&["logs", "deaf"]).out.contains("up")));
    let began = Instant::now();
    node.dwell(&["stop", "-t", "1", "deaf"]).ok();
    assert!(began.elapsed() >= Duration::from_secs(1), "it was not given its second");
    let pod = node.pod("deaf");
    assert_eq!(pod["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"], 137, "{pod:#}");
}

/// It writes a share of its lines for each of the test's files, so that every kill finds it writing: on a fast machine it
/// had ended before the last kill, no command needed a node any more, and the test went round for ever.
#[test]
fn a_killed_node_is_noticed_by_no_member_and_the_next_one_goes_on() {
    const KILLS: usize = 20;
    const SHARE: usize = 15_000;
    let node = Node::new();
    let go = node.files().join("go");
    std::fs::create_dir(&go).expect("make the volume");
    let script = format!(
        "i=0; round=0; while [ $round -lt {KILLS} ]; do until [ -e /go/$round ]; do sleep 0.001; done; \
         round=$((round+1)); while [ $i -lt $((round*{SHARE})) ]; do i=$((i+1)); echo $i; done; done; exit 4"
    );
    let mounts = format!(
        "    volumeMounts: [{{name: go, mountPath: /go}}]\n  volumes: [{{name: go, hostPath: {{path: {}}}}}]\n",
        go.display()
    );
    node.start(&(shell(&node, "counter", "Never", &script) + &mounts));
    for round in 0..KILLS {
        std::fs::write(go.join(round.to_string()), "").expect("let it write");
        std::thread::sleep(Duration::from_millis(20));
        assert!(node.kill_node(), "there is no node before kill {round}");
        // The next command finds the Pod and starts the next node.
        node.dwell(&["ps"]).ok();
    }
    let pod = node.wait_for_phase("counter", "Failed");
    assert_eq!(pod["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"], 4, "{pod:#}");
    let log = node.dwell(&["logs", "counter"]).ok();
    let numbers: Vec<usize> = log.lines().map(|line| line.parse().expect("a number a line")).collect();
    assert_eq!(numbers.len(), KILLS * SHARE, "lines were lost or doubled");
    assert!(numbers.iter().zip(1..).all(|(found, expected)| *found == expected), "lines are out of order");
}

#[test]
fn a_killed_pause_ends_its_members_and_the_policy_decides() {
    let node = Node::new();
    node.start(&shell(&node, "lives", "Always", "sleep 600"));
    let pod = node.wait_for_phase("lives", "Running");
    let before = pod["status"]["containerStatuses"][0]["containerID"].clone();
    kill(pause_of("default/lives", &node), libc::SIGKILL);
    node.wait_for("lives", "a fresh sandbox", |pod| {
        pod["status"]["phase"] == "Running"
            && pod["status"]["containerStatuses"][0]["containerID"] != before
            && !pod["status"]["containerStatuses"][0]["state"]["running"].is_null()
    });
    node.start(&shell(&node, "dies", "Never", "sleep 600"));
    node.wait_for_phase("dies", "Running");
    kill(pause_of("default/dies", &node), libc::SIGKILL);
    node.wait_for_phase("dies", "Failed");
}

/// A member stopped a newborn that still shared pause's memory, and with it pause: no stop and no removal came to an end,
/// and the next node's start waited for it. Here pause is stopped from outside, which is the same to the node.
#[test]
fn a_pause_that_answers_no_more_is_ended() {
    let node = Node::new();
    for name in ["frozen", "lost"] {
        node.start(&shell(&node, name, "Never", "sleep 600"));
        node.wait_for_phase(name, "Running");
        kill(pause_of(&format!("default/{name}"), &node), libc::SIGSTOP);
    }
    node.start(&shell(&node, "well", "Never", "sleep 600"));
    node.wait_for_phase("well", "Running");
    node.dwell(&["stop", "-t", "1", "frozen"]).ok();
    node.wait_for_phase("frozen", "Failed");
    assert!(node.kill_node());
    assert_eq!(node.dwell(&["exec", "well", "--", "echo", "here"]).ok(), "here\n");
    node.wait_for_phase("lost", "Failed");
    node.dwell(&["rm", "frozen", "lost"]).ok();
}

/// A member that was still being compiled when pause died came to life afterwards, in a sandbox that the finished Pod's
/// removal did not know of: its pause, its address and its rules stayed.
#[test]
fn a_pause_that_dies_while_a_member_is_compiled_ends_the_pod_for_good() {
    let node = Node::new();
    let scope = Scope::host(&node.state_dir()).without_files();
    let before = scope.take();
    let module = dwell_tests::guest::path("net.wasm");
    let compiled = format!("  - name: compiled\n    image: wasm:{}\n", module.display());
    node.start(&(shell(&node, "dies", "Never", "sleep 600") + &compiled));
    node.wait_for("dies", "the first member while the second is compiled", |pod| {
        let running = |status: &&serde_json::Value| !status["state"]["running"].is_null();
        pod["status"]["containerStatuses"].as_array().into_iter().flatten().filter(running).count() == 1
    });
    kill(pause_of("default/dies", &node), libc::SIGKILL);
    node.wait_for_phase("dies", "Failed");
    assert!(wait_until(|| !is_compiling(&node)), "the compile process goes on");
    // What would be born after it has its time.
    std::thread::sleep(Duration::from_millis(500));
    node.end();
    let left = scope.differences(&before);
    assert!(left.is_empty(), "{left:#?}");
}

/// It stayed `ContainerCreating` in a Pod that had failed.
#[test]
fn a_member_whose_pod_is_stopped_before_it_could_begin_has_ended() {
    let node = Node::new();
    let module = dwell_tests::guest::path("net.wasm");
    let pod = format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: late}}\nspec:\n  restartPolicy: Never\n  containers:\n  - name: late\n    \
         image: wasm:{}\n",
        module.display()
    );
    node.start(&pod);
    assert!(wait_until(|| is_compiling(&node)));
    node.dwell(&["stop", "late"]).ok();
    let ended = node.pod("late")["status"]["containerStatuses"][0]["state"]["terminated"].clone();
    assert_eq!((ended["exitCode"].as_i64(), ended["reason"].as_str()), (Some(137), Some("ContainerStatusUnknown")));
    assert!(ended["startedAt"].is_null(), "{ended}");
    assert!(node.dwell(&["ps"]).ok().contains("ContainerStatusUnknown"));
}

/// Whether the node has a module compiled.
pub fn is_compiling(node: &Node) -> bool {
    let pid = node.node_pid().expect("there is a node");
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let name = |child: &str| std::fs::read_to_string(format!("/proc/{child}/cmdline")).unwrap_or_default();
    children.split_whitespace().any(|child| name(child).starts_with("dwell-compile"))
}

/// Pid of a Pod's pause: its title in `ps`, in a cgroup of this node's state folder.
pub fn pause_of(title: &str, node: &Node) -> i32 {
    let wanted = format!("pause\0{title}\0");
    let net = |pid: i32| std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    let pids = std::fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let uid = node.pod(title.split('/').nth(1).unwrap())["metadata"]["uid"].as_str().unwrap().to_owned();
    pids.into_iter()
        .find(|pid| {
            std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line == wanted.as_bytes())
                && net(*pid).contains(&uid)
        })
        .expect("the Pod has a pause")
}

/// The kubelet's word; also when every container ends with 0.
#[test]
fn a_pod_that_has_had_its_time_has_failed() {
    let node = Node::new();
    let pod = shell(&node, "late", "Always", "trap 'exit 0' TERM; while :; do sleep 0.05; done");
    let said = node.run(&before_containers(&pod, "  activeDeadlineSeconds: 1\n"));
    assert!(said.code == 125 && said.err.contains("DeadlineExceeded"), "{said:#?}");
    let status = node.pod("late")["status"].clone();
    assert_eq!((&status["phase"], &status["reason"]), (&"Failed".into(), &"DeadlineExceeded".into()), "{status:#}");
}
