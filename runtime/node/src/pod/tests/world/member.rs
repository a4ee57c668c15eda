//! What the node does with members, in the driver's order: made ready, born, asked by probes, given up, ended.

use dwell_spec::pod::ProbeKind;

use super::node::{Brought, Purpose};
use super::pause::{Exit, Pause};
use super::{Died, World, pod};
use crate::pod::tests::notation::SECOND;
use crate::supervise::decide;
use crate::supervise::health::Condemned;
use crate::supervise::journal::{Intent, MemberState, SandboxRecord, Stopping, Termination};
use crate::supervise::prober::Prober;

impl World {
    pub fn prepare(&mut self, index: usize) -> bool {
        if !self.node.preparing.insert(index) {
            return false;
        }
        self.tell(format!("{} is made ready", self.name(index)));
        let takes = self.random.one(&[0, 0, 0, 100, 2000, 20_000]) * SECOND / 1000;
        if takes > SECOND {
            self.node.later.push((self.now + SECOND, Brought::Slow(index)));
        }
        let good = self.random.percent(95);
        self.node.later.push((self.now + takes, Brought::Prepared(index, good)));
        true
    }

    pub fn brought(&mut self, brought: Brought) -> Result<(), Died> {
        match brought {
            Brought::Slow(index) | Brought::Prepared(index, _) if self.is_given_up(index) => {
                self.node.preparing.remove(&index);
            }
            Brought::Slow(index) if self.node.preparing.contains(&index) => self.waits(index),
            Brought::Slow(_) => {}
            Brought::Prepared(index, _) if !self.node.preparing.remove(&index) => {}
            Brought::Prepared(index, _) if !decide::starts(&self.node.journal, self.rules(), index, self.now) => {
                if matches!(self.node.journal.members[index].state, MemberState::Waiting { .. }) {
                    self.waits(index);
                }
            }
            Brought::Prepared(index, true) => return self.bring_to_life(index),
            Brought::Prepared(index, false) => {
                self.begin_run(index);
                self.start_failed(index);
            }
            Brought::Errand { index, seq, purpose, good } => self.errand_done(index, seq, purpose, good),
        }
        Ok(())
    }

    fn is_given_up(&self, index: usize) -> bool {
        let member = &self.node.journal.members[index];
        member.added && matches!(member.state, MemberState::Terminated(_))
    }

    fn waits(&mut self, index: usize) {
        let state = MemberState::Waiting { reason: "ContainerCreating".into(), message: "it takes a while".into() };
        self.node.journal.members[index].state = state;
    }

    fn begin_run(&mut self, index: usize) {
        self.book.may_begin(&self.pod, index, self.all_is_heard(), self.now);
        self.node.journal.members[index].begin_run(self.now);
    }

    fn bring_to_life(&mut self, index: usize) -> Result<(), Died> {
        let stands = self.ensure_sandbox()?;
        self.begin_run(index);
        let target = self.node.journal.members[index].target.clone();
        let runs = |name: &String| {
            let members = &self.node.journal.members;
            members.iter().any(|one| one.name == *name && matches!(one.state, MemberState::Running { .. }))
        };
        if !stands || target.as_ref().is_some_and(|target| !runs(target)) {
            self.start_failed(index);
            return Ok(());
        }
        let seq = self.node.journal.take_seq();
        self.node.journal.members[index].state = MemberState::Starting { seq };
        self.disk.now = Some(self.as_written());
        self.may_die()?;
        let is_init = self.node.journal.members[index].init && !self.node.journal.members[index].is_sidecar();
        let is_well = self.random.percent(95);
        match &mut self.pause {
            Some(pause) if is_well => pause.give_birth(&mut self.random, seq, index, is_init, self.now),
            _ => {
                self.start_failed(index);
                return Ok(());
            }
        }
        self.book.born(&self.pod, index, seq, self.now);
        self.tell(format!("{} is born ({seq})", self.name(index)));
        self.may_die()?;
        self.node.journal.members[index].born(seq, self.now);
        Ok(())
    }

    /// Whether it stands.
    fn ensure_sandbox(&mut self) -> Result<bool, Died> {
        if self.node.sandbox {
            return Ok(true);
        }
        self.node.journal.sandbox = Some(SandboxRecord::default());
        self.node.journal.sandboxes += 1;
        self.disk.now = Some(self.as_written());
        self.may_die()?;
        if self.random.percent(5) {
            self.drop_sandbox();
            return Ok(false);
        }
        self.pause = Some(Pause { last_seq: self.node.journal.next_seq - 1, ..Pause::default() });
        self.may_die()?;
        self.node.sandbox = true;
        self.node.journal.started_ns.get_or_insert(self.now);
        self.node.journal.sandbox.get_or_insert_default().stands = true;
        Ok(true)
    }

