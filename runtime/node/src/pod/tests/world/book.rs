//! The facts, kept by somebody who only looks on: what was born and when it ended, what it was told, who asked for what.
//! `beginnings` and `endings` hold the rules against them. Must never ask the code what is right.

mod beginnings;
mod endings;

use dwell_spec::pod::{Container, Pod, ProbeKind, RestartAction, RestartPolicy, RestartRule};
use dwell_spec::status::Phase;

use super::node::Purpose;
use crate::pod::tests::notation::SECOND;
use crate::supervise::journal::{Intent, Journal, MemberState, Stopping};

/// What is known of a Pod.
pub struct Book {
    pub members: Vec<Known>,
    pub runs: Vec<Run>,
    /// That it ends, since somebody asked for it or a rule says so.
    pub wish: Option<Wished>,
    /// Since when it may be active.
    created_ns: u64,
    /// Nothing was forgotten, so that a start can be expected to the moment.
    pub is_exact: bool,
    boot: u32,
    /// Its sandbox is gone, and its policy gives it no other.
    lost: bool,
    /// The phase that it ended in.
    pub over: Option<Phase>,
}

/// Of a container, over all its runs.
#[derive(Default)]
pub struct Known {
    pub runs: u32,
    /// It has done its work, since the Pod began or began again.
    done: bool,
    /// It was started and through with its start, since then.
    started: bool,
    /// How its last run ended, since then.
    ended: Option<End>,
    /// When its last run ended, whenever the Pod began.
    last_ns: Option<u64>,
    /// That end may have been forgotten with pause, before any node knew of it.
    unheard: bool,
    /// Restarts in a row that its back-off counts, and the last one.
    in_a_row: usize,
    restarted_ns: u64,
    /// It ran since somebody asked for it, before the machine went down.
    spent: bool,
    ran: bool,
}

#[derive(Clone, Copy)]
struct End {
    at_ns: u64,
    code: i32,
    unhealthy: bool,
    replaced: bool,
}

/// One run of a container.
#[derive(Default)]
pub struct Run {
    seq: u64,
    index: usize,
    lives: bool,
    pre_stop_over: bool,
    /// The last time that it was told to stop, and whether by the node that lives.
    told_ns: Option<u64>,
    told_by_this_node: bool,
    condemned: Option<Wished>,
    unhealthy: bool,
    replaced: bool,
    post_started: bool,
    startup_ok: bool,
    ever_ready: bool,
}

/// When patience ends.
#[derive(Clone, Copy)]
pub struct Wished {
    kill_at_ns: u64,
    grace: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Init,
    Sidecar,
    Member,
    Added,
}

pub fn container(pod: &Pod, index: usize) -> &Container {
    pod.all().nth(index).expect("a container per member")
}

pub fn kind(pod: &Pod, index: usize) -> Kind {
    let (inits, members) = (pod.init_containers.len(), pod.containers.len());
    match index {
        index if index >= inits + members => Kind::Added,
        index if index >= inits => Kind::Member,
        index if pod.init_containers[index].restart_policy == Some(RestartPolicy::Always) => Kind::Sidecar,
        _ => Kind::Init,
    }
}

/// What the first rule that applies says of such an end, if one does.
fn rule_for(container: &Container, code: i32) -> Option<RestartAction> {
    let applies = |rule: &&RestartRule| rule.statuses.contains(&code) == rule.listed;
    container.restart_rules.iter().find(applies).map(|rule| rule.action)
}

/// Whether a container that ended so is started again.
fn is_restarted(pod: &Pod, index: usize, end: End) -> bool {
    let container = container(pod, index);
    if kind(pod, index) == Kind::Added || kind(pod, index) == Kind::Init && end.code == 0 {
        return false;
    }
    end.replaced
        || rule_for(container, end.code).is_some()
        || match container.restart_policy.unwrap_or(pod.restart_policy) {
            RestartPolicy::Always => true,
            RestartPolicy::OnFailure => end.code != 0 || end.unhealthy,
            RestartPolicy::Never => false,
        }
}

impl Wished {
    fn new(grace: u32, now: u64) -> Wished {
        Wished { kill_at_ns: now + u64::from(grace) * SECOND, grace }
    }
}

impl Book {
    pub fn new(pod: &Pod, now: u64) -> Book {
        Book {
            members: pod.all().map(|_| Known::default()).collect(),
            runs: Vec::new(),
            wish: None,
            created_ns: now,
            is_exact: true,
            boot: 0,
            lost: false,
            over: None,
        }
    }

    pub fn added(&mut self) {
        self.members.push(Known::default());
    }

    fn living(&self, index: usize) -> Option<&Run> {
        self.runs.iter().find(|run| run.lives && run.index == index)
    }

    fn run(&mut self, seq: u64) -> Option<&mut Run> {
        self.runs.iter_mut().find(|run| run.seq == seq)
    }

    /// Whether any of this kind lives that comes after `after`.
    fn lives(&self, pod: &Pod, kinds: &[Kind], after: Option<usize>) -> bool {
        let is = |run: &&Run| run.lives && kinds.contains(&kind(pod, run.index)) && after.is_none_or(|a| run.index > a);
        self.runs.iter().any(|run| is(&run))
    }

    pub fn anything_lives(&self, pod: &Pod) -> bool {
        self.lives(pod, &[Kind::Init, Kind::Sidecar, Kind::Member], None)
    }

    /// Whether nothing is left that the Pod was for.
    fn is_over(&self, pod: &Pod) -> bool {
        let rests = |index: usize| self.members[index].ended.is_some_and(|end| !is_restarted(pod, index, end));
        let (inits, members) = (pod.init_containers.len(), pod.containers.len());
        let failed = |index: usize| kind(pod, index) == Kind::Init && rests(index) && !self.members[index].done;
        self.lost || (inits..inits + members).all(rests) || (0..inits).any(failed)
    }

