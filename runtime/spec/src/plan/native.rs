//! One start of a native member.
//!
//! no_new_privs is on unless `allowPrivilegeEscalation: true` is written: members are started with all they will ever
//! hold, and a setuid program in an image is the usual first step out of it. Kubernetes' own default would leave it off;
//! the price of the stricter choice is that `sudo`, and `su` as another user than root, do not raise anybody.
//!
//! The default filter is on unless `Unconfined` is written (as Docker and containerd apply it; Kubernetes' own default
//! is none).
//!
//! A privileged member has none of this: every capability, no filter, every device, nothing covered. What is left between
//! it and the host are its namespaces.
//!
//! A read-only root is an overlay sealed at the end, not a read-only clone of the image: mount points and the working
//! directory may have to be made, and they must not be made in the image.

use super::container::{ContainerPlan, FdSource, Stdio};
use super::environment::{self, joined, value};
use super::init::{Exec, InitPlan, Namespace, Op};
use super::refusal::{PlanError, Problem};
use super::seccomp_profile::{Arch, default_filter};
use super::steps::Steps;
use super::user::{self, User};
use super::{limits, mounts, seccomp_file, users};
use crate::facts::{ContainerFacts, HostFacts};
use crate::pod::{Container, ImageRef, MemberKind, Pod, SeccompChoice, UserRef};

/// Plans it; `because` is what decided that it is native.
///
/// # Errors
/// See `Problem`.
pub fn plan(
    pod: &Pod,
    container: &Container,
    host: &HostFacts,
    facts: &ContainerFacts,
    because: String,
) -> Result<ContainerPlan, PlanError> {
    let user = user_of(container, container.user.as_ref(), facts)?;
    let mut steps = Steps::default();
    steps.enter_cgroups(host);
    steps.then([limits::score(pod, container, host)]);
    root(&mut steps, container)?;
    mounts::system(&mut steps, pod, host, container, facts);
    mounts::pod_owned(&mut steps, pod, container, facts)?;
    steps.then([Op::PivotRoot, working_directory(container, &user)?]);
    if container.read_only_root {
        steps.then([Op::SealRoot]);
    }
    steps.then([Op::NewSessionKeyring]);
    steps.then(process(host, container.tty, &user));
    steps.then(privileges(container, host, facts, &user)?);
    users::confine(&mut steps, pod, container, facts)?;
    steps.check(&container.name)?;
    let env = environment::native(container, &pod.hostname, &user.home, container.tty)?;
    let exec = Exec::Path {
        argv: program(container)?,
        path: value(&env, "PATH").unwrap_or_default().to_owned(),
        env: joined(&env),
    };
    Ok(ContainerPlan {
        name: container.name.clone(),
        kind: MemberKind::Native,
        kind_because: because,
        sources: steps.sources,
        init: InitPlan { ops: steps.ops, exec },
        worker: None,
        cgroup: limits::container(pod, &container.resources, host, limits::devices(container, facts)),
        stdio: stdio(container.tty, container.stdin),
        own_pid_namespace: pod.is_alone(container),
        joins: pod.joined_by(container).map(str::to_owned),
        users: users::first(pod, facts),
    })
}

/// What the member's standard streams are.
pub fn stdio(tty: bool, stdin: bool) -> Stdio {
    match (tty, stdin) {
        (true, _) => Stdio::Terminal,
        (false, true) => Stdio::LoggedWithInput,
        (false, false) => Stdio::Logged,
    }
}

/// # Errors
/// As `user::resolve`, with the field's name; root where it must not be.
pub fn user_of(container: &Container, user: Option<&UserRef>, facts: &ContainerFacts) -> Result<User, PlanError> {
    let resolved = user::resolve(user, container.group, facts);
    let user = resolved.map_err(|problem| PlanError::of(&container.name, "securityContext.runAsUser", problem))?;
    if container.rights.must_not_be_root && user.uid == 0 {
        return Err(PlanError::of(&container.name, "securityContext.runAsNonRoot", Problem::MustNotBeRoot));
    }
    Ok(user.with(&container.groups))
}

fn root(steps: &mut Steps, container: &Container) -> Result<(), PlanError> {
    let ImageRef::Rootfs(image_dir) = &container.image else {
        return Err(PlanError::of(&container.name, "image", Problem::NativeModule));
    };
    let mount = steps.source(FdSource::OverlayRoot { image_dir: image_dir.clone() });
    steps.then([own_mounts(), Op::MakeMountsPrivate, Op::AttachRoot { mount }]);
    Ok(())
}

