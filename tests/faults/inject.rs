//! A system call fails, any one of those that setting up and taking down a Pod takes: the Pod runs all the same, or
//! the user is told what failed, and nothing is left.
//!
//! pause and init are born by descriptor, deep inside, so a small tracer (`inject.c`) is attached to the node and
//! follows the births; it fails the n-th call of the one process that is meant, for every n that it reaches. Several
//! benches, each in a world of its own, share the numbers. Every number is tried before the test judges.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use dwell_tests::world::World;

use crate::bench::{Attempt, Bench, Recipe};
use crate::random::Random;
use crate::{shell_container, wasm_container};

/// Benches at work at the same time, for one test.
const BENCHES: usize = 3;
/// What fails, fails with one of these.
const ERRORS: [i32; 5] = [libc::EIO, libc::ENOMEM, libc::EMFILE, libc::ENOSPC, libc::EPERM];
/// Calls of the node that are tried.
const NODE_CALLS: usize = 200;

/// Whose calls fail: as `inject.c` calls it, and which birth of pause's if it is an init.
type Who = (&'static str, usize);

/// What came of all attempts.
#[derive(Debug, Default)]
struct Tally {
    reached: usize,
    failed: usize,
    vague: BTreeMap<String, usize>,
    wrong: Vec<String>,
}

fn native(world: &World) -> String {
    shell_container(world, "main", "echo hello; sleep 0.02; echo world")
        + "    volumeMounts: [{name: v, mountPath: /v}]\n"
}

const VOLUME: &str = "  volumes: [{name: v, emptyDir: {medium: Memory}}]\n";
const NATIVE: Recipe = |world| (vec![native(world)], VOLUME);
const WASM: Recipe = |_| (vec![wasm_container("main", "hello.wasm", "")], "");
const BOTH: Recipe = |world| {
    let port = "    ports: [{containerPort: 8080, hostPort: 18080}]\n";
    (vec![native(world) + port, wasm_container("wasm", "hello.wasm", "")], VOLUME)
};

#[test]
fn any_call_of_pause_may_fail() {
    sweep("calls of pause's first stage", NATIVE, ("stage1", 0));
    sweep("calls of pause", NATIVE, ("pause", 0));
}

#[test]
fn any_call_of_init_may_fail() {
    sweep("calls of init", NATIVE, ("init", 1));
    sweep("calls of init before the worker", WASM, ("init", 1));
}

#[test]
fn a_call_of_the_node_may_fail() {
    let mut random = Random::new("calls of the node");
    let total = Bench::new(BOTH).attempt(("node", 0), usize::MAX, libc::EIO).calls;
    assert!(total > NODE_CALLS, "control: the node makes more than {total} calls");
    let calls: Vec<(usize, i32)> = (0..NODE_CALLS).map(|_| (1 + random.below(total), random.one(&ERRORS))).collect();
    let next = AtomicUsize::new(0);
    let tally = at_all_benches(BOTH, |bench| {
        let (n, errno) = *calls.get(next.fetch_add(1, Ordering::Relaxed))?;
        Some((n, bench.attempt(("node", 0), n, errno)))
    });
    tally.report(&format!("the node, {NODE_CALLS} of {total} calls"), NODE_CALLS / 2);
}

/// Every n, until the process makes fewer calls.
fn sweep(what: &str, recipe: Recipe, who: Who) {
    let (mut random, next) = (Random::new(what), AtomicUsize::new(1));
    let errors: Vec<i32> = (0..4096).map(|_| random.one(&ERRORS)).collect();
    let tally = at_all_benches(recipe, |bench| {
        let n = next.fetch_add(1, Ordering::Relaxed);
        let attempt = bench.attempt(who, n, errors[n % errors.len()]);
        attempt.hit.is_some().then_some((n, attempt))
    });
    tally.report(what, 2);
}

/// Attempts at several benches at once, each until there is none left for it.
fn at_all_benches(recipe: Recipe, attempts: impl Fn(&Bench) -> Option<(usize, Attempt)> + Sync) -> Tally {
    let tally = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..BENCHES {
            scope.spawn(|| {
                let bench = Bench::new(recipe);
                while let Some((n, attempt)) = attempts(&bench) {
                    let wrong = bench.wrong(&attempt);
                    Tally::add(&mut tally.lock().unwrap(), n, &attempt, wrong);
                }
            });
        }
    });
    tally.into_inner().unwrap()
}

impl Tally {
    fn add(&mut self, n: usize, attempt: &Attempt, wrong: Option<String>) {
        self.reached += usize::from(attempt.hit.is_some());
        self.failed += usize::from(attempt.said.code != 0);
        if std::env::var_os("DWELL_FAULTS_VERBOSE").is_some() {
            println!("call {n}: {attempt:?}");
        }
        if attempt.said.code != 0 && !attempt.names_the_error() {
            *self.vague.entry(attempt.said.err.clone()).or_default() += 1;
        }
        self.wrong.extend(wrong.map(|why| format!("call {n}: {why}: {attempt:#?}")));
    }

    #[track_caller]
    fn report(&self, what: &str, at_least: usize) {
        println!("{what}: {} injections, {} failed set-ups", self.reached, self.failed);
        for (words, times) in &self.vague {
            println!("    {times} times without the error itself: {}", words.trim());
        }
        assert!(self.wrong.is_empty(), "{what}: {} went wrong:\n{}", self.wrong.len(), self.wrong.join("\n"));
        assert!(self.reached > at_least, "control: it makes more calls than {}", self.reached);
    }
}
