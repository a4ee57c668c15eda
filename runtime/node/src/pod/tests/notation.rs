//! The words in which `rules.txt` writes a Pod, and what they stand for: a checked Pod and its journal. A word that is
//! not known panics: a row must never be read as less than it says.

use dwell_spec::pod::{self, Container, ImageRef, Pod, RestartAction, RestartPolicy, RestartRule};

use crate::supervise::decide::{Decision, Rules, Step};
use crate::supervise::health::{Condemned, Wants};
use crate::supervise::journal::{Journal, Member, MemberState, SandboxRecord, Stopping, Termination};

pub const SECOND: u64 = 1_000_000_000;
/// When every row happens.
pub const NOW: u64 = 100_000 * SECOND;
/// When the runs of every row began.
const BEGAN: u64 = NOW - 1000 * SECOND;
const GRACE: u32 = 30;

/// A Pod in the middle of its life.
pub struct Scene {
    pub pod: Pod,
    pub journal: Journal,
}

impl Scene {
    /// `i0=0 c0:Never=1+again@2` under this policy.
    pub fn read(pod_policy: &str, members: &str) -> Scene {
        let mut pod = Pod { restart_policy: policy(pod_policy), ..Pod::plain("p") };
        pod.termination_grace_period_seconds = GRACE;
        let words: Vec<(&str, &str)> =
            members.split_whitespace().map(|word| word.split_once('=').expect("NAME=STATE")).collect();
        for (name, _) in &words {
            let list = match &name[..1] {
                "i" | "s" => &mut pod.init_containers,
                "c" => &mut pod.containers,
                "d" => &mut pod.ephemeral_containers,
                other => panic!("{other} is no kind of container"),
            };
            list.push(container(name));
        }
        let mut journal = Journal::new(&pod, "boot", BEGAN);
        journal.add_missing(&pod);
        journal.sandbox = Some(SandboxRecord { stands: true, ..SandboxRecord::default() });
        let all: Vec<Container> = pod.all().cloned().collect();
        for ((_, state), (member, seq)) in words.iter().zip(journal.members.iter_mut().zip(1..)) {
            assert_eq!(all[seq as usize - 1].name, member.name, "a Pod is written in its order: {members}");
            set(member, state, seq);
        }
        Scene { pod, journal }
    }

    pub fn rules(&self) -> Rules {
        Rules {
            policy: self.pod.restart_policy,
            grace_seconds: self.pod.termination_grace_period_seconds,
            deadline_seconds: self.pod.active_deadline_seconds,
        }
    }

    /// A decision in words.
    pub fn say(&self, decision: &Decision) -> String {
        let name = |index: usize| &self.journal.members[index].name;
        let mut words: Vec<String> = decision.steps.iter().map(|step| said(*step, name)).collect();
        if words.is_empty() {
            words.push("nothing".into());
        }
        let ahead = decision.wake_at_ns.and_then(|at| at.checked_sub(NOW)).filter(|ahead| *ahead > 0);
        words.extend(ahead.map(|ahead| format!("in {} s", ahead / SECOND)));
        words.join(", ")
    }
}

fn said<'a>(step: Step, name: impl Fn(usize) -> &'a String) -> String {
    match step {
        Step::Start(index) => format!("start {}", name(index)),
        Step::PostStart(index) => format!("post-start {}", name(index)),
        Step::PreStop(index) => format!("pre-stop {}", name(index)),
        Step::Signal(index) => format!("signal {}", name(index)),
        Step::Kill(index) => format!("kill {}", name(index)),
        Step::Expire => "expire".into(),
        Step::Finish => "finish".into(),
        Step::RestartAll => "restart all".into(),
        Step::Reset => "reset".into(),
    }
}

pub fn policy(word: &str) -> RestartPolicy {
    known_policy(word).unwrap_or_else(|| panic!("{word} is no restart policy"))
}

fn known_policy(word: &str) -> Option<RestartPolicy> {
    match word {
        "Always" => Some(RestartPolicy::Always),
        "OnFailure" => Some(RestartPolicy::OnFailure),
        "Never" => Some(RestartPolicy::Never),
        _ => None,
    }
}

