//! Bringing a Pod's sandbox and its members to life.
//!
//! Sandbox: cgroup → pause (its namespaces) → network → files → relay. Member: sources opened → plan → journalled →
//! born. Each step that leaves something behind is journalled before it is taken, so that whoever comes after a crash
//! knows where to look.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};

use dwell_spec::facts::{ContainerFacts, DeviceNumber, PodIp, VolumePart};
use dwell_spec::plan::container::{ContainerPlan, SHARED_MEMORY, Stdio};
use dwell_spec::plan::projection::{self, ProjectedFiles};
use dwell_spec::plan::{self, PlanError};
use dwell_spec::pod::{Container, MemberKind, Protocol, Volume, VolumeSource};
use dwell_sys::complain::complain;

use super::change;
use super::driver::Driver;
use super::files;
use super::prepare::{Parts, Ready};
use super::request::{pick, require_running};
use crate::blocking::blocking;
use crate::chain::chain;
use crate::clock::now_ns;
use crate::container::filters;
use crate::container::log_files;
use crate::container::source::{self, Mountable, Opened};
use crate::network;
use crate::sandbox::keeper::{Birth, BirthStdio, Process};
use crate::sandbox::{Sandbox, SandboxConfig};
use crate::supervise::journal::{MemberState, SandboxRecord};
use crate::volume::{self, OpenVolume, VolumeFolders};

/// A step that failed: what was attempted, with its cause in the text.
type Failed = String;

/// Kubernetes' reasons: the manifest asks for what cannot be had; or making the container failed.
const CONFIG_ERROR: &str = "CreateContainerConfigError";
const CREATE_ERROR: &str = "CreateContainerError";

impl Driver {
    /// One start of one member. A failure ends the member's run, and the restart policy decides on. A start counts once
    /// the sandbox stands: a node killed while making it has started nobody.
    pub(super) async fn bring_to_life(&mut self, index: usize, mut ready: Ready) {
        let sandbox = self.ensure_sandbox().await;
        self.begin_run(index);
        let planned = match sandbox {
            Ok(()) => self.plan(index, &mut ready).map_err(|message| (CONFIG_ERROR, message)),
            Err(message) => Err((CREATE_ERROR, message)),
        };
        let born = match planned {
            Ok(plan) => self.give_birth(index, &plan, ready).await.map_err(|message| (CREATE_ERROR, message)),
            Err(failed) => Err(failed),
        };
        if let Err((reason, message)) = born {
            self.start_failed(index, reason, message, 125);
        }
    }

    /// Counts a start, whether or not it succeeds.
    pub(super) fn begin_run(&mut self, index: usize) {
        let begun = change::begun(&self.pod, self.container(index));
        let member = &mut self.journal.members[index];
        member.begun = Some(begun);
        member.begin_run(now_ns());
    }

    fn plan(&mut self, index: usize, ready: &mut Ready) -> Result<ContainerPlan, Failed> {
        let container = self.container(index);
        let values = self.values_of(container);
        (ready.facts.settings, ready.facts.env_files) = (values.settings, values.env_files);
        let mounted = container.mounts.iter().map(|mount| mount.volume.clone()).collect();
        let devices = self.open_devices(mounted)?;
        let container = self.container(index);
        ready.parts = self.open_parts(container, &ready.facts)?;
        let files = self.mountable(&ready.parts).filter(|(_, volume)| volume.is_file);
        ready.facts.files = files.map(|(part, _)| part).collect();
        ready.facts.devices = devices;
        ready.facts.users = self.users();
        ready.facts.filters = filters::find(&self.shared.layout, container);
        if container.rights.privileged {
            ready.facts.host_devices = volume::devices::list();
        }
        let plan = plan::plan_container(&self.pod, container, &self.shared.facts, &ready.facts, self.pod_ip())
            .map_err(|error| chain(&error))?;
        self.journal.members[index].kind = Some(kind_word(plan.kind).to_owned());
        Ok(plan)
    }

