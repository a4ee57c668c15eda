//! The one task that owns a Pod: it asks `decide` what to do, does it, writes down what changed, and waits for the
//! next thing to happen: a request, a word from pause, a container made ready, the passing of time.
//!
//! ```text
//!   journal ──decide──► steps ──perform──► journal' ──publish──► pod.json, journal.json, watchers
//!      ▲                                                              │
//!      └───────────── request · exit · rotated · prepared · time ◄────┘ wait
//! ```
//! Order is what makes it crash-safe: a birth is journalled before pause hears of it, an exit is journalled before
//! pause may forget it, a wish before it is acted on. Nothing else in the node touches a Pod's processes or files.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::sync::Arc;

use dwell_spec::plan::pod::PodPlan;
use dwell_spec::pod::Pod;
use dwell_spec::status::SaidCondition;
use dwell_sys::complain::complain;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinError, JoinSet};

use super::errand::{Errand, Errands, Purpose};
use super::exec::ExecReady;
use super::logs::LateLogs;
use super::prepare::Prepared;
use super::recover::Found;
use super::request::{ExecEnd, Refusal, Reply, Request};
use super::shared::{PodHandle, Shared};
use super::storage::{Measured, Measures};
use super::{record, status};
use crate::clock::{now_ns, until};
use crate::sandbox::Sandbox;
use crate::sandbox::keeper::Event;
use crate::supervise::decide::{self, Step};
use crate::supervise::events::Events;
use crate::supervise::journal::{Intent, Journal, MemberState, Stopping, Termination};
use crate::volume::{OpenVolume, Users};

/// Conditions of one Pod that others may set.
const SAID_MAX: usize = 64;

/// A Pod under supervision.
#[derive(Debug)]
pub(crate) struct Driver {
    pub(super) shared: Arc<Shared>,
    pub(super) handle: Arc<PodHandle>,
    pub(super) pod: Pod,
    pub(super) plan: Option<PodPlan>,
    pub(super) journal: Journal,
    pub(super) sandbox: Option<Sandbox>,
    /// Of the newest sandbox, if it has users of its own: its volumes are filled as theirs between two sandboxes, too.
    pub(super) own_users: Option<Users>,
    pub(super) volumes: BTreeMap<String, OpenVolume>,
    pub(super) relay_deaths: u32,
    pub(super) reports: HashMap<u64, File>,
    pub(super) execs: HashMap<u64, (oneshot::Sender<ExecEnd>, File)>,
    pub(super) preparing: HashSet<usize>,
    pub(super) prepared: JoinSet<Prepared>,
    pub(super) errands: Errands,
    pub(super) late_logs: LateLogs,
    pub(super) measures: Measures,
    /// Modules that were asked for beside a member, while they are compiled.
    pub(super) modules: JoinSet<ExecReady>,
    /// Who waits until a restart's members have ended.
    restarts: Vec<Reply<()>>,
    requests: mpsc::Receiver<Request>,
    written: Vec<u8>,
    pub(super) announced: Vec<u8>,
    /// Members have limits of before until they have ended.
    pub(super) limits_late: bool,
}

enum Happening {
    Request(Option<Request>),
    Keeper(Result<Event, crate::sandbox::keeper::KeeperError>),
    Prepared(Prepared),
    Errand(Errand),
    ExecReady(ExecReady),
    Measured(Measured),
    Time,
}

impl Driver {
    pub(crate) fn new(
        shared: Arc<Shared>,
        handle: Arc<PodHandle>,
        requests: mpsc::Receiver<Request>,
        pod: Pod,
        journal: Journal,
    ) -> Driver {
        handle.set_events(&journal.events);
        Driver {
            shared,
            handle,
            pod,
            plan: None,
            sandbox: None,
            own_users: None,
            volumes: BTreeMap::new(),
            relay_deaths: 0,
            reports: HashMap::new(),
            execs: HashMap::new(),
            preparing: HashSet::new(),
            prepared: JoinSet::new(),
            errands: Errands::default(),
            late_logs: LateLogs::default(),
            measures: Measures::default(),
            modules: JoinSet::new(),
            restarts: Vec::new(),
            requests,
            written: Vec::new(),
            // What was accepted is known already.
            announced: shown(&journal),
            limits_late: false,
            journal,
        }
    }

