//! A world with a clock of its own: a node, a pause and its processes, a disk; and whatever may happen to them, in any
//! order, decided by a seed. The node is the driver without its system calls (`node`): what it decides by is the
//! driver's own. `book` keeps the facts, as somebody sees them who looks on from outside, and holds the rules against
//! them: when anything begins, is told to stop or is killed, whenever the node waits, and whatever it shows.
//!
//! A rule that is broken panics with the seed and the history that led there. Must never ask the code what is right.

mod book;
mod member;
mod node;
mod pause;
mod pod;
mod shown;
mod wishes;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use dwell_spec::pod::Pod;

use self::book::Book;
use self::node::Node;
use self::pause::Pause;
use super::notation::SECOND;
use super::random::Random;
use crate::supervise::journal::Journal;

/// Happenings of one history.
const HAPPENINGS: usize = 150;
/// Enough for any Pod to end in.
const LAST: usize = 600;

/// The node was killed.
struct Died;

/// What is left of a node when it is killed: what a new one reads.
struct Disk {
    boot: u32,
    /// Of this boot, while the Pod is not finished.
    now: Option<Vec<u8>>,
    lasting: Vec<u8>,
}

struct World {
    random: Random,
    now: u64,
    pod: Pod,
    node: Node,
    disk: Disk,
    pause: Option<Pause>,
    book: Book,
    /// Whether anything may happen to it, or it is only to come to its end.
    chaos: bool,
    gone: bool,
    told: Vec<String>,
}

impl World {
    fn new(seed: u64) -> World {
        let mut random = Random::new(seed);
        let pod = pod::any(&mut random);
        let now = 1000 * SECOND;
        let journal = Journal::new(&pod, "boot 0", now);
        let lasting = serde_json::to_vec(&journal).expect("a journal is JSON");
        let book = Book::new(&pod, now);
        let disk = Disk { boot: 0, now: None, lasting };
        let node = Node::new(journal);
        World { random, now, pod, node, disk, pause: None, book, chaos: true, gone: false, told: Vec::new() }
    }

    /// A life, and its end.
    fn live(&mut self) {
        for _ in 0..HAPPENINGS {
            if self.gone {
                return;
            }
            self.step();
        }
        self.chaos = false;
        if !self.gone {
            self.ask_to_end();
        }
        for _ in 0..LAST {
            if self.gone || self.node.journal.finished {
                assert!(self.pause.is_none(), "it is over, and its sandbox stands");
                return;
            }
            self.step();
        }
        panic!("it does not end");
    }

    fn step(&mut self) {
        if self.turn().is_err() {
            self.tell("the node is killed");
            self.come_back();
        }
    }

    /// Between any two of the node's deeds it can be killed.
    fn may_die(&mut self) -> Result<(), Died> {
        if self.chaos && self.random.below(150) == 0 { Err(Died) } else { Ok(()) }
    }

    fn tell(&mut self, what: impl AsRef<str>) {
        self.told.push(format!("{:>10.3} {}", self.now as f64 / SECOND as f64, what.as_ref()));
    }

    fn name(&self, index: usize) -> String {
        self.node.journal.members[index].name.clone()
    }
}

fn history(seed: u64) {
    let mut world = World::new(seed);
    if let Err(broken) = catch_unwind(AssertUnwindSafe(|| world.live())) {
        let last = world.told.len().saturating_sub(80);
        println!("seed {seed}: {}\n{}", pod::in_words(&world.pod), world.told[last..].join("\n"));
        resume_unwind(broken);
    }
}

/// `DWELL_SEED` lives one history again.
#[test]
fn the_rules_hold_whatever_happens() {
    match std::env::var("DWELL_SEED").ok().and_then(|seed| seed.parse().ok()) {
        Some(seed) => history(seed),
        None => (0..1000).for_each(history),
    }
}