/// The mount namespace, and the cgroup namespace whose root is the container's own group.
pub fn own_mounts() -> Op {
    Op::Unshare { namespaces: vec![Namespace::Mount, Namespace::Cgroup] }
}

fn working_directory(container: &Container, user: &User) -> Result<Op, PlanError> {
    let path = container.working_dir.clone().unwrap_or_else(|| "/".to_owned());
    if !mounts::is_plain(&path) {
        return Err(PlanError::of(&container.name, "workingDir", Problem::PathSyntax(path)));
    }
    Ok(Op::ChangeDirectory { path, create_as: Some((user.uid, user.gid)) })
}

/// What belongs to the process and not to its mounts; the same for a member and for an exec into it.
pub fn process(host: &HostFacts, tty: bool, user: &User) -> Vec<Op> {
    let mut ops = limits::rlimits(host).to_vec();
    if user.uid != 0 {
        ops.push(Op::ChownStdio { uid: user.uid, gid: user.gid });
    }
    if tty {
        ops.push(Op::ControllingTerminal);
    }
    ops.push(Op::SetUmask { mask: 0o022 });
    ops
}

/// User, capabilities, no_new_privs, filter: in this order, and nothing after them but the execution. Without
/// no_new_privs the filter comes first: only CAP_SYS_ADMIN may install it then. Who is not root holds no capability (an
/// execve would take them anyway), only the bounding set.
///
/// # Errors
/// An architecture without a system call table; a filter's file that is not there, or is none.
pub fn privileges(
    container: &Container,
    host: &HostFacts,
    facts: &ContainerFacts,
    user: &User,
) -> Result<Vec<Op>, PlanError> {
    let rights = &container.rights;
    let bounding = rights.capabilities_of(host.capabilities);
    let effective = if user.uid == 0 { bounding } else { 0 };
    let become_user = [
        Op::SetUser { uid: user.uid, gid: user.gid, groups: user.groups.clone() },
        Op::SetCapabilities { bounding, effective },
    ];
    let filter = filter(container, host, facts)?;
    Ok(match rights.may_gain_privileges || rights.privileged {
        true => filter.into_iter().chain(become_user).collect(),
        false => become_user.into_iter().chain([Op::NoNewPrivileges]).chain(filter).collect(),
    })
}

fn filter(container: &Container, host: &HostFacts, facts: &ContainerFacts) -> Result<Option<Op>, PlanError> {
    let rights = &container.rights;
    if !host.seccomp || rights.seccomp == SeccompChoice::Unconfined || rights.privileged {
        return Ok(None);
    }
    let unknown = || PlanError::of(&container.name, "image", Problem::Architecture(host.arch.clone()));
    let arch = Arch::by_name(&host.arch).ok_or_else(unknown)?;
    let program = match &rights.seccomp {
        SeccompChoice::File(path) => filter_of(path, arch, rights.capabilities, facts).map_err(|why| {
            let field = "securityContext.seccompProfile.localhostProfile";
            PlanError::of(&container.name, field, Problem::Filter(path.clone(), why))
        })?,
        _ => default_filter(arch, rights.capabilities),
    };
    Ok(Some(Op::Seccomp { program }))
}

fn filter_of(path: &str, arch: Arch, held: u64, facts: &ContainerFacts) -> Result<Vec<u8>, String> {
    let text = facts.filters.get(path).cloned().unwrap_or(Err("it was not looked for".to_owned()))?;
    seccomp_file::filter(&text, arch, held).map_err(|fault| fault.to_string())
}

fn program(container: &Container) -> Result<Vec<String>, PlanError> {
    let argv: Vec<String> = container.command.iter().chain(&container.args).cloned().collect();
    if argv.first().is_none_or(String::is_empty) {
        return Err(PlanError::of(&container.name, "command", Problem::NoProgram));
    }
    check_arguments(container, "command", &argv)?;
    Ok(argv)
}

/// # Errors
/// An argument that the kernel cannot carry.
pub fn check_arguments(container: &Container, field: &'static str, argv: &[String]) -> Result<(), PlanError> {
    match argv.iter().find(|argument| argument.contains('\0')) {
        Some(argument) => Err(PlanError::of(&container.name, field, Problem::NulByte(argument.clone()))),
        None => Ok(()),
    }
}
