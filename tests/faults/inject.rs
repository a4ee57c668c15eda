//! A system call fails, any one of those that setting up and taking down a Pod takes: the Pod runs all the same, or
//! the user is told, and nothing is left.
//!
//! pause and init are born by descriptor, deep inside, so a small tracer (`inject.c`) is attached to the node and
//! follows the births; it fails the n-th call of the one process that is meant, for every n that it reaches.

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;

use dwell_tests::inventory::Inventory;
use dwell_tests::node::{Said, wait_until};
use dwell_tests::world::World;

use crate::random::Random;
use crate::{amount, shell_container, wasm_container};

const EIO: i32 = 5;

/// What one injection led to.
#[derive(Debug)]
struct Attempt {
    hit: Option<i64>,
    said: Said,
    removed: Said,
}

struct Bench {
    world: World,
    tracer: PathBuf,
    manifest: String,
    before: Inventory,
}

impl Bench {
    fn new(containers: impl Fn(&World) -> Vec<String>, more: &str) -> Bench {
        let world = World::new();
        let manifest = crate::pod("victim", "Never", 1, &containers(&world)) + more;
        let path = world.file("victim.yaml", &manifest);
        let path = path.to_str().unwrap().to_owned();
        assert!(world.dwell(&["run", "--rm", &path]).ok().contains("hello"), "control: it runs when nothing fails");
        world.end();
        Bench { tracer: tracer(&world), manifest: path, before: world.scope().settled(), world }
    }

    /// Starts a node, lets the n-th call of `who` fail while the Pod runs, and removes it.
    fn attempt(&self, who: &str, birth: usize, n: usize, errno: i32) -> Attempt {
        let mut node = self.start_node();
        let (mut tracer, words) = self.trace(who, birth, n, errno);
        let said = self.world.dwell(&["run", &self.manifest]);
        let removed = self.remove();
        self.world.end();
        let _ = node.wait();
        let _ = tracer.kill();
        let _ = tracer.wait();
        let hit = words.join().unwrap_or_default().lines().find_map(|line| line.strip_prefix("hit ")?.parse().ok());
        Attempt { hit, said, removed }
    }

    fn remove(&self) -> Said {
        let said = self.world.dwell(&["rm", "-f", "victim"]);
        // The node itself may have been hit and gone; then the next one removes it.
        if said.code == 0 || said.err.contains("no Pod") { said } else { self.world.dwell(&["rm", "-f", "victim"]) }
    }

    fn start_node(&self) -> Child {
        let log = std::fs::File::create(self.world.files().join("node.log")).expect("make the node's log");
        let child = self.world.command(&["serve"]).stderr(log).spawn().expect("start a node");
        let socket = self.world.state_dir().join("run/dwell.sock");
        assert!(wait_until(|| self.world.node_pid().is_some() && socket.exists()), "no node was started");
        child
    }

