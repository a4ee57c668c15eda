//! Runs the two roles for real: compile, then the worker as PID 1 of a pid namespace, in an empty read-only root with
//! the module and the grants bound into it, as the planner and `init` would.
//!
//! Needs root, `unshare`, `bash` and `chroot`. Every member has a folder of its own below the temporary one, removed
//! with it; its mounts are in its own mount namespace and go with its process.

use dwell_spec::plan::worker::{ModuleInfo, ModuleKind, Preopen, WorkerPlan, WorkerReport};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

const ROLES: &str = env!("CARGO_BIN_EXE_dwell-worker-alone");
static NEXT: AtomicU32 = AtomicU32::new(0);

/// Makes the root, binds what belongs into it, and becomes the worker.
const ENTER: &str = r#"
set -e
cd "$FOLDER"
mount --make-rprivate /
mount -t tmpfs -o size=1m dwell-test root
touch root/module root/dwell-worker
mount --bind -o ro compiled root/module
mount --bind -o ro "$ROLES" root/dwell-worker
while read -r at from how; do
  mkdir "root/$at"
  mount --bind "$from" "root/$at"
  [ "$how" = rw ] || mount -o remount,bind,ro "root/$at"
done < grants
mount -o remount,ro root
cd root
exec env -i "$(command -v chroot)" . /dwell-worker 3<../plan 4>../report 5<../hosts
"#;

/// A compiled guest, and how it will be run.
pub struct Member {
    folder: PathBuf,
    /// The plan, to be changed before `start`.
    pub plan: WorkerPlan,
    grants: Vec<(PathBuf, bool)>,
    /// The Pod's `hosts`.
    pub hosts: String,
}

/// What compiling came to.
pub struct Compiled {
    /// Exit status of the process.
    pub status: ExitStatus,
    /// What it said of the module, if it succeeded.
    pub info: Option<ModuleInfo>,
    /// Its report, if it left one.
    pub report: Option<WorkerReport>,
    folder: PathBuf,
}

/// Compiles in a process of the compile role.
pub fn compile(source: &[u8]) -> Compiled {
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let folder = std::env::temp_dir().join(format!("dwell-worker-test-{}-{number}", std::process::id()));
    fs::create_dir_all(folder.join("root")).unwrap();
    fs::write(folder.join("source"), source).unwrap();
    let script = r#"cd "$0"; exec -a dwell-compile "$1" <source >compiled 3>info 4>report"#;
    let status = Command::new("bash").args(["-c", script]).arg(&folder).arg(ROLES).status().unwrap();
    let info = fs::read(folder.join("info")).ok().and_then(|json| serde_json::from_slice(&json).ok());
    Compiled { status, info, report: read_report(&folder), folder }
}

fn read_report(folder: &Path) -> Option<WorkerReport> {
    fs::read(folder.join("report")).ok().and_then(|json| serde_json::from_slice(&json).ok())
}

impl Drop for Compiled {
    fn drop(&mut self) {
        if !self.folder.as_os_str().is_empty() {
            drop(fs::remove_dir_all(&self.folder));
        }
    }
}

impl Member {
    /// Compiles a guest written as text, or in binary.
    pub fn new(source: &str) -> Self {
        Self::of(&wat::parse_str(source).unwrap())
    }

    /// Compiles a binary guest.
    pub fn of(source: &[u8]) -> Self {
        let mut compiled = compile(source);
        assert!(compiled.status.success(), "{:?}", compiled.report);
        let kind = compiled.info.take().unwrap().kind;
        Self {
            folder: std::mem::take(&mut compiled.folder),
            plan: plan(kind),
            grants: Vec::new(),
            hosts: String::new(),
        }
    }

    /// Grants a new, empty directory under a guest name; returns it.
    pub fn grant(&mut self, guest: &str, writable: bool) -> PathBuf {
        let at = self.grants.len();
        let dir = self.folder.join(format!("grant-{at}"));
        fs::create_dir(&dir).unwrap();
        self.grants.push((dir.clone(), writable));
        let dir_inside = format!("/{at}");
        self.plan.preopens.push(Preopen { dir: dir_inside, file: None, guest: guest.to_owned(), writable });
        dir
    }

