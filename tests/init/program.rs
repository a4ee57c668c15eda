//! Exit statuses and reports: what a user is told when a member cannot be executed.

use dwell_spec::plan::init::{Exec, Op, REPORT_MAX};

use crate::harness::Start;
use crate::samples::scripted;

fn running(argv: &[&str]) -> Start {
    let mut container = scripted("");
    container.command = argv.iter().map(|argument| (*argument).to_owned()).collect();
    Start::of(&container)
}

#[test]
fn a_members_own_status_comes_through_and_leaves_no_report() {
    let outcome = Start::script("echo hello; exit 7").run();
    assert_eq!((outcome.status, outcome.text()), (7, "hello\n"));
}

#[test]
fn not_found_is_127_with_a_sentence() {
    let outcome = running(&["nonesuch"]).run();
    assert_eq!(outcome.status, 127);
    let report = outcome.failure();
    assert_eq!((report.op.as_str(), report.path.as_str(), report.errno), ("Exec", "nonesuch", 2));
    assert!(report.message.starts_with("nonesuch was not found in PATH (/usr/local/sbin:"), "{}", report.message);
    let outcome = running(&["/bin/nonesuch"]).run();
    assert_eq!(outcome.failure().message, "/bin/nonesuch does not exist in the container's file system");
    assert_eq!(outcome.status, 127);
}

#[test]
fn refused_is_126_with_a_sentence() {
    use std::os::unix::fs::PermissionsExt;
    let start = running(&["/bin/text"]);
    std::fs::write(start.image("bin/text"), "not a program").expect("writes");
    let outcome = start.run();
    assert_eq!(outcome.status, 126);
    assert!(outcome.failure().message.starts_with("/bin/text may not be executed"), "{outcome:?}");
    std::fs::set_permissions(start.image("bin/text"), PermissionsExt::from_mode(0o755)).expect("sets");
    // A second start has a layer of its own.
    let second = running(&["/bin/text"]);
    std::fs::copy(start.image("bin/text"), second.image("bin/text")).expect("copies");
    let outcome = second.run();
    assert_eq!(outcome.status, 126);
    assert_eq!(outcome.failure().message, "/bin/text is not a program that this machine can execute");
    let outcome = running(&["/bin"]).run();
    assert_eq!((outcome.status, outcome.failure().message.as_str()), (126, "/bin is a directory, not a program"));
}

#[test]
fn a_missing_interpreter_is_named_as_such() {
    use std::os::unix::fs::PermissionsExt;
    let start = running(&["/bin/script"]);
    std::fs::write(start.image("bin/script"), "#!/no/such/shell\n").expect("writes");
    std::fs::set_permissions(start.image("bin/script"), PermissionsExt::from_mode(0o755)).expect("sets");
    let outcome = start.run();
    assert_eq!(outcome.status, 127);
    assert!(outcome.failure().message.contains("interpreter or loader"), "{outcome:?}");
}

#[test]
fn a_failing_operation_is_named_with_path_and_errno() {
    let mut start = Start::script("echo never");
    start.plan.ops.insert(0, Op::MountProc { target: "/bin/sh".to_owned() });
    start.plan.ops.rotate_left(1);
    // Not in the root to be: the operation comes last, after the privileges are gone.
    let outcome = start.run();
    assert_eq!((outcome.status, outcome.output.as_str()), (125, ""));
    let report = outcome.failure();
    assert_eq!((report.op.as_str(), report.path.as_str()), ("MountProc", "/bin/sh"));
    assert_eq!(report.errno, 1, "{report:?}");
}

#[test]
fn a_slot_that_was_not_brought_is_an_error() {
    let start = Start::script("echo never");
    let outcome = start.run_with(&[]);
    assert_eq!((outcome.status, outcome.failure().op.as_str(), outcome.failure().errno), (125, "AttachRoot", 9));
}

#[test]
fn a_report_is_bounded_whatever_the_plan_holds() {
    let mut start = Start::script("");
    let long = "\u{1}\"".repeat(10_000);
    start.plan.exec = Exec::Path { argv: vec![long.clone()], env: Vec::new(), path: long };
    let outcome = start.run();
    assert!(outcome.report.len() <= REPORT_MAX && outcome.status > 124, "{}", outcome.report.len());
    assert_eq!(outcome.failure().op, "Exec");
}