    /// Opens anew what the container's mounts take of devices, and says which they are: one that was unplugged meanwhile
    /// may have come back as another.
    fn open_devices(&mut self, mounts: Vec<String>) -> Result<BTreeMap<String, DeviceNumber>, Failed> {
        let mut found = BTreeMap::new();
        let is_device = |volume: &&Volume| {
            matches!(volume.source, VolumeSource::HostPath { kind, .. } if kind.is_device())
                && mounts.contains(&volume.name)
        };
        for volume in self.pod.volumes.iter().filter(is_device) {
            let open = self.open_volume(volume)?;
            found.extend(open.device.map(|device| (volume.name.clone(), device)));
            self.volumes.insert(volume.name.clone(), open);
        }
        Ok(found)
    }

    /// The Pod's volumes, and these parts of them.
    pub(super) fn mountable<'a>(&'a self, parts: &'a Parts) -> impl Iterator<Item = (VolumePart, &'a OpenVolume)> {
        let whole = self.volumes.iter().map(|(name, volume)| ((name.clone(), None), volume));
        whole.chain(parts.iter().map(|(part, volume)| (part.clone(), volume)))
    }

    /// The same as containers take it.
    pub(super) fn mounted_from<'a>(&'a self, parts: &'a Parts) -> BTreeMap<VolumePart, Mountable<'a>> {
        let from = |volume: &'a OpenVolume| Mountable { fd: volume.fd(), is_of_host: volume.is_of_host() };
        self.mountable(parts).map(|(part, volume)| (part, from(volume))).collect()
    }

    /// Opens what the container's mounts take of volumes. What is not there yet is made, unless nobody may write there.
    pub(super) fn open_parts(&self, container: &Container, facts: &ContainerFacts) -> Result<Parts, Failed> {
        if container.mounts.iter().all(|mount| mount.sub_path.is_none()) {
            return Ok(Parts::new());
        }
        let resolved = plan::resolved(&self.pod, container, &self.shared.facts, facts, self.pod_ip());
        let mut parts = Parts::new();
        for mount in resolved.map_err(|error| chain(&error))?.mounts {
            let Some(part) = mount.part().map(str::to_owned) else { continue };
            let volume = self.volumes.get(&mount.volume).ok_or("the Pod has no such volume")?;
            let mut volumes = self.pod.volumes.iter();
            let sealed = volumes.any(|volume| volume.name == mount.volume && volume.source.is_read_only());
            let open = volume.part(&part, !sealed);
            let open = open.map_err(|e| format!("subPath {part} of volume {}: {e}", mount.volume))?;
            parts.insert((mount.volume, Some(part)), open);
        }
        Ok(parts)
    }

    async fn give_birth(&mut self, index: usize, plan: &ContainerPlan, ready: Ready) -> Result<(), Failed> {
        let birth = self.open_birth(index, plan, &ready)?;
        let seq = birth.seq;
        self.journal.members[index].state = MemberState::Starting { seq };
        self.save().map_err(|error| format!("write the birth down: {error}"))?;
        let sandbox = self.sandbox.as_mut().ok_or("the sandbox is gone")?;
        match sandbox.keeper.birth(birth).await {
            Ok(born) => {
                self.journal.members[index].born(seq, born.started_ns);
                self.tell_of(index, "Created", "Created");
                self.tell_of(index, "Started", "Started");
                Ok(())
            }
            Err(error) => {
                self.reports.remove(&seq);
                Err(chain(&error))
            }
        }
    }

    fn open_birth(&mut self, index: usize, plan: &ContainerPlan, ready: &Ready) -> Result<Birth, Failed> {
        let seq = self.journal.take_seq();
        let member = &self.journal.members[index];
        let (start, id) = (member.starts - 1, format!("{}-{}", member.name, member.starts - 1));
        let logs = self.shared.layout.logs(&self.handle.uid, &member.name);
        let log = log_files::open(&logs, start, 0).map_err(|e| format!("open the log file: {e}"))?;
        let next = log_files::open(&logs, start, 1).map_err(|e| format!("open the next log file: {e}"))?;
        let own_folder = self.shared.layout.container_dir(&self.handle.uid, &member.name).join(start.to_string());
        // A node that was killed before the birth may have left its try, which an overlay does not take twice.
        dwell_sys::remove::remove_tree(&own_folder).map_err(|e| format!("empty {}: {e}", own_folder.display()))?;
        std::fs::create_dir_all(&own_folder).map_err(|e| format!("make {}: {e}", own_folder.display()))?;
        let report = files::open_report(&own_folder).map_err(|e| format!("open the report file: {e}"))?;
        filters::keep(&own_folder, &ready.facts.filters).map_err(|e| format!("keep the filter's file: {e}"))?;
        let sandbox = self.sandbox.as_ref().ok_or("the sandbox is gone")?;
        let cgroup = sandbox.cgroup.create_container(&id, &plan.cgroup).map_err(|e| chain(&e))?;
        let tasks = cgroup.group.all_tasks().map_err(|e| chain(&e))?;
        let volumes = self.mounted_from(&ready.parts);
        let parts = source::Parts {
            users: self.own_users.as_ref().map(|users| (users.first, users.namespace())),
            volumes: &volumes,
            pod_files: &files::folder(&self.shared.layout, &self.handle.uid),
            own_folder,
            cgroup_tasks: &tasks,
            module: ready.module.as_ref().map(|file| file.as_fd()),
            worker: self.shared.worker.as_ref().map(|worker| (*worker.exe).as_fd()),
            report: report.as_fd(),
            target: None,
        };
        let Opened { slots, terminal } =
            source::open_all(&plan.sources, source::encode_worker_plan(plan.worker.as_ref()).as_deref(), &parts)
                .map_err(|e| chain(&e))?;
        let process = Process {
            executable: self.shared.embedded.init.try_clone().map_err(|e| format!("copy a descriptor: {e}"))?,
            plan: dwell_sys::memfd::sealed("init-plan", &plan.init.encode())
                .map_err(|e| format!("seal the plan: {e}"))?,
            report: report.try_clone().map_err(|e| format!("copy a descriptor: {e}"))?.into(),
            slots,
            cgroup: cgroup.group.v2_dir().map_err(|e| chain(&e))?,
        };
        let join = plan.joins.as_deref().map(|target| self.seq_of(target)).transpose()?;
        self.reports.insert(seq, report);
        let stdio = stdio_of(plan.stdio, log, next, terminal)?;
        Ok(Birth {
            seq,
            own_pid_namespace: plan.own_pid_namespace,
            join,
            log_limit: log_files::LOG_FILE_MAX,
            argument: "init",
            process,
            stdio,
        })
    }

    /// The birth of the member whose processes another one is to see.
    fn seq_of(&self, target: &str) -> Result<u64, Failed> {
        let found = pick(&self.journal, Some(target)).and_then(|index| require_running(&self.journal.members[index]));
        found.map_err(|refusal| format!("look for its target: {refusal}"))
    }

    /// The Pod's addresses as planners know them.
    pub(super) fn pod_ip(&self) -> PodIp {
        let network = self.journal.sandbox.as_ref().and_then(|sandbox| sandbox.network.as_ref());
        PodIp {
            v4: network.map(|n| n.v4),
            v6: network.and_then(|n| n.v6),
            host: network.map(|n| network::host_of(n.v4)),
        }
    }

    /// Makes the sandbox if the Pod has none.
    async fn ensure_sandbox(&mut self) -> Result<(), Failed> {
        if self.sandbox.is_some() {
            return Ok(());
        }
        let result = self.make_sandbox().await;
        if let Err(why) = &result {
            self.tell(None, "FailedCreatePodSandBox", format!("Failed to create pod sandbox: {why}"));
            self.drop_sandbox().await;
        }
        result
    }

    async fn make_sandbox(&mut self) -> Result<(), Failed> {
        let plan = plan::plan_pod(&self.pod, &self.shared.facts).map_err(|error| chain(&error))?;
        self.take_huge_pages()?;
        self.open_claims().await?;
        let users = self.take_users()?;
        self.journal.sandbox = Some(SandboxRecord { users, ..SandboxRecord::default() });
        self.journal.sandboxes += 1;
        self.save().map_err(|error| format!("write the sandbox down: {error}"))?;
        let namespaces = self.make_namespaces(users).await?;
        let sockets = self.bind_host_ports(&plan.host_ports)?;
        let config = SandboxConfig {
            layout: &self.shared.layout,
            uid: &self.handle.uid,
            title: format!("{}/{}", self.handle.namespace, self.handle.name),
            plan: &plan.sandbox,
            limits: &plan.cgroup,
        };
        let begun = Sandbox::begin(&config, &self.shared.cgroups, &self.shared.embedded.pause, namespaces)
            .map_err(|e| chain(&e))?;
        // pause makes its namespaces meanwhile.
        self.open_shared_memory(true)?;
        self.open_volumes()?;
        self.sandbox = Some(begun.hello().await.map_err(|e| chain(&e))?);
        if !self.pod.host_network {
            self.attach_network(&plan.host_ports)?;
        }
        if let Some(sandbox) = &self.sandbox {
            sandbox.set_sysctls(users, &plan.sandbox.sysctls)?;
        }
        files::write(&self.shared, &self.handle.uid, &self.pod, &plan, self.pod_ip())
            .map_err(|e| format!("write the Pod's files: {e}"))?;
        self.start_relay(sockets).await?;
        self.journal.started_ns.get_or_insert(now_ns());
        self.plan = Some(plan);
        // Written down with the first birth: one that does not stand in the journal is made anew.
        self.journal.sandbox.get_or_insert_default().stands = true;
        Ok(())
    }

    /// Opens the claims. What lies in them becomes the Pod's group's, before anybody uses it.
    async fn open_claims(&mut self) -> Result<(), Failed> {
        let is_claim = |volume: &&Volume| matches!(volume.source, VolumeSource::Claim { .. });
        for volume in self.pod.volumes.iter().filter(is_claim).cloned().collect::<Vec<_>>() {
            let (name, folders, group) = (volume.name.clone(), self.volume_folders(), self.pod.volume_group);
            let opened = blocking(move || volume::open_claim(&volume, &folders, group)).await;
            let opened = opened.map_err(|error| format!("volume {name}: {error}"))?;
            self.volumes.insert(name, opened.map_err(|error| chain(&error))?);
        }
        Ok(())
    }

    fn open_shared_memory(&mut self, anew: bool) -> Result<(), Failed> {
        let open = match self.pod.host_ipc {
            true => volume::shared_memory_of_host(),
            false => volume::shared_memory(&self.volume_folders(), anew),
        };
        let open = open.map_err(|error| chain(&error))?;
        self.volumes.insert(SHARED_MEMORY.to_owned(), open);
        Ok(())
    }

    /// Opens every volume of the Pod that is not open yet.
    pub(super) fn open_volumes(&mut self) -> Result<(), Failed> {
        if !self.volumes.contains_key(SHARED_MEMORY) {
            self.open_shared_memory(false)?;
        }
        for wanted in &self.pod.volumes {
            if !self.volumes.contains_key(&wanted.name) {
                let open = self.open_volume(wanted)?;
                self.volumes.insert(wanted.name.clone(), open);
            }
        }
        Ok(())
    }

    fn open_volume(&self, wanted: &Volume) -> Result<OpenVolume, Failed> {
        let files = match self.files_of(wanted) {
            Ok(files) => Some(files),
            // Members that live already use what it was filled with.
            Err(_) if self.sandbox.is_some() => None,
            Err(error) => return Err(chain(&error)),
        };
        // What members have made of a folder since it was given to the group stays.
        let group = self.pod.volume_group.filter(|_| self.sandbox.is_none() || wanted.source.is_projected());
        volume::ensure_open(wanted, &self.volume_folders(), files.as_ref(), group).map_err(|error| chain(&error))
    }

    fn files_of(&self, volume: &Volume) -> Result<ProjectedFiles, PlanError> {
        let settings = self.settings(volume.source.settings());
        projection::project(&self.pod, volume, &self.shared.facts, &settings)
    }

    /// Fills anew such volumes as may have changed. One of which something is missing now stays as it is.
    pub(super) fn refresh_volumes(&self, which: fn(&VolumeSource) -> bool) {
        let is_filled = |volume: &&Volume| self.volumes.contains_key(&volume.name) && which(&volume.source);
        for volume in self.pod.volumes.iter().filter(is_filled) {
            if let Err(error) = self.open_volume(volume) {
                complain(format_args!("update Pod {}/{}: {error}", self.handle.namespace, self.handle.name));
            }
        }
    }

    /// Where the Pod's own volumes live.
    pub(super) fn volume_folders(&self) -> VolumeFolders {
        let (layout, uid) = (&self.shared.layout, &self.handle.uid);
        VolumeFolders {
            disk: layout.volumes(uid),
            memory: layout.run_pod(uid).join("volumes"),
            claims: layout.claims(&self.handle.namespace),
            memory_limit: self.pod.limit(|resources| resources.memory_limit),
            huge_pages: self.pod.huge_pages(),
            users: self.own_users.clone(),
        }
    }

    /// Binds the host's ports, so that a conflict is an error at once.
    pub(super) fn bind_host_ports(
        &self,
        ports: &[plan::pod::HostPort],
    ) -> Result<Vec<(plan::pod::HostPort, OwnedFd)>, Failed> {
        if self.pod.host_network {
            return Ok(Vec::new());
        }
        let mut sockets = Vec::new();
        for port in ports {
            let bound = network::bind_host_port(port).map_err(|error| match self.holder_of(port) {
                Some(pod) => format!("{}; {pod} of this node has the port", chain(&error)),
                None if port.protocol == Protocol::Sctp => chain(&error),
                None => format!("{}; `ss -tulpn` shows who has the port", chain(&error)),
            })?;
            sockets.extend(bound.into_iter().map(|socket| (*port, socket)));
        }
        Ok(sockets)
    }

    /// Another Pod that asks for the port and has not ended.
    fn holder_of(&self, wanted: &plan::pod::HostPort) -> Option<String> {
        let protocol = wanted.protocol.name();
        let pods = self.shared.pods();
        let mut others = pods.by_key.values().filter(|pod| pod.uid != self.handle.uid && !pod.is_finished());
        let has = |pod: &&std::sync::Arc<super::shared::PodHandle>| {
            let object = pod.object();
            let Some(spec) = &object.spec else { return false };
            let sidecars =
                spec.init_containers.iter().flatten().filter(|init| init.restart_policy.as_deref() == Some("Always"));
            sidecars.chain(&spec.containers).flat_map(|container| container.ports.iter().flatten()).any(|port| {
                port.host_port == Some(i32::from(wanted.host_port))
                    && port.protocol.as_deref().unwrap_or("TCP").eq_ignore_ascii_case(protocol)
            })
        };
        others.find(has).map(|pod| format!("Pod {}/{}", pod.namespace, pod.name))
    }

    fn attach_network(&mut self, ports: &[plan::pod::HostPort]) -> Result<(), Failed> {
        let sandbox = self.sandbox.as_ref().ok_or("the sandbox is gone")?;
        let netns =
            sandbox.network_namespace().map_err(|error| format!("open the Pod's network namespace: {error}"))?;
        let attachment = self.shared.network.attach(netns.as_fd(), ports).map_err(|error| chain(&error))?;
        self.journal.sandbox.get_or_insert_default().network = Some(attachment);
        Ok(())
    }
}

pub(super) fn kind_word(kind: MemberKind) -> &'static str {
    match kind {
        MemberKind::Native => "native",
        MemberKind::Wasm => "wasm",
    }
}

fn stdio_of(kind: Stdio, log: File, next: File, terminal: Option<(OwnedFd, OwnedFd)>) -> Result<BirthStdio, Failed> {
    let (log, next) = (log.into(), next.into());
    match (kind, terminal) {
        (Stdio::Terminal, Some((master, slave))) => Ok(BirthStdio::Terminal { log, next, master, slave }),
        (Stdio::Terminal, None) => Err("the plan asks for a terminal but makes none".into()),
        (Stdio::Logged, _) => Ok(BirthStdio::Logged { log, next, input: false }),
        (Stdio::LoggedWithInput, _) => Ok(BirthStdio::Logged { log, next, input: true }),
    }
}
