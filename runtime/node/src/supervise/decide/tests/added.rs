//! What was added to a Pod that runs.

use super::*;

/// One that sees this member's processes, or nobody's.
pub(super) fn add(journal: &mut Journal, target: Option<&str>) -> usize {
    let mut container = pod::Container::plain("d", pod::ImageRef::Rootfs(String::new()));
    container.target = target.map(str::to_owned);
    journal.members.push(Member::added(&container));
    journal.members.len() - 1
}

#[test]
fn it_is_begun_beside_init_containers_once_and_never_again() {
    let (mut journal, always) = (journal(1, 1), rules(RestartPolicy::Always));
    start(&mut journal, 0, SECOND);
    let added = add(&mut journal, None);
    assert_eq!(decide(&journal, always, SECOND).steps, [Step::Start(added)]);
    start(&mut journal, added, SECOND);
    end(&mut journal, 0, 0, SECOND);
    assert_eq!(decide(&journal, always, SECOND).steps, [Step::Start(1)], "it holds up nobody");
    start(&mut journal, 1, SECOND);
    end(&mut journal, added, 1, SECOND);
    assert_eq!(decide(&journal, always, SECOND), Decision::default());
    journal.intent = Intent::Restart(Stopping::new(SECOND, 0));
    end(&mut journal, 1, 137, SECOND);
    journal.reset(SECOND);
    assert_eq!(decide(&journal, always, SECOND).steps, [Step::Start(0)], "nor when its Pod begins again");
}

#[test]
fn one_with_a_target_waits_for_it_as_long_as_it_may_run() {
    let (mut journal, failure) = (journal(0, 2), rules(RestartPolicy::OnFailure));
    let added = add(&mut journal, Some("c0"));
    start(&mut journal, 1, SECOND);
    assert_eq!(decide(&journal, failure, SECOND).steps, [Step::Start(0)]);
    start(&mut journal, 0, SECOND);
    assert_eq!(decide(&journal, failure, SECOND).steps, [Step::Start(added)]);
    end(&mut journal, 0, 1, SECOND);
    assert_eq!(decide(&journal, failure, SECOND).steps, [Step::Start(0)], "it is started again first");
    start(&mut journal, 0, SECOND);
    end(&mut journal, 0, 0, SECOND);
    assert_eq!(decide(&journal, failure, SECOND).steps, [Step::Start(added)], "it fails then, and says why");
}

#[test]
fn it_keeps_no_pod_from_its_end_and_no_sidecar_from_its_turn() {
    let (mut journal, never) = (with_sidecars(1, 1, &[0]), rules(RestartPolicy::Never));
    let added = add(&mut journal, None);
    (0..3).for_each(|index| start(&mut journal, index, SECOND));
    end(&mut journal, 1, 0, SECOND);
    assert_eq!(decide(&journal, never, SECOND).steps, [Step::Signal(0), Step::Signal(added)]);
    end(&mut journal, 0, 0, SECOND);
    journal.members[added].signalled_ns = Some(SECOND);
    assert_eq!(decide(&journal, never, 3 * SECOND).steps, [Step::Kill(added)]);
    end(&mut journal, added, 137, SECOND);
    assert_eq!(decide(&journal, never, 3 * SECOND).steps, [Step::Finish]);
}

#[test]
fn one_that_waits_is_given_up_when_its_pod_begins_anew() {
    let mut first = journal(0, 1);
    let added = add(&mut first, Some("c0"));
    let mut second = first.clone();
    first.intent = Intent::Restart(Stopping::new(SECOND, 0));
    first.reset(SECOND);
    after_pause_death(&mut second, RestartPolicy::Always, SECOND);
    for journal in [&mut first, &mut second] {
        start(journal, 0, SECOND);
        assert_eq!(decide(journal, rules(RestartPolicy::Always), SECOND), Decision::default());
        assert!(matches!(&journal.members[added].state, MemberState::Terminated(_)));
    }
}

#[test]
fn an_init_container_may_be_its_target() {
    let (mut journal, always) = (journal(1, 1), rules(RestartPolicy::Always));
    let added = add(&mut journal, Some("i0"));
    assert_eq!(decide(&journal, always, SECOND).steps, [Step::Start(0)]);
    start(&mut journal, 0, SECOND);
    assert_eq!(decide(&journal, always, SECOND).steps, [Step::Start(added)]);
    end(&mut journal, 0, 0, SECOND);
    assert_eq!(decide(&journal, always, SECOND).steps, [Step::Start(added), Step::Start(1)], "too late: it says so");
}

#[test]
fn with_pause_it_is_gone_and_a_fresh_sandbox_has_none() {
    let mut journal = journal(0, 1);
    let added = add(&mut journal, None);
    (0..2).for_each(|index| start(&mut journal, index, SECOND));
    assert!(after_pause_death(&mut journal, RestartPolicy::Always, SECOND));
    assert_eq!(decide(&journal, rules(RestartPolicy::Always), SECOND).steps, [Step::Start(0)]);
    assert!(matches!(&journal.members[added].state, MemberState::Terminated(end) if end.exit_code == 137));
    assert!(!after_pause_death(&mut journal, RestartPolicy::Never, SECOND), "nor does it want one");
}
