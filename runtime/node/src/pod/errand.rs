//! What the node does for a member while it lives: its hooks, and the questions of its probes.
//!
//! Each is an errand of its own beside the driver's loop, for one run of one member; what it brings back counts only
//! while that run lives. When questions are due and what answers mean is `supervise`'s. A member's end ends its errands.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dwell_spec::pod::{Action, Probe, ProbeKind, RestartPolicy};
use dwell_sys::complain::complain;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;
use tokio::sync::oneshot;
use tokio::task::{AbortHandle, JoinSet};

use super::driver::Driver;
use super::request::{ExecRequest, ExecSession, Refusal};
use crate::clock::now_ns;
use crate::probe;
use crate::report::sentence;
use crate::supervise::health::Condemned;
use crate::supervise::journal::{Intent, MemberState, Stopping};
use crate::supervise::prober::Prober;

/// Bytes of a program's output that are kept for a message, of its beginning.
const OUTPUT_MAX: usize = 1024;
/// What output may still take once its program has ended: a child that lives on may hold it open for ever.
const LAST_OUTPUT: Duration = Duration::from_millis(100);

type Work = Pin<Box<dyn Future<Output = Answer> + Send>>;

/// What an errand brings back.
#[derive(Debug)]
enum Answer {
    Good,
    /// And why.
    Bad(String),
    /// The node could not ask, for a reason of its own.
    None(String),
}

impl From<Result<(), String>> for Answer {
    fn from(result: Result<(), String>) -> Self {
        result.map_or_else(Answer::Bad, |()| Answer::Good)
    }
}

/// What an errand is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Purpose {
    PostStart,
    PreStop,
    Probe(ProbeKind),
}

/// An errand that is done.
#[derive(Debug)]
pub(super) struct Errand {
    index: usize,
    seq: u64,
    purpose: Purpose,
    answer: Answer,
}

/// A Pod's errands under way, and the probes of its members.
#[derive(Debug, Default)]
pub(super) struct Errands {
    pub(super) done: JoinSet<Errand>,
    under_way: HashMap<(usize, Purpose), (u64, AbortHandle)>,
    probers: HashMap<usize, (u64, Vec<Prober>)>,
}

impl Errands {
    /// Ends those of a member, or of all.
    pub(super) fn end(&mut self, member: Option<usize>) {
        self.under_way.retain(|(index, _), (_, errand)| {
            let ends = member.is_none_or(|member| member == *index);
            if ends {
                errand.abort();
            }
            !ends
        });
        self.probers.retain(|index, _| member.is_some_and(|member| member != *index));
    }

    /// Whether it was under way, and is not any more.
    fn take(&mut self, errand: &Errand) -> bool {
        let key = (errand.index, errand.purpose);
        let known = self.under_way.get(&key).is_some_and(|(seq, _)| *seq == errand.seq);
        known && self.under_way.remove(&key).is_some()
    }
}

impl Driver {
    /// Begins a hook, unless that is under way.
    pub(super) async fn run_hook(&mut self, index: usize, purpose: Purpose) -> bool {
        if self.errands.under_way.contains_key(&(index, purpose)) {
            return false;
        }
        let hooks = &self.container(index).hooks;
        let hook = if purpose == Purpose::PreStop { &hooks.pre_stop } else { &hooks.post_start };
        let Some(action) = hook.clone() else { return false };
        self.send(index, purpose, &action, None).await;
        true
    }

    /// Asks what is due; says when to look again.
    pub(super) async fn probe(&mut self) -> Option<u64> {
        self.keep_probers();
        let (now, stopping) = (now_ns(), self.journal.intent != Intent::Run);
        let (mut due, mut next) = (Vec::new(), None::<u64>);
        for (index, (_, probers)) in &mut self.errands.probers {
            let health = &self.journal.members[*index].health;
            for prober in probers {
                match prober.due_ns(health, stopping) {
                    Some(at) if at <= now => {
                        prober.asks(now);
                        due.push((*index, prober.kind));
                    }
                    Some(at) => next = Some(next.map_or(at, |next| next.min(at))),
                    None => {}
                }
            }
        }
        for (index, kind) in due {
            if let Some(probe) = self.probe_of(index, kind).cloned() {
                let limit = Duration::from_secs(u64::from(probe.timing.timeout_seconds));
                self.send(index, Purpose::Probe(kind), &probe.action, Some(limit)).await;
            }
        }
        next
    }

