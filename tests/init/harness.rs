//! Runs the real `dwell-init` over plans of the real planner, without pause: `unshare` stands in for the birth.
//!
//! A test takes a `Start`, leaves out or adds what it is about, and looks at what the member could see. Everything
//! lives in one temporary folder that goes with the `Start`.

use std::fs::File;
use std::io::{Read, Seek};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use dwell_spec::facts::{ContainerFacts, PodIp};
use dwell_spec::plan::container::{FdSource, MountFlags};
use dwell_spec::plan::init::{Exec, FIRST_SLOT_FD, InitPlan, InitReport, Op, PLAN_FD, REPORT_FD};
use dwell_spec::plan::{plan_container, plan_exec};
use dwell_spec::pod::{Container, EnvValue};
use dwell_sys::mount::{self, Attributes};

use crate::samples::{host, pod, scripted};

/// The program under test: the very bytes that a node carries, in a file of this test's.
fn init_program() -> &'static Path {
    static WRITTEN: OnceLock<PathBuf> = OnceLock::new();
    WRITTEN.get_or_init(|| dwell_tests::embedded::init("init"))
}

/// Set in the environment of a member that is this program.
const PROBE: &str = "DWELL_TEST_PROBE";

/// Whether this process is such a member.
pub fn is_probe() -> bool {
    std::env::var_os(PROBE).is_some()
}

/// A folder under the temporary one, removed at the end.
pub struct Folder(pub PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("dwell-init-test-{}-{number}", std::process::id()));
        for part in ["image/bin", "upper", "work", "volume"] {
            std::fs::create_dir_all(path.join(part)).expect("makes");
        }
        std::fs::copy("/bin/busybox", path.join("image/bin/busybox")).expect("busybox-static is installed");
        for applet in ["sh", "cat", "ls", "id", "mount", "mknod", "stat", "grep", "head", "dd", "touch", "readlink"] {
            std::os::unix::fs::symlink("busybox", path.join("image/bin").join(applet)).expect("links");
        }
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What became of a start.
#[derive(Debug)]
pub struct Outcome {
    pub status: i32,
    pub output: String,
    pub report: String,
}

impl Outcome {
    /// The report as the node reads it.
    pub fn failure(&self) -> InitReport {
        serde_json::from_str(&self.report).unwrap_or_else(|error| panic!("no report ({error}): {self:?}"))
    }

    /// The member's output, when it ended well.
    pub fn text(&self) -> &str {
        assert!(self.report.is_empty(), "init failed: {self:?}");
        &self.output
    }
}

/// One start, to be changed and run.
pub struct Start {
    pub folder: Folder,
    pub plan: InitPlan,
    pub sources: Vec<FdSource>,
    /// Stands in for the terminal when there is one.
    devpts: Option<OwnedFd>,
    terminal: Option<(OwnedFd, OwnedFd)>,
    /// Arguments of unshare(1): what pause would have given the member at birth.
    pub born_with: Vec<&'static str>,
}

impl Start {
    /// What the planner makes of `container`.
    pub fn of(container: &Container) -> Self {
        let plan = plan_container(&pod(container), container, &host(), &ContainerFacts::default(), PodIp::UNKNOWN);
        let plan = plan.expect("plans");
        let devpts = container.tty.then(|| mount::devpts().expect("mounts"));
        let terminal = devpts.as_ref().map(|devpts| mount::open_terminal(devpts.as_fd()).expect("opens"));
        let born_with = vec!["--pid", "--net", "--ipc", "--uts", "--fork", "--kill-child"];
        Self { folder: Folder::new(), plan: plan.init, sources: plan.sources, devpts, terminal, born_with }
    }

    /// A shell script as the planner would run it.
    pub fn script(script: &str) -> Self {
        Self::of(&scripted(script))
    }

    /// This very test program (it is static) as the member, running one of its own functions.
    pub fn probe(function: &str) -> Self {
        let mut container = scripted("");
        container.command = ["/bin/probe", "--exact", function, "--nocapture"].map(str::to_owned).to_vec();
        container.env = vec![(PROBE.to_owned(), EnvValue::Text("1".to_owned()))];
        let start = Self::of(&container);
        let own = std::env::current_exe().expect("has a path");
        std::fs::copy(own, start.image("bin/probe")).expect("copies");
        start
    }

