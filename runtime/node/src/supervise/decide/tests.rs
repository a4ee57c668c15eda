//! Each rule once, in the order of the rules; then thousands of random histories.

use super::*;
use crate::supervise::backoff;
use crate::supervise::health::{Condemned, Wants};
use crate::supervise::journal::Stopping;
use dwell_spec::pod::{self, RestartAction, RestartRule};

mod added;

const SECOND: u64 = 1_000_000_000;

fn journal(inits: usize, containers: usize) -> Journal {
    let container = |name: String| pod::Container::plain(&name, pod::ImageRef::Rootfs(String::new()));
    let named = move |init: bool, n: usize| container(format!("{}{n}", if init { "i" } else { "c" }));
    let member = |init: bool| move |n: usize| Member::new(&named(init, n), init);
    let mut journal = Journal::new(&pod::Pod::plain("p"), "boot", SECOND);
    journal.members = (0..inits).map(member(true)).chain((0..containers).map(member(false))).collect();
    journal
}

fn start(journal: &mut Journal, index: usize, now: u64) {
    let seq = journal.take_seq();
    let member = &mut journal.members[index];
    member.begin_run(now);
    member.born(seq, now);
}

fn rules(policy: RestartPolicy) -> Rules {
    Rules { policy, grace_seconds: 2, deadline_seconds: None }
}

/// As `journal`, with these init containers as sidecars.
fn with_sidecars(inits: usize, containers: usize, sidecars: &[usize]) -> Journal {
    let mut journal = journal(inits, containers);
    sidecars.iter().for_each(|index| journal.members[*index].own_policy = Some(RestartPolicy::Always));
    journal
}

#[test]
fn a_sidecar_has_its_turn_and_lives_beside_the_members() {
    let (mut journal, never) = (with_sidecars(3, 1, &[0, 2]), rules(RestartPolicy::Never));
    let steps = |journal: &Journal, now| decide(journal, never, now).steps;
    assert_eq!(steps(&journal, SECOND), [Step::Start(0)], "nothing overtakes it");
    start(&mut journal, 0, SECOND);
    assert_eq!(steps(&journal, SECOND), [Step::Start(1)]);
    start(&mut journal, 1, SECOND);
    end(&mut journal, 0, 3, SECOND);
    assert_eq!(steps(&journal, SECOND), [Step::Start(0)], "it is started again whatever the Pod's policy is");
    start(&mut journal, 0, SECOND);
    end(&mut journal, 1, 0, SECOND);
    assert_eq!(steps(&journal, SECOND), [Step::Start(2)]);
    start(&mut journal, 2, SECOND);
    assert_eq!(steps(&journal, SECOND), [Step::Start(3)]);
    start(&mut journal, 3, SECOND);
    end(&mut journal, 3, 0, 5 * SECOND);
    assert_eq!(steps(&journal, 5 * SECOND), [Step::Signal(2)], "the last one first");
    journal.members[2].signalled_ns = Some(0);
    assert_eq!(decide(&journal, never, 5 * SECOND).wake_at_ns, Some(7 * SECOND));
    end(&mut journal, 2, 143, 6 * SECOND);
    assert_eq!(steps(&journal, 6 * SECOND), [Step::Signal(0)]);
    assert_eq!(steps(&journal, 7 * SECOND), [Step::Signal(0)], "however late its turn comes");
    journal.members[0].signalled_ns = Some(7 * SECOND);
    assert_eq!(steps(&journal, 8 * SECOND), [], "and whoever is told has two seconds");
    assert_eq!(steps(&journal, 9 * SECOND), [Step::Kill(0)]);
    end(&mut journal, 0, 137, 7 * SECOND);
    assert_eq!(steps(&journal, 7 * SECOND), [Step::Finish]);
}

