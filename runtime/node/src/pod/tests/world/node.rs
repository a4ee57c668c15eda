//! The node: the driver's loop without its system calls. What it decides by is the driver's own (`decide`, the journal's
//! and the members' methods, `Prober`); what it does here is to carry that out in this world, in the driver's order, and
//! to die between any two deeds. Must never decide anything that the driver asks the pure part for.

use std::collections::{HashMap, HashSet};

use dwell_spec::pod::ProbeKind;

use super::{Died, World};
use crate::pod::tests::notation::SECOND;
use crate::pod::tests::world::pause::Exit;
use crate::supervise::decide::{Decision, Rules, Step, after_pause_death, decide};
use crate::supervise::journal::{Intent, Journal, Stopping};
use crate::supervise::prober::Prober;

/// What a node has in its memory.
pub struct Node {
    pub journal: Journal,
    /// Whether it has the Pod's sandbox, as far as it knows.
    pub sandbox: bool,
    pub preparing: HashSet<usize>,
    pub under_way: HashSet<(usize, u64, Purpose)>,
    pub probers: HashMap<usize, (u64, Vec<Prober>)>,
    /// Tasks of its own, and when they are done.
    pub later: Vec<(u64, Brought)>,
    /// Exits that pause has told it of, and that it has not acknowledged.
    heard: HashSet<u64>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Purpose {
    PostStart,
    PreStop,
    Probe(ProbeKind),
}

/// What a task brings.
#[derive(Clone, Copy, Debug)]
pub enum Brought {
    /// All is ready for a start; or it cannot be made so.
    Prepared(usize, bool),
    /// That takes a while.
    Slow(usize),
    /// A hook or a probe is through.
    Errand { index: usize, seq: u64, purpose: Purpose, good: bool },
}

enum Happening {
    Brought(usize),
    Exit(Exit),
    PauseDied,
    Time,
}

impl Node {
    pub fn new(journal: Journal) -> Node {
        Node {
            journal,
            sandbox: false,
            preparing: HashSet::new(),
            under_way: HashSet::new(),
            probers: HashMap::new(),
            later: Vec::new(),
            heard: HashSet::new(),
        }
    }

    pub fn stop_preparing(&mut self) {
        self.preparing.clear();
        self.later.retain(|(_, what)| matches!(what, Brought::Errand { .. }));
    }

    pub fn end_errands(&mut self, of: Option<usize>) {
        let is_its = |index: usize| of.is_none_or(|of| of == index);
        self.under_way.retain(|(index, _, _)| !is_its(*index));
        self.later.retain(|(_, what)| !matches!(what, Brought::Errand { index, .. } if is_its(*index)));
        self.probers.retain(|index, _| !is_its(*index));
    }
}

impl World {
    pub fn rules(&self) -> Rules {
        Rules {
            policy: self.pod.restart_policy,
            grace_seconds: self.pod.termination_grace_period_seconds,
            deadline_seconds: self.pod.active_deadline_seconds,
        }
    }

    /// All that is to be done now, and the next thing that happens.
    pub fn turn(&mut self) -> Result<(), Died> {
        let Some(decision) = self.do_what_is_to_be_done()? else { return Ok(()) };
        let ask_at = self.ask();
        self.check_waiting(&decision);
        let wake_at = [decision.wake_at_ns, ask_at].into_iter().flatten().min();
        if self.chaos && self.random.percent(12) {
            return self.something_happens(wake_at);
        }
        match self.wait(wake_at) {
            Some(happening) => self.handle(happening),
            None if self.chaos => self.something_happens(None),
            None => Ok(()),
        }
    }

    /// Until nothing more is to be done now; `None` when the Pod is forgotten.
    fn do_what_is_to_be_done(&mut self) -> Result<Option<Decision>, Died> {
        for _ in 0..200 {
            let decision = decide(&self.node.journal, self.rules(), self.now);
            let mut progressed = false;
            for step in &decision.steps {
                progressed |= self.perform(*step)?;
            }
            self.publish();
            if self.node.journal.finished && matches!(self.node.journal.intent, Intent::Remove(_)) {
                self.tell("it is forgotten");
                self.gone = true;
                return Ok(None);
            }
            if !progressed {
                return Ok(Some(decision));
            }
        }
        panic!("it goes round and round");
    }

    /// What happens next by itself, as time passes.
    fn wait(&mut self, wake_at: Option<u64>) -> Option<Happening> {
        loop {
            let mut ready: Vec<Happening> = Vec::new();
            let later = self.node.later.iter().enumerate();
            ready.extend(later.filter(|(_, (at, _))| *at <= self.now).map(|(n, _)| Happening::Brought(n)));
            match &self.pause {
                Some(pause) if self.node.sandbox => {
                    let unheard = pause.exits.iter().find(|exit| !self.node.heard.contains(&exit.seq));
                    ready.extend(unheard.map(|exit| Happening::Exit(*exit)));
                }
                None if self.node.sandbox => ready.push(Happening::PauseDied),
                _ => {}
            }
            ready.extend(wake_at.filter(|at| *at <= self.now).map(|_| Happening::Time));
            if !ready.is_empty() {
                let chosen = self.random.below(ready.len() as u64) as usize;
                return Some(ready.swap_remove(chosen));
            }
            let next = [wake_at, self.pause.as_ref().and_then(|pause| pause.next_end())];
            let next = next.into_iter().flatten().chain(self.node.later.iter().map(|(at, _)| *at)).min()?;
            self.advance_to(next);
        }
    }

