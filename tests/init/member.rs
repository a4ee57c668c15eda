//! User, groups, limits, terminal, working directory, and an exec beside the member.

use std::os::fd::AsFd;

use dwell_spec::plan::init::Op;
use dwell_spec::pod::UserRef;

use crate::harness::{Start, joined};
use crate::samples::scripted;

#[test]
fn user_groups_and_no_capability_for_a_plain_user() {
    let mut container =
        scripted("id -u; id -g; id -G; grep -E 'CapEff|CapPrm' /proc/self/status; ( : > /bin/x ) 2>&1; true");
    container.user = Some(UserRef::Id(1000));
    container.group = Some(1001);
    let text = Start::of(&container).run().text().to_owned();
    assert!(text.starts_with("1000\n1001\n1001\nCapPrm:\t0000000000000000\nCapEff:\t0000000000000000\n"), "{text}");
    assert!(text.contains("Permission denied"), "{text}");
    let control = Start::of(&container).without(|op| matches!(op, Op::SetUser { .. }));
    assert!(control.run().text().starts_with("0\n"), "control");
}

#[test]
fn limits_are_set_and_clamped() {
    let mut start = Start::script("busybox ulimit -n 2>/dev/null || ulimit -Sn; ulimit -Hn; ulimit -c");
    let text = start.run().text().to_owned();
    assert!(text.ends_with("1024\n4096\n0\n") || text == "1024\n4096\n0\n", "{text}");
    start = Start::script("ulimit -Hn");
    for op in &mut start.plan.ops {
        if let Op::SetRlimit { soft, hard, .. } = op {
            (*soft, *hard) = (u64::MAX, u64::MAX);
        }
    }
    assert_eq!(start.run().status, 0, "more than the hard limit is clamped and no error");
}

#[test]
fn the_working_directory_is_made_and_belongs_to_the_user() {
    let mut container = scripted("pwd; stat -c %u:%g .");
    container.working_dir = Some("/srv/deep/work".to_owned());
    container.user = Some(UserRef::Name("7:8".to_owned()));
    assert_eq!(Start::of(&container).run().text(), "/srv/deep/work\n7:8\n");
    container.read_only_root = true;
    assert_eq!(Start::of(&container).run().text(), "/srv/deep/work\n7:8\n", "also under a read-only root");
}

#[test]
fn a_terminal_is_the_console_and_the_controlling_terminal() {
    let mut container = scripted("exec >/dev/tty; [ -t 0 ] && busybox tty; stat -c %t:%T /dev/console /dev/pts/0");
    container.tty = true;
    let mut start = Start::of(&container);
    start.plan.ops.retain(|op| !matches!(op, Op::ChownStdio { .. }));
    let outcome = start.run();
    assert_eq!((outcome.status, outcome.report.as_str()), (0, ""), "{outcome:?}");
    let text = start.terminal_output();
    assert_eq!(text, "/dev/pts/0\r\n88:0\r\n88:0\r\n");
}

#[test]
fn the_pods_files_are_there() {
    let text = Start::script("cat /etc/hosts /etc/hostname /etc/resolv.conf").run().text().to_owned();
    assert_eq!(text, "the Pod's hosts\nthe Pod's hostname\nthe Pod's resolv.conf\n");
}

#[test]
fn an_exec_sees_the_members_root_with_the_members_rights() {
    let container = scripted("touch /ready; exec busybox sleep 60");
    let member = Start::of(&container);
    let running = member.start();
    let (plan, _) = joined(&container, &["sh", "-c", "ls /ready; grep CapEff /proc/self/status; pwd"], None);
    let pidfd = running.member_pidfd();
    let mut exec = Start::script("");
    exec.plan = plan;
    // The pid namespace is the birth's affair; mounts and cgroup are joined through the pidfd.
    let outcome = exec.run_with(&[pidfd.as_fd()]);
    assert_eq!(outcome.status, 0, "{outcome:?}");
    assert!(outcome.text().starts_with("/ready\n"), "{outcome:?}");
    assert!(outcome.output.ends_with("/\n"));
    let (plan, _) = joined(&container, &["id", "-u"], Some("5"));
    exec.plan = plan;
    assert_eq!(exec.run_with(&[pidfd.as_fd()]).text(), "5\n");
}
