//! A program run beside a living member: in a native one any program, beside a Wasm one another module.
//!
//! A module is looked for as the guest sees it: in the member's own grants, through the root of its worker, or by the
//! image's own name. It is compiled like any other, which may take long, so the birth comes when that is done; the
//! member may have ended by then. Must never hand anybody a descriptor of the member's that it was not given itself.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use dwell_spec::facts::ContainerFacts;
use dwell_spec::plan;
use dwell_spec::pod::{Container, ImageRef};
use dwell_sys::fs::open_plain_in_root;
use rustix::fs::OFlags;
use tokio::sync::oneshot;

use super::driver::Driver;
use super::files;
use super::prepare::{self, Failure, Parts, Ready};
use super::request::{ExecRequest, ExecSession, Refusal, Reply, pick, require_running};
use crate::chain::chain;
use crate::container::filters;
use crate::container::source::{self, Opened};
use crate::image::look::{self, Module};
use crate::image::rootfs;
use crate::sandbox::keeper::{Birth, BirthStdio, Process, Take};

/// Between two looks at a member that is being set up, which takes a millisecond or two.
const SET_UP: Duration = Duration::from_millis(2);

/// The run of a member that a program is to join.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) index: usize,
    seq: u64,
    pub(super) pidfd: OwnedFd,
}

impl Target {
    /// The root directory of its first process; only a path.
    pub(super) fn root(&self) -> Result<OwnedFd, Refusal> {
        let root = dwell_sys::mount::root_of(self.pidfd.as_fd());
        root.map_err(|error| Refusal::Failed(format!("open the member's root: {error}")))
    }
}

/// What was asked for can go on.
#[derive(Debug)]
pub(super) struct ExecReady {
    request: ExecRequest,
    /// The module that was asked for, or why it cannot be run; nothing for a member that was being set up a moment ago.
    compiled: Option<(Target, Result<Box<Ready>, Failure>)>,
    reply: Reply<ExecSession>,
}

impl Driver {
    /// Begins a program inside a living member; the answer comes when it is born.
    pub(super) async fn exec(&mut self, request: ExecRequest, reply: Reply<ExecSession>) {
        let target = match self.target(request.container.as_deref()).await {
            Ok(target) => target,
            Err(refusal) => return drop(reply.send(Err(refusal))),
        };
        if self.is_set_up_still(&target) {
            self.modules.spawn(async move {
                tokio::time::sleep(SET_UP).await;
                ExecReady { request, compiled: None, reply }
            });
            return;
        }
        match self.module_of(&target, &request) {
            Err(refusal) => drop(reply.send(Err(refusal))),
            Ok(None) => drop(reply.send(self.born_beside(target, &request, None).await)),
            Ok(Some(module)) => {
                let shared = Arc::clone(&self.shared);
                self.modules.spawn(async move {
                    let compiled = prepare::compile(&shared, module, ContainerFacts::default()).await;
                    ExecReady { request, compiled: Some((target, compiled.map(Box::new))), reply }
                });
            }
        }
    }

    /// What was waited for is there: the program is born, if its member still lives and somebody still waits.
    pub(super) async fn exec_ready(&mut self, ready: ExecReady) {
        let ExecReady { request, compiled, reply } = ready;
        if reply.is_closed() {
            return;
        }
        let Some((target, compiled)) = compiled else { return self.exec(request, reply).await };
        let answer = match compiled {
            _ if self.journal.member_of(target.seq).is_none() => Err(Refusal::Gone),
            Err(failure) => Err(Refusal::Invalid(failure.message)),
            Ok(ready) => self.born_beside(target, &request, Some(*ready)).await,
        };
        let _ = reply.send(answer);
    }

    pub(super) async fn target(&mut self, container: Option<&str>) -> Result<Target, Refusal> {
        let index = pick(&self.journal, container)?;
        let seq = require_running(&self.journal.members[index])?;
        Ok(Target { index, seq, pidfd: self.take(seq, Take::Pidfd).await? })
    }

    /// Whether init is still at work on the member: who joined it now would find half of its walls.
    pub(super) fn is_set_up_still(&self, target: &Target) -> bool {
        dwell_sys::process::executes(target.pidfd.as_fd(), self.shared.embedded.init.as_fd()).unwrap_or(false)
    }

    /// The module that is meant, if the member is a Wasm one.
    fn module_of(&self, target: &Target, request: &ExecRequest) -> Result<Option<Module>, Refusal> {
        let Some(name) = request.command.first().filter(|name| !name.is_empty()) else {
            return Err(Refusal::Invalid("no command was given".into()));
        };
        if self.journal.members[target.index].kind.as_deref() != Some("wasm") {
            return Ok(None);
        }
        let (container, facts, _) = self.facts_of(target.index)?;
        let root = target.root()?;
        self.find_module(&container, &facts, root.as_fd(), name).map(Some).map_err(|why| {
            let member = &container.name;
            Refusal::Invalid(format!(
                "beside the Wasm member {member} only another module can run, and {name} is none: {why}"
            ))
        })
    }