    /// Runs until the Pod is forgotten or the node ends.
    pub(crate) async fn drive(mut self, found: Option<Found>) {
        if let Some(found) = found {
            self.resume(found).await;
        }
        loop {
            let decision = decide::decide(&self.journal, self.rules(), now_ns());
            let mut progressed = false;
            for step in decision.steps {
                progressed |= self.perform(step).await;
            }
            self.publish();
            if self.is_gone() {
                return self.forget();
            }
            if progressed {
                continue;
            }
            self.retry_logs().await;
            let ask_at_ns = self.probe().await;
            let due = [decision.wake_at_ns, ask_at_ns, self.late_logs.retry_at_ns, self.measure()];
            let wake_at_ns = due.into_iter().flatten().min();
            let happening = self.wait(wake_at_ns).await;
            if self.handle_happening(happening).await {
                return;
            }
        }
    }

    /// What the Pod says about starting and stopping.
    pub(super) fn rules(&self) -> decide::Rules {
        decide::Rules {
            policy: self.pod.restart_policy,
            grace_seconds: self.pod.termination_grace_period_seconds,
            deadline_seconds: self.pod.active_deadline_seconds,
        }
    }

    async fn wait(&mut self, wake_at_ns: Option<u64>) -> Happening {
        let sandbox = &mut self.sandbox;
        tokio::select! {
            request = self.requests.recv() => Happening::Request(request),
            event = async { match sandbox {
                Some(sandbox) => sandbox.keeper.event().await,
                None => std::future::pending().await,
            } } => Happening::Keeper(event),
            Some(prepared) = self.prepared.join_next() => brought(prepared, Happening::Prepared),
            Some(errand) = self.errands.done.join_next() => brought(errand, Happening::Errand),
            Some(measured) = self.measures.done.join_next() => brought(measured, Happening::Measured),
            Some(ready) = self.modules.join_next() => match ready {
                Ok(ready) => Happening::ExecReady(ready),
                // Whoever waits hears that it will not come.
                Err(_) => Happening::Time,
            },
            () = async { match wake_at_ns {
                Some(at) => tokio::time::sleep(until(at)).await,
                None => std::future::pending().await,
            } } => Happening::Time,
        }
    }

    /// `true` when the node is going away and the driver with it.
    async fn handle_happening(&mut self, happening: Happening) -> bool {
        match happening {
            Happening::Request(None) => return true,
            Happening::Request(Some(request)) => self.answer(request).await,
            Happening::Keeper(Ok(event)) => self.keeper_said(event).await,
            Happening::Keeper(Err(_)) => self.pause_died().await,
            Happening::Prepared(prepared) => self.prepared(prepared).await,
            Happening::Errand(errand) => self.errand_done(errand),
            Happening::ExecReady(ready) => self.exec_ready(ready).await,
            Happening::Measured(measured) => self.measured(measured),
            Happening::Time => {}
        }
        false
    }

    async fn perform(&mut self, step: Step) -> bool {
        match step {
            Step::Start(index) => self.prepare(index),
            Step::PostStart(index) => self.run_hook(index, Purpose::PostStart).await,
            Step::PreStop(index) => self.run_hook(index, Purpose::PreStop).await,
            Step::Signal(index) => {
                self.journal.members[index].signalled_ns = Some(now_ns());
                // Of one that is ended by a probe, or makes room, that is told already, and why.
                let condemned = self.journal.members[index].health.condemned.as_ref();
                if condemned.is_none_or(|why| !why.unhealthy && !why.replaced) {
                    self.tell_of(index, "Killing", "Stopping");
                }
                self.signal(index, self.stop_signal(index)).await;
                true
            }
            Step::Kill(index) => {
                self.journal.members[index].killed = true;
                self.kill_member(index).await;
                true
            }
            Step::Finish => {
                self.finish().await;
                true
            }
            Step::Expire => {
                self.expire();
                true
            }
            Step::RestartAll => {
                self.begin_stop(Some(0), Intent::RestartAll);
                self.save_lasting();
                true
            }
            Step::Reset => {
                self.journal.reset(now_ns());
                // A power cut must not have it begin once more.
                self.save_lasting();
                // Whoever waited must not find the Pod as it was before.
                self.publish();
                self.restarts.drain(..).for_each(|reply| drop(reply.send(Ok(()))));
                true
            }
        }
    }

    pub(super) async fn keeper_said(&mut self, event: Event) {
        match event {
            Event::Exited(exit) => self.exited(exit).await,
            Event::Rotated { seq, rotations } => self.rotate_log(seq, rotations).await,
        }
    }

