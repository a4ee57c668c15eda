//! The node's own record of one Pod: what is wanted of it, what was born, what ended. One JSON file per Pod.
//!
//! It is written before anything that it announces is done (a birth's sequence number, a stop), and after anything
//! that must not be forgotten (an exit, before pause is told to forget it). A new node continues from here and from
//! what the Pod's pause says; nothing else is needed. Written whole and renamed into place, so a killed node leaves
//! the old or the new one. Must never hold a descriptor or a path that a member can influence.

use dwell_spec::pod::{Container, Pod, RestartAction, RestartPolicy, RestartRule};
use dwell_spec::status::SaidCondition;
use serde::{Deserialize, Serialize};

use super::backoff::Backoff;
use super::events::Events;
use super::health::{Health, Wants};
use crate::network::Attachment;

/// Grows when a field changes its meaning.
pub const JOURNAL_VERSION: u32 = 1;

/// Everything that must outlive the node.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Journal {
    /// `JOURNAL_VERSION`
    pub version: u32,
    /// The boot in which `sandbox` lives; in another boot it is gone.
    pub boot_id: String,
    /// The next birth's sequence number.
    pub next_seq: u64,
    /// What is wanted.
    pub intent: Intent,
    /// The Pod's sandbox, from before it is made until after it is gone.
    pub sandbox: Option<SandboxRecord>,
    /// Sandboxes made so far.
    pub sandboxes: u32,
    /// Init containers first, then containers, in the manifest's order, then those that were added.
    pub members: Vec<Member>,
    /// When the Pod was accepted, nanoseconds since the epoch.
    pub created_ns: u64,
    /// When its sandbox first stood.
    pub started_ns: Option<u64>,
    /// Set once nothing of the Pod is left but its record.
    pub finished: bool,
    /// What happened to it.
    #[serde(default)]
    pub events: Events,
    /// What others say of it.
    #[serde(default)]
    pub said: Vec<SaidCondition>,
    /// Why the Pod as a whole failed, if it did for a reason of its own.
    pub reason: Option<(String, String)>,
}

/// What is wanted of a Pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Intent {
    /// That it runs, as its restart policy says.
    Run,
    /// That it stops and its record stays.
    Stop(Stopping),
    /// That it stops and its record goes.
    Remove(Stopping),
    /// That its members stop and all start again, init containers first, in the same sandbox.
    Restart(Stopping),
    /// The same, because a rule says so: nobody is told before, and back-offs and the Pod's time go on.
    RestartAll(Stopping),
}

/// A stop under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stopping {
    /// When it was asked for.
    pub since_ns: u64,
    /// When patience ends.
    pub kill_at_ns: u64,
    /// The grace period that was asked for, seconds.
    pub grace_seconds: u32,
}

impl Stopping {
    /// One that is asked for now.
    pub fn new(since_ns: u64, grace_seconds: u32) -> Stopping {
        let kill_at_ns = since_ns.saturating_add(u64::from(grace_seconds) * 1_000_000_000);
        Stopping { since_ns, kill_at_ns, grace_seconds }
    }
}

impl Intent {
    /// The stop under way, if any.
    pub fn stopping(&self) -> Option<Stopping> {
        match self {
            Intent::Run => None,
            Intent::Stop(stopping)
            | Intent::Remove(stopping)
            | Intent::Restart(stopping)
            | Intent::RestartAll(stopping) => Some(*stopping),
        }
    }

    /// Whether all members begin again once all have ended.
    pub fn begins_again(&self) -> bool {
        matches!(self, Intent::Restart(_) | Intent::RestartAll(_))
    }
}

/// What was made for the Pod outside pause.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct SandboxRecord {
    /// Address, device and host ports; none with the host's network, or before they are made.
    pub network: Option<Attachment>,
    /// The host's id of root in its user namespace, if it has one of its own.
    #[serde(default)]
    pub users: Option<u32>,
    /// The relay's birth, if host ports need one.
    pub relay_seq: Option<u64>,
    /// Whether it stands: network, files and relay too. Before, no member is born in it.
    #[serde(default)]
    pub stands: bool,
}