    fn probe_of(&self, index: usize, kind: ProbeKind) -> Option<&Probe> {
        self.container(index).probes.each().find(|(other, _)| *other == kind).map(|(_, probe)| probe)
    }

    /// Every run of a member that has probes has its probers, and no other.
    fn keep_probers(&mut self) {
        for index in 0..self.journal.members.len() {
            let MemberState::Running { seq, started_ns } = self.journal.members[index].state else { continue };
            if self.errands.probers.get(&index).is_some_and(|(of, _)| *of == seq) {
                continue;
            }
            let probes = self.container(index).probes.each();
            let probers: Vec<_> = probes.map(|(kind, probe)| Prober::new(kind, probe.timing, started_ns)).collect();
            if !probers.is_empty() {
                self.errands.probers.insert(index, (seq, probers));
            }
        }
    }

    async fn send(&mut self, index: usize, purpose: Purpose, action: &Action, limit: Option<Duration>) {
        let Some(seq) = self.journal.members[index].live_seq() else { return };
        let work = self.work(index, action, limit).await;
        let errand = self.errands.done.spawn(async move { Errand { index, seq, purpose, answer: work.await } });
        self.errands.under_way.insert((index, purpose), (seq, errand));
    }

    /// A probe's answer may take `limit`, which does not count what a program's birth takes; hooks have none.
    async fn work(&mut self, index: usize, action: &Action, limit: Option<Duration>) -> Work {
        match action {
            Action::Sleep { seconds } => {
                let time = Duration::from_secs(u64::from(*seconds));
                Box::pin(async move {
                    tokio::time::sleep(time).await;
                    Answer::Good
                })
            }
            Action::Ask(question) => {
                let (question, address) = (question.clone(), self.address());
                match limit {
                    None => Box::pin(async move { probe::tell(&question, address).await.into() }),
                    Some(_) => Box::pin(async move { within(limit, probe::ask(&question, address)).await }),
                }
            }
            Action::Exec(command) => {
                let container = Some(self.journal.members[index].name.clone());
                let request = ExecRequest { container, command: command.clone(), ..ExecRequest::default() };
                let (reply, session) = oneshot::channel();
                self.exec(request, reply).await;
                Box::pin(async move {
                    match session.await {
                        Ok(Ok(session)) => within(limit, outcome(session)).await,
                        Ok(Err(refusal @ Refusal::Invalid(_))) => Answer::Bad(refusal.to_string()),
                        Ok(Err(refusal)) => Answer::None(refusal.to_string()),
                        Err(_) => Answer::None("it could not be begun".to_owned()),
                    }
                })
            }
        }
    }

    /// Where the Pod's servers are asked.
    fn address(&self) -> IpAddr {
        let of_pod = self.pod_ip().v4.map(IpAddr::V4);
        let of_host = self.shared.facts.addresses.first().copied().filter(|_| self.pod.host_network);
        of_pod.or(of_host).unwrap_or(Ipv4Addr::LOCALHOST.into())
    }

    pub(super) fn errand_done(&mut self, errand: Errand) {
        let lives = self.journal.members[errand.index].live_seq() == Some(errand.seq);
        if !self.errands.take(&errand) || !lives {
            return;
        }
        let Errand { index, purpose, answer, .. } = errand;
        match (purpose, answer) {
            (Purpose::PostStart, Answer::Good) => self.journal.members[index].post_start_done(),
            (Purpose::PostStart, Answer::Bad(why) | Answer::None(why)) => {
                self.tell(Some(index), "FailedPostStartHook", format!("PostStartHook failed: {why}"));
                self.condemn(index, format!("its postStart hook failed: {why}"), None);
            }
            // Whatever it said, its time is over.
            (Purpose::PreStop, answer) => {
                if let Answer::Bad(why) | Answer::None(why) = answer {
                    self.tell(Some(index), "FailedPreStopHook", format!("PreStopHook failed: {why}"));
                }
                self.journal.members[index].health.pre_stop_due = false;
            }
            (Purpose::Probe(kind), answer) => self.answered(index, kind, answer),
        }
    }

