//! Commands: what they are given, and how they end.

use crate::guest::{exits, looks_up, program, tool, waits};
use crate::member::Member;
use std::io::Write;

const PRINT_ARGS: &str = "(drop (call $args_sizes (i32.const 16) (i32.const 20)))
    (drop (call $args (i32.const 4096) (i32.const 8192)))
    (call $put (i32.const 1) (i32.const 8192) (i32.load (i32.const 20)))";
const PRINT_ENV: &str = "(drop (call $env_sizes (i32.const 16) (i32.const 20)))
    (drop (call $env (i32.const 4096) (i32.const 8192)))
    (call $put (i32.const 1) (i32.const 8192) (i32.load (i32.const 20)))";
const CAT: &str = "(local $n i32) (loop $more
    (i32.store (i32.const 0) (i32.const 4096)) (i32.store (i32.const 4) (i32.const 60000))
    (if (call $fd_read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)) (then (call $exit (i32.const 9))))
    (local.set $n (i32.load (i32.const 8)))
    (if (local.get $n) (then (call $put (i32.const 1) (i32.const 4096) (local.get $n)) (br $more))))";
const GROW: &str = "(loop $more (br_if $more (i32.ne (memory.grow (i32.const 16)) (i32.const -1))))";

#[test]
fn exit_statuses_are_the_programs_own() {
    for status in [0, 7, 126, 200, 255] {
        let ended = Member::new(&exits(status)).run(&[]);
        assert_eq!((ended.status, ended.reason(), &*ended.err), (status, "", ""));
    }
    assert_eq!(Member::new(&program("", "")).run(&[]).status, 0);
}

#[test]
fn component_statuses_are_ok_error_and_code() {
    for (body, status) in
        [("(i32.const 0)", 0), ("(i32.const 1)", 1), ("(call $exit (i32.const 42)) (i32.const 0)", 42)]
    {
        let ended = Member::of(&tool("", body)).run(&[]);
        assert_eq!((ended.status, &*ended.err), (status, ""), "{body}");
    }
}

#[test]
fn arguments_and_environment_arrive() {
    assert_eq!(Member::new(&program("", PRINT_ARGS)).run(&["one", "two words"]).out, "guest.wasm\0one\0two words\0");
    let mut member = Member::new(&program("", PRINT_ENV));
    member.plan.env.push(("PWD".to_owned(), "/lie".to_owned()));
    member.plan.working_dir = Some("/work".to_owned());
    assert_eq!(member.run(&[]).out, "COLOUR=green\0PWD=/work\0");
}

#[test]
fn standard_input_reaches_standard_output_whole() {
    let input = "0123456789abcdef\n".repeat(20_000);
    let ended = Member::new(&program("", CAT)).run_with(&[], input.as_bytes());
    assert_eq!((ended.status, ended.out.len()), (0, input.len()));
    assert!(ended.out == input);
}

#[test]
fn unconnected_standard_input_ends_at_once() {
    let mut member = Member::new(&program("", CAT));
    member.plan.stdin = false;
    assert_eq!(member.start(&[]).wait().status, 0);
}

#[test]
fn input_that_comes_late_is_waited_for() {
    let member = Member::new(&program("", CAT));
    let mut running = member.start(&[]);
    running.walled();
    running.stdin().as_mut().unwrap().write_all(b"late").unwrap();
    drop(running.stdin().take());
    assert_eq!(running.wait().out, "late");
}

#[test]
fn component_output_is_written_through() {
    let body = "(call $put (call $stdout) (i32.const 1024) (i32.const 4) (i32.const 0)) unreachable";
    let ended = Member::of(&tool("said", body)).run(&[]);
    assert_eq!((&*ended.out, ended.status, ended.reason()), ("said", 134, "Trap"));
}

#[test]
fn traps_are_134_and_name_what_and_where() {
    let ended = Member::new(&program("", "unreachable")).run(&[]);
    assert_eq!((ended.status, ended.reason()), (134, "Trap"));
    assert!(ended.message().contains("`unreachable` instruction executed"), "{}", ended.message());
    assert!(ended.message().contains("at inner\nat main"), "{}", ended.message());
    assert!(ended.err.starts_with("dwell: Trap: wasm trap: ") && ended.err.lines().count() == 1, "{}", ended.err);
}

#[test]
fn the_ways_to_trap_are_told_apart() {
    let message = |body: &str| {
        let ended = Member::new(&program("", body)).run(&[]);
        assert_eq!(ended.status, 134, "{body}");
        (ended.reason().to_owned(), ended.message().to_owned())
    };
    assert!(message("(drop (i32.load (i32.const -4)))").1.contains("out of bounds memory access"));
    assert!(message("(drop (i32.div_s (i32.const 1) (i32.load (i32.const 12000))))").1.contains("divide by zero"));
    let (reason, text) = message("(call $inner) (drop (i32.load (i32.const 0)))");
    assert_eq!(reason, "StackOverflow");
    assert!(text.contains("and ") && text.contains(" more"), "{text}");
}

#[test]
fn sigterm_and_sigint_end_even_a_spinning_guest() {
    let member = Member::new(&program("", "(loop $for_ever (br $for_ever))"));
    for (signal, status) in [("TERM", 143), ("INT", 130)] {
        let running = member.start(&[]);
        running.walled();
        running.signal(signal);
        assert_eq!(running.wait().status, status, "{signal}");
    }
}

#[test]
fn sigterm_ends_a_waiting_guest() {
    let member = Member::new(&waits());
    let running = member.start(&[]);
    running.walled();
    running.signal("TERM");
    assert_eq!(running.wait().status, 143);
}

#[test]
fn memory_limit_refuses_and_the_end_after_it_says_so() {
    let limited = |body: &str, limit| {
        let mut member = Member::new(&program("", body));
        member.plan.memory_limit = limit;
        let ended = member.run(&[]);
        (ended.status, ended.reason().to_owned(), ended.message().to_owned())
    };
    let (status, reason, message) = limited(&format!("{GROW} unreachable"), Some(8 << 20));
    assert_eq!((status, &*reason), (137, "OOMKilled"));
    assert!(message.contains("memory limit of 8388608 bytes"), "{message}");
    assert_eq!(limited(&format!("{GROW} (call $exit (i32.const 3))"), Some(8 << 20)).1, "MemoryLimit");
    assert_eq!(limited(&format!("{GROW} (call $exit (i32.const 0))"), Some(8 << 20)).0, 0);
    // Controls: the same growth within a limit, and a first memory beyond one.
    assert_eq!(limited("(drop (memory.grow (i32.const 16))) unreachable", Some(8 << 20)).1, "Trap");
    assert_eq!(limited("", Some(1 << 16)).1, "OOMKilled");
}

#[test]
fn names_come_from_the_hosts_file() {
    let look = |name: &str, hosts: &str, network| {
        let mut member = Member::of(&looks_up(name));
        member.plan.network = network;
        member.hosts = hosts.to_owned();
        member.run(&[]).status
    };
    assert_eq!(look("localhost", "127.0.0.1 localhost\n::1 localhost\n", true), 1);
    assert_eq!(look("localhost", "", true), 1);
    assert_eq!(look("web", "10.1.2.77 web.example web\n", true), 77);
    let (access_denied, unresolvable) = (100 + 1, 100 + 18);
    assert_eq!(look("nowhere.example", "", true), unresolvable);
    assert_eq!(look("web", "10.1.2.77 web\n", false), access_denied);
}
