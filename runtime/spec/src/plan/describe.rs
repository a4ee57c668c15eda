//! Plans as text for people: one numbered line an operation, the execution at the end. `dwell plan` prints it, tests
//! compare it. The machine-readable form of the same values is their JSON.

use std::fmt::{self, Display, Formatter};

use super::container::{CgroupLimits, ContainerPlan, DeviceRule, FdSource, Stdio};
use super::describe_op::{Line, source};
use super::init::{Exec, InitPlan};
use super::joined::ExecPlan;
use super::pod::PodPlan;
use super::users::IDS;
use super::worker::WorkerPlan;
use crate::pod::{HostPathKind, Medium, MemberKind, Projection, Volume, VolumeSource};
use crate::quantity::binary;

impl Display for PodPlan {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "Pod {}/{}", self.namespace, self.name)?;
        writeln!(f, "  hostname     {}", self.sandbox.hostname)?;
        let network =
            if self.sandbox.host_network { "the host's" } else { "its own; addresses unknown until it starts" };
        writeln!(f, "  network      {network}")?;
        let processes = match (self.sandbox.host_pid, self.sandbox.share_process_namespace) {
            (true, _) => "the host's",
            (false, true) => "members see each other",
            (false, false) => "each member its own",
        };
        writeln!(f, "  processes    {processes}")?;
        if self.sandbox.host_ipc {
            writeln!(f, "  IPC          the host's")?;
        }
        if self.sandbox.own_users {
            writeln!(f, "  users        its own; root is nobody on the host")?;
        }
        for (name, value) in &self.sandbox.sysctls {
            writeln!(f, "  sysctl       {name}={}", value.escape_default())?;
        }
        for port in &self.host_ports {
            let ip = port.host_ip.map_or("every address".to_owned(), |ip| ip.to_string());
            let protocol = port.protocol.name();
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
        writeln!(f, "Container {}: {kind} ({})", self.name, self.kind_because)?;
        writeln!(f, "  stdio        {}", stdio(self.stdio))?;
        match (&self.joins, self.own_pid_namespace) {
            (Some(other), _) => writeln!(f, "  processes    among those of {other}")?,
            (None, true) => writeln!(f, "  processes    PID 1 of its own namespace")?,
            (None, false) => writeln!(f, "  processes    in the Pod's namespace")?,
        }
        if let Some(first) = self.users {
            writeln!(
                f,
                "  users        0 to {} are {first} to {} of the host; its mounts are mapped",
                IDS - 1,
                first + IDS - 1
            )?;
        }
        write!(f, "{}{}", Shown(&self.cgroup), Shown(&self.cgroup.devices))?;
        write_steps(f, &self.sources, &self.init)?;
        match (&self.worker, self.kind) {
            (Some(worker), _) => write!(f, "{}", Shown(worker)),
            (None, MemberKind::Wasm) => {
                writeln!(f, "  worker       unknown until the module is compiled")
            }
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
        let asked = self.0.huge_pages.iter().filter(|(_, bytes)| **bytes > 0);
        asked.into_iter().try_for_each(|(page, bytes)| writeln!(f, "  huge pages   {bytes} bytes of {}", binary(*page)))
    }
}

impl Display for Shown<'_, Vec<DeviceRule>> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let number = |number: Option<u32>| number.map_or("*".to_owned(), |number| number.to_string());
        let devices = self.0.iter().map(|rule| {
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
            VolumeSource::EmptyDir { medium, size_limit } => {
                match medium {
                    Medium::Disk => write!(f, "emptyDir on disk")?,
                    Medium::Memory => write!(f, "emptyDir in memory")?,
                    Medium::HugePages { page } => write!(f, "emptyDir in huge pages of {}", binary(*page))?,
                }
                size_limit.map_or(Ok(()), |size| write!(f, ", at most {size} bytes"))
            }
            VolumeSource::Ephemeral => f.write_str("a folder on disk, for the Pod's life"),
            VolumeSource::Claim { name, read_only } => {
                write!(f, "claim {name}, kept beyond the Pod{}", if *read_only { ", read-only" } else { "" })
            }
            VolumeSource::Image { dir } => write!(f, "the files of image {dir}, read-only"),
            VolumeSource::HostPath { path, kind } => {
                write!(f, "host path {path} ({})", host_path(*kind))
            }
            VolumeSource::Projected { sources } => {
                let medium = if self.0.source.is_secret() { "in memory" } else { "read-only" };
                let sources: Vec<String> = sources.iter().map(projection).collect();
                write!(
                    f,
                    "files, {medium}: {}",
                    if sources.is_empty() { "none".to_owned() } else { sources.join(", ") }
                )
            }
        }
    }
}

impl Display for Shown<'_, WorkerPlan> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let worker = self.0;
        writeln!(f, "  module       {:?}, args {:?}", worker.kind, worker.args)?;
        worker
            .env
            .iter()
            .try_for_each(|(name, value)| writeln!(f, "  env          {name}={}", value.escape_default()))?;
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

fn projection(source: &Projection) -> String {
    match source {
        Projection::Settings { from, items: None, .. } => format!("{} {}", from.kind().word(), from.name),
        Projection::Settings { from, items: Some(items), .. } => {
            let keys: Vec<_> = items.iter().map(|item| format!("{} as {}", item.key, item.path)).collect();
            format!("{} of {} {}", keys.join(" and "), from.kind().word(), from.name)
        }
        Projection::Field { path, field, .. } => format!("{field:?} as {path}"),
        Projection::Resource { path, resource, .. } => format!("{:?} as {path}", resource.amount),
    }
}

fn stdio(stdio: Stdio) -> &'static str {
    match stdio {
        Stdio::Logged => "no input, output logged",
        Stdio::LoggedWithInput => "input from clients, output logged",
        Stdio::Terminal => "a terminal",
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
        HostPathKind::CharDevice => "a character device, which may be used",
        HostPathKind::BlockDevice => "a block device, which may be used",
    }
}