#[test]
fn a_stop_tells_sidecars_when_no_member_lives() {
    let (mut journal, always) = (with_sidecars(1, 2, &[0]), rules(RestartPolicy::Always));
    (0..3).for_each(|index| start(&mut journal, index, SECOND));
    journal.intent = Intent::Stop(Stopping { since_ns: SECOND, kill_at_ns: 3 * SECOND, grace_seconds: 2 });
    assert_eq!(decide(&journal, always, SECOND).steps, [Step::Signal(1), Step::Signal(2)]);
    (1..3).for_each(|index| end(&mut journal, index, 0, SECOND));
    assert_eq!(decide(&journal, always, SECOND).steps, [Step::Signal(0)]);
    journal.intent = Intent::Stop(Stopping { since_ns: SECOND, kill_at_ns: SECOND, grace_seconds: 0 });
    assert_eq!(decide(&journal, always, SECOND).steps, [Step::Kill(0)], "no time, no signal");
}

#[test]
fn a_failed_init_container_takes_the_sidecars_with_it() {
    let (mut journal, never) = (with_sidecars(2, 1, &[0]), rules(RestartPolicy::Never));
    start(&mut journal, 0, SECOND);
    start(&mut journal, 1, SECOND);
    end(&mut journal, 1, 1, SECOND);
    assert_eq!(decide(&journal, never, SECOND).steps, [Step::Signal(0)]);
    end(&mut journal, 0, 0, SECOND);
    assert_eq!(decide(&journal, never, SECOND).steps, [Step::Finish]);
}

fn rule(action: RestartAction, statuses: &[i32]) -> Vec<RestartRule> {
    vec![RestartRule { action, listed: true, statuses: statuses.to_vec() }]
}

#[test]
fn a_rule_comes_before_the_policy() {
    let (mut journal, never) = (journal(1, 2), rules(RestartPolicy::Never));
    journal.members[0].restart_rules = rule(RestartAction::Container, &[5]);
    journal.members[1].restart_rules = rule(RestartAction::Container, &[0, 3]);
    start(&mut journal, 0, SECOND);
    end(&mut journal, 0, 5, SECOND);
    assert_eq!(decide(&journal, never, SECOND).steps, [Step::Start(0)], "an init container too");
    start(&mut journal, 0, SECOND);
    end(&mut journal, 0, 0, SECOND);
    (1..3).for_each(|index| start(&mut journal, index, SECOND));
    (1..3).for_each(|index| end(&mut journal, index, 3, SECOND));
    assert_eq!(decide(&journal, never, SECOND).steps, [Step::Start(1)]);
    start(&mut journal, 1, SECOND);
    end(&mut journal, 1, 4, SECOND);
    assert_eq!(decide(&journal, never, SECOND).steps, [Step::Finish], "no rule applies: the policy decides");
}

#[test]
fn a_rule_has_all_begin_again_with_their_back_offs_and_in_their_time() {
    let (mut journal, never) = (with_sidecars(2, 2, &[0]), rules(RestartPolicy::Never));
    journal.members[2].restart_rules = rule(RestartAction::All, &[7]);
    (0..4).for_each(|index| start(&mut journal, index, SECOND));
    end(&mut journal, 1, 0, SECOND);
    end(&mut journal, 2, 7, 2 * SECOND);
    assert_eq!(decide(&journal, never, 2 * SECOND).steps, [Step::RestartAll]);
    journal.intent = Intent::RestartAll(Stopping::new(2 * SECOND, 0));
    assert_eq!(decide(&journal, never, 2 * SECOND).steps, [Step::Kill(0), Step::Kill(3)], "no hook, no signal");
    [0, 3].into_iter().for_each(|index| end(&mut journal, index, 137, 2 * SECOND));
    assert_eq!(decide(&journal, never, 2 * SECOND).steps, [Step::Reset]);
    journal.reset(2 * SECOND);
    assert_eq!(journal.created_ns, SECOND, "the Pod's time goes on");
    assert_eq!(decide(&journal, never, 2 * SECOND).steps, [Step::Start(0)], "at once the first time");
    (0..4).for_each(|index| start(&mut journal, index, 2 * SECOND));
    end(&mut journal, 1, 0, 2 * SECOND);
    end(&mut journal, 2, 7, 2 * SECOND);
    journal.intent = Intent::RestartAll(Stopping::new(2 * SECOND, 0));
    [0, 3].into_iter().for_each(|index| end(&mut journal, index, 137, 2 * SECOND));
    journal.reset(2 * SECOND);
    let again = decide(&journal, never, 2 * SECOND);
    assert_eq!((again.steps.len(), again.wake_at_ns), (0, Some(2 * SECOND + backoff::INITIAL_NS)));
}

