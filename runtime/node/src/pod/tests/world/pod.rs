//! Pods of every shape that the rules tell apart, small enough that random histories meet every corner of them.

use std::fmt::Write;

use dwell_spec::pod::{
    Action, Container, ImageRef, Pod, Probe, ProbeKind, RestartAction, RestartPolicy, RestartRule, Timing,
};

use crate::pod::tests::random::Random;

const POLICIES: [RestartPolicy; 3] = [RestartPolicy::Always, RestartPolicy::OnFailure, RestartPolicy::Never];
/// What processes end with.
pub const STATUSES: [i32; 8] = [0, 0, 0, 0, 1, 1, 2, 42];

pub fn any(random: &mut Random) -> Pod {
    let mut pod = Pod { restart_policy: random.one(&POLICIES), host_network: true, ..Pod::plain("p") };
    pod.termination_grace_period_seconds = random.one(&[0, 1, 2, 5, 30]);
    pod.active_deadline_seconds = random.one(&[None, None, None, None, Some(3), Some(20), Some(400)]);
    for n in 0..random.below(4) {
        let is_sidecar = random.percent(50);
        let mut init = container(random, &format!("{}{n}", if is_sidecar { "s" } else { "i" }));
        init.restart_policy = if is_sidecar { Some(RestartPolicy::Always) } else { own_policy(random) };
        if !is_sidecar {
            (init.probes, init.hooks) = Default::default();
        }
        pod.init_containers.push(init);
    }
    for n in 0..1 + random.below(3) {
        let mut member = container(random, &format!("c{n}"));
        member.restart_policy =
            random.one(&[None, None, None, Some(0), Some(1), Some(2)]).map(|at: usize| POLICIES[at]);
        pod.containers.push(member);
    }
    pod
}

/// One that was added, to look at somebody or not.
pub fn added(random: &mut Random, number: usize) -> Container {
    let mut added = plain(&format!("d{number}"));
    added.target = random.one(&[None, Some("c0"), Some("i0"), Some("s0")]).map(str::to_owned);
    added
}

fn plain(name: &str) -> Container {
    Container::plain(name, ImageRef::Rootfs("/r".into()))
}

/// An init container may never be tried again, but not always: that is a sidecar.
fn own_policy(random: &mut Random) -> Option<RestartPolicy> {
    random.one(&[None, None, None, Some(RestartPolicy::OnFailure), Some(RestartPolicy::Never)])
}

fn container(random: &mut Random, name: &str) -> Container {
    let mut container = plain(name);
    if random.percent(20) {
        container.restart_rules.push(rule(random));
    }
    container.hooks.post_start = random.percent(15).then_some(Action::Sleep { seconds: 1 });
    container.hooks.pre_stop = random.percent(30).then_some(Action::Sleep { seconds: 1 });
    container.probes.startup = random.percent(20).then(|| probe(random, 1));
    container.probes.liveness = random.percent(20).then(|| probe(random, 1));
    let enough = 1 + random.below(2) as u32;
    container.probes.readiness = random.percent(25).then(|| probe(random, enough));
    container
}

fn rule(random: &mut Random) -> RestartRule {
    let action = random.one(&[RestartAction::Container, RestartAction::Container, RestartAction::All]);
    RestartRule { action, listed: random.percent(80), statuses: vec![random.one(&[0, 1, 2, 42])] }
}

fn probe(random: &mut Random, success_threshold: u32) -> Probe {
    let timing = Timing {
        initial_delay_seconds: random.below(3) as u32,
        period_seconds: 1 + random.below(10) as u32,
        timeout_seconds: 1,
        success_threshold,
        failure_threshold: 1 + random.below(3) as u32,
    };
    let grace_seconds = random.one(&[None, None, Some(0), Some(3)]);
    Probe { action: Action::Exec(Vec::new()), timing, grace_seconds }
}

pub fn probe_of(container: &Container, kind: ProbeKind) -> Option<&Probe> {
    container.probes.each().find(|(other, _)| *other == kind).map(|(_, probe)| probe)
}

/// For the story of a failure.
pub fn in_words(pod: &Pod) -> String {
    let (grace, deadline) = (pod.termination_grace_period_seconds, pod.active_deadline_seconds);
    let mut words = format!("{:?}, grace {grace}, deadline {deadline:?}", pod.restart_policy);
    for one in pod.all() {
        let probes: Vec<_> = one.probes.each().map(|(kind, probe)| (kind.as_str(), probe.timing)).collect();
        let hooks = (one.hooks.post_start.is_some(), one.hooks.pre_stop.is_some());
        let _ = write!(
            words,
            "\n  {}: {:?} {:?} hooks {hooks:?} {probes:?} {:?}",
            one.name, one.restart_policy, one.restart_rules, one.target
        );
    }
    words
}
