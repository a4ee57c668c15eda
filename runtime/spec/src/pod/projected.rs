//! Volumes whose files dwell writes: from ConfigMaps, Secrets and what the Pod knows of itself.

use serde::{Deserialize, Serialize};

use super::{PodField, ResourceField, SettingsName, VolumeSource};

/// Some of a volume's files. Of two with the same path the later one counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Projection {
    /// Keys of a ConfigMap or Secret.
    Settings {
        /// Whose.
        from: SettingsName,
        /// Which keys; every one, under its own name, when absent.
        items: Option<Vec<KeyFile>>,
        /// The mode of files that have none of their own.
        mode: u32,
    },
    /// A field of the Pod.
    Field {
        /// Relative, without `..`.
        path: String,
        /// Permission bits.
        mode: u32,
        /// Which field.
        field: PodField,
    },
    /// What a container may use.
    Resource {
        /// Relative, without `..`.
        path: String,
        /// Permission bits.
        mode: u32,
        /// Which amount, of which container.
        resource: ResourceField,
    },
}

/// A key that becomes a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyFile {
    /// The key.
    pub key: String,
    /// Relative, without `..`.
    pub path: String,
    /// Permission bits, if not those of the whole.
    pub mode: Option<u32>,
}

impl VolumeSource {
    /// Whether dwell writes its files, and no member may.
    pub fn is_projected(&self) -> bool {
        matches!(self, Self::Projected { .. })
    }

    /// Whether it is an image's.
    pub fn is_image(&self) -> bool {
        matches!(self, Self::Image { .. })
    }

    /// Whether no mount of it may be written through.
    pub fn is_read_only(&self) -> bool {
        self.is_projected() || matches!(self, Self::Claim { read_only: true, .. } | Self::Image { .. })
    }

    /// The ConfigMaps and Secrets that it names, as often as it does.
    pub fn settings(&self) -> impl Iterator<Item = &SettingsName> {
        let sources: &[Projection] = match self {
            Self::Projected { sources } => sources,
            Self::EmptyDir { .. }
            | Self::Ephemeral
            | Self::HostPath { .. }
            | Self::Claim { .. }
            | Self::Image { .. } => &[],
        };
        sources.iter().filter_map(|source| match source {
            Projection::Settings { from, .. } => Some(from),
            Projection::Field { .. } | Projection::Resource { .. } => None,
        })
    }

    /// Whether what it holds may be on no disk.
    pub fn is_secret(&self) -> bool {
        self.settings().any(|name| name.secret)
    }
}
