//! Who a member is and what it holds: users that wrap or do not parse, capabilities that are inherited.

use std::os::unix::process::CommandExt;
use std::process::Command;

use dwell_tests::host::{host, host_script};
use dwell_tests::manifest::{Manifest, wasm};
use dwell_tests::member::Member;
use dwell_tests::node::{Said, kill, wait_until};
use dwell_tests::world::Process;
use rustix::fs::{XattrFlags, setxattr};

use crate::stage::Stage;

/// Numbers that become 0, or less, where somebody has 32 bits for them.
const TOO_LARGE: [&str; 4] = ["2147483648", "4294967295", "4294967296", "18446744073709551616"];

/// Asks for each of these users, by number and by an account of the image's, of a Pod that must not be root.
fn no_user_wraps(container: impl Fn(&Stage, &str) -> String) {
    let stage = Stage::new();
    let run = |container: String, user: Option<&str>| -> Said {
        let pod = Manifest::new("attack").with(container);
        let pod = user.into_iter().fold(pod, |pod, user| pod.annotation("dwell.dev/user.main", user));
        let said = stage.node.run(&pod.text());
        stage.node.dwell(&["rm", "-f", "attack"]);
        said
    };
    let plain = "securityContext: {runAsNonRoot: true}";
    for number in TOO_LARGE {
        stage.file("etc/passwd", &format!("app:x:{number}:{number}::/:\n"));
        let asked = format!("securityContext: {{runAsNonRoot: true, runAsUser: {number}}}");
        for said in [
            run(container(&stage, &asked), None),
            run(container(&stage, plain), Some(number)),
            run(container(&stage, plain), Some("app")),
        ] {
            assert!(said.code != 0 && said.out.is_empty(), "{number}: {said:#?}");
        }
    }
    stage.file("etc/passwd", "app:x:1234:1234::/:\n");
    assert_eq!(run(container(&stage, plain), Some("app")).code, 0, "control: a user that is one");
    let wrapped = Command::new("id").arg("-u").uid(4_294_967_296_u64 as u32).output().expect("runs");
    assert_eq!(wrapped.stdout, b"0\n", "control: with 32 bits it is root");
}

#[test]
fn cve_2024_40635_a_user_that_wraps_is_nobody() {
    no_user_wraps(|stage, more| stage.native("main", "id -u", &[more]));
}

#[test]
fn cve_2024_40635_wasm_user_that_wraps_is_nobody() {
    no_user_wraps(|stage, more| stage.wasm("main", &["stat /bin"], &[more]));
}

/// Users of an exec that a lenient reader takes for root, or for somebody.
const UNREADABLE: [&str; 14] =
    ["", ":", "0junk", "0 ", " 0", "+0", "-0", "0x0", "1000:", ":0", "1000:0:0", "0:junk", "1000junk", "root\n"];

/// What a lenient reader makes of it: digits as far as there are any.
fn lenient(user: &str) -> String {
    host_script(&format!("setpriv --reuid $(printf %d '{user}' 2>/dev/null) --clear-groups id -u"))
}

#[test]
fn cve_2026_30892_a_user_that_does_not_parse_runs_nothing() {
    let stage = Stage::new();
    let main = stage.native("main", "exec sleep 600", &["securityContext: {runAsUser: 1000}"]);
    stage.node.start(&Manifest::new("attack").with(main).text());
    Member::of(&stage.node, "attack", "main", "sleep");
    let exec = |user: &str| stage.node.dwell(&["exec", &format!("--user={user}"), "attack", "--", "/bin/id", "-u"]);
    for user in UNREADABLE {
        let said = exec(user);
        assert!(said.code != 0 && said.out.is_empty(), "{user:?}: {said:#?}");
    }
    assert_eq!((exec("1234").ok().as_str(), exec("user").ok().as_str()), ("1234\n", "1000\n"), "control");
    assert_eq!(lenient("0junk"), "0\n", "control: read leniently it is root");
}

#[test]
fn cve_2026_30892_wasm_user_that_does_not_parse_runs_nothing() {
    let stage = Stage::new();
    let spin = wasm("main", "spin.wasm", &[], &["securityContext: {runAsUser: 1000}"]);
    stage.node.start(&Manifest::new("attack").with(spin).text());
    Member::of(&stage.node, "attack", "main", "dwell-worker");
    // The image's own module once more, which runs until it is stopped.
    let exec = |user: &str| stage.node.dwell(&["exec", &format!("--user={user}"), "attack", "--", "spin.wasm"]);
    for user in UNREADABLE {
        let said = exec(user);
        assert!(said.code != 0 && said.code < 128 && !said.err.is_empty(), "{user:?}: {said:#?}");
    }
    let mut control =
        stage.node.command(&["exec", "--user", "41237", "attack", "--", "spin.wasm"]).spawn().expect("runs");
    let found = wait_until(|| worker_of("41237").is_some());
    kill(control.id() as i32, libc::SIGKILL);
    let _ = control.wait();
    assert!(found, "control: a user that parses runs it");
    assert_eq!(lenient("0junk"), "0\n", "control: read leniently it is root");
}