    async fn answer(&mut self, request: Request) {
        match request {
            Request::Stop { grace_seconds, remove, reply } => {
                self.begin_stop(grace_seconds, if remove { Intent::Remove } else { Intent::Stop });
                self.save_lasting();
                self.publish();
                let _ = reply.send(Ok(()));
            }
            Request::Restart { reply } => match self.begin_restart() {
                Ok(()) => self.restarts.push(reply),
                refused => drop(reply.send(refused)),
            },
            Request::Kill { container, signal, reply } => {
                let _ = reply.send(self.kill(container.as_deref(), signal).await);
            }
            Request::Exec { request, reply } => self.exec(request, reply).await,
            Request::Attach { container, reply } => {
                let _ = reply.send(self.attach(container.as_deref()).await);
            }
            Request::Place { container, path, reply } => {
                let _ = reply.send(self.place(container.as_deref(), &path).await);
            }
            Request::Network { reply } => drop(reply.send(self.network())),
            Request::Usage { reply } => drop(reply.send(Ok(self.usage()))),
            Request::Add { containers, reply } => drop(reply.send(self.add(containers))),
            Request::Hear { said, reply } => drop(reply.send(self.hear(said))),
            Request::Change { wanted, based_on, reply } => {
                drop(reply.send(self.change(&wanted, based_on.as_deref()).await));
            }
            Request::Refresh => self.refresh_volumes(|source| source.settings().next().is_some()),
            Request::CloseStdin { container } => self.close_stdin(&container).await,
        }
    }

    fn begin_stop(&mut self, grace_seconds: Option<u32>, intent: fn(Stopping) -> Intent) {
        self.journal.wish(self.grace_seconds(grace_seconds), intent, now_ns());
        self.stops();
    }

    fn grace_seconds(&self, asked: Option<u32>) -> u32 {
        asked.unwrap_or(self.pod.termination_grace_period_seconds)
    }

    /// Nobody of it is to begin any more, and who waited for a restart hears whether it was overruled.
    fn stops(&mut self) {
        if !matches!(self.journal.intent, Intent::Restart(_)) {
            let over = || Refusal::NotRunning { what: "the Pod".into(), state: "being stopped".into() };
            self.restarts.drain(..).for_each(|reply| drop(reply.send(Err(over()))));
        }
        self.stop_preparing();
    }

    /// Something happened, to the Pod or to one of its members.
    pub(super) fn tell(&mut self, index: Option<usize>, reason: &'static str, message: String) {
        let field = index.map(|index| {
            let member = &self.journal.members[index];
            let list = if member.init {
                "initContainers"
            } else if member.added {
                "ephemeralContainers"
            } else {
                "containers"
            };
            format!("spec.{list}{{{}}}", member.name)
        });
        self.journal.events.tell(field, reason, message, now_ns());
        self.handle.set_events(&self.journal.events);
    }

    /// The same in a sentence that ends with the member's name.
    pub(super) fn tell_of(&mut self, index: usize, reason: &'static str, words: &str) {
        let message = format!("{words} container {}", self.journal.members[index].name);
        self.tell(Some(index), reason, message);
    }

    fn expire(&mut self) {
        let message = "Pod was active on the node longer than the specified deadline";
        self.end_for("DeadlineExceeded", message.into(), None);
    }

    /// With hardly a moment to say good-bye, as the kubelet has it: it may go on taking what is not its own.
    pub(super) fn evict(&mut self, message: String) {
        if self.journal.intent == Intent::Run && !self.journal.finished {
            self.end_for("Evicted", message, Some(1));
        }
    }

    fn end_for(&mut self, reason: &'static str, message: String, grace_seconds: Option<u32>) {
        self.tell(None, reason, message.clone());
        self.journal.fail(reason, message, self.grace_seconds(grace_seconds), now_ns());
        self.stops();
        self.save_lasting();
    }

    /// What was being made ready for a start is not wanted any more.
    pub(super) fn stop_preparing(&mut self) {
        self.prepared.abort_all();
        self.preparing.clear();
    }

    fn begin_restart(&mut self) -> Result<(), Refusal> {
        if !self.journal.wish_restart(self.grace_seconds(None), now_ns()) {
            return Err(Refusal::NotRunning { what: "the Pod".into(), state: "being removed".into() });
        }
        self.stops();
        self.save_lasting();
        self.publish();
        Ok(())
    }