    /// By the image's own name, else where the guest sees it.
    fn find_module(
        &self,
        container: &Container,
        facts: &ContainerFacts,
        root: BorrowedFd<'_>,
        name: &str,
    ) -> Result<Module, String> {
        if let ImageRef::Wasm(image) = &container.image
            && std::path::Path::new(image).file_name().is_some_and(|file| file == name)
        {
            let found = look::look(container).map_err(|error| error.to_string())?;
            return found.module.ok_or_else(|| "the image holds no module".to_owned());
        }
        let path = absolute(container, name);
        let grants = plan::granted(&self.pod, container, facts).map_err(|error| chain(&error))?;
        let (grant, rest) = plan::place(&grants, &path).ok_or("nothing is granted there")?;
        let grant = open_plain_in_root(root, grant.dir.as_str(), OFlags::PATH | OFlags::DIRECTORY)
            .map_err(|e| e.to_string())?;
        let file = rootfs::open_file(grant.as_fd(), rest).map_err(|error| error.to_string())?;
        match rootfs::is_wasm(&file) {
            Ok(true) => Ok(Module { file, path }),
            Ok(false) => Err("it does not begin with \\0asm".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// What planners must know of a container that runs, and what its mounts take of volumes.
    pub(super) fn facts_of(&self, index: usize) -> Result<(Container, ContainerFacts, Parts), Refusal> {
        let container = self.container(index);
        let mut facts = self.facts_for_a_guest(container);
        let resolved = plan::resolved(&self.pod, container, &self.shared.facts, &facts, self.pod_ip());
        let resolved = resolved.map_err(|error| Refusal::Invalid(chain(&error)))?;
        let parts = self.open_parts(container, &facts).map_err(Refusal::Failed)?;
        facts.files = self.mountable(&parts).filter(|(_, volume)| volume.is_file).map(|(part, _)| part).collect();
        Ok((resolved, facts, parts))
    }

    /// Its accounts, and its values as they are now, but that a file of variables which is no good by now keeps nobody out.
    fn facts_for_a_guest(&self, container: &Container) -> ContainerFacts {
        let ContainerFacts { settings, mut env_files, .. } = self.values_of(container);
        let no_good: Vec<_> = container.env_files().filter(|key| plan::in_file(&env_files, key).is_err()).collect();
        no_good.into_iter().for_each(|key| drop(env_files.remove(&key.place())));
        ContainerFacts { settings, env_files, ..look::accounts(container) }
    }

    async fn born_beside(
        &mut self,
        target: Target,
        request: &ExecRequest,
        ready: Option<Ready>,
    ) -> Result<ExecSession, Refusal> {
        let pipes = ExecPipes::open(request, ready.is_none().then_some(&target.pidfd));
        let pipes = pipes.map_err(|error| Refusal::Failed(format!("make pipes: {error}")))?;
        let birth = self.open_exec(&target, request, pipes.child, ready)?;
        let seq = birth.seq;
        let (sender, exit) = oneshot::channel();
        let report = birth.process.report.try_clone();
        let report = report.map_err(|error| Refusal::Failed(format!("copy a descriptor: {error}")))?;
        let _ = self.save();
        let sandbox = self.sandbox.as_mut().ok_or(Refusal::Gone)?;
        let born = sandbox.keeper.birth(birth).await.map_err(|error| Refusal::Failed(chain(&error)))?;
        // Its end is heard later, by this same task; what was not born has none.
        self.execs.insert(seq, (sender, report.into()));
        Ok(ExecSession { stdin: pipes.stdin, stdout: pipes.stdout, stderr: pipes.stderr, exit, pidfd: born.pidfd })
    }

    fn open_exec(
        &mut self,
        target: &Target,
        request: &ExecRequest,
        stdio: [OwnedFd; 3],
        ready: Option<Ready>,
    ) -> Result<Birth, Refusal> {
        let refused = |message: String| Refusal::Failed(message);
        let container = self.container(target.index).clone();
        let (facts, volumes, module) = match ready {
            // Whatever has become of its volumes: a native member is joined, and nothing of it is opened anew.
            None => {
                let filters = filters::kept(&self.own_folder(target.index), &container);
                (ContainerFacts { filters, ..self.facts_for_a_guest(&container) }, Parts::new(), None)
            }
            Some(ready) => {
                let (_, facts, volumes) = self.facts_of(target.index)?;
                (ContainerFacts { module: ready.facts.module, ..facts }, volumes, ready.module)
            }
        };
        let facts = ContainerFacts { users: self.users(), ..facts };
        let wanted = plan::ExecRequest {
            argv: request.command.clone(),
            user: request.user.clone(),
            tty: request.tty,
            stdin: request.stdin,
        };
        let plan = plan::plan_exec(&self.pod, &container, &self.shared.facts, &facts, self.pod_ip(), &wanted)
            .map_err(|error| Refusal::Invalid(chain(&error)))?;
        let cgroup = self.sandbox.as_ref().ok_or(Refusal::Gone)?.cgroup.container(&self.cgroup_id(target.index));
        let cgroup = cgroup.ok_or_else(|| refused("its cgroup has no name".into()))?;
        let tasks = cgroup.all_tasks().map_err(|error| refused(chain(&error)))?;
        let report: OwnedFd = dwell_sys::memfd::writable("exec-report").map_err(|error| refused(error.to_string()))?;
        let volumes = self.mounted_from(&volumes);
        let parts = source::Parts {
            users: self.own_users.as_ref().map(|users| (users.first, users.namespace())),
            volumes: &volumes,
            pod_files: &files::folder(&self.shared.layout, &self.handle.uid),
            own_folder: std::path::PathBuf::new(),
            cgroup_tasks: &tasks,
            module: module.as_ref().map(|file| file.as_fd()),
            worker: self.shared.worker.as_ref().map(|worker| (*worker.exe).as_fd()),
            report: report.as_fd(),
            target: Some(target.pidfd.as_fd()),
        };
        let worker = source::encode_worker_plan(plan.worker.as_ref());
        let Opened { slots, .. } =
            source::open_all(&plan.sources, worker.as_deref(), &parts).map_err(|error| refused(chain(&error)))?;
        let plan =
            dwell_sys::memfd::sealed("exec-plan", &plan.init.encode()).map_err(|error| refused(error.to_string()))?;
        let executable = self.shared.embedded.init.try_clone().map_err(|error| refused(error.to_string()))?;
        let cgroup = cgroup.v2_dir().map_err(|error| refused(chain(&error)))?;
        let process = Process { executable, plan, report, slots, cgroup };
        let seq = self.journal.take_seq();
        let stdio = BirthStdio::Direct(stdio);
        Ok(Birth {
            seq,
            own_pid_namespace: false,
            join: Some(target.seq),
            log_limit: 0,
            argument: "init",
            process,
            stdio,
        })
    }
}

/// What a path means in a member; one without a leading slash begins in its working directory.
pub(super) fn absolute(container: &Container, path: &str) -> String {
    let folder = container.working_dir.as_deref().unwrap_or("/").trim_end_matches('/');
    if path.starts_with('/') { path.to_owned() } else { format!("{folder}/{path}") }
}

/// Both sides of an exec's streams.
struct ExecPipes {
    stdin: Option<OwnedFd>,
    stdout: OwnedFd,
    stderr: Option<OwnedFd>,
    child: [OwnedFd; 3],
}

impl ExecPipes {
    /// `target` is the member, if it has a `/dev`.
    fn open(request: &ExecRequest, target: Option<&OwnedFd>) -> std::io::Result<ExecPipes> {
        if request.tty { ExecPipes::terminal(target) } else { ExecPipes::pipes(request.stdin) }
    }

    /// In the member's own `/dev/pts`, so that the terminal has a name there; else in one of its own.
    fn terminal(target: Option<&OwnedFd>) -> std::io::Result<ExecPipes> {
        let devpts = match target {
            Some(target) => dwell_sys::mount::devpts_of(target.as_fd())?,
            None => dwell_sys::mount::devpts()?,
        };
        let (master, slave) = dwell_sys::mount::open_terminal(devpts.as_fd())?;
        let child = [slave.try_clone()?, slave.try_clone()?, slave];
        Ok(ExecPipes { stdin: Some(master.try_clone()?), stdout: master, stderr: None, child })
    }

    fn pipes(with_input: bool) -> std::io::Result<ExecPipes> {
        use rustix::fs::{Mode, OFlags};
        let pipe = || rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC);
        let (stdout, child_out) = pipe()?;
        let (stderr, child_err) = pipe()?;
        let (child_in, stdin) = if with_input {
            let (read, write) = pipe()?;
            (read, Some(write))
        } else {
            (rustix::fs::open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?, None)
        };
        Ok(ExecPipes { stdin, stdout, stderr: Some(stderr), child: [child_in, child_out, child_err] })
    }
}