/// One container over its restarts.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Member {
    /// The container's name.
    pub name: String,
    /// Whether it is an init container.
    pub init: bool,
    /// Whether it was added while the Pod ran: begun once, and it counts for nothing.
    #[serde(default)]
    pub added: bool,
    /// The member that must run before it is begun.
    #[serde(default)]
    pub target: Option<String>,
    /// Its own restart policy, if it has one.
    #[serde(default)]
    pub own_policy: Option<RestartPolicy>,
    /// What comes before its policy.
    #[serde(default)]
    pub restart_rules: Vec<RestartRule>,
    /// What it asks for in each run.
    #[serde(default)]
    pub wants: Wants,
    /// How the run that lives is doing.
    #[serde(default)]
    pub health: Health,
    /// Whether it has started since the Pod began: the start of whoever comes after a sidecar waits for that.
    #[serde(default)]
    pub started: bool,
    /// Starts so far.
    pub starts: u32,
    /// Where it stands.
    pub state: MemberState,
    /// How its last run ended.
    pub last: Option<Termination>,
    /// How the run before that one ended: what is shown as the last one, once the last is what it is now.
    #[serde(default)]
    pub before: Option<Termination>,
    /// How long the next restart waits.
    pub backoff: Backoff,
    /// Number of the newest log file of this start.
    pub log_part: u32,
    /// `oom_kill` of its cgroup when it was born.
    pub oom_kills_before: u64,
    /// When it was told to stop, if it was.
    #[serde(default)]
    pub signalled_ns: Option<u64>,
    /// Whether it was killed already.
    pub killed: bool,
    /// What it is, once planned: `native` or `wasm`.
    pub kind: Option<String>,
    /// What of its last start could be otherwise by now.
    #[serde(default)]
    pub begun: Option<BegunAs>,
}

/// What a start was made from: another one is needed for any other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BegunAs {
    /// The image, as the manifest had it.
    pub image: String,
    /// Limit and request in thousandths of a processor.
    pub cpu: (Option<u64>, Option<u64>),
    /// Limit and request in bytes.
    pub memory: (Option<u64>, Option<u64>),
    /// Bytes that it could use at most, by its own limit or the Pod's.
    pub memory_limit: Option<u64>,
}

/// What follows the end of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Nothing more.
    Rest,
    /// It is started again.
    Restart,
    /// The whole Pod begins again.
    RestartAll,
}

/// Where a container stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum MemberState {
    /// Not born yet, or waiting to be born again.
    Waiting {
        /// Kubernetes' word, `ContainerCreating` say.
        reason: String,
        /// A sentence for people; may be empty.
        message: String,
    },
    /// Its birth was written down; whether it happened, pause knows.
    Starting {
        /// Sequence number of the birth.
        seq: u64,
    },
    /// Born.
    Running {
        /// Sequence number of the birth.
        seq: u64,
        /// Nanoseconds since the epoch, by pause's clock.
        started_ns: u64,
    },
    /// Ended; whether for good, the restart policy says.
    Terminated(Termination),
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Termination {
    /// 0 to 255; 128 + signal when a signal ended it.
    pub exit_code: i32,
    /// The signal, if one ended it.
    pub signal: Option<i32>,
    /// `Completed`, `Error`, `OOMKilled`, `Trap`, …
    pub reason: String,
    /// A sentence for people; may be empty.
    pub message: String,
    /// Nanoseconds since the epoch; equal to `finished_ns` when it never ran.
    pub started_ns: u64,
    /// Nanoseconds since the epoch.
    pub finished_ns: u64,
    /// A probe condemned it.
    #[serde(default)]
    pub unhealthy: bool,
    /// It made room for one of another image, or with other resources.
    #[serde(default)]
    pub replaced: bool,
}

impl Journal {
    /// The journal of a Pod that was just accepted.
    pub fn new(pod: &Pod, boot_id: &str, now_ns: u64) -> Journal {
        let inits = pod.init_containers.iter().map(|container| Member::new(container, true));
        let containers = pod.containers.iter().map(|container| Member::new(container, false));
        Journal {
            version: JOURNAL_VERSION,
            boot_id: boot_id.to_owned(),
            next_seq: 1,
            intent: Intent::Run,
            sandbox: None,
            sandboxes: 0,
            members: inits.chain(containers).collect(),
            created_ns: now_ns,
            started_ns: None,
            finished: false,
            events: Events::default(),
            said: Vec::new(),
            reason: None,
        }
    }

    /// Somebody says this, in place of what was said of the same type before.
    pub fn hear(&mut self, said: SaidCondition) {
        match self.said.iter_mut().find(|known| known.kind == said.kind) {
            Some(known) => *known = said,
            None => self.said.push(said),
        }
    }

    /// Every member waits to be started again; what ended is remembered. Asked for by somebody, it is a new beginning.
    pub fn reset(&mut self, now_ns: u64) {
        let anew = !matches!(self.intent, Intent::RestartAll(_));
        self.intent = Intent::Run;
        if anew {
            self.created_ns = now_ns;
            self.members.iter_mut().for_each(|member| member.backoff = Backoff::default());
        }
        self.finished = false;
        self.reason = None;
        self.members.iter_mut().for_each(|member| member.give_up(now_ns));
        for member in self.members.iter_mut().filter(|member| !member.added) {
            member.state = Member::waiting(if member.init { "PodInitializing" } else { "ContainerCreating" });
            member.started = false;
        }
    }

