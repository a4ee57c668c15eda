//! Many Pods of mixed members under load, for minutes, while the node, members and pauses are killed at random: no log
//! line, exit status or restart is lost, none is too many, and nothing is left behind.
//!
//! `DWELL_SOAK_SECONDS=300` is the whole of it, with a hundred Pods; what runs by default is short. What is wrong is
//! found by comparing with what the test itself did (`ledger`); times are asserted nowhere.

mod books;
mod ledger;
mod life;
mod victims;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use dwell_tests::node::patience;
use dwell_tests::world::World;

use crate::random::Random;
use crate::{pod, shell_container, wasm_container};
use life::Place;

const USUAL_SECONDS: usize = 20;
/// Threads, each with its share of the Pods.
const HANDS: usize = 4;
/// What must have happened, else the rest means nothing.
const HAPPENS: [&str; 8] = [
    "killed nodes",
    "killed native members",
    "killed Wasm members",
    "members that ended by themselves",
    "killed pauses, Always",
    "killed pauses, OnFailure",
    "killed pauses, Never",
    "ended runs",
];

/// What all hands share.
pub struct Soak {
    world: World,
    until: Instant,
    tally: Mutex<BTreeMap<String, usize>>,
    wrong: Mutex<Vec<String>>,
}

impl Soak {
    fn new(seconds: usize) -> Soak {
        let until = Instant::now() + Duration::from_secs(seconds as u64);
        Soak { world: World::new(), until, tally: Mutex::default(), wrong: Mutex::default() }
    }

    /// Something happened so many times.
    fn count(&self, what: &str, times: usize) {
        if times > 0 {
            *self.tally.lock().unwrap().entry(what.to_owned()).or_default() += times;
        }
    }

    /// What has not happened though it must.
    fn missing(&self) -> Vec<&'static str> {
        let tally = self.tally.lock().unwrap();
        HAPPENS.into_iter().filter(|what| !tally.contains_key(*what)).collect()
    }

    /// On a slow machine it takes longer until everything has happened.
    fn is_over(&self) -> bool {
        let now = Instant::now();
        let spoilt = !self.wrong.lock().unwrap().is_empty();
        spoilt || (now > self.until && (self.missing().is_empty() || now > self.until + patience()))
    }

    fn note(&self, outcome: Result<(), String>) {
        self.wrong.lock().unwrap().extend(outcome.err());
    }

    /// Kills the node over and over; the next command finds the Pods and starts the next one.
    fn kill_nodes(&self, mut random: Random) {
        while !self.is_over() {
            random.pause(2500);
            self.count("killed nodes", usize::from(self.world.kill_node()));
            random.pause(400);
            let _ = self.world.dwell(&["ps"]);
        }
    }

    fn drive(&self, places: &mut [Place<'_>], mut random: Random) {
        while !self.is_over() {
            let which = random.below(places.len());
            self.note(places[which].turn().map(drop));
            random.pause(100);
        }
        for place in places {
            self.note(place.finish());
        }
    }
}

#[test]
fn many_pods_come_through_minutes_of_random_kills() {
    let seconds = std::env::var("DWELL_SOAK_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(USUAL_SECONDS);
    let pods = (seconds / 3).clamp(9, 100);
    let (mut soak, mut random) = (Soak::new(seconds), Random::new("soak"));
    warm_up(&soak.world);
    let before = soak.world.scope().settled();
    soak.until = Instant::now() + Duration::from_secs(seconds as u64);
    run(&soak, pods, &mut random);
    let tally = soak.tally.lock().unwrap().clone();
    println!("{seconds} s, {pods} Pods at a time: {tally:#?}");
    let wrong = soak.wrong.lock().unwrap().clone();
    let log = std::fs::read_to_string(soak.world.state_dir().join("lib/node.log")).unwrap_or_default();
    assert!(wrong.is_empty(), "{} of {pods} Pods went wrong:\n{}\n{log}", wrong.len(), wrong.join("\n"));
    assert!(soak.missing().is_empty(), "control: none of {:?}", soak.missing());
    assert!(!log.contains("panicked"), "{log}");
    end(&soak.world);
    let differences = soak.world.scope().differences(&before);
    assert!(differences.is_empty(), "{differences:#?}");
}

fn run(soak: &Soak, pods: usize, random: &mut Random) {
    std::thread::scope(|scope| {
        for hand in 0..HANDS {
            let mut own = random.branch();
            scope.spawn(move || {
                let places = (hand..pods).step_by(HANDS).map(|number| Place::new(soak, number, own.branch()));
                match places.collect::<Result<Vec<_>, _>>() {
                    Ok(mut places) => soak.drive(&mut places, own),
                    Err(why) => soak.note(Err(why)),
                }
            });
        }
        let own = random.branch();
        scope.spawn(move || soak.kill_nodes(own));
    });
}

/// Compiles the guest and makes what a state folder keeps.
fn warm_up(world: &World) {
    let folder = world.files().join("warm");
    std::fs::create_dir(&folder).expect("make a folder");
    std::fs::write(folder.join("wasm.end"), "0\n").expect("write a file");
    let wasm =
        wasm_container("wasm", "tick.wasm", "/soak, wasm") + "    volumeMounts: [{name: soak, mountPath: /soak}]\n";
    let volume = format!("  volumes: [{{name: soak, hostPath: {{path: {}}}}}]\n", folder.display());
    world.run(&(pod("warm", "Never", 1, &[shell_container(world, "native", "true"), wasm]) + &volume)).ok();
    let finished = world.scope().take();
    assert!(
        finished.mentions("device ") && finished.mentions("cgroup "),
        "control: an inventory sees what a node keeps"
    );
    end(world);
}

/// A node that was killed has no successor until a Pod is wanted, and leaves its bridge: one last Pod has one.
fn end(world: &World) {
    world.dwell(&["rm", "-f", "--all"]);
    world.run(&pod("last", "Never", 1, &[shell_container(world, "native", "true")])).ok();
    world.end();
}