    fn start_failed(&mut self, index: usize) {
        self.tell(format!("{} cannot be started", self.name(index)));
        self.book.start_failed(&self.pod, index, self.now);
        self.node.journal.members[index].terminate(Termination {
            exit_code: 125,
            signal: None,
            reason: "CreateContainerError".into(),
            message: String::new(),
            started_ns: self.now,
            finished_ns: self.now,
            unhealthy: false,
            replaced: false,
        });
        self.publish();
    }

    pub fn exited(&mut self, exit: Exit) -> Result<(), Died> {
        if let Some(index) = self.node.journal.member_of(exit.seq) {
            self.node.end_errands(Some(index));
            self.node.journal.members[index].terminate(Termination {
                exit_code: exit.code,
                signal: (exit.code > 128).then(|| exit.code - 128),
                reason: if exit.code == 0 { "Completed".into() } else { "Error".into() },
                message: String::new(),
                started_ns: exit.began_ns,
                finished_ns: exit.ended_ns,
                unhealthy: false,
                replaced: false,
            });
        }
        self.publish();
        self.may_die()?;
        if let Some(pause) = &mut self.pause {
            pause.exits.retain(|known| known.seq != exit.seq);
        }
        Ok(())
    }

    fn errand_done(&mut self, index: usize, seq: u64, purpose: Purpose, good: bool) {
        let lives = self.node.journal.members[index].live_seq() == Some(seq);
        if !self.node.under_way.remove(&(index, seq, purpose)) || !lives {
            return;
        }
        self.book.errand_done(seq, purpose, good);
        match purpose {
            Purpose::PostStart if good => self.node.journal.members[index].post_start_done(),
            Purpose::PostStart => self.condemn(index, None),
            Purpose::PreStop => self.node.journal.members[index].health.pre_stop_due = false,
            Purpose::Probe(kind) => self.answered(index, kind, good),
        }
    }

    fn answered(&mut self, index: usize, kind: ProbeKind, good: bool) {
        let Some((_, probers)) = self.node.probers.get_mut(&index) else { return };
        let Some(prober) = probers.iter_mut().find(|prober| prober.kind == kind) else { return };
        let Some(good) = prober.hears(good) else { return };
        if self.node.journal.members[index].probe_says(kind, good) {
            self.condemn(index, Some(kind));
        }
    }

    fn condemn(&mut self, index: usize, by: Option<ProbeKind>) {
        let container = self.pod.all().nth(index).expect("a container per member");
        let own = by.and_then(|kind| pod::probe_of(container, kind)?.grace_seconds);
        let grace = own.unwrap_or(self.pod.termination_grace_period_seconds);
        self.tell(format!("{} is given up by {by:?}, with {grace} s", self.name(index)));
        self.book.condemned(index, by.is_some(), grace, self.now);
        let (stopping, unhealthy) = (Stopping::new(self.now, grace), by.is_some());
        let condemned = Condemned { stopping, message: "it is given up".into(), unhealthy, replaced: false };
        self.node.journal.members[index].condemn(condemned);
        self.publish();
    }

    /// Asks what is due; says when to look again.
    pub fn ask(&mut self) -> Option<u64> {
        self.keep_probers();
        let stopping = self.node.journal.intent != Intent::Run;
        let (mut due, mut next) = (Vec::new(), None::<u64>);
        for (index, (seq, probers)) in &mut self.node.probers {
            let health = &self.node.journal.members[*index].health;
            for prober in probers {
                match prober.due_ns(health, stopping) {
                    Some(at) if at <= self.now => {
                        prober.asks(self.now);
                        due.push((*index, *seq, prober.kind));
                    }
                    Some(at) => next = Some(next.map_or(at, |next| next.min(at))),
                    None => {}
                }
            }
        }
        // A map's order is not the same in two lives of one history.
        due.sort_by_key(|(index, _, kind)| (*index, kind.as_str()));
        for (index, seq, kind) in due {
            self.book.asked(seq, kind);
            let purpose = Purpose::Probe(kind);
            self.node.under_way.insert((index, seq, purpose));
            let (takes, good) = (self.random.one(&[0, 0, 1]) * SECOND, self.random.percent(75));
            self.node.later.push((self.now + takes, Brought::Errand { index, seq, purpose, good }));
        }
        next
    }

    fn keep_probers(&mut self) {
        for index in 0..self.node.journal.members.len() {
            let MemberState::Running { seq, started_ns } = self.node.journal.members[index].state else { continue };
            if self.node.probers.get(&index).is_some_and(|(of, _)| *of == seq) {
                continue;
            }
            let probes = self.pod.all().nth(index).expect("a container per member").probes.each();
            let probers: Vec<_> = probes.map(|(kind, probe)| Prober::new(kind, probe.timing, started_ns)).collect();
            if !probers.is_empty() {
                self.node.probers.insert(index, (seq, probers));
            }
        }
    }
}