#[test]
fn a_sidecar_that_is_ended_with_the_pod_has_nobody_begin_again() {
    let (mut journal, never) = (with_sidecars(1, 1, &[0]), rules(RestartPolicy::Never));
    journal.members[0].restart_rules = rule(RestartAction::All, &[143]);
    (0..2).for_each(|index| start(&mut journal, index, SECOND));
    end(&mut journal, 1, 0, SECOND);
    end(&mut journal, 0, 143, SECOND);
    assert_eq!(decide(&journal, never, SECOND).steps, [Step::Finish]);
}

#[test]
fn a_pause_that_dies_while_all_begin_again_ends_no_pod() {
    for intent in [Intent::Restart, Intent::RestartAll] {
        let mut journal = journal(0, 1);
        start(&mut journal, 0, SECOND);
        journal.intent = intent(Stopping::new(SECOND, 0));
        assert!(after_pause_death(&mut journal, RestartPolicy::Never, SECOND));
        assert_eq!(decide(&journal, rules(RestartPolicy::Never), SECOND).steps, [Step::Reset]);
    }
}

#[test]
fn a_policy_of_its_own_wins_over_the_pods() {
    let mut journal = journal(0, 2);
    journal.members[0].own_policy = Some(RestartPolicy::OnFailure);
    (0..2).for_each(|index| start(&mut journal, index, SECOND));
    (0..2).for_each(|index| end(&mut journal, index, 1, SECOND));
    assert_eq!(decide(&journal, rules(RestartPolicy::Never), SECOND).steps, [Step::Start(0)]);
    start(&mut journal, 0, SECOND);
    end(&mut journal, 0, 0, SECOND);
    assert_eq!(decide(&journal, rules(RestartPolicy::Never), SECOND).steps, [Step::Finish]);
}

fn end(journal: &mut Journal, index: usize, code: i32, now: u64) {
    let end = Termination {
        exit_code: code,
        signal: None,
        reason: "Error".into(),
        message: String::new(),
        started_ns: now,
        finished_ns: now,
        unhealthy: false,
        replaced: false,
    };
    journal.members[index].terminate(end);
}

#[test]
fn init_containers_run_one_by_one_and_only_then_the_rest_together() {
    let (mut journal, policy) = (journal(2, 2), RestartPolicy::Always);
    assert_eq!(decide(&journal, rules(policy), SECOND).steps, [Step::Start(0)]);
    start(&mut journal, 0, SECOND);
    assert_eq!(decide(&journal, rules(policy), SECOND).steps, []);
    end(&mut journal, 0, 0, SECOND);
    assert_eq!(decide(&journal, rules(policy), SECOND).steps, [Step::Start(1)]);
    start(&mut journal, 1, SECOND);
    end(&mut journal, 1, 0, SECOND);
    assert_eq!(decide(&journal, rules(policy), SECOND).steps, [Step::Start(2), Step::Start(3)]);
}

#[test]
fn a_failed_init_container_ends_the_pod_or_is_tried_again() {
    let mut journal = journal(1, 1);
    start(&mut journal, 0, SECOND);
    end(&mut journal, 0, 1, SECOND);
    assert_eq!(decide(&journal, rules(RestartPolicy::Never), SECOND).steps, [Step::Finish]);
    assert_eq!(decide(&journal, rules(RestartPolicy::OnFailure), SECOND).steps, [Step::Start(0)]);
    start(&mut journal, 0, SECOND);
    end(&mut journal, 0, 1, SECOND);
    let decision = decide(&journal, rules(RestartPolicy::OnFailure), SECOND);
    assert_eq!((decision.steps.len(), decision.wake_at_ns), (0, Some(SECOND + backoff::INITIAL_NS)));
}

