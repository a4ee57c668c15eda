//! Volumes of a Pod and their mounts in its containers.

use serde::{Deserialize, Serialize};

use super::Projection;

/// One mount of a volume in a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeMount {
    /// The name of a volume of the Pod.
    pub volume: String,
    /// Absolute, without `..`. `/` is allowed for Wasm members only.
    pub mount_path: String,
    /// Whether the kernel refuses writes through this mount.
    pub read_only: bool,
    /// What of the volume is mounted; all of it when absent.
    pub sub_path: Option<SubPath>,
    /// Whether mounts that are made later are seen on the other side.
    pub propagation: Propagation,
}

impl VolumeMount {
    /// The part of the volume, once it is known.
    pub fn part(&self) -> Option<&str> {
        match &self.sub_path {
            Some(SubPath::Plain(path)) => Some(path),
            Some(SubPath::Expanded(_)) | None => None,
        }
    }
}

/// `mountPropagation`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Propagation {
    /// On neither side.
    #[default]
    None,
    /// The member sees what the host mounts there.
    HostToContainer,
    /// The host sees what the member mounts there, too.
    Bidirectional,
}

/// A file or folder of a volume: relative, without `..`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum SubPath {
    /// `subPath`
    Plain(String),
    /// `subPathExpr`: the same once `$(VAR)` is expanded, when the container is planned.
    Expanded(String),
}

/// A volume of the Pod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    /// A DNS label, unique in the Pod.
    pub name: String,
    /// What it is made of.
    pub source: VolumeSource,
}

/// The kinds of volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum VolumeSource {
    /// A directory that lives as long as the Pod.
    EmptyDir {
        /// Where it lies.
        medium: Medium,
        /// Bytes; a hard limit when in memory, else the Pod is ended when it takes more.
        size_limit: Option<u64>,
    },
    /// A folder on disk that lives as long as the Pod and counts as no storage of its own: `ephemeral`.
    Ephemeral,
    /// A file or directory of the host.
    HostPath {
        /// Absolute path on the host.
        path: String,
        /// `type`.
        kind: HostPathKind,
    },
    /// A folder that is kept when the Pod is gone.
    Claim {
        /// `claimName`: the folder's name in the Pod's namespace.
        name: String,
        /// `readOnly`: nobody writes there.
        read_only: bool,
    },
    /// The files of an image, to read and not to execute.
    Image {
        /// The image's folder: absolute.
        dir: String,
    },
    /// Files that dwell writes: `configMap`, `secret`, `downwardAPI`, `projected`.
    Projected {
        /// What they are made from.
        sources: Vec<Projection>,
    },
}

/// `emptyDir.medium`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Medium {
    /// A folder on disk.
    #[default]
    Disk,
    /// A tmpfs.
    Memory,
    /// Files that lie in huge pages, to be mapped.
    HugePages {
        /// Bytes of one page.
        page: u64,
    },
}

/// `hostPath.type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum HostPathKind {
    /// No check: whatever is there.
    Unchecked,
    /// Made as 0755 if absent.
    DirectoryOrCreate,
    /// Must be a directory.
    Directory,
    /// Made as 0644 if absent.
    FileOrCreate,
    /// Must be a regular file.
    File,
    /// Must be a socket.
    Socket,
    /// Must be a character device, which the member may then use.
    CharDevice,
    /// Must be a block device likewise.
    BlockDevice,
}

impl HostPathKind {
    /// Whether it gives the member a device.
    #[must_use]
    pub fn is_device(self) -> bool {
        matches!(self, Self::CharDevice | Self::BlockDevice)
    }
}

/// Why a path below a volume will not do, if so.
pub fn sub_path_fault(path: &str) -> Option<&'static str> {
    if path.starts_with('/') {
        Some("must be a relative path")
    } else if path.split('/').any(|part| part == "..") {
        Some("must not contain '..'")
    } else if path.contains('\0') {
        Some("must not contain a NUL byte")
    } else if path.len() > 4095 || path.split('/').any(|part| part.len() > 255) {
        Some("must be no more than 4095 bytes, and each name in it no more than 255")
    } else {
        None
    }
}
