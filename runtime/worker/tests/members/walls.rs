//! The walls of a Wasm member, each with a control that gets through where the wall is not.

use crate::guest::{errno_of, looks_up, open, program, tool, waits};
use crate::member::Member;
use std::fs;
use std::os::unix::fs::symlink;

/// The first preopen.
const GRANT: i32 = 3;
const CREATE: i32 = 1;
const READ: i64 = 1 << 1;
const WRITE: i64 = 1 << 6;

/// Opens `path` in a grant that holds a file `in`; returns the errno.
fn try_open(path: &str, flags: i32, rights: i64, writable: bool, setup: impl Fn(&std::path::Path)) -> i32 {
    let mut member = Member::new(&open(path, GRANT, flags, rights));
    let dir = member.grant("/data", writable);
    fs::write(dir.join("in"), "inside").unwrap();
    setup(&dir);
    let ended = member.run(&[]);
    assert_eq!(ended.err, "");
    ended.status
}

#[test]
fn seccomp_and_no_new_privileges_are_on() {
    let member = Member::new(&waits());
    let running = member.start(&[]);
    running.walled();
    assert_eq!(running.status_field("NoNewPrivs").as_deref(), Some("1"));
    assert_eq!(running.status_field("Threads").as_deref(), Some("1"));
    let own = fs::read_to_string("/proc/self/status").unwrap();
    assert!(own.contains("Seccomp:\t0"), "control: the tests themselves are not walled");
}

#[test]
fn a_component_has_one_more_thread_that_is_walled_too() {
    let member = Member::of(&tool("", "(loop $for_ever (br $for_ever)) (i32.const 0)"));
    let running = member.start(&[]);
    running.walled();
    assert_eq!(running.status_field("Threads").as_deref(), Some("2"));
    let pid = running.pid();
    for task in fs::read_dir(format!("/proc/{pid}/task")).unwrap() {
        let status = fs::read_to_string(task.unwrap().path().join("status")).unwrap();
        assert!(status.contains("Seccomp:\t2"), "{status}");
    }
}

