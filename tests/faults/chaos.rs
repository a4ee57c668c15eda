//! Two hundred Pods of every kind, half of them hit by SIGKILL at a random point, and nothing is left of them.

use std::collections::BTreeMap;
use std::process::{Child, Output, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use dwell_tests::node::{Said, kill, patience};
use dwell_tests::world::{Process, World, child_of, children_of};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::random::Random;
use crate::{shell_container, wasm_container};

const PODS: usize = 200;
/// Pods that live at the same time.
const GROUP: usize = 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Victim {
    Node,
    Pause,
    Init,
    Worker,
    Relay,
    Member,
    Client,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Moment {
    SetUp,
    Running,
    Stopping,
}

const VICTIMS: [Victim; 7] =
    [Victim::Node, Victim::Pause, Victim::Init, Victim::Worker, Victim::Relay, Victim::Member, Victim::Client];
/// Whom, when, and in which Pods.
type Hits = Mutex<BTreeMap<(Moment, Victim), Vec<usize>>>;

const MOMENTS: [Moment; 3] = [Moment::SetUp, Moment::Running, Moment::Stopping];

#[test]
fn nothing_is_left_of_pods_that_were_hit_at_random_points() {
    let (world, mut random) = (World::new(), Random::new("chaos"));
    warm_up(&world);
    let before = world.scope().settled();
    let hits = Hits::default();
    for group in 0..PODS / GROUP {
        std::thread::scope(|scope| {
            for place in 0..GROUP {
                let life = Life {
                    number: group * GROUP + place,
                    random: random.branch(),
                    world: &world,
                    hits: &hits,
                    pause: None,
                };
                scope.spawn(|| life.live());
            }
        });
        remove_latecomers(&world, &hits);
    }
    a_last_node(&world);
    world.end();
    let hits = hits.into_inner().unwrap();
    let total: usize = hits.values().map(Vec::len).sum();
    println!("{PODS} Pods, {total} hits: {hits:?}");
    let differences = world.scope().differences(&before);
    assert!(differences.is_empty(), "{differences:#?}");
    let log = std::fs::read_to_string(world.state_dir().join("lib/node.log")).unwrap_or_default();
    assert!(!log.contains("panicked"), "{log}");
    assert!(total > PODS / 3, "control: too few were hit to mean anything");
    let spared: Vec<&Victim> = VICTIMS.iter().filter(|victim| !hits.keys().any(|hit| hit.1 == **victim)).collect();
    assert!(spared.is_empty(), "control: nobody hit {spared:?}");
}

/// A request may outlive the client that was killed, and be carried out after the Pod was removed in vain.
#[track_caller]
fn remove_latecomers(world: &World, hits: &Hits) {
    let orphaned = hits.lock().unwrap().get(&(Moment::SetUp, Victim::Client)).cloned().unwrap_or_default();
    let left = world.dwell(&["ps", "-a", "-o", "name"]).out;
    for name in left.lines() {
        let late = orphaned.iter().any(|number| name.ends_with(&format!("-{number}")));
        assert!(late, "{name} was not removed: {:?}", hits.lock().unwrap());
        world.dwell(&["rm", "-f", name.trim_start_matches("pod/")]).ok();
    }
}

/// A node that was killed when it had no Pod left has no successor until a Pod is wanted, and its empty cgroup and its
/// socket wait for that one: once in some hundred runs the last blow of all was of that kind.
fn a_last_node(world: &World) {
    world.run(&crate::pod("last", "Never", 1, &[shell_container(world, "native", "true")])).ok();
    world.dwell(&["rm", "last"]).ok();
}

/// Compiles the guests and makes what a state folder keeps.
fn warm_up(world: &World) {
    let containers = [
        shell_container(world, "native", "true"),
        wasm_container("hello", "hello.wasm", ""),
        wasm_container("sleep", "sleep.wasm", "'0'"),
        wasm_container("counter", "counter.wasm", "'1'"),
    ];
    world.run(&crate::pod("warm", "Never", 1, &containers)).ok();
    let finished = world.scope().take();
    assert!(
        finished.mentions("device ") && finished.mentions("cgroup "),
        "control: an inventory sees what a node keeps"
    );
    world.dwell(&["rm", "warm"]).ok();
    world.end();
}

struct Life<'a> {
    number: usize,
    random: Random,
    world: &'a World,
    hits: &'a Hits,
    pause: Option<i32>,
}

impl Life<'_> {
    fn name(&self) -> String {
        format!("chaos-{}-{}", std::process::id(), self.number)
    }

    fn live(mut self) {
        let hit = (self.number % 2 == 1).then(|| self.choose());
        let manifest = self.manifest(hit.map(|hit| hit.0));
        let path = self.world.file(&format!("{}.yaml", self.name()), &manifest);
        let of = |moment| hit.filter(|hit| hit.1 == moment);
        self.command(&["run", "-d", path.to_str().unwrap()], of(Moment::SetUp), 60);
        self.random.pause(300);
        if let Some((victim, _)) = of(Moment::Running) {
            self.strike(victim, Moment::Running, None);
        }
        self.random.pause(50);
        let (name, mut stopping) = (self.name(), of(Moment::Stopping));
        if self.random.percent(70) {
            self.command(&["stop", &name], stopping.take(), 40);
        }
        self.remove(stopping);
    }

    /// Whom, and when. An init lives only while a Pod is set up.
    fn choose(&mut self) -> (Victim, Moment) {
        let (victim, moment) = (self.random.one(&VICTIMS), self.random.one(&MOMENTS));
        (victim, if victim == Victim::Init { Moment::SetUp } else { moment })
    }

    /// A Pod is removed at last, however often the node was killed under the command.
    fn remove(&mut self, mut hit: Option<(Victim, Moment)>) {
        let (name, began) = (self.name(), Instant::now());
        loop {
            let said = self.command(&["rm", "-f", &name], hit.take(), 40);
            if said.code == 0 || said.err.contains("no Pod") {
                return;
            }
            assert!(began.elapsed() < patience(), "{name} cannot be removed: {said:#?}");
            self.random.pause(100);
        }
    }

    /// Runs a command to its end, and strikes meanwhile.
    fn command(&mut self, args: &[&str], hit: Option<(Victim, Moment)>, within_ms: usize) -> Said {
        let child =
            self.world.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("start dwell");
        if let Some((victim, moment)) = hit {
            // An init lives for a millisecond or two: whoever waits misses it.
            self.random.pause(if victim == Victim::Init { 1 } else { within_ms });
            self.strike(victim, moment, Some(&child));
        }
        let said = Said::from(self.ended(child, args));
        assert!(!said.err.contains("panicked"), "{args:?}: {said:#?}");
        said
    }

    #[track_caller]
    fn ended(&self, mut child: Child, args: &[&str]) -> Output {
        let began = Instant::now();
        while child.try_wait().expect("wait for dwell").is_none() {
            if began.elapsed() > patience() {
                self.give_up(child, args);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        child.wait_with_output().expect("read what dwell says")
    }

    #[track_caller]
    fn give_up(&self, child: Child, args: &[&str]) -> ! {
        let state = self.world.dwell(&["inspect", "-o", "json", &self.name()]);
        if let Some(pid) = child_of(child.id() as i32) {
            kill(pid, libc::SIGKILL);
        }
        let said = child.wait_with_output().map(Said::from);
        let log = std::fs::read_to_string(self.world.state_dir().join("lib/node.log")).unwrap_or_default();
        panic!("dwell {args:?} did not end: {said:#?}\n{state:#?}\n{log}\n{:?}", self.hits.lock().unwrap());
    }

    /// Kills the victim as soon as it is there; if it does not come, another. In a running Pod it does come, however busy
    /// the machine is, and an init comes in every Pod that is set up, however slow: a worker took longer than half a
    /// second once, in the emulated machine an init always does, and none was hit in two hundred Pods.
    fn strike(&mut self, mut victim: Victim, moment: Moment, client: Option<&Child>) {
        let began = Instant::now();
        let comes = moment == Moment::Running || victim == Victim::Init;
        let wait_for_it = if comes { patience() / 24 } else { Duration::from_millis(400) };
        while began.elapsed() < wait_for_it + Duration::from_millis(400) {
            if let Some(pid) = self.find(victim, client)
                && self.kill_exactly(pid, victim, client)
            {
                self.hits.lock().unwrap().entry((moment, victim)).or_default().push(self.number);
                return;
            }
            if began.elapsed() > wait_for_it {
                victim = self.random.one(&VICTIMS);
            }
            std::thread::sleep(Duration::from_micros(if victim == Victim::Init { 100 } else { 1000 }));
        }
    }

    /// By descriptor, once that is known to be the victim's: the number may be another's by now.
    fn kill_exactly(&mut self, pid: i32, victim: Victim, client: Option<&Child>) -> bool {
        let Some(handle) = Pid::from_raw(pid).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()) else {
            return false;
        };
        self.find(victim, client) == Some(pid) && pidfd_send_signal(&handle, Signal::KILL).is_ok()
    }

    fn find(&mut self, victim: Victim, client: Option<&Child>) -> Option<i32> {
        match victim {
            Victim::Node => return self.world.node_pid(),
            Victim::Client => return client.and_then(|client| child_of(client.id() as i32)),
            _ => {}
        }
        let pause = self.pause()?;
        let fits = |process: &Process| match victim {
            Victim::Init => process.command.starts_with("init"),
            Victim::Relay => process.command.starts_with("relay"),
            Victim::Worker => process.command.starts_with("dwell-worker"),
            _ => !["init", "relay", "dwell-worker", "pause"].iter().any(|name| process.command.starts_with(name)),
        };
        match victim {
            Victim::Pause => Some(pause),
            _ => children_of(pause)
                .into_iter()
                .filter_map(Process::read)
                .find(|process| fits(process))
                .map(|process| process.pid),
        }
    }

    /// The Pod's pause; the one that was found before, as long as it is that.
    fn pause(&mut self) -> Option<i32> {
        let title = format!("pause default/{}", self.name());
        let known = self.pause.and_then(Process::read).filter(|process| process.command == title);
        let found = known.or_else(|| Process::all().into_iter().rfind(|process| process.command == title));
        self.pause = found.map(|process| process.pid);
        self.pause
    }

    /// A Pod in which the victim lives, if it is one of the Pod's own.
    fn manifest(&mut self, victim: Option<Victim>) -> String {
        let (for_worker, for_relay) = (victim == Some(Victim::Worker), victim == Some(Victim::Relay));
        let policy = self.random.one(&["Always", "OnFailure", "Never"]);
        let mounts = "    volumeMounts: [{name: disk, mountPath: /disk}, {name: memory, mountPath: /memory}]\n";
        let mut text = format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: {}}}\nspec:\n  restartPolicy: {policy}\n  \
             terminationGracePeriodSeconds: 1\n  volumes:\n  - {{name: disk, emptyDir: {{}}}}\n  \
             - {{name: memory, emptyDir: {{medium: Memory, sizeLimit: 1Mi}}}}\n",
            self.name()
        );
        if self.random.percent(15) && !for_relay {
            text += "  hostNetwork: true\n";
        }
        if self.random.percent(60) {
            text += "  initContainers:\n";
            text += &(shell_container(self.world, "prepare", "echo x > /disk/x; echo y > /memory/y") + mounts);
            if self.random.percent(50) {
                text += &wasm_container("greet", "hello.wasm", "");
            }
        }
        let script = self.random.one(&[
            "exec sleep 600",
            "trap 'exit 0' TERM; while :; do sleep 0.1; done",
            "sleep 0.1; exit 3",
            "mkdir -p /disk/a/b; echo z > /memory/z; sleep 0.2",
            "seq 1 20000; exec sleep 600",
        ]);
        text += "  containers:\n";
        text += &(shell_container(self.world, "native", script) + mounts);
        let with_port = !text.contains("hostNetwork") && (for_relay || self.random.percent(50));
        if with_port {
            text += &format!("    ports: [{{containerPort: 8080, hostPort: {}}}]\n", 20_000 + self.number);
        }
        if for_worker || self.random.percent(60) {
            let sleeps = ("sleep.wasm", "'600'");
            let any = self.random.one(&[sleeps, ("counter.wasm", "'20000'"), ("sleep.wasm", "'0'")]);
            let (guest, args) = if for_worker { sleeps } else { any };
            text += &(wasm_container("wasm", guest, args) + mounts);
        }
        text
    }
}