    fn trace(&self, who: &str, birth: usize, n: usize, errno: i32) -> (Child, JoinHandle<String>) {
        let node = self.world.node_pid().expect("there is a node");
        let mut tracer = Command::new(&self.tracer)
            .args([&node.to_string(), who, &n.to_string(), &errno.to_string()])
            .env("BIRTH", birth.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .expect("start the tracer");
        let mut output = BufReader::new(tracer.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).expect("read from the tracer");
        assert_eq!(line, "ready\n", "the tracer could not attach to the node");
        let words = std::thread::spawn(move || {
            let mut text = String::new();
            let _ = output.read_to_string(&mut text);
            text
        });
        (tracer, words)
    }

    /// Every n-th call with this stride, until the process makes fewer.
    fn sweep(&self, who: &str, birth: usize, first: usize, stride: usize) {
        let (mut n, mut reached, mut failed) = (first, 0, 0);
        loop {
            let attempt = self.attempt(who, birth, n, EIO);
            let Some(call) = attempt.hit else { break };
            reached += 1;
            failed += usize::from(attempt.said.code != 0);
            self.judge(&format!("{who} {birth}, call {n} ({call})"), &attempt);
            n += stride;
        }
        println!("{who} {birth}: {reached} injections up to call {n}, {failed} failed set-ups");
        assert!(reached > 2, "control: {who} makes more calls than that");
    }

    #[track_caller]
    fn judge(&self, what: &str, attempt: &Attempt) {
        if std::env::var_os("DWELL_FAULTS_VERBOSE").is_some() {
            println!("{what}: {} {}", attempt.said.code, attempt.said.err.trim());
        }
        assert!(!attempt.said.err.contains("panicked at runtime/"), "{what}: {attempt:#?}");
        // 128 and more is the signal's name: init's own language aborts when even its beginning fails.
        let told = attempt.said.code == 0 || attempt.said.code > 128 || names_a_cause(&attempt.said.err);
        assert!(told, "{what} failed without a word: {attempt:#?}");
        let gone = attempt.removed.code == 0 || attempt.removed.err.contains("no Pod");
        assert!(gone, "{what}: the Pod cannot be removed: {attempt:#?}");
        let differences = self.world.scope().differences(&self.before);
        assert!(differences.is_empty(), "{what}: {differences:#?} {attempt:#?}");
    }
}

/// A sentence that says what was attempted, with the kernel's word; or which process ended; or what the runtime of its
/// language says when it cannot even begin.
fn names_a_cause(err: &str) -> bool {
    let causes = ["os error", "pause", "signal", "ended with status", "node", "cannot ", "failed ", "fatal ", "Broken pipe"];
    causes.iter().any(|cause| err.contains(cause))
}

fn tracer(world: &World) -> PathBuf {
    let (source, path) = (concat!(env!("CARGO_MANIFEST_DIR"), "/faults/inject.c"), world.files().join("inject"));
    let built = Command::new("cc").args(["-O1", "-o"]).arg(&path).arg(source).status();
    assert!(built.is_ok_and(|status| status.success()), "cc cannot build {source}");
    path
}

fn native(world: &World) -> Vec<String> {
    vec![
        shell_container(world, "main", "echo hello; sleep 0.02; echo world")
            + "    volumeMounts: [{name: v, mountPath: /v}]\n",
    ]
}

const VOLUME: &str = "  volumes: [{name: v, emptyDir: {medium: Memory}}]\n";

#[test]
fn any_call_of_pause_may_fail() {
    let (bench, mut random) = (Bench::new(native, VOLUME), Random::new("calls of pause"));
    let stride = amount(6, 1);
    for who in ["stage1", "pause"] {
        bench.sweep(who, 0, 1 + random.below(stride), stride);
    }
}

#[test]
fn any_call_of_init_may_fail() {
    let (bench, mut random) = (Bench::new(native, VOLUME), Random::new("calls of init"));
    let stride = amount(6, 1);
    bench.sweep("init", 1, 1 + random.below(stride), stride);
}

#[test]
fn any_call_of_the_init_of_a_wasm_member_may_fail() {
    let wasm = |_: &World| vec![wasm_container("main", "hello.wasm", "")];
    let (bench, mut random) = (Bench::new(wasm, ""), Random::new("calls of init before the worker"));
    let stride = amount(8, 1);
    bench.sweep("init", 1, 1 + random.below(stride), stride);
}

#[test]
fn a_call_of_the_node_may_fail() {
    let containers = |world: &World| {
        let native = native(world).remove(0) + "    ports: [{containerPort: 8080, hostPort: 18080}]\n";
        vec![native, wasm_container("wasm", "hello.wasm", "")]
    };
    let (bench, mut random) = (Bench::new(containers, VOLUME), Random::new("calls of the node"));
    let total = count_calls(&bench);
    let mut hits = 0;
    for _ in 0..amount(30, 200) {
        let (n, errno) =
            (1 + random.below(total), random.one(&[EIO, libc::ENOMEM, libc::EMFILE, libc::ENOSPC, libc::EPERM]));
        let attempt = bench.attempt("node", 0, n, errno);
        hits += usize::from(attempt.hit.is_some());
        bench.judge(&format!("node, call {n} of about {total} ({:?}), errno {errno}", attempt.hit), &attempt);
    }
    println!("node: {hits} injections among the first {total} calls");
}

/// How many calls the node makes for the Pod's whole life, about: doubled until there is no such call.
fn count_calls(bench: &Bench) -> usize {
    let reaches = |n: usize| bench.attempt("node", 0, n, EIO).hit.is_some();
    let mut low = 256;
    while reaches(low * 2) {
        low *= 2;
    }
    low + low / 2
}