#[test]
fn a_stop_signals_once_then_kills_once_then_finishes() {
    let mut journal = journal(0, 1);
    start(&mut journal, 0, SECOND);
    journal.intent = Intent::Stop(Stopping { since_ns: SECOND, kill_at_ns: 3 * SECOND, grace_seconds: 2 });
    assert_eq!(decide(&journal, rules(RestartPolicy::Always), SECOND).steps, [Step::Signal(0)]);
    journal.members[0].signalled_ns = Some(0);
    assert_eq!(decide(&journal, rules(RestartPolicy::Always), SECOND).wake_at_ns, Some(3 * SECOND));
    assert_eq!(decide(&journal, rules(RestartPolicy::Always), 3 * SECOND).steps, [Step::Kill(0)]);
    journal.members[0].killed = true;
    assert_eq!(decide(&journal, rules(RestartPolicy::Always), 4 * SECOND).steps, []);
    end(&mut journal, 0, 137, 4 * SECOND);
    assert_eq!(decide(&journal, rules(RestartPolicy::Always), 4 * SECOND).steps, [Step::Finish]);
}

#[test]
fn a_pod_that_has_had_its_time_is_stopped() {
    let mut journal = journal(0, 1);
    let rules = Rules { deadline_seconds: Some(3), ..rules(RestartPolicy::Always) };
    start(&mut journal, 0, SECOND);
    assert_eq!(decide(&journal, rules, SECOND).wake_at_ns, Some(4 * SECOND), "it was accepted at 1 s");
    assert_eq!(decide(&journal, rules, 4 * SECOND).steps, [Step::Expire]);
    journal.intent = Intent::Stop(Stopping { since_ns: 4 * SECOND, kill_at_ns: 9 * SECOND, grace_seconds: 5 });
    assert_eq!(decide(&journal, rules, 5 * SECOND).steps, [Step::Signal(0)], "once");
}

/// As when a kubelet starts them: a proxy's hook holds up the program behind it.
#[test]
fn members_wait_for_the_poststart_hook_of_those_before_them() {
    let mut journal = journal(0, 3);
    journal.members[1].wants.post_start = true;
    let steps = |journal: &Journal| decide(journal, rules(RestartPolicy::Always), SECOND).steps;
    assert_eq!(steps(&journal), [Step::Start(0), Step::Start(1)]);
    (0..2).for_each(|index| start(&mut journal, index, SECOND));
    assert_eq!(steps(&journal), [Step::PostStart(1)]);
    journal.members[1].post_start_done();
    assert_eq!(steps(&journal), [Step::Start(2)]);
}

fn condemned(since_ns: u64, grace_ns: u64, unhealthy: bool) -> Condemned {
    let grace_seconds = (grace_ns / SECOND) as u32;
    Condemned { stopping: Stopping::new(since_ns, grace_seconds), message: "why".into(), unhealthy, replaced: false }
}

fn with_wants(containers: usize, wants: Wants) -> Journal {
    let mut journal = journal(0, containers);
    journal.members.iter_mut().for_each(|member| member.wants = wants);
    journal
}

#[test]
fn a_prestop_hook_comes_first_and_leaves_at_least_two_seconds() {
    let mut journal = with_wants(1, Wants { pre_stop: true, ..Wants::default() });
    let always = rules(RestartPolicy::Always);
    let steps = |journal: &Journal, now| decide(journal, always, now).steps;
    start(&mut journal, 0, SECOND);
    journal.intent = Intent::Stop(Stopping { since_ns: SECOND, kill_at_ns: 6 * SECOND, grace_seconds: 5 });
    assert_eq!(steps(&journal, SECOND), [Step::PreStop(0)]);
    assert_eq!(decide(&journal, always, SECOND).wake_at_ns, Some(6 * SECOND));
    let mut done = journal.clone();
    done.members[0].health.pre_stop_due = false;
    assert_eq!(steps(&done, 2 * SECOND), [Step::Signal(0)]);
    assert_eq!(steps(&journal, 6 * SECOND), [Step::Signal(0)], "its time is over");
    journal.members[0].signalled_ns = Some(6 * SECOND);
    assert_eq!(decide(&journal, always, 6 * SECOND).wake_at_ns, Some(8 * SECOND));
    assert_eq!(steps(&journal, 8 * SECOND), [Step::Kill(0)]);
    let mut none = with_wants(1, Wants { pre_stop: true, ..Wants::default() });
    start(&mut none, 0, SECOND);
    none.intent = Intent::Stop(Stopping { since_ns: SECOND, kill_at_ns: SECOND, grace_seconds: 0 });
    assert_eq!(steps(&none, SECOND), [Step::Kill(0)], "no grace, no hook");
}

