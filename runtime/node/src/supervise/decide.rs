//! What to do next with a Pod: a pure function of its journal, its restart policy and the clock.
//!
//! ```text
//!            start            exit              policy: restart, after back-off
//! Waiting ───────► Starting ───────► Terminated ─────────────────────────► Waiting
//!                     └─► Running ──────┘  └─ policy: no ─► rests; when all rest, the Pod is finished
//! ```
//! Init containers run one after the other, each to success, before any container; a sidecar among them has its turn when
//! those before it are through, and lets the next one have its turn once it lives. A stop signals whatever lives and
//! kills it when its patience ends; sidecars are told when no member lives any more, the last one first, also when the
//! members have ended by themselves. A member whose hook or probe failed ends as in a stop, alone. What was added to a Pod
//! that runs is begun once, whatever the others do (if it is to see a member's processes, once that one runs), and it
//! keeps neither the Pod from its end nor a sidecar from its turn. Rules: kubelet `computePodActions`, `killContainer`.
//! Must never do IO or read a clock.

use dwell_spec::pod::RestartPolicy;

use super::journal::{Intent, Journal, Member, MemberState, Next, Stopping, Termination};

/// What a member has between the stop signal and SIGKILL at least, if it has any time at all.
const LEAST_GRACE_NS: u64 = 2_000_000_000;

/// One thing to do now. Members are named by their index in the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Bring the member to life.
    Start(usize),
    /// Run its postStart hook, unless that is under way.
    PostStart(usize),
    /// Run its preStop hook, unless that is under way.
    PreStop(usize),
    /// Ask the member to stop.
    Signal(usize),
    /// End the member.
    Kill(usize),
    /// The Pod has had its time: it is to stop, and has failed.
    Expire,
    /// Nothing of the Pod will ever run again: take it down.
    Finish,
    /// A rule of a member that ended: all are to end, and to begin again.
    RestartAll,
    /// Every member has stopped for a restart: begin again.
    Reset,
}

/// Everything to do now, and when to look again although nothing happened.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// In order.
    pub steps: Vec<Step>,
    /// Nanoseconds since the epoch.
    pub wake_at_ns: Option<u64>,
}

/// What the Pod says about starting and stopping.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// Its restart policy, for members without their own.
    pub policy: RestartPolicy,
    /// Its grace period.
    pub grace_seconds: u32,
    /// How long it may be active.
    pub deadline_seconds: Option<u32>,
}

/// Decides.
pub fn decide(journal: &Journal, rules: Rules, now_ns: u64) -> Decision {
    if journal.finished {
        return Decision::default();
    }
    match journal.intent {
        Intent::Run => run_until_deadline(journal, rules, now_ns),
        Intent::Stop(stopping) | Intent::Remove(stopping) => stop(&journal.members, stopping, Step::Finish, now_ns),
        Intent::Restart(stopping) | Intent::RestartAll(stopping) => {
            stop(&journal.members, stopping, Step::Reset, now_ns)
        }
    }
}

/// Whether a member's start is what is to be done now: asked again when all is ready for it, since that may have taken long.
pub fn starts(journal: &Journal, rules: Rules, index: usize, now_ns: u64) -> bool {
    decide(journal, rules, now_ns).steps.contains(&Step::Start(index))
}

fn stop(members: &[Member], stopping: Stopping, then: Step, now_ns: u64) -> Decision {
    let mut decision = Decision::default();
    for (index, member) in living(members) {
        let kill_at_ns = member.health.condemned.as_ref().map_or(u64::MAX, |condemned| condemned.stopping.kill_at_ns);
        let stopping = Stopping { kill_at_ns: stopping.kill_at_ns.min(kill_at_ns), ..stopping };
        decision.end(member, index, stopping, has_its_turn(members, index), now_ns);
    }
    if living(members).next().is_none() {
        decision.steps.push(then);
    }
    decision
}

/// Whether a member may be told to stop: a sidecar only when no member lives, and no sidecar that was begun after it.
fn has_its_turn(members: &[Member], index: usize) -> bool {
    let gives_way = |(other, member): (usize, &Member)| member.added || member.is_sidecar() && other <= index;
    !members[index].is_sidecar() || living(members).all(gives_way)
}

fn run_until_deadline(journal: &Journal, rules: Rules, now_ns: u64) -> Decision {
    let seconds = rules.deadline_seconds.map(u64::from);
    let deadline_ns = seconds.map(|seconds| journal.created_ns.saturating_add(seconds * 1_000_000_000));
    let mut decision = run(journal, rules, now_ns);
    // What has ended in its time, and is only to be taken down, has not failed.
    if deadline_ns.is_some_and(|deadline_ns| deadline_ns <= now_ns) && decision.steps != [Step::Finish] {
        return Decision { steps: vec![Step::Expire], wake_at_ns: None };
    }
    deadline_ns.into_iter().for_each(|deadline_ns| decision.wake_at(deadline_ns));
    decision
}