    fn handle(&mut self, happening: Happening) -> Result<(), Died> {
        match happening {
            Happening::Brought(at) => {
                let (_, brought) = self.node.later.swap_remove(at);
                self.tell(format!("{brought:?}"));
                self.brought(brought)
            }
            Happening::Exit(exit) => {
                self.node.heard.insert(exit.seq);
                self.exited(exit)
            }
            Happening::PauseDied => self.pause_died(),
            Happening::Time => Ok(()),
        }
    }

    fn perform(&mut self, step: Step) -> Result<bool, Died> {
        if !matches!(step, Step::PostStart(_) | Step::PreStop(_) | Step::Start(_)) {
            self.tell(format!("{step:?}"));
        }
        match step {
            Step::Start(index) => return Ok(self.prepare(index)),
            Step::PostStart(index) => return Ok(self.run_hook(index, Purpose::PostStart)),
            Step::PreStop(index) => return Ok(self.run_hook(index, Purpose::PreStop)),
            Step::Signal(index) => {
                self.node.journal.members[index].signalled_ns = Some(self.now);
                self.may_die()?;
                self.book.signalled(&self.pod, index, self.now);
                self.ask_process(index);
                self.may_die()?;
            }
            Step::Kill(index) => {
                self.node.journal.members[index].killed = true;
                self.may_die()?;
                self.book.killed(&self.pod, index, self.now);
                self.kill_process(index);
                self.may_die()?;
            }
            Step::Finish => self.finish()?,
            Step::Expire => self.expire(),
            Step::RestartAll => {
                self.book.all_begin_again(&self.pod, self.now);
                self.begin_stop(0, Intent::RestartAll);
                self.save_lasting();
            }
            Step::Reset => {
                self.book.reset(&self.node.journal.intent, self.now);
                self.node.journal.reset(self.now);
                self.save_lasting();
                self.publish();
            }
        }
        Ok(true)
    }

    fn expire(&mut self) {
        self.book.expired(&self.pod, self.now);
        let grace = self.pod.termination_grace_period_seconds;
        self.node.journal.fail("DeadlineExceeded", String::new(), grace, self.now);
        self.node.stop_preparing();
        self.save_lasting();
    }

    pub fn begin_stop(&mut self, grace: u32, intent: fn(Stopping) -> Intent) {
        self.node.journal.wish(grace, intent, self.now);
        self.node.stop_preparing();
    }

    fn finish(&mut self) -> Result<(), Died> {
        self.book.finishes(&self.pod);
        self.node.stop_preparing();
        self.drop_sandbox();
        self.may_die()?;
        self.node.journal.finished = true;
        self.save_lasting();
        self.may_die()?;
        self.disk.now = None;
        self.publish();
        Ok(())
    }

    pub fn drop_sandbox(&mut self) {
        self.node.end_errands(None);
        self.end_pause();
        self.node.sandbox = false;
        self.node.journal.sandbox = None;
    }

    pub fn pause_died(&mut self) -> Result<(), Died> {
        self.tell("its pause is gone");
        self.drop_sandbox();
        let wanted = after_pause_death(&mut self.node.journal, self.pod.restart_policy, self.now);
        self.book.sandbox_lost(&self.pod, wanted, &self.node.journal);
        self.publish();
        if wanted { Ok(()) } else { self.finish() }
    }

    fn run_hook(&mut self, index: usize, purpose: Purpose) -> bool {
        let Some(seq) = self.node.journal.members[index].live_seq() else { return false };
        if !self.node.under_way.insert((index, seq, purpose)) {
            return false;
        }
        self.tell(format!("{purpose:?} of {}", self.name(index)));
        self.book.hook_begins(&self.pod, index, purpose, self.now);
        if self.random.percent(85) {
            let good = self.random.percent(75);
            let at = self.now + self.random.one(&[0, 1, 1, 3, 8]) * SECOND;
            self.node.later.push((at, Brought::Errand { index, seq, purpose, good }));
        }
        true
    }

    /// Writes down and shows what there is.
    pub fn publish(&mut self) {
        if !self.node.journal.finished {
            self.disk.now = Some(self.as_written());
        }
        self.check_what_is_shown();
    }

    pub fn save_lasting(&mut self) {
        self.disk.lasting = self.as_written();
    }

    pub fn as_written(&self) -> Vec<u8> {
        serde_json::to_vec(&self.node.journal).expect("a journal is JSON")
    }
}