    fn hear(&mut self, said: Vec<SaidCondition>) -> Result<(), Refusal> {
        let kinds = said.iter().filter(|one| self.journal.said.iter().all(|known| known.kind != one.kind)).count();
        if self.journal.said.len() + kinds > SAID_MAX {
            return Err(Refusal::Invalid(format!("a Pod has at most {SAID_MAX} conditions of others")));
        }
        said.into_iter().for_each(|one| self.journal.hear(one));
        self.save_lasting();
        self.publish();
        Ok(())
    }

    fn is_gone(&self) -> bool {
        self.journal.finished && matches!(self.journal.intent, Intent::Remove(_))
    }

    fn forget(self) {
        let folder = self.shared.layout.pod(&self.handle.uid);
        let what = format_args!("remove the record of Pod {}/{}", self.handle.namespace, self.handle.name);
        crate::tidy::tidy(what, || dwell_sys::remove::remove_tree(&folder));
        self.shared.forget(&self.handle);
    }

    /// Writes the journal of this boot, if it changed. A full disk ends nothing that runs: the next change tries again.
    pub(super) fn save(&mut self) -> std::io::Result<()> {
        let bytes = serde_json::to_vec(&self.journal)?;
        if bytes != self.written {
            let path = self.shared.layout.run_journal(&self.handle.uid);
            std::fs::create_dir_all(self.shared.layout.run_pod(&self.handle.uid))?;
            record::write(&path, &self.journal)?;
            self.written = bytes;
        }
        Ok(())
    }

    /// Writes what must outlast the boot. Also the object, which readers find in the state folder from then on.
    pub(super) fn save_lasting(&mut self) {
        let (layout, uid) = (&self.shared.layout, &self.handle.uid);
        let object = self.object();
        let written = record::write(&layout.journal(uid), &self.journal)
            .and_then(|()| record::write(&layout.pod_object(uid), &object));
        if let Err(error) = written {
            complain(format_args!("write the record of Pod {}/{}: {error}", self.handle.namespace, self.handle.name));
        }
    }

    pub(super) fn object(&self) -> k8s_openapi::api::core::v1::Pod {
        let node = self.shared.layout.id();
        let around =
            status::Around { node: &node, host_ips: &self.shared.facts.addresses, sandbox: self.sandbox.is_some() };
        status::object(&self.handle.object(), &self.pod, &self.journal, &around)
    }

    /// Writes down and makes known what changed.
    pub(super) fn publish(&mut self) {
        let now = shown(&self.journal);
        if self.announced == now {
            return;
        }
        self.announced = now;
        let object = self.object();
        // A finished Pod has only its lasting record.
        if !self.journal.finished {
            let saved =
                self.save().and_then(|()| record::write(&self.shared.layout.run_object(&self.handle.uid), &object));
            if let Err(error) = saved {
                complain(format_args!(
                    "write the state of Pod {}/{}: {error}",
                    self.handle.namespace, self.handle.name
                ));
            }
        }
        self.shared.publish(&self.handle, object, self.journal.finished);
    }

    /// A start that failed before the member could run.
    pub(super) fn start_failed(&mut self, index: usize, reason: &str, message: String, exit_code: i32) {
        let now = now_ns();
        self.tell(Some(index), "Failed", format!("Error: {message}"));
        let member = &mut self.journal.members[index];
        let end = Termination {
            exit_code,
            signal: None,
            reason: reason.into(),
            message,
            started_ns: now,
            finished_ns: now,
            unhealthy: false,
            replaced: false,
        };
        member.terminate(end);
    }

    /// Shows a reason and a sentence while a container waits.
    pub(super) fn set_waiting(&mut self, index: usize, reason: &str, message: String) {
        let state = MemberState::Waiting { reason: reason.into(), message };
        self.journal.members[index].state = state;
    }
}

/// What of a journal anybody sees, to compare: a number that was taken changes nothing, and events are asked for apart.
fn shown(journal: &Journal) -> Vec<u8> {
    let seen = Journal { next_seq: 0, events: Events::default(), ..journal.clone() };
    serde_json::to_vec(&seen).unwrap_or_default()
}

/// What a task of the driver's brought. Nobody would know who waits for one that panicked: the node begins anew.
fn brought<T>(joined: Result<T, JoinError>, what: fn(T) -> Happening) -> Happening {
    match joined {
        Ok(brought) => what(brought),
        Err(failure) if failure.is_panic() => std::panic::resume_unwind(failure.into_panic()),
        Err(_) => Happening::Time,
    }
}
