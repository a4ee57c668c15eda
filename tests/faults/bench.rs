//! One world in which the n-th system call of a process fails while a Pod runs, and what came of it.

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

use dwell_tests::inventory::Inventory;
use dwell_tests::node::{self, Said, wait_until};
use dwell_tests::world::World;

/// The Pod's containers, and what follows them in its manifest.
pub type Recipe = fn(&World) -> (Vec<String>, &'static str);

/// How long a command may take though one call failed: pause's silence (10 s) included.
fn patience() -> Duration {
    node::patience() / 3
}

/// What one injection led to.
#[derive(Debug)]
pub struct Attempt {
    /// The number of the call that failed, if so many were made.
    pub hit: Option<i64>,
    /// With which error.
    pub errno: i32,
    /// How many calls the process made.
    pub calls: usize,
    /// What `dwell run` said.
    pub said: Said,
    /// Whether it ended.
    pub ended: bool,
    removed: Said,
    log: String,
    who: String,
}

impl Attempt {
    /// Whether the user reads the kernel's own word.
    pub fn names_the_error(&self) -> bool {
        self.said.err.contains(&format!("(os error {})", self.errno))
    }

    /// What was attempted, with a word of the kernel's; or, where the process that failed could not tell more, that it
    /// is gone: a node by its broken connection, pause by its end or by a pipe that it stopped reading, init by what the
    /// runtime of its language says (or by the signal with which that aborts) when it cannot even begin.
    fn names_a_cause(&self) -> bool {
        let instead: &[&str] = match &*self.who {
            "node" => &["the connection to the node broke", "the node ended", "pause ended", "pause is gone"],
            "pause" => &["pause ended", "pause is gone", "Broken pipe", "was ended by signal"],
            "init" => &["fatal runtime error", "fatal library error", "cannot set %fs base"],
            _ => &[],
        };
        let aborted = self.who == "init" && self.said.code > 128;
        aborted || self.said.err.contains("(os error ") || instead.iter().any(|words| self.said.err.contains(words))
    }
}

/// A world with a tracer and a Pod's manifest.
pub struct Bench {
    world: World,
    tracer: PathBuf,
    manifest: String,
    before: Inventory,
}

impl Bench {
    /// A fresh one, in which the Pod ran once.
    pub fn new(recipe: Recipe) -> Bench {
        let world = World::new();
        let (containers, more) = recipe(&world);
        let manifest = world.file("victim.yaml", &(crate::pod("victim", "Never", 1, &containers) + more));
        let manifest = manifest.to_str().unwrap().to_owned();
        assert!(world.dwell(&["run", "--rm", &manifest]).ok().contains("hello"), "control: it runs when nothing fails");
        world.end();
        Bench { tracer: tracer(), manifest, before: world.scope().settled(), world }
    }

    /// Starts a node, lets the n-th call of `who` fail while the Pod runs, and removes it.
    pub fn attempt(&self, who: (&str, usize), n: usize, errno: i32) -> Attempt {
        let mut node = self.start_node();
        let (mut tracer, words) = self.trace(who, n, errno);
        let ran = self.world.dwell_within(&["run", &self.manifest], patience());
        let ended = ran.is_ok();
        let removed = self.remove();
        self.end(&mut node);
        wait_a_little(&mut tracer);
        let _ = tracer.kill();
        let _ = tracer.wait();
        let words = words.join().unwrap_or_default();
        let number = |name| words.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<i64>().ok());
        let (hit, calls) = (number("hit"), number("calls").unwrap_or(0) as usize);
        let said = ran.unwrap_or_else(|said| said);
        Attempt { hit, errno, calls, said, ended, removed, log: self.node_log(), who: who.0.to_owned() }
    }

    /// Ends the node. One that died of the injection leaves what the next one finds and takes down.
    fn end(&self, node: &mut Child) {
        self.world.end();
        let orderly = node.wait().is_ok_and(|status| status.success());
        if !orderly {
            let mut next = self.start_node_with_log("next-node.log");
            self.world.end();
            let _ = next.wait();
        }
    }

    fn remove(&self) -> Said {
        let remove = || self.world.dwell_within(&["rm", "-f", "victim"], patience()).unwrap_or_else(|said| said);
        let said = remove();
        // The node itself may have been hit and gone; then the next one removes it.
        if said.code == 0 || said.err.contains("no Pod") { said } else { remove() }
    }

    fn node_log(&self) -> String {
        std::fs::read_to_string(self.world.files().join("node.log")).unwrap_or_default()
    }

    fn start_node(&self) -> Child {
        self.start_node_with_log("node.log")
    }

    fn start_node_with_log(&self, name: &str) -> Child {
        let log = std::fs::File::create(self.world.files().join(name)).expect("make the node's log");
        let child = self.world.command(&["serve"]).stderr(log).spawn().expect("start a node");
        let socket = self.world.state_dir().join("run/dwell.sock");
        assert!(wait_until(|| self.world.node_pid().is_some() && socket.exists()), "no node was started");
        child
    }

    fn trace(&self, (who, birth): (&str, usize), n: usize, errno: i32) -> (Child, JoinHandle<String>) {
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

    /// What must not be, if it is.
    pub fn wrong(&self, attempt: &Attempt) -> Option<String> {
        let Attempt { said, removed, .. } = attempt;
        if !attempt.ended {
            return Some("the command did not end".into());
        }
        // A runtime's own panic where the kernel refuses what it cannot do without is an error that names it.
        if [&said.err, &attempt.log].iter().any(|log| log.contains("panicked at runtime/")) {
            return Some("a panic".into());
        }
        if said.code != 0 && !attempt.names_a_cause() {
            return Some("it failed without a word".into());
        }
        if removed.code != 0 && !removed.err.contains("no Pod") {
            return Some("the Pod cannot be removed".into());
        }
        let differences = self.world.scope().differences(&self.before);
        (!differences.is_empty()).then(|| format!("{differences:#?}"))
    }
}

/// It ends with the last of what it traces.
fn wait_a_little(tracer: &mut Child) {
    for _ in 0..200 {
        if !matches!(tracer.try_wait(), Ok(None)) {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn tracer() -> PathBuf {
    dwell_tests::embedded::program("inject", include_bytes!(concat!(env!("OUT_DIR"), "/inject")))
}