    /// A member for each container that was added since the journal was written.
    pub fn add_missing(&mut self, pod: &Pod) {
        let added = self.members.iter().filter(|member| member.added).count();
        self.members.extend(pod.ephemeral_containers.iter().skip(added).map(Member::added));
    }

    /// The next birth's number, taken.
    pub fn take_seq(&mut self) -> u64 {
        self.next_seq += 1;
        self.next_seq - 1
    }

    /// The member whose living run has this number.
    pub fn member_of(&self, seq: u64) -> Option<usize> {
        self.members.iter().position(|member| member.live_seq() == Some(seq))
    }
}

impl Member {
    /// Whether it is ending to make room for another of its name.
    pub fn is_being_replaced(&self) -> bool {
        self.health.condemned.as_ref().is_some_and(|condemned| condemned.replaced)
    }

    /// A container that was never started.
    pub fn new(container: &Container, init: bool) -> Member {
        Member {
            name: container.name.clone(),
            init,
            added: false,
            target: container.target.clone(),
            own_policy: container.restart_policy,
            restart_rules: container.restart_rules.clone(),
            wants: Wants::of(container),
            health: Health::default(),
            started: false,
            starts: 0,
            state: Member::waiting(if init { "PodInitializing" } else { "ContainerCreating" }),
            last: None,
            before: None,
            backoff: Backoff::default(),
            log_part: 0,
            oom_kills_before: 0,
            signalled_ns: None,
            killed: false,
            kind: None,
            begun: None,
        }
    }

    /// A container that is added to a Pod that runs.
    pub fn added(container: &Container) -> Member {
        let own_policy = Some(RestartPolicy::Never);
        Member { added: true, own_policy, ..Member::new(container, false) }
    }

    /// The policy that holds for it.
    pub fn policy(&self, of_the_pod: RestartPolicy) -> RestartPolicy {
        self.own_policy.unwrap_or(of_the_pod)
    }

    /// What follows such an end of it: another one, if it made room for that; the first rule that applies, else its policy.
    pub fn follows(&self, end: &Termination, of_the_pod: RestartPolicy) -> Next {
        if end.replaced {
            return Next::Restart;
        }
        let policy = self.policy(of_the_pod);
        let restarts = policy.restarts_after(end.exit_code) || end.unhealthy && policy != RestartPolicy::Never;
        match RestartRule::first(&self.restart_rules, end.exit_code) {
            Some(RestartAction::All) => Next::RestartAll,
            Some(RestartAction::Container) => Next::Restart,
            None if restarts => Next::Restart,
            None => Next::Rest,
        }
    }

    /// What was added to look at a Pod has had its time when that begins anew, whether it was begun or not: nobody is there
    /// any more, and whether it was begun before the machine went down nobody knows. Also when whoever asked for it left.
    pub fn give_up(&mut self, now_ns: u64) {
        if self.added && !matches!(self.state, MemberState::Terminated(_)) {
            self.terminate(Termination {
                exit_code: 137,
                signal: None,
                reason: "ContainerStatusUnknown".into(),
                message: "it was given up before it began, or nobody saw its end".into(),
                started_ns: now_ns,
                finished_ns: now_ns,
                unhealthy: false,
                replaced: false,
            });
        }
    }

    /// Whether it is an init container that lives beside the members.
    pub fn is_sidecar(&self) -> bool {
        self.init && self.own_policy == Some(RestartPolicy::Always)
    }

    /// It was born; said again of one that is known to live, it changes nothing.
    pub fn born(&mut self, seq: u64, started_ns: u64) {
        if !matches!(self.state, MemberState::Running { .. }) {
            self.health = Health::newborn(self.wants);
        }
        self.state = MemberState::Running { seq, started_ns };
        self.started |= self.health.started;
    }

    /// The waiting state with a reason alone.
    pub fn waiting(reason: &str) -> MemberState {
        MemberState::Waiting { reason: reason.to_owned(), message: String::new() }
    }

    /// The sequence number of the run that is or may be alive.
    pub fn live_seq(&self) -> Option<u64> {
        match self.state {
            MemberState::Starting { seq } | MemberState::Running { seq, .. } => Some(seq),
            _ => None,
        }
    }

    /// Records the end of the current run.
    pub fn terminate(&mut self, mut end: Termination) {
        if let Some(condemned) = std::mem::take(&mut self.health).condemned {
            (end.unhealthy, end.replaced) = (condemned.unhealthy, condemned.replaced);
            end.message = if end.message.is_empty() { condemned.message } else { end.message };
        }
        self.before = self.last.replace(end.clone());
        self.state = MemberState::Terminated(end);
        (self.signalled_ns, self.killed) = (None, false);
    }
}
