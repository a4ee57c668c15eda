//! One node in a state folder of its own, driven as a user drives it: by the command line.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde_json::Value;

static COUNT: AtomicU32 = AtomicU32::new(0);

/// How long anything may take before a test gives up: generous, since the machine is shared; and much longer in the
/// second machine, which is emulated.
pub fn patience() -> Duration {
    let emulated = std::env::var_os("DWELL_VM").is_some();
    Duration::from_secs(if emulated { 900 } else { 120 })
}

/// After how long a node that did not end is asked once more.
const SIGNAL_AGAIN: Duration = Duration::from_secs(5);

/// A state folder and whatever runs in it.
#[derive(Debug)]
pub struct Node {
    folder: PathBuf,
    prefix: Vec<String>,
    root: PathBuf,
}

/// What a command said.
#[derive(Debug)]
pub struct Said {
    /// Exit status, 128 + signal if one ended it.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Said {
        use std::os::unix::process::ExitStatusExt;
        let code = output.status.code().or_else(|| output.status.signal().map(|signal| 128 + signal));
        Said {
            code: code.unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Said {
    /// Panics unless the command succeeded; returns its standard output.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.code, 0, "{self:#?}");
        self.out
    }
}

/// The binary under test: `DWELL_BIN`, else the one beside this test's own executable.
pub fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("DWELL_BIN") {
        return path.into();
    }
    let own = std::env::current_exe().expect("a test has an executable");
    let path = own.parent().and_then(Path::parent).expect("it lies in target/…/deps").join("dwell");
    assert!(path.exists(), "{} is missing: build it with `cargo build --release`, or set DWELL_BIN", path.display());
    path
}

impl Default for Node {
    fn default() -> Self {
        Self::new()
    }
}

impl Node {
    /// A fresh folder; no node is started yet.
    pub fn new() -> Node {
        Node::behind(Vec::new(), PathBuf::from("/"))
    }

    /// As `new`; every command is started by this one (`nsenter …`, say), and sees this folder as `/`.
    pub fn behind(prefix: Vec<String>, root: PathBuf) -> Node {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let base = std::env::var_os("DWELL_TEST_DIR").map_or_else(|| PathBuf::from("/var/tmp"), PathBuf::from);
        let folder = base.join(format!("dwell-test-{}-{number}", std::process::id()));
        std::fs::create_dir_all(folder.join("files")).expect("make the test's folder");
        Node { folder, prefix, root }
    }

    /// The state folder.
    pub fn state_dir(&self) -> PathBuf {
        self.folder.join("state")
    }

    /// A folder for the test's own files.
    pub fn files(&self) -> PathBuf {
        self.folder.join("files")
    }

