//! One start of a Wasm member: the same walls as a native member's, and an emptier root.
//!
//! The worker holds no capability, whatever its user; its files carry `runAsUser`, else uid 0. It installs its own,
//! stricter filter once the module is loaded. Its grants are never executable, its device allow-list is empty.

use super::container::{ContainerPlan, FdSource};
use super::environment;
use super::init::{Exec, InitPlan, Namespace, Op};
use super::joined::{self, ExecPlan, ExecRequest};
use super::refusal::{PlanError, Problem};
use super::steps::Steps;
use super::user::User;
use super::worker::{MODULE_PATH, ModuleKind, WorkerPlan};
use super::{limits, native, pod_files, users, worker_layout};
use crate::facts::{ContainerFacts, HostFacts, ModuleFacts};
use crate::pod::{Container, ContainerPort, ImageRef, MemberKind, Pod, Protocol};

/// Bytes of the root's tmpfs, which holds nothing but mount points.
const ROOT_BYTES: u64 = 64 * 1024;
/// Where an HTTP handler listens when no port is declared.
const DEFAULT_PORT: u16 = 8080;
/// Stands for a digest in a plan that cannot be started yet.
pub const UNKNOWN_DIGEST: &str = "unknown until compiled";

/// Why a limit of huge pages means nothing.
pub const NO_HUGE_PAGES: &str = "a Wasm member's memory never lies in huge pages";

/// Why a port of the host cannot lead to one by SCTP.
pub const NO_SCTP: &str = "WASI has no SCTP sockets: the host's port would lead to nobody";

/// Plans it; `because` is what decided that it is Wasm.
///
/// # Errors
/// See `Problem`. A module that is not compiled yet is no error: `ContainerPlan::worker` is `None` then, and the plan
/// can be shown but not started.
pub fn plan(
    pod: &Pod,
    container: &Container,
    host: &HostFacts,
    facts: &ContainerFacts,
    because: String,
) -> Result<ContainerPlan, PlanError> {
    if let Some((field, why)) = container.rights.not_for_wasm() {
        return Err(PlanError::of(&container.name, field, Problem::NotForWasm(why)));
    }
    if container.stop_signal.is_some() {
        let why = "a Wasm member has no signals: SIGTERM ends it, or lets it drain";
        return Err(PlanError::of(&container.name, "lifecycle.stopSignal", Problem::NotForWasm(why)));
    }
    if !container.resources.huge_pages.is_empty() {
        return Err(PlanError::of(&container.name, "resources.limits", Problem::NotForWasm(NO_HUGE_PAGES)));
    }
    if !pod.host_network && container.ports.iter().any(ContainerPort::leads_sctp) {
        return Err(PlanError::of(&container.name, "ports.protocol", Problem::NotForWasm(NO_SCTP)));
    }
    let user = native::user_of(container, container.user.as_ref(), facts)?;
    let mut steps = Steps::default();
    steps.enter_cgroups(host);
    steps.then([limits::score(pod, container, host)]);
    steps.then([native::own_mounts(), Op::MakeMountsPrivate, Op::TmpfsRoot { size: ROOT_BYTES }]);
    let preopens = worker_layout::grants(&mut steps, pod, container, facts)?;
    // After all that an image or a volume has a say in: whatever they bring to its place, the module covers it.
    let digest = facts.module.as_ref().map_or(UNKNOWN_DIGEST, |module| &module.digest).to_owned();
    steps.attach(FdSource::CompiledModule { digest }, MODULE_PATH, false);
    steps.then([Op::PivotRoot, Op::SealRoot, Op::ChangeDirectory { path: "/".to_owned(), create_as: None }]);
    steps.then([Op::NewSessionKeyring]);
    steps.then(native::process(host, container.tty, &user));
    steps.then(privileges(&user));
    if container.tty {
        steps.source(FdSource::Devpts);
    }
    let exec = worker(&mut steps);
    users::confine(&mut steps, pod, container, facts)?;
    steps.check(&container.name)?;
    let told = Told { pod, container, host };
    Ok(ContainerPlan {
        name: container.name.clone(),
        kind: MemberKind::Wasm,
        kind_because: because,
        sources: steps.sources,
        init: InitPlan { ops: steps.ops, exec },
        worker: facts.module.as_ref().map(|module| told.worker(module, preopens)).transpose()?,
        cgroup: limits::container(pod, &container.resources, host, Vec::new()),
        stdio: native::stdio(container.tty, container.stdin),
        own_pid_namespace: pod.is_alone(container),
        joins: pod.joined_by(container).map(str::to_owned),
        users: users::first(pod, facts),
    })
}

