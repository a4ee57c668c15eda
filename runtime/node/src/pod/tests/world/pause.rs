//! Pause, and what lives in it: processes that end when they please, or some time after they are told to, or never.

use super::World;
use crate::pod::tests::notation::SECOND;
use crate::pod::tests::random::Random;
use crate::pod::tests::world::pod::STATUSES;

const MILLISECOND: u64 = SECOND / 1000;

/// It keeps every exit until it is told to forget it.
#[derive(Default)]
pub struct Pause {
    pub live: Vec<Process>,
    pub exits: Vec<Exit>,
    pub last_seq: u64,
}

pub struct Process {
    pub seq: u64,
    pub index: usize,
    pub began_ns: u64,
    /// When, and with which status.
    ends: Option<(u64, i32)>,
    /// How long it takes once it was told, and its status then.
    when_told: Option<(u64, i32)>,
}

#[derive(Clone, Copy)]
pub struct Exit {
    pub seq: u64,
    pub code: i32,
    pub began_ns: u64,
    pub ended_ns: u64,
}

impl Pause {
    pub fn give_birth(&mut self, random: &mut Random, seq: u64, index: usize, is_init: bool, now: u64) {
        assert!(seq > self.last_seq, "a birth's number is used twice");
        self.last_seq = seq;
        let ever = random.one(&[true, true, is_init, is_init, is_init]);
        let lasts = [0, 10, 900, 1000, 7000, 7000, 50_000, 301_000, 700_000];
        let ends = ever.then(|| (now + random.one(&lasts) * MILLISECOND, random.one(&STATUSES)));
        let obeys = random.percent(80);
        let when_told = obeys.then(|| (random.one(&[0, 500, 1500, 9000]) * MILLISECOND, random.one(&[0, 143, 1, 42])));
        self.live.push(Process { seq, index, began_ns: now, ends, when_told });
    }

    pub fn next_end(&self) -> Option<u64> {
        self.live.iter().filter_map(|process| process.ends).map(|(at, _)| at).min()
    }
}

impl World {
    /// Time passes. Who is to end meanwhile ends when it is to.
    pub fn advance_to(&mut self, then: u64) {
        while let Some(at) = self.pause.as_ref().and_then(Pause::next_end).filter(|at| *at <= then) {
            self.now = self.now.max(at);
            self.end_those_due();
        }
        self.now = self.now.max(then);
    }

    fn end_those_due(&mut self) {
        let (now, Some(pause)) = (self.now, &mut self.pause) else { return };
        let due = |process: &Process| process.ends.is_some_and(|(at, _)| at <= now);
        while let Some(at) = pause.live.iter().position(due) {
            let Process { seq, began_ns, ends, .. } = pause.live.remove(at);
            let code = ends.map_or(0, |(_, code)| code);
            pause.exits.push(Exit { seq, code, began_ns, ended_ns: now });
            self.book.ended(&self.pod, seq, code, now);
            self.told.push(format!("{:>10.3} birth {seq} ends with {code}", now as f64 / SECOND as f64));
        }
    }

    fn process(&mut self, index: usize) -> Option<&mut Process> {
        self.pause.as_mut()?.live.iter_mut().find(|process| process.index == index)
    }

    /// A process is asked to stop; it may not care.
    pub fn ask_process(&mut self, index: usize) {
        let now = self.now;
        if let Some(process) = self.process(index)
            && let Some((takes, code)) = process.when_told.take()
        {
            let told = (now + takes, code);
            process.ends = Some(process.ends.map_or(told, |ends| if ends.0 < told.0 { ends } else { told }));
        }
    }

    pub fn kill_process(&mut self, index: usize) {
        let now = self.now;
        if let Some(process) = self.process(index) {
            process.ends = Some((now, 137));
            self.end_those_due();
        }
    }

    /// Pause ends, and the kernel ends all that lived in it; nobody is told.
    pub fn end_pause(&mut self) {
        let Some(pause) = self.pause.take() else { return };
        for process in pause.live {
            self.book.ended(&self.pod, process.seq, 137, self.now);
            self.book.nobody_heard(process.seq);
        }
        pause.exits.iter().for_each(|exit| self.book.nobody_heard(exit.seq));
    }
}