    /// When the last of those that count ended.
    fn last_end(&self, pod: &Pod) -> u64 {
        let counts = |(index, _): &(usize, &Known)| matches!(kind(pod, *index), Kind::Init | Kind::Member);
        let ends = self.members.iter().enumerate().filter(counts).filter_map(|(_, known)| known.ended);
        ends.map(|end| end.at_ns).max().unwrap_or(0)
    }

    /// A wish was answered, or a rule made one.
    pub fn wished(&mut self, intent: &Intent, grace: u32, now: u64) {
        let mut wish = Wished::new(grace, now);
        if let Some(earlier) = self.wish {
            wish.kill_at_ns = wish.kill_at_ns.min(earlier.kill_at_ns);
        }
        self.wish = Some(wish);
        if matches!(intent, Intent::Restart(_)) {
            self.over = None;
            self.members.iter_mut().for_each(|known| (known.ran, known.spent) = (false, false));
        }
    }

    /// A node that was killed may have written down a wish that it never answered.
    pub fn node_comes(&mut self, journal: &Journal, boot: u32) {
        self.is_exact = false;
        self.runs.iter_mut().for_each(|run| run.told_by_this_node = false);
        // A sidecar that is gone, and of which the node before had not written that it was through, is waited for again.
        for (index, member) in journal.members.iter().enumerate() {
            let lives = self.living(index).is_some();
            self.members[index].started &= member.started || lives;
        }
        if boot != self.boot {
            self.boot = boot;
            self.power_was_lost(journal);
        }
        if self.wish.is_none() && !journal.finished {
            let wished = |stopping: Stopping| Wished { kill_at_ns: stopping.kill_at_ns, grace: stopping.grace_seconds };
            self.wish = journal.intent.stopping().filter(|_| !self.lost).map(wished);
        }
        if self.wish.is_some() && journal.intent == Intent::Run {
            panic!("a wish that was answered is forgotten");
        }
    }

    /// What the disk does not know is forgotten; but what ran has run.
    fn power_was_lost(&mut self, journal: &Journal) {
        for (known, member) in self.members.iter_mut().zip(&journal.members) {
            let spent = known.spent || known.ran;
            *known = Known { runs: member.starts, spent, ..Known::default() };
            if let MemberState::Terminated(end) = &member.state {
                let (at_ns, code) = (end.finished_ns, end.exit_code);
                (known.ended, known.last_ns) =
                    (Some(End { at_ns, code, unhealthy: end.unhealthy, replaced: end.replaced }), Some(at_ns));
                known.done = member.init && !member.is_sidecar() && code == 0;
            }
        }
        // Births are numbered anew.
        self.runs.clear();
        self.lost = false;
        self.created_ns = journal.created_ns;
        if !journal.finished {
            self.over = None;
        }
    }

    /// Pause ended, and with it what it remembered.
    pub fn nobody_heard(&mut self, seq: u64) {
        let Some(index) = self.run(seq).map(|run| run.index) else { return };
        self.members[index].unheard = true;
    }

    /// `again`: it is to have another.
    pub fn sandbox_lost(&mut self, pod: &Pod, again: bool, journal: &Journal) {
        self.lost = !again && self.wish.is_none();
        for (index, known) in self.members.iter_mut().enumerate() {
            // Nobody can say any more whether a birth that was announced has happened: it counts.
            let starts = journal.members[index].starts;
            assert!((known.runs..=known.runs + 1).contains(&starts), "{starts} starts of {} runs", known.runs);
            // Also what the disk of another boot says was running.
            let is_news = known.unheard || known.ended.is_none() || starts > known.runs;
            known.runs = starts;
            if let (true, MemberState::Terminated(end)) = (is_news, &journal.members[index].state) {
                let (at_ns, code) = (end.finished_ns, end.exit_code);
                assert!(known.last_ns.is_none_or(|last_ns| last_ns <= at_ns), "an end is remembered too early");
                let (unhealthy, replaced) = (end.unhealthy, end.replaced);
                (known.ended, known.last_ns) = (Some(End { at_ns, code, unhealthy, replaced }), Some(at_ns));
            }
            known.unheard = false;
            if again && matches!(kind(pod, index), Kind::Init | Kind::Sidecar) {
                (known.done, known.started, known.ended, known.last_ns) = (false, false, None, None);
            }
        }
    }

    pub fn reset(&mut self, intent: &Intent, now: u64) {
        assert!(!self.runs.iter().any(|run| run.lives), "begun again over the living");
        (self.wish, self.lost) = (None, false);
        for known in &mut self.members {
            (known.done, known.started, known.ended) = (false, false, None);
            if matches!(intent, Intent::Restart(_)) {
                known.in_a_row = 0;
            }
        }
        if matches!(intent, Intent::Restart(_)) {
            self.created_ns = now;
        }
    }

    pub fn errand_done(&mut self, seq: u64, purpose: Purpose, good: bool) {
        let Some(run) = self.run(seq) else { return };
        match purpose {
            Purpose::PostStart => run.post_started |= good,
            Purpose::PreStop => run.pre_stop_over = true,
            Purpose::Probe(ProbeKind::Startup) => run.startup_ok |= good,
            Purpose::Probe(ProbeKind::Readiness) => run.ever_ready |= good,
            Purpose::Probe(ProbeKind::Liveness) => {}
        }
        let (index, is_started) = (run.index, run.post_started && run.startup_ok);
        self.members[index].started |= is_started;
    }
}