fn run(journal: &Journal, rules: Rules, now_ns: u64) -> Decision {
    let (inits, containers) = begun_by_the_manifest(&journal.members);
    let over = containers.iter().all(|member| rests(member, rules.policy));
    // What is ended with its Pod has nobody begin again.
    if !over
        && !has_failed(inits, rules.policy)
        && journal.members.iter().any(|member| restarts_all(member, rules.policy))
    {
        return Decision { steps: vec![Step::RestartAll], wake_at_ns: None };
    }
    let mut decision = Decision::default();
    for (index, member) in living(&journal.members) {
        decision.tend(member, index, now_ns);
    }
    for (index, member) in journal.members.iter().enumerate().filter(|(_, member)| member.added) {
        if has_its_target(journal, index, rules.policy) {
            decision.consider(member, index, false, now_ns);
        }
    }
    for (index, member) in inits.iter().enumerate() {
        if member.is_sidecar() {
            decision.consider(member, index, true, now_ns);
            if !member.started {
                return decision;
            }
        } else if !succeeded(member) {
            if rests(member, rules.policy) {
                return wind_down(journal, rules, now_ns);
            }
            decision.consider(member, index, true, now_ns);
            return decision;
        }
    }
    if over {
        return wind_down(journal, rules, now_ns);
    }
    for (offset, member) in containers.iter().enumerate() {
        decision.consider(member, inits.len() + offset, restarts(member, rules.policy), now_ns);
        if holds_up_others(member) {
            break;
        }
    }
    decision
}

/// Whether one of the init containers has failed for good, and with it the Pod.
fn has_failed(inits: &[Member], policy: RestartPolicy) -> bool {
    inits.iter().any(|member| !member.is_sidecar() && !succeeded(member) && rests(member, policy))
}

/// The init containers and the members.
fn begun_by_the_manifest(members: &[Member]) -> (&[Member], &[Member]) {
    let count = |is: fn(&&Member) -> bool| members.iter().filter(is).count();
    let (inits, added) = (count(|member| member.init), count(|member| member.added));
    members[..members.len() - added].split_at(inits)
}

/// Whether the member at `index` has what it is to look at, if it is to look at another one: that one runs, or never will
/// again, which the start will say.
fn has_its_target(journal: &Journal, index: usize, policy: RestartPolicy) -> bool {
    let name = journal.members[index].target.as_ref();
    let target = name.and_then(|name| journal.members.iter().find(|member| member.name == *name));
    target.is_none_or(|target| {
        let has_passed = target.init && !target.is_sidecar() && succeeded(target);
        matches!(target.state, MemberState::Running { .. }) || rests(target, policy) || has_passed
    })
}

/// Whether the members after it wait until its postStart hook is through, as they do when a kubelet starts them.
fn holds_up_others(member: &Member) -> bool {
    member.wants.post_start
        && match member.state {
            MemberState::Waiting { .. } | MemberState::Starting { .. } => true,
            MemberState::Running { .. } => member.health.post_start_due && member.health.condemned.is_none(),
            MemberState::Terminated(_) => false,
        }
}

/// Nothing is left that the Pod was for: its sidecars have the grace period from the moment the last member ended.
fn wind_down(journal: &Journal, rules: Rules, now_ns: u64) -> Decision {
    let ends = journal.members.iter().filter_map(|member| match &member.state {
        MemberState::Terminated(end) if !member.is_sidecar() && !member.added => Some(end.finished_ns),
        _ => None,
    });
    let stopping = Stopping::new(ends.max().unwrap_or(now_ns), rules.grace_seconds);
    stop(&journal.members, stopping, Step::Finish, now_ns)
}

impl Decision {
    /// A member of a Pod that runs: its postStart hook, or its end, if the node has given it up.
    fn tend(&mut self, member: &Member, index: usize, now_ns: u64) {
        if let Some(condemned) = &member.health.condemned {
            self.end(member, index, condemned.stopping, true, now_ns);
        } else if member.health.post_start_due {
            self.steps.push(Step::PostStart(index));
        }
    }