/// The kubelet runs the hooks of all at once, and lets sidecars wait for their turn only then.
#[test]
fn a_sidecars_hook_does_not_wait_for_its_turn() {
    let mut journal = with_sidecars(1, 1, &[0]);
    journal.members[0].wants.pre_stop = true;
    (0..2).for_each(|index| start(&mut journal, index, SECOND));
    journal.intent = Intent::Stop(Stopping { since_ns: SECOND, kill_at_ns: 6 * SECOND, grace_seconds: 5 });
    let steps = |journal: &Journal| decide(journal, rules(RestartPolicy::Never), SECOND).steps;
    assert_eq!(steps(&journal), [Step::PreStop(0), Step::Signal(1)]);
    journal.members[0].health.pre_stop_due = false;
    journal.members[1].signalled_ns = Some(0);
    assert_eq!(steps(&journal), [], "it waits for the member");
    end(&mut journal, 1, 0, SECOND);
    assert_eq!(steps(&journal), [Step::Signal(0)]);
}

#[test]
fn a_condemned_member_ends_alone_and_starts_again_unless_it_never_does() {
    for (policy, next) in [
        (RestartPolicy::Always, Step::Start(0)),
        (RestartPolicy::OnFailure, Step::Start(0)),
        (RestartPolicy::Never, Step::Finish),
    ] {
        let mut journal = journal(0, 1);
        let steps = |journal: &Journal, now| decide(journal, rules(policy), now).steps;
        start(&mut journal, 0, SECOND);
        journal.members[0].condemn(condemned(SECOND, 2 * SECOND, true));
        assert_eq!(steps(&journal, SECOND), [Step::Signal(0)]);
        journal.members[0].signalled_ns = Some(0);
        assert_eq!(steps(&journal, 3 * SECOND), [Step::Kill(0)]);
        end(&mut journal, 0, 0, 2 * SECOND);
        assert_eq!(steps(&journal, 2 * SECOND), [next], "{policy:?}");
        let MemberState::Terminated(end) = &journal.members[0].state else { panic!("it has ended") };
        assert_eq!((end.unhealthy, end.message.as_str()), (true, "why"));
    }
}

#[test]
fn whoever_comes_after_a_sidecar_waits_for_its_hook_and_its_startup_probe() {
    let mut journal = with_sidecars(1, 1, &[0]);
    journal.members[0].wants = Wants { post_start: true, startup: true, ..Wants::default() };
    let steps = |journal: &Journal| decide(journal, rules(RestartPolicy::Always), SECOND).steps;
    start(&mut journal, 0, SECOND);
    assert_eq!(steps(&journal), [Step::PostStart(0)]);
    journal.members[0].post_start_done();
    assert_eq!(steps(&journal), []);
    assert!(!journal.members[0].probe_says(pod::ProbeKind::Startup, true));
    assert!(journal.members[0].health.ready, "without a readiness probe");
    assert_eq!(steps(&journal), [Step::Start(1)]);
}

#[test]
fn pause_death_restarts_what_the_policy_restarts() {
    for (policy, code, wanted) in
        [(RestartPolicy::Always, 0, true), (RestartPolicy::OnFailure, 0, true), (RestartPolicy::Never, 0, false)]
    {
        let mut journal = journal(1, 2);
        for index in 0..3 {
            start(&mut journal, index, SECOND);
        }
        end(&mut journal, 0, 0, SECOND);
        end(&mut journal, 1, code, SECOND);
        assert_eq!(after_pause_death(&mut journal, policy, SECOND), wanted, "{policy:?}");
        assert!(journal.members.iter().all(|member| member.live_seq().is_none()), "somebody survived their pause");
        if wanted {
            assert!(matches!(journal.members[0].state, MemberState::Waiting { .. }), "init containers run again");
        }
    }
}

