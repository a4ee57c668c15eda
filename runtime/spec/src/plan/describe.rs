//! Plans as text for people: one numbered line an operation, the execution at the end. `dwell plan` prints it, tests
//! compare it. The machine-readable form of the same values is their JSON.

use std::fmt::{self, Display, Formatter};

use super::container::{CgroupLimits, ContainerPlan, FdSource, MountFlags, Stdio};
use super::init::{Exec, InitPlan, Op, Slot};
use super::joined::ExecPlan;
use super::pod::PodPlan;
use super::wasm::UNKNOWN_DIGEST;
use super::worker::WorkerPlan;
use crate::pod::{HostPathKind, MemberKind, Protocol, Volume, VolumeSource};

impl Display for PodPlan {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "Pod {}/{}", self.namespace, self.name)?;
        writeln!(f, "  hostname     {}", self.sandbox.hostname)?;
        let network = if self.sandbox.host_network { "the host's" } else { "its own; addresses unknown until it starts" };
        writeln!(f, "  network      {network}")?;
        let processes = if self.sandbox.share_process_namespace { "members see each other" } else { "each member its own" };
        writeln!(f, "  processes    {processes}")?;
        for port in &self.host_ports {
            let ip = port.host_ip.map_or("every address".to_owned(), |ip| ip.to_string());
            let protocol = protocol(port.protocol);
            writeln!(f, "  host port    {protocol} {} on {ip} -> {}", port.host_port, port.container_port)?;
        }
        self.volumes.iter().try_for_each(|volume| writeln!(f, "  volume       {}", Shown(volume)))?;
        for line in self.resolv_conf.lines() {
            writeln!(f, "  resolv.conf  {}", line.escape_default())?;
        }
        write!(f, "{}", Shown(&self.cgroup))
    }
}

impl Display for ContainerPlan {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let kind = if self.kind == MemberKind::Native { "native" } else { "Wasm" };
        writeln!(f, "Container {}: {kind}, because of {}", self.name, self.kind_because)?;
        writeln!(f, "  stdio        {}", stdio(self.stdio))?;
        let pids = if self.own_pid_namespace { "PID 1 of its own namespace" } else { "in the Pod's namespace" };
        writeln!(f, "  processes    {pids}")?;
        write!(f, "{}", Shown(&self.cgroup))?;
        write_steps(f, &self.sources, &self.init)?;
        match (&self.worker, self.kind) {
            (Some(worker), _) => write!(f, "{}", Shown(worker)),
            (None, MemberKind::Wasm) => writeln!(f, "  worker       unknown until the module is compiled"),
            (None, MemberKind::Native) => Ok(()),
        }
    }
}

impl Display for ExecPlan {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "Exec into {}", self.container)?;
        writeln!(f, "  stdio        {}", stdio(self.stdio))?;
        write_steps(f, &self.sources, &self.init)
    }
}

/// A value shown inside another plan's text.
struct Shown<'a, T>(&'a T);

impl Display for Shown<'_, CgroupLimits> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let limit = |value: Option<u64>, unit: &str| value.map_or("unlimited".to_owned(), |n| format!("{n}{unit}"));
        writeln!(f, "  memory       {}", limit(self.0.memory, " bytes"))?;
        writeln!(f, "  cpu          {} per 100 ms", limit(self.0.cpu_quota_us, " µs"))?;
        if let Some(shares) = self.0.cpu_shares {
            writeln!(f, "  cpu shares   {shares}")?;
        }
        writeln!(f, "  pids         {}", limit(self.0.pids, ""))?;
        let number = |number: Option<u32>| number.map_or("*".to_owned(), |number| number.to_string());
        let devices = self.0.devices.iter().map(|rule| {
            let kind = if rule.block { 'b' } else { 'c' };
            format!("{kind} {}:{} {}", number(rule.major), number(rule.minor), rule.access)
        });
        let devices: Vec<String> = devices.collect();
        writeln!(f, "  devices      {}", if devices.is_empty() { "none".to_owned() } else { devices.join(", ") })
    }
}