    /// Leaves out the operations that a test is about: the control.
    pub fn without(mut self, op: impl Fn(&Op) -> bool) -> Self {
        let before = self.plan.ops.len();
        self.plan.ops.retain(|each| !op(each));
        assert!(self.plan.ops.len() < before, "the control leaves nothing out");
        self
    }

    pub fn image(&self, path: &str) -> PathBuf {
        self.folder.0.join("image").join(path)
    }

    pub fn volume(&self, path: &str) -> PathBuf {
        self.folder.0.join("volume").join(path)
    }

    /// Runs it to its end.
    pub fn run(&self) -> Outcome {
        let slots: Vec<OwnedFd> = self.sources.iter().map(|source| self.open(source)).collect();
        self.run_with(&slots.iter().map(AsFd::as_fd).collect::<Vec<_>>())
    }

    /// Runs it with these descriptors as its slots.
    pub fn run_with(&self, slots: &[BorrowedFd<'_>]) -> Outcome {
        let plan = dwell_sys::memfd::sealed("plan", &self.plan.encode()).expect("makes");
        let mut report = scratch(&self.folder.0, "report");
        let mut output = scratch(&self.folder.0, "output");
        let null = File::open("/dev/null").expect("opens");
        let slave = self.terminal.as_ref().map(|(_, slave)| slave.as_fd());
        let (stdin, stdout) = (slave.unwrap_or(null.as_fd()), output.as_fd());
        let mut fds = vec![(stdin, 0), (stdout, 1), (stdout, 2), (plan.as_fd(), PLAN_FD), (report.as_fd(), REPORT_FD)];
        fds.extend(slots.iter().copied().zip(FIRST_SLOT_FD..));
        let status = run_unshared(&self.born_with, &fds);
        Outcome { status, output: text(&mut output), report: text(&mut report) }
    }

    /// What came out of the member's terminal so far.
    pub fn terminal_output(&mut self) -> String {
        let (master, slave) = self.terminal.take().expect("has a terminal");
        // The last slave gone, a read past the end fails instead of waiting.
        drop(slave);
        let mut text = Vec::new();
        let _ = File::from(master).read_to_end(&mut text);
        String::from_utf8(text).expect("utf-8")
    }

    /// Starts it and returns once the member has made `/ready`.
    pub fn start(&self) -> Running {
        let slots: Vec<OwnedFd> = self.sources.iter().map(|source| self.open(source)).collect();
        let plan = dwell_sys::memfd::sealed("plan", &self.plan.encode()).expect("makes");
        let report = scratch(&self.folder.0, "report");
        let null = File::options().read(true).write(true).open("/dev/null").expect("opens");
        let mut fds = [0, 1, 2].map(|number| (null.as_fd(), number)).to_vec();
        fds.extend([(plan.as_fd(), PLAN_FD), (report.as_fd(), REPORT_FD)]);
        fds.extend(slots.iter().map(AsFd::as_fd).zip(FIRST_SLOT_FD..));
        let (pid, pidfd) = spawn_unshared(&self.born_with, &fds);
        let running = Running { pid, pidfd };
        while !self.folder.0.join("upper/ready").exists() {
            assert!(std::fs::metadata(self.folder.0.join("report")).expect("exists").len() == 0, "init failed");
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        running
    }

    fn open(&self, source: &FdSource) -> OwnedFd {
        match source {
            FdSource::OverlayRoot { .. } => {
                let [image, layer] = ["image", ""].map(|part| path_fd(&self.folder.0.join(part)));
                mount::overlay(image.as_fd(), layer.as_fd()).expect("mounts")
            }
            FdSource::SharedMemory { flags } => {
                let folder = self.folder.0.join("shm");
                std::fs::create_dir_all(&folder).expect("makes");
                bind(&folder, flags)
            }
            FdSource::Volume { flags, .. } => bind(&self.folder.0.join("volume"), flags),
            FdSource::PodFile { name, flags } => self.file(name, &format!("the Pod's {name}\n"), flags),
            FdSource::LastWords { flags } => self.file("last-words", "", flags),
            FdSource::Devpts => self.devpts.as_ref().expect("has a terminal").try_clone().expect("dups"),
            other => panic!("not opened by this harness: {other:?}"),
        }
    }

    fn file(&self, name: &str, text: &str, flags: &MountFlags) -> OwnedFd {
        let file = self.folder.0.join(name);
        std::fs::write(&file, text).expect("writes");
        bind(&file, flags)
    }
}

/// An exec beside the member with this pid, as `plan_exec` has it.
pub fn joined(container: &Container, argv: &[&str], user: Option<&str>) -> (InitPlan, Vec<FdSource>) {
    let request = dwell_spec::plan::ExecRequest {
        argv: argv.iter().map(|argument| (*argument).to_owned()).collect(),
        user: user.map(str::to_owned),
        ..Default::default()
    };
    let plan = plan_exec(&pod(container), container, &host(), &ContainerFacts::default(), PodIp::UNKNOWN, &request)
        .expect("plans");
    (plan.init, plan.sources)
}

/// A member that runs until this is dropped.
pub struct Running {
    pid: i32,
    pidfd: OwnedFd,
}

impl Running {
    /// The member is the one child of `unshare`.
    pub fn member_pidfd(&self) -> OwnedFd {
        let children = format!("/proc/{0}/task/{0}/children", self.pid);
        let text = std::fs::read_to_string(children).expect("reads");
        dwell_sys::process::open(text.trim().parse().expect("one child")).expect("opens")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // --kill-child: the member goes with it.
        let _ = dwell_sys::process::kill(self.pidfd.as_fd());
        let _ = dwell_sys::process::wait_for_exit(self.pidfd.as_fd());
    }
}

fn run_unshared(born_with: &[&'static str], fds: &[(BorrowedFd<'_>, i32)]) -> i32 {
    let (_, pidfd) = spawn_unshared(born_with, fds);
    dwell_sys::process::wait_for_exit(pidfd.as_fd()).expect("waits")
}

fn spawn_unshared(born_with: &[&'static str], fds: &[(BorrowedFd<'_>, i32)]) -> (i32, OwnedFd) {
    let unshare = path_fd(Path::new("/usr/bin/unshare"));
    let program = std::ffi::CString::new(init_program().to_str().expect("utf-8")).expect("no NUL");
    let options: Vec<std::ffi::CString> =
        born_with.iter().map(|option| std::ffi::CString::new(*option).expect("no NUL")).collect();
    let mut argv = vec![c"unshare"];
    argv.extend(options.iter().map(|option| option.as_c_str()));
    argv.extend([program.as_c_str(), c"init"]);
    let (pid, pidfd) = dwell_sys::process::spawn_vfork(unshare.as_fd(), &argv, &[], fds, None).expect("starts");
    (pid.as_raw_pid(), pidfd)
}