/// `c0:Never:Restart(5)`
pub fn container(words: &str) -> Container {
    let mut words = words.split(':');
    let name = words.next().expect("a name");
    let mut container = Container::plain(name, ImageRef::Rootfs("/r".into()));
    container.restart_policy = name.starts_with('s').then_some(RestartPolicy::Always);
    for word in words {
        match known_policy(word) {
            Some(own) => container.restart_policy = Some(own),
            None => container.restart_rules.push(rule(word)),
        }
    }
    container
}

/// `Restart(3,5)`, `All(!0)`
fn rule(word: &str) -> RestartRule {
    let (action, statuses) = word.strip_suffix(')').and_then(|word| word.split_once('(')).expect("a rule");
    let action = match action {
        "Restart" => RestartAction::Container,
        "All" => RestartAction::All,
        other => panic!("{other} is no action of a rule"),
    };
    let listed = !statuses.starts_with('!');
    let statuses = statuses.trim_start_matches('!').split(',').map(|status| status.parse().expect("a status"));
    RestartRule { action, listed, statuses: statuses.collect() }
}

/// `up+told@3`
fn set(member: &mut Member, words: &str, seq: u64) {
    let mut words = words.split('+');
    let state = words.next().expect("a state");
    let options: Vec<(&str, u64)> = words.map(option).collect();
    let value = |name: &str| options.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
    let ago = |name: &str| value(name).map(|seconds| NOW - seconds * SECOND);
    if state != "new" {
        member.starts = 1 + value("again").unwrap_or(0) as u32;
    }
    member.wants.pre_stop = value("pre").is_some();
    let finished_ns = ago("ago").unwrap_or(NOW);
    match state {
        "new" => {}
        "born" => member.state = MemberState::Starting { seq },
        "up" | "hook" | "slow" | "unready" => live(member, state, seq),
        status => {
            live(member, "up", seq);
            member.terminate(ended(status.parse().expect("a state or a status"), finished_ns));
        }
    }
    let restarted_ns = finished_ns - value("ran").unwrap_or(0) * SECOND;
    (0..member.starts.saturating_sub(1)).for_each(|_| member.backoff.advance(restarted_ns, restarted_ns));
    member.signalled_ns = ago("told");
    member.killed = value("killed").is_some();
    if let Some(since_ns) = ago("sick") {
        member.condemn(condemned(since_ns));
    }
    if let (Some(_), MemberState::Terminated(end)) = (value("probe"), &mut member.state) {
        end.unhealthy = true;
    }
}

fn option(word: &str) -> (&str, u64) {
    let (name, value) = word.split_once('@').unwrap_or((word, "0"));
    assert!(["ago", "again", "ran", "probe", "killed", "told", "pre", "sick"].contains(&name), "{name} is not known");
    (name, value.parse().expect("a number"))
}

fn live(member: &mut Member, state: &str, seq: u64) {
    let wants =
        Wants { post_start: state == "hook", startup: state == "slow", readiness: state == "unready", ..member.wants };
    member.wants = wants;
    member.born(seq, BEGAN);
}

fn condemned(since_ns: u64) -> Condemned {
    Condemned {
        stopping: Stopping::new(since_ns, GRACE),
        message: "a probe failed".into(),
        unhealthy: true,
        replaced: false,
    }
}

pub fn ended(exit_code: i32, finished_ns: u64) -> Termination {
    Termination {
        exit_code,
        signal: None,
        reason: if exit_code == 0 { "Completed".into() } else { "Error".into() },
        message: String::new(),
        started_ns: BEGAN,
        finished_ns,
        unhealthy: false,
        replaced: false,
    }
}

pub fn probe(word: &str) -> pod::ProbeKind {
    match word {
        "startup" => pod::ProbeKind::Startup,
        "liveness" => pod::ProbeKind::Liveness,
        "readiness" => pod::ProbeKind::Readiness,
        other => panic!("{other} is no probe"),
    }
}