impl Display for Shown<'_, Volume> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.0.name)?;
        match &self.0.source {
            VolumeSource::EmptyDir { memory, size_limit } => {
                let medium = if *memory { "emptyDir in memory" } else { "emptyDir on disk" };
                write!(f, "{medium}")?;
                size_limit.map_or(Ok(()), |size| write!(f, ", at most {size} bytes"))
            }
            VolumeSource::HostPath { path, kind } => write!(f, "host path {path} ({})", host_path(*kind)),
        }
    }
}

impl Display for Shown<'_, WorkerPlan> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let worker = self.0;
        writeln!(f, "  module       {:?}, args {:?}", worker.kind, worker.args)?;
        worker.env.iter().try_for_each(|(name, value)| writeln!(f, "  env          {name}={}", value.escape_default()))?;
        for preopen in &worker.preopens {
            let right = if preopen.writable { "read-write" } else { "read-only" };
            let file = preopen.file.as_ref().map_or(String::new(), |file| format!(", only {file}"));
            writeln!(f, "  grant        {} as {} ({right}{file})", preopen.dir, preopen.guest)?;
        }
        worker.listen.iter().try_for_each(|address| writeln!(f, "  listens      {address}"))?;
        let directory = worker.working_dir.as_deref().unwrap_or("none");
        writeln!(f, "  directory    {directory}")?;
        writeln!(f, "  network      {}", if worker.network { "granted" } else { "not granted" })
    }
}

fn write_steps(f: &mut Formatter<'_>, sources: &[FdSource], init: &InitPlan) -> fmt::Result {
    for (number, op) in (1..).zip(&init.ops) {
        writeln!(f, "{number:>4}  {}", Line { op, sources })?;
    }
    write!(f, "{:>4}  ", init.ops.len() + 1)?;
    match &init.exec {
        Exec::Path { argv, env, .. } => {
            writeln!(f, "execute {argv:?}")?;
            env.iter().try_for_each(|variable| writeln!(f, "        {}", variable.escape_default()))
        }
        Exec::Descriptor { program, argv, keep, .. } => {
            let keep: Vec<String> = keep.iter().map(|slot| source(sources, *slot)).collect();
            writeln!(f, "execute {} as {argv:?}, keeping {}", source(sources, *program), keep.join(" and "))
        }
    }
}

struct Line<'a> {
    op: &'a Op,
    sources: &'a [FdSource],
}

impl Display for Line<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.op {
            Op::EnterCgroup { controller, .. } => write!(f, "enter the container's {controller} cgroup"),
            Op::JoinNamespaces { namespaces, .. } => write!(f, "join the member's namespaces {namespaces:?}"),
            Op::Unshare { namespaces } => write!(f, "new namespaces {namespaces:?}"),
            Op::MakeMountsPrivate => f.write_str("make all mounts private"),
            Op::AttachRoot { mount } => write!(f, "root: {}", source(self.sources, *mount)),
            Op::TmpfsRoot { size } => write!(f, "root: an empty tmpfs of {size} bytes"),
            Op::Attach { mount, target, .. } => write!(f, "{target}: {}", source(self.sources, *mount)),
            _ => self.mounts(f),
        }
    }
}