fn bind(path: &Path, flags: &MountFlags) -> OwnedFd {
    let copy = mount::clone_tree(path_fd(path).as_fd(), "", true).expect("clones");
    let mut attributes = Attributes::empty();
    attributes.set(Attributes::MOUNT_ATTR_RDONLY, flags.read_only);
    attributes.set(Attributes::MOUNT_ATTR_NODEV, flags.nodev);
    attributes.set(Attributes::MOUNT_ATTR_NOSUID, flags.nosuid);
    attributes.set(Attributes::MOUNT_ATTR_NOEXEC, flags.noexec);
    mount::set_attr(copy.as_fd(), attributes, true).expect("sets");
    copy
}

/// An `O_PATH` descriptor.
pub fn path_fd(path: &Path) -> OwnedFd {
    dwell_sys::fs::open_path(path.to_str().expect("utf-8"))
        .unwrap_or_else(|errno| panic!("{}: {errno}", path.display()))
}

fn scratch(folder: &Path, name: &str) -> File {
    File::options().read(true).append(true).create(true).open(folder.join(name)).expect("makes")
}

fn text(file: &mut File) -> String {
    let mut text = String::new();
    file.rewind().expect("seeks");
    file.read_to_string(&mut text).expect("reads");
    file.set_len(0).expect("empties");
    text
}

/// Whether `exec` is by descriptor; kept here so that the import list of tests stays short.
pub fn by_descriptor(program: u16, argv: &[&str], keep: &[u16]) -> Exec {
    use dwell_spec::plan::init::Slot;
    Exec::Descriptor {
        program: Slot(program),
        argv: argv.iter().map(|argument| (*argument).to_owned()).collect(),
        env: Vec::new(),
        keep: keep.iter().map(|slot| Slot(*slot)).collect(),
    }
}
