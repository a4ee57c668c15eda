//! System call filters from files (`seccompProfile: Localhost`).

use dwell_tests::node::Node;
use serde_json::Value;

use crate::{before_containers, guest, native};

/// Everything is allowed, but to make a folder, and to change the root, which is the program's end.
const PROFILE: &str = r#"{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"], "syscalls": [
    {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 30},
    {"names": ["chroot", "acct"], "action": "SCMP_ACT_KILL_PROCESS"}]}"#;

fn put(node: &Node, name: &str, text: &str) {
    let path = node.state_dir().join("lib/seccomp").join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

fn pod(name: &str, policy: &str, profile: &str, container: &str) -> String {
    let head = format!("apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  restartPolicy: {policy}\n");
    let profile = format!("  securityContext: {{seccompProfile: {{type: Localhost, localhostProfile: {profile}}}}}\n");
    before_containers(&format!("{head}  terminationGracePeriodSeconds: 1\n  containers:\n{container}"), &profile)
}

#[test]
fn a_filter_from_a_file_holds_for_the_member_and_for_who_joins_it() {
    let node = Node::new();
    put(&node, "profiles/no-folders.json", PROFILE);
    let script = "mkdir /tmp/a; cat /proc/self/status | grep Seccomp: ; exec sleep 600";
    node.start(&pod("filtered", "Always", "profiles/no-folders.json", &native(&node, "main", script, "")));
    let said = node.printed("filtered", "main", "\n");
    assert_eq!(said.split_whitespace().collect::<Vec<_>>(), ["Seccomp:", "2"]);
    let exec = |command: &[&str]| node.dwell(&[&["exec", "filtered", "--"], command].concat());
    let refused = exec(&["mkdir", "/tmp/b"]);
    assert!(
        refused.code == 1 && refused.err.contains("Read-only file system"),
        "its errno is the file's: {refused:#?}"
    );
    assert_eq!(exec(&["chroot", "/", "true"]).code, 128 + 31, "SIGSYS");
    exec(&["sh", "-c", "echo x > /tmp/file"]).ok();
    std::fs::remove_file(node.state_dir().join("lib/seccomp/profiles/no-folders.json")).unwrap();
    assert_eq!(exec(&["mkdir", "/tmp/b"]).code, 1, "whatever becomes of the file, the run's filter is its own");
    put(&node, "profiles/no-folders.json", PROFILE);
    let main = native(&node, "main", "mkdir /tmp/a && echo made", "");
    let control = pod("control", "Never", "profiles/no-folders.json", &main).replace("Localhost", "RuntimeDefault");
    let control = control.replace(", localhostProfile: profiles/no-folders.json", "");
    assert_eq!(node.run(&control).ok(), "made\n", "control");
}

#[test]
fn a_file_that_is_missing_or_no_filter_is_named_and_looked_for_again() {
    let node = Node::new();
    put(&node, "broken.json", "{\"defaultAction\": \"SCMP_ACT_NOTIFY\"}");
    for (profile, why) in [("none.json", "none.json: there is no such file in"), ("broken.json", "SCMP_ACT_NOTIFY")] {
        let run = node.run(&pod("wrong", "Never", profile, &native(&node, "main", "true", "")));
        assert!(run.code == 125 && run.err.contains(why) && run.err.contains("localhostProfile"), "{run:#?}");
        node.dwell(&["rm", "wrong"]).ok();
    }
    node.start(&pod("late", "OnFailure", "late.json", &native(&node, "main", "echo ran", "")));
    node.wait_for("late", "a failed start", |pod| {
        pod["status"]["containerStatuses"][0]["lastState"]["terminated"]["reason"] == "CreateContainerConfigError"
    });
    put(&node, "late.json", PROFILE);
    node.wait_for_phase("late", "Succeeded");
    assert_eq!(node.dwell(&["logs", "late"]).ok(), "ran\n");
}

#[test]
fn a_plan_shows_it_and_a_wasm_member_has_no_use_for_it() {
    let node = Node::new();
    put(&node, "a.json", PROFILE);
    let path = node.file("pod.yaml", &pod("shown", "Never", "a.json", &native(&node, "main", "true", "")));
    let plan = node.dwell(&["plan", path.to_str().unwrap(), "-o", "json"]).ok();
    let plan: Value = serde_json::from_str(&plan).unwrap();
    assert!(plan[0]["containers"][0].to_string().contains("Seccomp"), "{plan:#}");
    let wasm = node.run(&pod("wasm", "Never", "a.json", &guest("main", "hello.wasm", "[]", "")));
    assert!(wasm.code == 125 && wasm.err.contains("a Wasm member's worker keeps its filter"), "{wasm:#?}");
    let out = node.run(&pod("out", "Never", "../a.json", &native(&node, "main", "true", "")));
    assert!(out.code == 125 && out.err.contains("must not contain '..'"), "{out:#?}");
}

/// Without its own input and its report init could not even say why.
#[test]
fn a_filter_need_not_allow_what_is_dwells_own_and_what_it_forbids_is_told() {
    let node = Node::new();
    let calls = r#"["execve", "read", "write", "exit", "exit_group", "brk", "arch_prctl", "set_tid_address",
        "set_robust_list", "rseq", "prlimit64", "getrandom", "mprotect", "readlink", "readlinkat", "getuid", "uname",
        "fstat", "newfstatat", "mmap", "munmap", "prctl", "rt_sigaction", "rt_sigprocmask", "sigaltstack"]"#;
    let profile = |calls: &str| {
        format!(
            r#"{{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{{"names": {calls}, "action": "SCMP_ACT_ALLOW"}}]}}"#
        )
    };
    put(&node, "few.json", &profile(calls));
    put(&node, "none.json", &profile(r#"["write", "exit_group", "sigaltstack", "munmap"]"#));
    let root = format!("rootfs:{}", dwell_tests::rootfs::busybox(&node.files()).display());
    let main = format!("  - {{name: main, image: '{root}', command: [/bin/busybox, echo, it runs]}}\n");
    assert_eq!(node.run(&pod("few", "Never", "few.json", &main)).ok(), "it runs\n");
    let none = node.run(&pod("none", "Never", "none.json", &main));
    assert!(none.code == 126 && none.err.contains("its system call filter may forbid it"), "{none:#?}");
}
