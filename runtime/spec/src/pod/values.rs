//! Variables whose values are found when the container is planned: what they may come from.

use serde::{Deserialize, Serialize};

use super::Container;

/// Where a variable's value comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum EnvValue {
    /// The manifest; `$(VAR)` means a variable further up.
    Text(String),
    /// The Pod itself.
    Field(PodField),
    /// What a container may use.
    Resource(ResourceField),
    /// A key of a ConfigMap or Secret.
    Key(SettingsKey),
    /// A name in a file of variables.
    File(FileKey),
}

/// One name in a file that lies in a volume, as another container of the Pod has written it (see `env_file`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileKey {
    /// The Pod's volume; whether it is mounted does not matter.
    pub volume: String,
    /// Relative, of a file.
    pub path: String,
    /// The name.
    pub key: String,
    /// Whether file or name may be missing; then there is no variable.
    pub optional: bool,
}

/// One key of a ConfigMap or Secret of the Pod's namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettingsKey {
    /// Whose.
    pub from: SettingsName,
    /// The key.
    pub key: String,
}

/// All keys of a ConfigMap or Secret, as variables.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvFrom {
    /// Whose.
    pub from: SettingsName,
    /// What each variable's name begins with.
    pub prefix: String,
}

/// A ConfigMap or Secret of the Pod's namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettingsName {
    /// Whether it is a Secret.
    pub secret: bool,
    /// Its name.
    pub name: String,
    /// Whether it may be missing, or lack the key; then there is no variable.
    pub optional: bool,
}

/// A field of the Pod that a variable or a file can carry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum PodField {
    /// `metadata.name`
    Name,
    /// `metadata.namespace`
    Namespace,
    /// `metadata.uid`
    Uid,
    /// `metadata.labels`, a line each; in files only.
    Labels,
    /// `metadata.annotations`, a line each; in files only.
    Annotations,
    /// `metadata.labels['KEY']`; empty where there is none.
    Label(String),
    /// `metadata.annotations['KEY']`; empty where there is none.
    Annotation(String),
    /// `spec.nodeName`: the host's name.
    NodeName,
    /// `spec.serviceAccountName`
    ServiceAccountName,
    /// `status.hostIP`
    HostIp,
    /// `status.hostIPs`, with commas between.
    HostIps,
    /// `status.podIP`
    PodIp,
    /// `status.podIPs`, with commas between.
    PodIps,
}

/// An amount that a container may use, in units of `divisor`, rounded up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceField {
    /// The container; the one that the variable is of when absent.
    pub container: Option<String>,
    /// Which amount.
    pub amount: ResourceAmount,
    /// Thousandths of a CPU, or bytes; at least 1.
    pub divisor: u64,
}

/// The amounts that a variable can carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ResourceAmount {
    /// `limits.cpu`; the host's CPUs where there is no limit.
    CpuLimit,
    /// `requests.cpu`; 0 where there is none.
    CpuRequest,
    /// `limits.memory`; the host's memory where there is no limit.
    MemoryLimit,
    /// `requests.memory`; 0 where there is none.
    MemoryRequest,
    /// `limits.ephemeral-storage`; the disk of the node's folder where there is no limit.
    StorageLimit,
    /// `requests.ephemeral-storage`; 0 where there is none.
    StorageRequest,
    /// `limits.hugepages-SIZE`, of pages of so many bytes; 0 where there is none.
    HugePagesLimit(u64),
    /// `requests.hugepages-SIZE` likewise.
    HugePagesRequest(u64),
}

impl Container {
    /// The ConfigMaps and Secrets that it names, as often as it does.
    pub fn settings(&self) -> impl Iterator<Item = &SettingsName> {
        let whole = self.env_from.iter().map(|source| &source.from);
        let keys = self.env.iter().filter_map(|(_, value)| match value {
            EnvValue::Key(key) => Some(&key.from),
            _ => None,
        });
        whole.chain(keys)
    }

    /// The files of variables that it names, as often as it does.
    pub fn env_files(&self) -> impl Iterator<Item = &FileKey> {
        self.env.iter().filter_map(|(_, value)| match value {
            EnvValue::File(key) => Some(key),
            _ => None,
        })
    }
}

impl FileKey {
    /// Volume and path.
    pub fn place(&self) -> (String, String) {
        (self.volume.clone(), self.path.clone())
    }
}

#[cfg(feature = "manifest")]
impl SettingsName {
    /// ConfigMap or Secret.
    pub fn kind(&self) -> crate::settings::SettingsKind {
        match self.secret {
            true => crate::settings::SettingsKind::Secret,
            false => crate::settings::SettingsKind::ConfigMap,
        }
    }
}