    fn answered(&mut self, index: usize, kind: ProbeKind, answer: Answer) {
        let Some((_, probers)) = self.errands.probers.get_mut(&index) else { return };
        let Some(prober) = probers.iter_mut().find(|prober| prober.kind == kind) else { return };
        if let Answer::None(why) = answer {
            prober.could_not_ask();
            let (pod, member) = (&self.handle.name, &self.journal.members[index].name);
            return complain(format_args!("ask the {} of {member} in Pod {pod}: {why}", kind.as_str()));
        }
        let (verdict, failures) = (prober.hears(matches!(answer, Answer::Good)), prober.failures());
        if let Answer::Bad(why) = &answer {
            self.tell(Some(index), "Unhealthy", format!("{} failed: {why}", kind.title()));
        }
        let Some(good) = verdict else { return };
        if let (true, Answer::Bad(why)) = (self.journal.members[index].probe_says(kind, good), answer) {
            let times = if failures == 1 { String::new() } else { format!(" {failures} times") };
            let follows = self.journal.members[index].policy(self.pod.restart_policy) != RestartPolicy::Never;
            let follows = if follows { ", will be restarted" } else { "" };
            let words = format!("Container {} failed {}{follows}", self.container(index).name, kind.as_str());
            self.tell(Some(index), "Killing", words);
            self.condemn(index, format!("its {} failed{times}: {why}", kind.as_str()), Some(kind));
        }
    }

    /// Ends a member by the node's own decision: by a probe's, or since its postStart hook failed.
    fn condemn(&mut self, index: usize, message: String, by: Option<ProbeKind>) {
        let own = by.and_then(|kind| self.probe_of(index, kind)?.grace_seconds);
        let stopping = Stopping::new(now_ns(), own.unwrap_or(self.pod.termination_grace_period_seconds));
        self.journal.members[index].condemn(Condemned { stopping, message, unhealthy: by.is_some(), replaced: false });
        // Before it is acted on.
        self.publish();
    }
}

async fn within(limit: Option<Duration>, work: impl Future<Output = Result<(), String>>) -> Answer {
    let Some(limit) = limit else { return work.await.into() };
    let late = |_| Err(format!("no answer within {} s", limit.as_secs()));
    tokio::time::timeout(limit, work).await.unwrap_or_else(late).into()
}

/// Ends a program when nobody waits for it any more.
struct Ended(OwnedFd);

impl Drop for Ended {
    fn drop(&mut self) {
        // One that has ended needs no signal.
        let _ = dwell_sys::process::kill(self.0.as_fd());
    }
}

/// Well when the program ends with 0.
async fn outcome(session: ExecSession) -> Result<(), String> {
    let ExecSession { stdin, stdout, stderr, exit, pidfd } = session;
    drop(stdin);
    let _ended = Ended(pidfd);
    let said = Arc::new(Mutex::new(Vec::new()));
    let mut reading = JoinSet::new();
    for pipe in [Some(stdout), stderr].into_iter().flatten() {
        reading.spawn(read(pipe, said.clone()));
    }
    let end = exit.await.map_err(|_| "the Pod ended".to_owned())?;
    let _ = tokio::time::timeout(LAST_OUTPUT, reading.join_all()).await;
    if let Some(failure) = end.start_failure {
        return Err(sentence(&failure));
    }
    if end.code == 0 {
        return Ok(());
    }
    let said = sentence(&String::from_utf8_lossy(&said.lock().unwrap_or_else(|poisoned| poisoned.into_inner())));
    let colon = if said.is_empty() { "" } else { ": " };
    Err(format!("exit status {}{colon}{said}", end.code))
}

/// Reads all of a pipe, and keeps its beginning.
async fn read(pipe: OwnedFd, said: Arc<Mutex<Vec<u8>>>) {
    let Ok(mut pipe) = Receiver::from_owned_fd(pipe) else { return };
    let mut bytes = [0; 4096];
    while let Ok(length @ 1..) = pipe.read(&mut bytes).await {
        let mut said = said.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let room = OUTPUT_MAX - said.len().min(OUTPUT_MAX);
        said.extend(&bytes[..length.min(room)]);
    }
}