    /// Starts the worker with these arguments (without `argv[0]`).
    pub fn start(&self, args: &[&str]) -> Running {
        let mut plan = self.plan.clone();
        plan.args.extend(args.iter().map(|arg| (*arg).to_owned()));
        fs::write(self.folder.join("plan"), serde_json::to_vec(&plan).unwrap()).unwrap();
        fs::write(self.folder.join("hosts"), &self.hosts).unwrap();
        let grant = |(at, (dir, rw)): (usize, &(PathBuf, bool))| {
            format!("{at} {} {}\n", dir.display(), if *rw { "rw" } else { "ro" })
        };
        fs::write(self.folder.join("grants"), self.grants.iter().enumerate().map(grant).collect::<String>()).unwrap();
        let child = Command::new("unshare")
            .args(["--mount", "--pid", "--fork", "--kill-child", "bash", "-c", ENTER])
            .env("FOLDER", &self.folder)
            .env("ROLES", ROLES)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Running { child, folder: self.folder.clone() }
    }

    /// Runs to the end with this input.
    pub fn run_with(&self, args: &[&str], input: &[u8]) -> Ended {
        let mut running = self.start(args);
        let mut stdin = running.child.stdin.take().unwrap();
        let input = input.to_vec();
        let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
        let ended = running.wait();
        writer.join().unwrap();
        ended
    }

    /// Runs to the end.
    pub fn run(&self, args: &[&str]) -> Ended {
        self.run_with(args, b"")
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.folder));
    }
}

fn plan(kind: ModuleKind) -> WorkerPlan {
    WorkerPlan {
        kind,
        args: vec!["guest.wasm".to_owned()],
        env: vec![("COLOUR".to_owned(), "green".to_owned())],
        preopens: Vec::new(),
        working_dir: None,
        listen: Vec::new(),
        network: false,
        resolv_conf: String::new(),
        memory_limit: None,
        stdin: true,
        tty: false,
        drain_seconds: 5,
    }
}

/// A worker that runs.
pub struct Running {
    child: Child,
    folder: PathBuf,
}

/// How a worker ended.
pub struct Ended {
    /// Exit status, or 128 + signal.
    pub status: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
    /// The report it left.
    pub report: Option<WorkerReport>,
}

impl Ended {
    /// The report's reason, or nothing.
    pub fn reason(&self) -> &str {
        self.report.as_ref().map_or("", |report| &report.reason)
    }

    /// The report's message, or nothing.
    pub fn message(&self) -> &str {
        self.report.as_ref().map_or("", |report| &report.message)
    }
}

impl Running {
    /// Waits until the worker itself (not its launcher) runs, and returns its pid as this namespace sees it.
    pub fn pid(&self) -> u32 {
        let children = format!("/proc/{0}/task/{0}/children", self.child.id());
        wait_for("the worker's start", || {
            let pid: u32 = fs::read_to_string(&children).ok()?.trim().parse().ok()?;
            (fs::read_to_string(format!("/proc/{pid}/comm")).ok()?.trim() == "dwell-worker").then_some(pid)
        })
    }

    /// A field of `/proc/PID/status`.
    pub fn status_field(&self, name: &str) -> Option<String> {
        let text = fs::read_to_string(format!("/proc/{}/status", self.pid())).ok()?;
        let line = text.lines().find(|line| line.split(':').next() == Some(name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    }

    /// Waits until the walls stand.
    pub fn walled(&self) {
        wait_for("the walls", || (self.status_field("Seccomp")? == "2").then_some(()));
    }

    /// Sends a signal to the worker.
    pub fn signal(&self, name: &str) {
        let pid = self.pid().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }

    /// The input's end, to write to or to close.
    pub fn stdin(&mut self) -> &mut Option<std::process::ChildStdin> {
        &mut self.child.stdin
    }

    /// Waits for the end.
    pub fn wait(mut self) -> Ended {
        let Output { status, stdout, stderr } = {
            drop(self.child.stdin.take());
            let child = std::mem::replace(&mut self.child, Command::new("true").spawn().unwrap());
            child.wait_with_output().unwrap()
        };
        let signal = std::os::unix::process::ExitStatusExt::signal(&status);
        Ended {
            status: status.code().unwrap_or_else(|| 128 + signal.unwrap_or(0)),
            out: String::from_utf8_lossy(&stdout).into_owned(),
            err: String::from_utf8_lossy(&stderr).into_owned(),
            report: read_report(&self.folder),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Tries until there is something, for a time that only a hang exceeds.
pub fn wait_for<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = attempt() {
            return found;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