#[test]
fn nothing_of_the_host_is_held_open() {
    let mut member = Member::new(&waits());
    let dir = member.grant("/data", true);
    let running = member.start(&[]);
    running.walled();
    let held = || -> Vec<String> {
        let all = fs::read_dir(format!("/proc/{}/fd", running.pid())).unwrap();
        // One that was closed while they were listed is not held open.
        all.filter_map(|fd| fs::read_link(fd.ok()?.path()).ok()).map(|link| link.display().to_string()).collect()
    };
    let is_grant = |link: &String| link == "/0" || link.ends_with("/root/0");
    let is_known = |link: &String| {
        ["pipe:", "anon_inode:", "socket:", "/report", "/dev/null"].iter().any(|known| link.contains(known))
            // The module and the Pod's hosts, read-only, and the grant itself; nothing else has a path.
            || link.ends_with("/hosts")
            || link == "/module" || link.ends_with("/root/module") || link.ends_with(dir.to_str().unwrap())
    };
    let strange = || -> Vec<String> { held().into_iter().filter(|link| !is_known(link) && !is_grant(link)).collect() };
    // What is just being closed is gone a moment later; what is held stays.
    let patience = std::time::Instant::now() + std::time::Duration::from_secs(2);
    while !strange().is_empty() && std::time::Instant::now() < patience {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert_eq!(strange(), Vec::<String>::new());
    assert!(held().iter().filter(|link| is_grant(link)).count() <= 1);
}

#[test]
fn paths_lead_nowhere_out_of_a_grant() {
    let refused = |path: &str| try_open(path, 0, READ, true, |_| ());
    assert_eq!(refused("in"), 0, "control");
    for path in ["../module", "..", "a/../../module", "/module", "/0/in", "./../0/in"] {
        assert_ne!(refused(path), 0, "{path}");
    }
}

#[test]
fn links_lead_nowhere_out_of_a_grant() {
    let through = |to: &str| try_open("link", 0, READ, true, |dir| symlink(to, dir.join("link")).unwrap());
    assert_eq!(through("in"), 0, "control");
    for to in ["../module", "/module", "/0/in", "../0/in", "/proc/self/exe"] {
        assert_ne!(through(to), 0, "{to}");
    }
}

#[test]
fn a_link_does_not_lead_from_one_grant_into_another() {
    let read = |to: &str| {
        let mut member = Member::new(&open("link", GRANT, 0, READ));
        symlink(to, member.grant("/mine", true).join("link")).unwrap();
        fs::write(member.grant("/theirs", true).join("secret"), "secret").unwrap();
        member.run(&[]).status
    };
    assert_ne!(read("../1/secret"), 0);
    assert_ne!(read("/1/secret"), 0);
    let mut control = Member::new(&open("secret", GRANT + 1, 0, READ));
    control.grant("/mine", true);
    fs::write(control.grant("/theirs", true).join("secret"), "secret").unwrap();
    assert_eq!(control.run(&[]).status, 0, "control");
}

#[test]
fn a_guest_makes_no_link_that_leads_out() {
    let make = |call: &str, data: &str| {
        let mut member = Member::new(&errno_of(data, call));
        let dir = member.grant("/data", true);
        fs::write(dir.join("in"), "inside").unwrap();
        fs::write(member.grant("/other", true).join("in"), "other").unwrap();
        (member.run(&[]).status, fs::symlink_metadata(dir.join("new")).is_ok())
    };
    let hard = |from: i32, len: i32, data: &str| {
        make(
            &format!(
                "(call $link (i32.const {from}) (i32.const 0) (i32.const 1024) (i32.const {len}) (i32.const 3)
                (i32.const {}) (i32.const 3))",
                1024 + len
            ),
            data,
        )
    };
    assert_eq!(hard(3, 2, "innew"), (0, true), "control");
    assert_ne!(hard(3, 9, "../modulenew").0, 0);
    assert_ne!(hard(4, 2, "innew").0, 0, "another grant");
    let soft = |len: i32, data: &str| {
        make(
            &format!(
                "(call $symlink (i32.const 1024) (i32.const {len}) (i32.const 3) (i32.const {}) (i32.const 3))",
                1024 + len
            ),
            data,
        )
    };
    assert_eq!(soft(2, "innew"), (0, true), "control");
    assert_ne!(soft(7, "/modulenew").0, 0);
}

#[test]
fn a_read_only_grant_is_not_written() {
    for (path, flags, rights) in [("new", CREATE, WRITE), ("in", 0, WRITE), ("in", 8, WRITE)] {
        assert_eq!(try_open(path, flags, rights, true, |_| ()), 0, "control: {path} {flags}");
        assert_ne!(try_open(path, flags, rights, false, |_| ()), 0, "{path} {flags}");
    }
    let calls = [
        ("(call $unlink (i32.const 3) (i32.const 1024) (i32.const 2))", "in"),
        ("(call $mkdir (i32.const 3) (i32.const 1024) (i32.const 3))", "dir"),
        (
            "(call $rename (i32.const 3) (i32.const 1024) (i32.const 2) (i32.const 3) (i32.const 1026) (i32.const 3))",
            "innew",
        ),
        (
            "(call $link (i32.const 3) (i32.const 0) (i32.const 1024) (i32.const 2) (i32.const 3) (i32.const 1026) (i32.const 3))",
            "innew",
        ),
    ];
    for (call, data) in calls {
        let attempt = |writable| {
            let mut member = Member::new(&errno_of(data, call));
            fs::write(member.grant("/data", writable).join("in"), "inside").unwrap();
            member.run(&[]).status
        };
        assert_eq!(attempt(true), 0, "control: {call}");
        assert_ne!(attempt(false), 0, "{call}");
    }
}