    /// Writes a file into the test's folder.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.files().join(name);
        std::fs::write(&path, text).expect("write a test's file");
        path
    }

    /// A command of dwell's, not started.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = match self.prefix.split_first() {
            None => Command::new(binary()),
            Some((first, rest)) => {
                let mut command = Command::new(first);
                command.args(rest).arg(binary());
                command
            }
        };
        command.arg("--state-dir").arg(self.state_dir()).args(args).current_dir(self.files()).stdin(Stdio::null());
        command.env_remove("RUST_BACKTRACE").env("NO_COLOR", "1");
        command
    }

    /// Runs a command to its end.
    #[track_caller]
    pub fn dwell(&self, args: &[&str]) -> Said {
        match self.dwell_within(args, patience()) {
            Ok(said) => said,
            Err(said) => panic!("dwell {args:?} did not end: {said:#?}"),
        }
    }

    /// Runs a command; if it has not ended after so long, it is killed, and what it said until then is the error.
    ///
    /// # Errors
    /// It did not end.
    pub fn dwell_within(&self, args: &[&str], patience: Duration) -> Result<Said, Said> {
        let child = self.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("start dwell");
        let pid = child.id() as i32;
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let _ = sender.send(child.wait_with_output());
        });
        let said = |output: std::io::Result<Output>| Said::from(output.expect("read what dwell says"));
        receiver.recv_timeout(patience).map(said).map_err(|_| {
            // Behind a prefix (`nsenter`) the command is its child.
            let command = if self.prefix.is_empty() { None } else { crate::world::child_of(pid) };
            kill(command.unwrap_or(pid), libc::SIGKILL);
            said(receiver.recv().expect("the thread sends what it read"))
        })
    }

    /// Runs a manifest in the foreground to its end.
    #[track_caller]
    pub fn run(&self, manifest: &str) -> Said {
        let path = self.manifest(manifest);
        self.dwell(&["run", path.to_str().expect("a readable path")])
    }

    /// Starts a manifest and leaves it running.
    #[track_caller]
    pub fn start(&self, manifest: &str) -> String {
        let path = self.manifest(manifest);
        self.dwell(&["run", "-d", path.to_str().expect("a readable path")]).ok().trim().to_owned()
    }

    fn manifest(&self, text: &str) -> PathBuf {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        self.file(&format!("pod-{number}.yaml"), text)
    }

    /// The Pod's object.
    #[track_caller]
    pub fn pod(&self, name: &str) -> Value {
        let text = self.dwell(&["inspect", "-o", "json", name]).ok();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("inspect printed no JSON ({error}): {text}"))
    }

    /// Waits until the Pod's object satisfies the condition.
    #[track_caller]
    pub fn wait_for(&self, name: &str, what: &str, condition: impl Fn(&Value) -> bool) -> Value {
        let began = Instant::now();
        loop {
            let pod = self.pod(name);
            if condition(&pod) {
                return pod;
            }
            assert!(began.elapsed() < patience(), "waited too long for {what}: {pod:#}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits for a phase.
    #[track_caller]
    pub fn wait_for_phase(&self, name: &str, phase: &str) -> Value {
        self.wait_for(name, phase, |pod| pod["status"]["phase"] == phase)
    }

    /// What a container has printed, once it ends with these words: what a running member wrote is on its way to the log
    /// for a moment, also when the member is past it already.
    #[track_caller]
    pub fn printed(&self, pod: &str, container: &str, last: &str) -> String {
        let said = || self.dwell(&["logs", "-c", container, pod]);
        assert!(wait_until(|| said().out.ends_with(last)), "no {last:?} at the end: {:#?}", said());
        said().out
    }

    /// Pid of the node that serves this folder now.
    pub fn node_pid(&self) -> Option<i32> {
        let lock = self.state_dir().join("lib/lock");
        holder(&self.root.join(lock.strip_prefix("/").unwrap_or(&lock)))
    }

    /// Kills the node with SIGKILL, and waits until it is gone.
    pub fn kill_node(&self) -> bool {
        self.signal_node(Signal::KILL)
    }

    /// Sends the node a signal that ends it, and waits until it is gone. By descriptor, and only once that is known to
    /// be the node's: its number may be another's by now.
    fn signal_node(&self, signal: Signal) -> bool {
        let Some(pid) = self.node_pid() else { return false };
        let Some(handle) = Pid::from_raw(pid).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()) else {
            return false;
        };
        let began = Instant::now();
        // Its end, not that of its lock: until then its socket takes a connection, and whoever asks finds a node.
        let gone = |patience: Duration| {
            let mut waited = [PollFd::new(&handle, PollFlags::IN)];
            poll(&mut waited, Timespec::try_from(patience).ok().as_ref()).is_ok_and(|ready| ready > 0)
        };
        // Sent again after a while: where a call fails for a test's sake, the one that notes the signal may be it.
        while !gone(Duration::ZERO) && began.elapsed() < patience() {
            let _ = pidfd_send_signal(&handle, signal);
            gone(SIGNAL_AGAIN);
        }
        gone(Duration::ZERO)
    }

    /// Ends everything and removes the folder; also done when dropped.
    pub fn end(&self) {
        let _ = self.dwell(&["rm", "-f", "--all"]);
        self.signal_node(Signal::TERM);
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.end();
        if std::env::var_os("DWELL_TEST_KEEP").is_none() {
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }
}

/// Sends a signal; a process that is gone needs none.
pub fn kill(pid: i32, signal: i32) {
    let target = Pid::from_raw(pid).zip(Signal::from_named_raw(signal));
    if let Some((pid, signal)) = target {
        let _ = rustix::process::kill_process(pid, signal);
    }
}

/// Waits for a condition; `false` if it did not come.
pub fn wait_until(condition: impl Fn() -> bool) -> bool {
    wait_at_most(patience(), condition)
}

fn wait_at_most(patience: Duration, condition: impl Fn() -> bool) -> bool {
    let began = Instant::now();
    while began.elapsed() < patience {
        if condition() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    false
}

/// Who holds the flock of a file. `/proc/locks` names files by device and inode, and its device is not always the one
/// that `stat` gives; so each candidate must also have this very file open.
///
/// Read more than once before it says that there is none: a line of `/proc/locks` may be passed over while others go.
fn holder(path: &Path) -> Option<i32> {
    let file = identity(path)?;
    (0..3).find_map(|_| {
        let locks = std::fs::read_to_string("/proc/locks").ok()?;
        candidates(&locks, file.1).into_iter().find(|pid| has_open(*pid, file))
    })
}

/// Device and inode.
fn identity(path: &Path) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).ok().map(|found| (found.dev(), found.ino()))
}

/// Pids with a flock of an inode of that number, on any device.
fn candidates(locks: &str, inode: u64) -> Vec<i32> {
    let of = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let place = words.iter().position(|word| *word == "FLOCK")?;
        let (pid, file) = (words.get(place + 3)?, words.get(place + 4)?);
        (file.rsplit(':').next()?.parse() == Ok(inode)).then(|| pid.parse().ok())?
    };
    locks.lines().filter_map(of).collect()
}

fn has_open(pid: i32, file: (u64, u64)) -> bool {
    let files = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    files.into_iter().any(|entry| identity(&entry.path()) == Some(file))
}
