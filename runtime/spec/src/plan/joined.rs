//! Another program beside a running native member: `exec`.
//!
//! It is born by pause in the member's pid namespace, shares the Pod's network, IPC and UTS namespaces by birth, and
//! enters the member's mount and cgroup namespaces through a pidfd. It gets the member's environment, rights, limits and
//! filter and never more: an exec is not a way around the walls (CVE-2022-27649).

use super::container::{FdSource, Stdio};
use super::environment::{self, joined, value};
use super::init::{Exec, InitPlan, Namespace, Op};
use super::refusal::{PlanError, Problem};
use super::steps::Steps;
use super::{kind, native, values};
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
    /// What its standard streams are (they go straight to the caller).
    pub stdio: Stdio,
    /// Whether it must be born in the member's own pid namespace, else in the Pod's.
    pub own_pid_namespace: bool,
}

/// Plans it. The node makes a terminal, if one is asked for, in the member's own `/dev/pts`.
///
/// # Errors
/// See `Problem`; a Wasm member has nothing to join.
pub fn plan_exec(
    pod: &Pod,
    container: &Container,
    host: &HostFacts,
    facts: &ContainerFacts,
    ip: PodIp,
    request: &ExecRequest,
) -> Result<ExecPlan, PlanError> {
    let container = &values::resolved(pod, container, host, &facts.settings, ip)?;
    if kind::decide(container, facts)?.0 == MemberKind::Wasm {
        return Err(PlanError::of(&container.name, "image", Problem::ExecIntoWasm));
    }
    let asked = request.user.clone().map(UserRef::Name);
    let mut as_member = container.clone();
    if asked.is_some() {
        as_member.group = None;
    }
    let user = native::user_of(&as_member, asked.as_ref().or(container.user.as_ref()), facts)?;
    let mut steps = Steps::default();
    steps.enter_cgroups(host);
    let pidfd = steps.source(FdSource::TargetPidfd);
    steps.then([Op::JoinNamespaces { pidfd, namespaces: vec![Namespace::Mount, Namespace::Cgroup] }]);
    let path = container.working_dir.clone().unwrap_or_else(|| "/".to_owned());
    steps.then([Op::ChangeDirectory { path, create_as: None }, Op::NewSessionKeyring]);
    steps.then(native::process(host, request.tty, &user));
    steps.then(native::privileges(container, host, &user)?);
    let env = environment::native(container, &pod.hostname, &user.home, request.tty)?;
    Ok(ExecPlan {
        container: container.name.clone(),
        sources: steps.sources,
        init: InitPlan { ops: steps.ops, exec: execute(container, request, &env)? },
        stdio: stdio(request),
        own_pid_namespace: !pod.share_process_namespace,
    })
}

fn execute(container: &Container, request: &ExecRequest, env: &[(String, String)]) -> Result<Exec, PlanError> {
    if request.argv.first().is_none_or(String::is_empty) {
        return Err(PlanError::of(&container.name, "command", Problem::NoProgram));
    }
    native::check_arguments(container, "command", &request.argv)?;
    Ok(Exec::Path {
        argv: request.argv.clone(),
        path: value(env, "PATH").unwrap_or_default().to_owned(),
        env: joined(env),
    })
}

fn stdio(request: &ExecRequest) -> Stdio {
    match (request.tty, request.stdin) {
        (true, _) => Stdio::Terminal,
        (false, true) => Stdio::LoggedWithInput,
        (false, false) => Stdio::Logged,
    }
}