    /// The next step of a member's end: its preStop hook, the signal once it has its turn, SIGKILL. Whoever was kept from
    /// the signal until the time was over, by a hook or by others' turns, is told all the same, and has the least grace.
    fn end(&mut self, member: &Member, index: usize, stopping: Stopping, has_its_turn: bool, now_ns: u64) {
        let (late, has_time) = (now_ns >= stopping.kill_at_ns, stopping.grace_seconds > 0);
        let mut kill_at_ns = stopping.kill_at_ns;
        match member.signalled_ns {
            None if member.health.pre_stop_due && !late && has_time => self.steps.push(Step::PreStop(index)),
            None if if late { has_time } else { has_its_turn } => self.steps.push(Step::Signal(index)),
            signalled_ns => {
                if let Some(at_ns) = signalled_ns.filter(|_| has_time) {
                    kill_at_ns = kill_at_ns.max(at_ns.saturating_add(LEAST_GRACE_NS));
                }
                if now_ns >= kill_at_ns {
                    return self.steps.extend((!member.killed).then_some(Step::Kill(index)));
                }
            }
        }
        self.wake_at(kill_at_ns);
    }

    fn wake_at(&mut self, at_ns: u64) {
        self.wake_at_ns = Some(self.wake_at_ns.map_or(at_ns, |at| at.min(at_ns)));
    }

    fn consider(&mut self, member: &Member, index: usize, restarts: bool, now_ns: u64) {
        match &member.state {
            MemberState::Waiting { .. } => self.start_at(index, due(member, now_ns), now_ns),
            MemberState::Terminated(end) if restarts => {
                self.start_at(index, member.backoff.ready_at(end.finished_ns), now_ns);
            }
            _ => {}
        }
    }

    fn start_at(&mut self, index: usize, due_ns: u64, now_ns: u64) {
        if due_ns <= now_ns {
            self.steps.push(Step::Start(index));
        } else {
            self.wake_at(due_ns);
        }
    }
}

/// A waiting member that ran before waits for its back-off; one that never ran is due.
fn due(member: &Member, now_ns: u64) -> u64 {
    member.last.as_ref().map_or(now_ns, |end| member.backoff.ready_at(end.finished_ns))
}

fn living(members: &[Member]) -> impl Iterator<Item = (usize, &Member)> {
    members.iter().enumerate().filter(|(_, member)| member.live_seq().is_some())
}

fn succeeded(member: &Member) -> bool {
    matches!(&member.state, MemberState::Terminated(end) if end.exit_code == 0)
}

/// What follows its end, if it has ended.
fn next(member: &Member, policy: RestartPolicy) -> Option<Next> {
    match &member.state {
        MemberState::Terminated(end) => Some(member.follows(end, policy)),
        _ => None,
    }
}

fn restarts(member: &Member, policy: RestartPolicy) -> bool {
    next(member, policy).is_some_and(|next| next != Next::Rest)
}

fn rests(member: &Member, policy: RestartPolicy) -> bool {
    next(member, policy) == Some(Next::Rest)
}

/// An init container that has done its work has no rule to follow.
fn restarts_all(member: &Member, policy: RestartPolicy) -> bool {
    let has_passed = member.init && !member.is_sidecar() && succeeded(member);
    !has_passed && next(member, policy) == Some(Next::RestartAll)
}

/// After pause died: whether the restart policy lets the Pod have a fresh sandbox, and what its members then are.
/// Everything alive is dead (status 137); init containers run again; what rests, rests. A Pod that had run to its end, and
/// was only to be taken down, has not failed for it.
pub fn after_pause_death(journal: &mut Journal, policy: RestartPolicy, now_ns: u64) -> bool {
    let lived = journal.members.iter().any(|member| !member.added && member.live_seq().is_some());
    let inits = begun_by_the_manifest(&journal.members).0.len();
    let was_over = has_failed(&journal.members[..inits], policy);
    for member in journal.members.iter_mut().filter(|member| member.live_seq().is_some()) {
        let started_ns = match member.state {
            MemberState::Running { started_ns, .. } => started_ns,
            _ => now_ns,
        };
        member.terminate(Termination {
            exit_code: 137,
            signal: Some(9),
            reason: "Error".into(),
            message: "the Pod's pause ended, and every member with it".into(),
            started_ns,
            finished_ns: now_ns,
            unhealthy: false,
            replaced: false,
        });
    }
    journal.members.iter_mut().for_each(|member| member.give_up(now_ns));
    let may_run = |member: &Member| {
        restarts(member, policy) || member.policy(policy) != RestartPolicy::Never && !rests(member, policy)
    };
    let wanted = match journal.intent {
        Intent::Run => !was_over && journal.members[inits..].iter().any(may_run),
        intent => intent.begins_again(),
    };
    if wanted {
        for member in &mut journal.members[..inits] {
            member.state = Member::waiting("PodInitializing");
            member.last = None;
            member.started = false;
        }
    } else if journal.intent == Intent::Run {
        // Whichever node takes it down: nobody of it begins in another sandbox.
        journal.intent = Intent::Stop(Stopping::new(now_ns, 0));
        if lived {
            journal.reason = Some(("SandboxChanged".into(), "the Pod's pause ended".into()));
        }
    }
    wanted
}

#[cfg(test)]
mod tests;
