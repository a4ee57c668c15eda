//! What happens from outside: wishes, kills by hand, the end of pause, of the node, of the machine; and the node that
//! comes after one that was killed.

use super::book::{Kind, kind};
use super::{Died, Node, World, pod};
use crate::pod::tests::notation::SECOND;
use crate::supervise::backoff::Backoff;
use crate::supervise::health::Condemned;
use crate::supervise::journal::{Intent, Journal, MemberState, Stopping};

impl World {
    /// One thing that nobody foresaw, now or before anything else is due.
    pub fn something_happens(&mut self, wake_at: Option<u64>) -> Result<(), Died> {
        if let Some(ahead) = wake_at.and_then(|at| at.checked_sub(self.now)).filter(|ahead| *ahead > 0) {
            let part = self.random.one(&[0, 0, 1, 2, 3]) * ahead / 4;
            let until = self.node.later.iter().map(|(at, _)| *at).min().map_or(u64::MAX, |at| at.max(self.now));
            self.advance_to((self.now + part).min(until));
        }
        match self.random.below(100) {
            0..25 => Err(Died),
            25..40 => self.end_pause_for_no_reason(),
            40..42 => self.lose_power(),
            42..50 => self.ask_to_stop(Intent::Stop),
            50..52 => self.ask_to_stop(Intent::Remove),
            52..58 => self.ask_for_a_restart(),
            58..64 => self.add(),
            64..69 => self.change(),
            _ => self.end_somebody(),
        }
    }

    fn end_pause_for_no_reason(&mut self) -> Result<(), Died> {
        self.tell("pause is killed");
        self.book.is_exact = false;
        self.end_pause();
        Ok(())
    }

    fn lose_power(&mut self) -> Result<(), Died> {
        self.tell("the machine loses its power");
        self.end_pause();
        self.disk.boot += 1;
        self.disk.now = None;
        Err(Died)
    }

    fn ask_to_stop(&mut self, intent: fn(Stopping) -> Intent) -> Result<(), Died> {
        let grace = self.random.one(&[0, 1, 5, 30]);
        self.tell(format!("asked to end: {:?}", intent(Stopping::new(self.now, grace))));
        self.begin_stop(grace, intent);
        self.save_lasting();
        self.may_die()?;
        self.publish();
        self.book.wished(&self.node.journal.intent, grace, self.now);
        Ok(())
    }

    pub fn ask_to_end(&mut self) {
        let answered = self.ask_to_stop(Intent::Stop);
        assert!(answered.is_ok(), "nothing happens any more");
    }

    fn ask_for_a_restart(&mut self) -> Result<(), Died> {
        let grace = self.pod.termination_grace_period_seconds;
        if self.node.journal.wish_restart(grace, self.now) {
            self.tell("asked to begin again");
            self.node.stop_preparing();
            self.book.wished(&self.node.journal.intent, grace, self.now);
            self.save_lasting();
            self.publish();
        }
        Ok(())
    }

    fn end_somebody(&mut self) -> Result<(), Died> {
        let living: Vec<usize> = self.pause.iter().flat_map(|pause| &pause.live).map(|process| process.index).collect();
        if !living.is_empty() {
            let index = self.random.one(&living);
            self.tell(format!("{} is killed by somebody", self.name(index)));
            self.kill_process(index);
        }
        Ok(())
    }

    /// A change of its image or its resources has a member make room for another.
    fn change(&mut self) -> Result<(), Died> {
        let members = 0..self.pod.init_containers.len() + self.pod.containers.len();
        let runs = |index: &usize| matches!(self.node.journal.members[*index].state, MemberState::Running { .. });
        let running: Vec<usize> =
            members.filter(|index| kind(&self.pod, *index) != Kind::Init && runs(index)).collect();
        if !running.is_empty() && self.node.journal.intent == Intent::Run {
            let (index, grace) = (self.random.one(&running), self.pod.termination_grace_period_seconds);
            self.tell(format!("{} makes room for another", self.name(index)));
            let (stopping, message) = (Stopping::new(self.now, grace), "it is changed".into());
            let condemned = Condemned { stopping, message, unhealthy: false, replaced: true };
            self.node.journal.members[index].backoff = Backoff::default();
            self.node.journal.members[index].replace(condemned);
            self.publish();
            self.book.replaced(index, grace, self.now);
        }
        Ok(())
    }

    fn add(&mut self) -> Result<(), Died> {
        if !self.node.journal.finished && self.node.journal.intent == Intent::Run {
            let added = pod::added(&mut self.random, self.pod.ephemeral_containers.len());
            self.tell(format!("{} is added, for {:?}", added.name, added.target));
            self.pod.ephemeral_containers.push(added);
            self.node.journal.add_missing(&self.pod);
            self.book.added();
            self.save_lasting();
            self.publish();
        }
        Ok(())
    }

    /// Some time after a node was killed, the next one reads what it left.
    pub fn come_back(&mut self) {
        for _ in 0..20 {
            let away = self.random.one(&[0, 0, 1, 5, 40, 700]) * SECOND;
            self.advance_to(self.now + away);
            if self.random.percent(10) {
                self.tell("pause is killed meanwhile");
                self.end_pause();
            }
            let left = self.disk.now.as_ref().unwrap_or(&self.disk.lasting);
            let mut journal: Journal = serde_json::from_slice(left).expect("what was written can be read");
            journal.add_missing(&self.pod);
            self.node = Node::new(journal);
            self.tell("a new node comes");
            self.book.node_comes(&self.node.journal, self.disk.boot);
            if self.resume().is_ok() {
                return;
            }
        }
        self.chaos = false;
        assert!(self.resume().is_ok(), "nothing happens any more");
    }

    fn resume(&mut self) -> Result<(), Died> {
        let boot = format!("boot {}", self.disk.boot);
        let is_of_this_boot = std::mem::replace(&mut self.node.journal.boot_id, boot.clone()) == boot;
        if self.node.journal.finished {
            return Ok(());
        }
        if !is_of_this_boot {
            return self.pause_died();
        }
        match (&self.node.journal.sandbox, &self.pause) {
            (None, _) => Ok(()),
            (Some(sandbox), Some(_)) if sandbox.stands => self.adopt(),
            (Some(sandbox), None) if sandbox.stands => self.pause_died(),
            _ => {
                self.drop_sandbox();
                Ok(())
            }
        }
    }

    fn adopt(&mut self) -> Result<(), Died> {
        let Some(pause) = &self.pause else { return Ok(()) };
        let live: Vec<(u64, u64)> = pause.live.iter().map(|process| (process.seq, process.began_ns)).collect();
        let exits = pause.exits.clone();
        self.node.sandbox = true;
        self.node.journal.next_seq = self.node.journal.next_seq.max(pause.last_seq + 1);
        for (seq, began_ns) in &live {
            if let Some(index) = self.node.journal.member_of(*seq) {
                self.node.journal.members[index].born(*seq, *began_ns);
            }
        }
        let is_known =
            |seq: u64| live.iter().any(|(known, _)| *known == seq) || exits.iter().any(|exit| exit.seq == seq);
        self.node.journal.members.iter_mut().for_each(|member| member.settle(is_known, self.now));
        for exit in exits.iter().copied() {
            self.exited(exit)?;
        }
        self.publish();
        Ok(())
    }
}