impl Line<'_> {
    fn mounts(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.op {
            Op::MountProc { target } => write!(f, "{target}: proc"),
            Op::MountSysfs { target } => write!(f, "{target}: sysfs, read-only"),
            Op::MountCgroup { target, controller, .. } => {
                write!(f, "{target}: own cgroups{}, read-only", controller.as_ref().map_or(String::new(), |c| format!(" ({c})")))
            }
            Op::MountTmpfs { target, size, mode, noexec } => {
                write!(f, "{target}: tmpfs of {size} bytes, mode {mode:o}{}", if *noexec { ", noexec" } else { "" })
            }
            Op::MountMqueue { target } => write!(f, "{target}: mqueue"),
            Op::MountDevpts { target } => write!(f, "{target}: devpts"),
            Op::MakeDevice { path, major, minor, mode } => write!(f, "{path}: device {major}:{minor}, mode {mode:o}"),
            Op::BindConsole { target } => write!(f, "{target}: the member's terminal"),
            Op::MakeSymlink { path, to } => write!(f, "{path}: link to {to}"),
            Op::Mask { path } => write!(f, "{path}: covered"),
            Op::ReadOnly { path } => write!(f, "{path}: read-only"),
            Op::PivotRoot => f.write_str("make that root /, and let go of the host's"),
            Op::SealRoot => f.write_str("make / read-only"),
            _ => self.process(f),
        }
    }

    fn process(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.op {
            Op::NewSessionKeyring => f.write_str("new session keyring"),
            Op::SetRlimit { resource, soft, hard } => {
                let hard = if *hard == u64::MAX { "as high as it is".to_owned() } else { hard.to_string() };
                write!(f, "rlimit {}: {soft}, hard limit {hard}", rlimit(*resource))
            }
            Op::ChownStdio { uid, gid } => write!(f, "give stdio to {uid}:{gid}"),
            Op::ControllingTerminal => f.write_str("new session, stdin its controlling terminal"),
            Op::ChangeDirectory { path, .. } => write!(f, "change into {path}"),
            Op::SetUser { uid, gid, groups } => write!(f, "become {uid}:{gid} with groups {groups:?}"),
            Op::SetCapabilities { bounding, effective } => {
                write!(f, "capabilities {effective:016x}, bounded by {bounding:016x}")
            }
            Op::NoNewPrivileges => f.write_str("no new privileges"),
            Op::Seccomp { program } => write!(f, "system call filter of {} instructions", program.len() / 8),
            Op::SetUmask { mask } => write!(f, "umask {mask:04o}"),
            other => write!(f, "{other:?}"),
        }
    }
}

fn source(sources: &[FdSource], slot: Slot) -> String {
    match sources.get(usize::from(slot.0)) {
        Some(FdSource::OverlayRoot { image_dir }) => format!("overlay over {image_dir}, writes in a layer of its own"),
        Some(FdSource::ReadOnlyRoot { image_dir }) => format!("{image_dir}, read-only"),
        Some(FdSource::Volume { name, flags }) => format!("volume {name} ({})", rights(flags)),
        Some(FdSource::PodFile { name, flags }) => format!("the Pod's {name} ({})", rights(flags)),
        Some(FdSource::CompiledModule { digest }) if digest == UNKNOWN_DIGEST => format!("module, {UNKNOWN_DIGEST}"),
        Some(FdSource::CompiledModule { digest }) => format!("compiled module {digest}, read-only"),
        Some(FdSource::CgroupTasks { controller }) => format!("tasks of {controller}"),
        Some(FdSource::WorkerExecutable) => "the worker".to_owned(),
        Some(FdSource::WorkerPlan) => "its plan".to_owned(),
        Some(FdSource::Report) => "the report".to_owned(),
        Some(FdSource::Devpts) => "devpts with the member's terminal".to_owned(),
        Some(FdSource::TargetPidfd) => "the member".to_owned(),
        None => format!("slot {} (missing)", slot.0),
    }
}

fn rights(flags: &MountFlags) -> String {
    let named = [(flags.noexec, "noexec"), (flags.nosuid, "nosuid"), (flags.nodev, "nodev")];
    let first = if flags.read_only { "read-only" } else { "read-write" };
    named.iter().filter(|(set, _)| *set).fold(first.to_owned(), |text, (_, name)| text + ", " + name)
}

fn stdio(stdio: Stdio) -> &'static str {
    match stdio {
        Stdio::Logged => "no input, output logged",
        Stdio::LoggedWithInput => "input from clients, output logged",
        Stdio::Terminal => "a terminal",
    }
}

fn protocol(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "TCP",
        Protocol::Udp => "UDP",
    }
}

fn host_path(kind: HostPathKind) -> &'static str {
    match kind {
        HostPathKind::Unchecked => "whatever is there",
        HostPathKind::DirectoryOrCreate => "a directory, made if absent",
        HostPathKind::Directory => "a directory",
        HostPathKind::FileOrCreate => "a file, made if absent",
        HostPathKind::File => "a file",
        HostPathKind::Socket => "a socket",
    }
}

fn rlimit(resource: u32) -> String {
    match resource {
        4 => "core".to_owned(),
        7 => "nofile".to_owned(),
        other => other.to_string(),
    }
}
