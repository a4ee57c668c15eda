//! What planning must know of the world. Gathered by IO in the node, plain values here; an unknown is `None`, and
//! `dwell plan` prints it as unknown.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use crate::plan::worker::ModuleKind;
use crate::pod::VolumeMount;

/// What the host offers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostFacts {
    /// v1 hierarchies that dwell drives here, by controller (`cpu`, `cpuacct`, `memory`, `pids`, `devices`, `freezer`);
    /// empty on a pure v2 host. One entry per hierarchy: controllers mounted together are joined (`cpu,cpuacct`).
    pub cgroup_v1: Vec<String>,
    /// Whether a v2 hierarchy is mounted (pure or hybrid): births are cloned into it.
    pub cgroup_v2: bool,
    /// Text of the host's `/etc/resolv.conf`.
    pub resolv_conf: String,
    /// Text of the host's `/etc/hosts`, which is that of Pods with `hostNetwork`.
    pub hosts: String,
    /// The host's name.
    pub hostname: String,
    /// Hard limit of open files of the node, above which nothing can be raised.
    pub nofile_hard: u64,
    /// Whether `/proc/sys/kernel/seccomp` exists.
    pub seccomp: bool,
    /// The capabilities that the node itself may have, which nobody below it can exceed.
    pub capabilities: u64,
    /// `std::env::consts::ARCH`
    pub arch: String,
    /// Its addresses, the one that its default route leaves by first, without loopback.
    pub addresses: Vec<IpAddr>,
    /// CPUs that are online.
    pub cpus: u64,
    /// Bytes of memory.
    pub memory: u64,
    /// Bytes of the disk that the node's own folder lies on.
    #[serde(default)]
    pub disk: u64,
    /// Bytes of a huge page, for each size that the kernel has, whether or not it has any pages of it.
    pub huge_pages: Vec<u64>,
}

/// What the Pod's network turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodIp {
    /// The Pod's IPv4 address.
    pub v4: Option<Ipv4Addr>,
    /// The Pod's IPv6 address.
    pub v6: Option<Ipv6Addr>,
    /// Where the Pod reaches the host: the bridge's own address.
    pub host: Option<Ipv4Addr>,
}

impl PodIp {
    /// As it is before the Pod is started.
    pub const UNKNOWN: Self = Self { v4: None, v6: None, host: None };
}

/// What must be known of one container before it can be started.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerFacts {
    /// Whether the entry point (in a `rootfs:`) begins with `\0asm`; its path in the image. `None`: not looked at.
    pub entry_point: Option<EntryPoint>,
    /// Text of the image's `/etc/passwd`, bounded, hostile.
    pub passwd: Option<String>,
    /// Text of the image's `/etc/group`, bounded, hostile.
    pub group: Option<String>,
    /// For a Wasm member: the digest of the module and what compiling it found.
    pub module: Option<ModuleFacts>,
    /// The ConfigMaps and Secrets that the container names, those of them that there are.
    #[cfg(feature = "manifest")]
    #[serde(skip)]
    pub settings: Vec<crate::settings::Settings>,
    /// The files of variables that the container names. Of one that is not here nothing is known, and its variables are
    /// left out.
    #[serde(skip)]
    pub env_files: EnvFiles,
    /// The volumes, and parts of volumes, that are no directories.
    pub files: Vec<VolumePart>,
    /// The devices behind the volumes that are one, by the volume's name.
    pub devices: BTreeMap<String, DeviceNumber>,
    /// Every device of the host, for a container that may use them all.
    pub host_devices: Vec<HostDevice>,
    /// The host's id of root in the Pod's user namespace; not known before its sandbox stands.
    pub users: Option<u32>,
    /// The system call filters that the container names, by their path: their text, or why there is none.
    pub filters: BTreeMap<String, Result<String, String>>,
}

/// Which device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceNumber {
    /// A block device instead of a character device.
    pub block: bool,
    /// Its driver.
    pub major: u32,
    /// Which one of the driver's.
    pub minor: u32,
}

/// A device as it lies in the host's `/dev`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostDevice {
    /// `/dev/…`
    pub path: String,
    /// Which it is.
    pub number: DeviceNumber,
    /// Permission bits.
    pub mode: u32,
    /// Its user and group.
    pub owner: (u32, u32),
}

/// Files of variables by volume and path: their text, nothing where there is no such file, or why it cannot be read.
pub type EnvFiles = BTreeMap<(String, String), Result<Option<String>, String>>;

/// A volume by name, and the part of it that is meant, if not all.
pub type VolumePart = (String, Option<String>);

impl ContainerFacts {
    /// Whether a mount is of something that is no directory.
    pub fn is_file(&self, mount: &VolumeMount) -> bool {
        self.files.iter().any(|(volume, part)| *volume == mount.volume && part.as_deref() == mount.part())
    }
}

/// What the node found behind `command[0]`, looked up beneath the image's root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryPoint {
    /// Path in the image.
    pub path: String,
    /// Whether its first four bytes are `\0asm`.
    pub wasm: bool,
}

/// A compiled module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModuleFacts {
    /// `sha256:…` of the source.
    pub digest: String,
    /// File name of the source: `argv[0]`.
    pub file_name: String,
    /// What it is.
    pub kind: ModuleKind,
}
