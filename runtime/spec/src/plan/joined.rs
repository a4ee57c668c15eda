//! Another program beside a running member, another module beside a running Wasm member: `exec`.
//!
//! It is born by pause in the member's pid namespace, shares the Pod's network, IPC and UTS namespaces by birth, and
//! enters the member's mount and cgroup namespaces through a pidfd. It gets the member's environment, rights, limits and
//! filter and never more: an exec is not a way around the walls (CVE-2022-27649). A module has the member's grants; where
//! the member's own module lies, it finds itself, in a copy of the member's mounts.

use super::container::{FdSource, Stdio};
use super::environment::{self, joined, value};
use super::init::{Exec, InitPlan, Namespace, Op};
use super::refusal::{PlanError, Problem};
use super::steps::Steps;
use super::user::User;
use super::worker::WorkerPlan;
use super::{kind, limits, native, users, values, wasm};
use crate::facts::{ContainerFacts, HostFacts, PodIp};
use crate::pod::{Container, MemberKind, Pod, UserRef};

use serde::{Deserialize, Serialize};

/// What was asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecRequest {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// `-u`: user, `user:group`, number or `number:number`, in place of the member's.
    pub user: Option<String>,
    /// Whether its stdio is a terminal.
    pub tty: bool,
    /// Whether its caller sends input.
    pub stdin: bool,
}

/// One exec, decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecPlan {
    /// The container's name.
    pub container: String,
    /// Descriptors to open, in slot order.
    pub sources: Vec<FdSource>,
    /// What init does with them.
    pub init: InitPlan,
    /// What the worker is told, if it is a module.
    pub worker: Option<WorkerPlan>,
    /// What its standard streams are (they go straight to the caller).
    pub stdio: Stdio,
    /// Whether it must be born in the member's own pid namespace, else in the Pod's.
    pub own_pid_namespace: bool,
}

/// Plans it. The node makes a terminal, if one is asked for, in the member's own `/dev/pts`.
///
/// # Errors
/// See `Problem`; beside a Wasm member only another module can run, which the facts name.
pub fn plan_exec(
    pod: &Pod,
    container: &Container,
    host: &HostFacts,
    facts: &ContainerFacts,
    ip: PodIp,
    request: &ExecRequest,
) -> Result<ExecPlan, PlanError> {
    let container = &values::resolved(pod, container, host, facts, ip)?;
    if request.argv.first().is_none_or(String::is_empty) {
        return Err(PlanError::of(&container.name, "command", Problem::NoProgram));
    }
    if let Some(module) = &facts.module {
        return wasm::join(&wasm::Told { pod, container, host }, facts, module, request);
    }
    if kind::decide(container, facts)?.0 == MemberKind::Wasm {
        return Err(PlanError::of(&container.name, "image", Problem::ExecIntoWasm));
    }
    let user = user(container, facts, request)?;
    let mut steps = begin(pod, container, host);
    let path = container.working_dir.clone().unwrap_or_else(|| "/".to_owned());
    steps.then([Op::ChangeDirectory { path, create_as: None }, Op::NewSessionKeyring]);
    steps.then(native::process(host, request.tty, &user));
    steps.then(native::privileges(container, host, facts, &user)?);
    users::confine(&mut steps, pod, container, facts)?;
    let env = environment::native(container, &pod.hostname, &user.home, request.tty)?;
    Ok(ExecPlan {
        container: container.name.clone(),
        sources: steps.sources,
        init: InitPlan { ops: steps.ops, exec: execute(container, request, &env)? },
        worker: None,
        stdio: native::stdio(request.tty, request.stdin),
        own_pid_namespace: pod.members_are_alone(),
    })
}

/// Into the member's cgroups and namespaces.
pub(super) fn begin(pod: &Pod, container: &Container, host: &HostFacts) -> Steps {
    let mut steps = Steps::default();
    steps.enter_cgroups(host);
    steps.then([limits::score(pod, container, host)]);
    let pidfd = steps.source(FdSource::TargetPidfd);
    steps.then([Op::JoinNamespaces { pidfd, namespaces: vec![Namespace::Mount, Namespace::Cgroup] }]);
    steps
}

/// Who was asked for, else the member's own.
pub(super) fn user(container: &Container, facts: &ContainerFacts, request: &ExecRequest) -> Result<User, PlanError> {
    let asked = request.user.clone().map(UserRef::Name);
    let mut as_member = container.clone();
    if asked.is_some() {
        as_member.group = None;
    }
    native::user_of(&as_member, asked.as_ref().or(container.user.as_ref()), facts)
}

fn execute(container: &Container, request: &ExecRequest, env: &[(String, String)]) -> Result<Exec, PlanError> {
    native::check_arguments(container, "command", &request.argv)?;
    Ok(Exec::Path {
        argv: request.argv.clone(),
        path: value(env, "PATH").unwrap_or_default().to_owned(),
        env: joined(env),
    })
}