/// Another module beside a running member, as `joined` says.
///
/// # Errors
/// See `Problem`; a module that serves has no end to wait for.
pub(super) fn join(
    told: &Told<'_>,
    facts: &ContainerFacts,
    module: &ModuleFacts,
    request: &ExecRequest,
) -> Result<ExecPlan, PlanError> {
    let container = told.container;
    if module.kind == ModuleKind::HttpHandler {
        return Err(PlanError::of(&container.name, "command", Problem::ServesOnly));
    }
    let user = joined::user(container, facts, request)?;
    let preopens = worker_layout::granted(told.pod, container, facts)?;
    let mut steps = joined::begin(told.pod, container, told.host);
    steps.then([Op::Unshare { namespaces: vec![Namespace::Mount] }, Op::MakeMountsPrivate]);
    steps.attach(FdSource::CompiledModule { digest: module.digest.clone() }, MODULE_PATH, false);
    steps.then([Op::ChangeDirectory { path: "/".to_owned(), create_as: None }, Op::NewSessionKeyring]);
    steps.then(native::process(told.host, request.tty, &user));
    steps.then(privileges(&user));
    let exec = worker(&mut steps);
    users::confine(&mut steps, told.pod, container, facts)?;
    let container = &told_of(container, request);
    Ok(ExecPlan {
        container: container.name.clone(),
        sources: steps.sources,
        init: InitPlan { ops: steps.ops, exec },
        worker: Some(Told { container, ..*told }.worker(module, preopens)?),
        stdio: native::stdio(request.tty, request.stdin),
        own_pid_namespace: told.pod.members_are_alone(),
    })
}

/// The container as its worker would be told of it, were the module its own.
fn told_of(container: &Container, request: &ExecRequest) -> Container {
    let skipped = usize::from(matches!(container.image, ImageRef::Wasm(_)));
    let command = request.argv.iter().skip(skipped).cloned().collect();
    let (stdin, tty) = (request.stdin, request.tty);
    Container { command, args: Vec::new(), stdin, tty, ..container.clone() }
}

/// What becomes of init, with what it keeps.
fn worker(steps: &mut Steps) -> Exec {
    let program = steps.source(FdSource::WorkerExecutable);
    let keep = vec![steps.source(FdSource::WorkerPlan), steps.source(FdSource::Report), steps.source(FdSource::Hosts)];
    Exec::Descriptor { program, argv: vec!["dwell-worker".to_owned()], env: Vec::new(), keep }
}

fn privileges(user: &User) -> [Op; 3] {
    [
        Op::SetUser { uid: user.uid, gid: user.gid, groups: user.groups.clone() },
        Op::SetCapabilities { bounding: 0, effective: 0 },
        Op::NoNewPrivileges,
    ]
}

/// What the worker's own plan is made of.
#[derive(Clone, Copy)]
pub(super) struct Told<'a> {
    pub pod: &'a Pod,
    pub container: &'a Container,
    pub host: &'a HostFacts,
}

impl Told<'_> {
    fn worker(&self, module: &ModuleFacts, preopens: Vec<super::worker::Preopen>) -> Result<WorkerPlan, PlanError> {
        let container = self.container;
        Ok(WorkerPlan {
            kind: module.kind,
            args: arguments(container, module)?,
            env: environment::wasm(container, &self.pod.hostname)?,
            preopens,
            working_dir: working_directory(container)?,
            listen: self.listen(module.kind),
            network: true,
            resolv_conf: pod_files::resolv_conf(self.pod, self.host),
            memory_limit: self.pod.memory_limit_of(container),
            stdin: container.stdin || container.tty,
            tty: container.tty,
            drain_seconds: self.pod.termination_grace_period_seconds,
        })
    }

    /// Both families, on the first declared TCP port.
    fn listen(&self, kind: ModuleKind) -> Vec<std::net::SocketAddr> {
        if kind != ModuleKind::HttpHandler {
            return Vec::new();
        }
        let declared = self.container.ports.iter().find(|port| port.protocol == Protocol::Tcp);
        let port = declared.map_or(DEFAULT_PORT, |port| port.container_port);
        vec![(std::net::Ipv4Addr::UNSPECIFIED, port).into(), (std::net::Ipv6Addr::UNSPECIFIED, port).into()]
    }
}

/// A `wasm:` image is the program itself, so command and args are its arguments; in a `rootfs:` `command[0]` is it.
fn arguments(container: &Container, module: &ModuleFacts) -> Result<Vec<String>, PlanError> {
    let skipped = usize::from(matches!(container.image, ImageRef::Rootfs(_)));
    let given = container.command.iter().chain(&container.args).skip(skipped).cloned();
    let argv: Vec<String> = std::iter::once(module.file_name.clone()).chain(given).collect();
    native::check_arguments(container, "args", &argv)?;
    Ok(argv)
}

fn working_directory(container: &Container) -> Result<Option<String>, PlanError> {
    match &container.working_dir {
        Some(path) if !super::mounts::is_plain(path) => {
            Err(PlanError::of(&container.name, "workingDir", Problem::PathSyntax(path.clone())))
        }
        other => Ok(other.clone()),
    }
}