#[test]
fn the_kernel_holds_read_only_where_the_plan_would_not() {
    let mut member = Member::new(&open("new", GRANT, CREATE, WRITE));
    member.grant("/data", false);
    member.plan.preopens[0].writable = true;
    assert_ne!(member.run(&[]).status, 0);
}

#[test]
fn sockets_need_the_network() {
    let body = "(call $tcp (i32.const 0) (i32.const 0))
        (if (i32.load8_u (i32.const 0)) (then (call $exit (i32.add (i32.const 100) (i32.load8_u (i32.const 4))))))
        (i32.const 0)";
    let attempt = |network| {
        let mut member = Member::of(&tool("", body));
        member.plan.network = network;
        let ended = member.run(&[]);
        assert_eq!(ended.err, "");
        ended.status
    };
    assert_eq!(attempt(true), 0, "control");
    assert_eq!(attempt(false), 101, "access-denied, and not killed");
}

#[test]
fn names_are_asked_of_a_server_within_the_walls() {
    let mut member = Member::of(&looks_up("somewhere.test"));
    member.plan.network = true;
    member.plan.resolv_conf = "nameserver 127.0.0.254\noptions timeout:1 attempts:1\n".to_owned();
    let temporary_failure = 100 + 19;
    let ended = member.run(&[]);
    assert_eq!((ended.status, &*ended.err), (temporary_failure, ""));
}

const PREOPENS: &str = "(local $fd i32) (local.set $fd (i32.const 3))
    (block $done (loop $more
      (br_if $done (call $prestat (local.get $fd) (i32.const 4096)))
      (drop (call $prestat_name (local.get $fd) (i32.const 8192) (i32.load (i32.const 4100))))
      (call $put (i32.const 1) (i32.const 8192) (i32.load (i32.const 4100)))
      (call $put (i32.const 1) (i32.const 1024) (i32.const 1))
      (local.set $fd (i32.add (local.get $fd) (i32.const 1))) (br $more)))";

#[test]
fn preopens_have_their_names_and_the_root_comes_last() {
    let mut member = Member::new(&program(" ", PREOPENS));
    member.grant("/", true);
    member.grant("/data", true);
    member.plan.working_dir = Some("/data/new/deep".to_owned());
    assert_eq!(member.run(&[]).out, "/data . / ");
    member.plan.working_dir = Some("/".to_owned());
    assert_eq!(member.run(&[]).out, "/data / ");
}

#[test]
fn relative_paths_begin_in_the_working_directory_also_when_it_is_new() {
    let mut member = Member::new(&open("made", GRANT + 1, CREATE, WRITE));
    let dir = member.grant("/data", true);
    member.plan.working_dir = Some("/data/new/deep".to_owned());
    assert_eq!(member.run(&[]).status, 0);
    assert!(dir.join("new/deep/made").exists());
}

#[test]
fn a_working_directory_that_links_out_is_refused() {
    let mut member = Member::new(&program("", ""));
    symlink("../..", member.grant("/data", false).join("up")).unwrap();
    member.plan.working_dir = Some("/data/up/missing".to_owned());
    let ended = member.run(&[]);
    assert_eq!((ended.status, ended.reason()), (126, "GrantFailed"));
}

#[test]
fn single_files_share_a_directory_in_which_nothing_is_made() {
    let attempt = |path: &str, flags, rights| {
        let mut member = Member::new(&open(path, GRANT, flags, rights));
        let dir = member.grant("/etc/app", true);
        fs::write(dir.join("one"), "1").unwrap();
        fs::write(dir.join("two"), "2").unwrap();
        member.plan.preopens[0].file = Some("one".to_owned());
        member.run(&[]).status
    };
    assert_eq!((attempt("one", 0, WRITE), attempt("two", 0, READ)), (0, 0));
    assert_ne!(attempt("three", CREATE, WRITE), 0);
}