/// `cap_dac_override`, inheritable and effective, as capabilities(7) has it in an attribute: version 2, the bit for
/// effective, then permitted and inheritable, low and high half.
const DAC_OVERRIDE: [u32; 5] = [0x0200_0001, 0, 1 << 1, 0, 0];

/// A program of the image's that holds what its starter can inherit, and a file that only root reads.
fn capable(stage: &Stage) -> String {
    stage.file("secret", "root's");
    let program = stage.image.join("bin/capable/busybox");
    std::fs::create_dir(stage.image.join("bin/capable")).expect("makes");
    std::fs::copy(stage.image.join("bin/busybox"), &program).expect("copies");
    host_script(&format!("chmod 600 {}/secret", stage.image.display()));
    let value: Vec<u8> = DAC_OVERRIDE.iter().flat_map(|word| word.to_le_bytes()).collect();
    setxattr(&program, "security.capability", &value, XattrFlags::empty()).expect("sets");
    program.display().to_string()
}

/// Runs it as a member and beside one, with and without no_new_privs; nobody may read the file.
fn inherits_nothing(beside: bool) {
    let stage = Stage::new();
    let program = capable(&stage);
    let read = "grep -E '^Cap(Inh|Amb)' /proc/self/status; /bin/capable/busybox cat /secret 2>&1";
    for escalation in ["false", "true"] {
        let user = format!("securityContext: {{runAsUser: 1000, allowPrivilegeEscalation: {escalation}}}");
        let script = if beside { "exec sleep 600".to_owned() } else { format!("{read}; true") };
        let pod = Manifest::new("attack").with(stage.native("main", &script, &[&user])).text();
        let said = if beside {
            stage.node.start(&pod);
            Member::of(&stage.node, "attack", "main", "sleep");
            stage.node.dwell(&["exec", "attack", "--", "/bin/sh", "-c", &format!("{read}; true")]).ok()
        } else {
            stage.node.run(&pod).ok()
        };
        stage.node.dwell(&["rm", "-f", "attack"]).ok();
        let none = "CapInh:\t0000000000000000\nCapAmb:\t0000000000000000\n";
        assert!(said.starts_with(none) && !said.contains("root's"), "{escalation}: {said}");
    }
    let inheriting = ["setpriv", "--reuid", "1000", "--clear-groups", "--inh-caps", "+dac_override", "--"];
    let secret = stage.image.join("secret").display().to_string();
    let read = host(&[&inheriting[..], &[&program, "cat", &secret]].concat());
    assert_eq!(read, "root's", "control: whoever inherits it reads");
}

#[test]
fn cve_2022_27649_a_member_inherits_no_capability() {
    inherits_nothing(false);
}

#[test]
fn cve_2022_27650_an_exec_inherits_no_capability() {
    inherits_nothing(true);
}

/// A worker of this user, behind its last wall.
fn worker_of(uid: &str) -> Option<Member> {
    let workers = Process::all().into_iter().filter(|process| process.command.starts_with("dwell-worker"));
    let mut workers = workers.map(|process| Member { pid: process.pid });
    let wanted = format!("Uid:\t{uid}\t{uid}\t");
    workers.find(|worker| worker.proc("status").contains(&wanted) && worker.proc("status").contains("Seccomp:\t2"))
}

/// A worker, whose program no image brings, or one that is executed beside it, as another user.
fn worker_inherits_nothing(uid: &str, beside: Option<&str>) {
    let stage = Stage::new();
    let spin = wasm("main", "spin.wasm", &[], &[&format!("securityContext: {{runAsUser: {uid}}}")]);
    stage.node.start(&Manifest::new("attack").with(spin).text());
    assert!(wait_until(|| worker_of(uid).is_some()), "it runs");
    let exec = beside.map(|user| {
        let mut command = stage.node.command(&["exec", "--user", user, "attack", "--", "spin.wasm"]);
        command.spawn().expect("runs")
    });
    let uid = beside.unwrap_or(uid);
    let found = wait_until(|| worker_of(uid).is_some());
    let held = worker_of(uid).map(|worker| worker.proc("status")).unwrap_or_default();
    if let Some(mut exec) = exec {
        kill(exec.id() as i32, libc::SIGKILL);
        let _ = exec.wait();
    }
    let sets: Vec<&str> = held.lines().filter(|line| line.starts_with("Cap")).collect();
    assert!(found && sets.len() == 5 && sets.iter().all(|set| set.ends_with("0000000000000000")), "{held}");
    let own = host_script("setpriv --inh-caps +dac_override grep CapInh /proc/self/status");
    assert_ne!(own, "CapInh:\t0000000000000000\n", "control: it would be seen");
}

#[test]
fn cve_2022_27649_wasm_member_inherits_no_capability() {
    worker_inherits_nothing("41234", None);
}

#[test]
fn cve_2022_27650_wasm_exec_inherits_no_capability() {
    worker_inherits_nothing("41235", Some("41236"));
}