/// Thousands of random histories: whatever happens, no state is reached in which nothing is wanted, nothing lives
/// and the Pod is not finished, and no member is started while it lives.
#[test]
fn no_history_gets_stuck_or_starts_twice() {
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut roll = move |sides: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % sides
    };
    for _ in 0..4000 {
        let policy = [RestartPolicy::Always, RestartPolicy::OnFailure, RestartPolicy::Never][roll(3) as usize];
        let mut journal = journal(roll(4) as usize, 1 + roll(3) as usize);
        for member in &mut journal.members {
            let own = [Some(RestartPolicy::Always), Some(RestartPolicy::Never), None, None];
            member.own_policy = own[roll(4) as usize];
            if roll(4) == 0 {
                let action = [RestartAction::Container, RestartAction::All][roll(2) as usize];
                let statuses = (0..3).filter(|_| roll(2) == 0).collect();
                member.restart_rules = vec![RestartRule { action, listed: roll(2) == 0, statuses }];
            }
            let mut some = || roll(3) == 0;
            member.wants = Wants { post_start: some(), pre_stop: some(), startup: some(), readiness: some() };
        }
        let mut now = SECOND;
        for _ in 0..60 {
            if roll(40) == 0 {
                added::add(&mut journal, [None, Some("c0")][roll(2) as usize]);
            }
            let decision = decide(&journal, rules(policy), now);
            let living = journal.members.iter().any(|member| member.live_seq().is_some());
            assert!(
                !decision.steps.is_empty() || decision.wake_at_ns.is_some() || living || journal.finished,
                "stuck: {journal:?}"
            );
            for step in &decision.steps {
                match *step {
                    Step::Start(index) => {
                        assert!(journal.members[index].live_seq().is_none(), "started twice");
                        assert!(!journal.members[index].added || journal.members[index].starts == 0, "begun again");
                        start(&mut journal, index, now);
                    }
                    Step::PostStart(index) => {
                        let member = &mut journal.members[index];
                        assert!(matches!(member.state, MemberState::Running { .. }), "a hook of nobody's");
                        if roll(2) == 0 {
                            member.post_start_done();
                        } else if roll(3) == 0 {
                            member.condemn(condemned(now, roll(3) * SECOND, false));
                        }
                    }
                    Step::PreStop(index) => {
                        assert!(journal.members[index].signalled_ns.is_none(), "the hook comes before the signal");
                        if roll(2) == 0 {
                            journal.members[index].health.pre_stop_due = false;
                        }
                    }
                    Step::Signal(index) => {
                        assert!(journal.members[index].signalled_ns.is_none(), "told twice");
                        journal.members[index].signalled_ns = Some(now);
                    }
                    Step::Kill(index) => {
                        journal.members[index].killed = true;
                        end(&mut journal, index, 137, now);
                    }
                    Step::Finish => {
                        assert!(!living, "finished over the living");
                        journal.finished = true;
                    }
                    Step::RestartAll => {
                        assert!(journal.intent == Intent::Run, "no stop is overruled");
                        journal.intent = Intent::RestartAll(Stopping::new(now, 0));
                    }
                    Step::Reset => {
                        assert!(!living, "begun again over the living");
                        journal.reset(now);
                    }
                    Step::Expire => panic!("there is no deadline"),
                }
            }
            let count = journal.members.len() as u64;
            match roll(8) {
                0 => now = decision.wake_at_ns.unwrap_or(now),
                1 if journal.intent == Intent::Run && !journal.finished => {
                    let stopping = Stopping { since_ns: now, kill_at_ns: now + roll(5) * SECOND, grace_seconds: 1 };
                    journal.intent = if roll(2) == 0 { Intent::Restart(stopping) } else { Intent::Stop(stopping) };
                }
                2 if roll(4) == 0 && !journal.finished => {
                    if !after_pause_death(&mut journal, policy, now) && journal.intent == Intent::Run {
                        journal.finished = true;
                    }
                }
                3 => {
                    let member = &mut journal.members[roll(count) as usize];
                    if roll(2) == 0 {
                        member.condemn(condemned(now, roll(3) * SECOND, true));
                    } else if member.live_seq().is_some() {
                        assert!(!member.probe_says(pod::ProbeKind::Startup, true));
                    }
                }
                _ => {
                    let index = roll(count) as usize;
                    if journal.members[index].live_seq().is_some() {
                        end(&mut journal, index, roll(3) as i32, now);
                    }
                }
            }
            now += roll(3) * SECOND;
        }
    }
}
