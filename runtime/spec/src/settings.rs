//! ConfigMaps and Secrets: named texts and bytes that Pods take variables and files from. One type for both, since to a
//! Pod they differ in nothing but where they may be kept: a Secret's bytes must reach no log, and no disk but in the
//! node's own root-only folder. (`dwell plan` shows what the file before it says.)

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use k8s_openapi::api::core::v1;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::{Deserialize, Serialize};

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum SettingsKind {
    /// `ConfigMap`
    ConfigMap,
    /// `Secret`
    Secret,
}

impl SettingsKind {
    /// As in error messages of Kubernetes, and in paths of its API without the `s`.
    pub fn word(self) -> &'static str {
        match self {
            Self::ConfigMap => "configmap",
            Self::Secret => "secret",
        }
    }

    /// The field whose values are base64.
    pub fn encoded_field(self) -> &'static str {
        match self {
            Self::ConfigMap => "binaryData",
            Self::Secret => "data",
        }
    }
}

/// One of them, checked.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Which kind.
    pub kind: SettingsKind,
    /// `metadata.namespace`
    pub namespace: String,
    /// `metadata.name`
    pub name: String,
    /// Every key of `data`, `binaryData` or `stringData`.
    pub data: BTreeMap<String, Vec<u8>>,
    /// Those of `binaryData`, which make files and no variables.
    #[serde(default)]
    pub binary: BTreeSet<String>,
}

impl Settings {
    /// What a variable takes from a key, if it can take something.
    pub fn variable(&self, key: &str) -> Option<&[u8]> {
        self.data.get(key).filter(|_| !self.binary.contains(key)).map(Vec::as_slice)
    }
}

/// The keys alone: a Secret's values belong in no log.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, namespace, name, data, .. } = self;
        write!(f, "{kind:?} {namespace}/{name} with {:?}", data.keys().collect::<Vec<_>>())
    }
}

/// One of them as Kubernetes writes it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum SettingsObject {
    /// `v1` `ConfigMap`
    ConfigMap(v1::ConfigMap),
    /// `v1` `Secret`
    Secret(v1::Secret),
}

impl SettingsObject {
    /// Which kind it is.
    pub fn kind(&self) -> SettingsKind {
        match self {
            Self::ConfigMap(_) => SettingsKind::ConfigMap,
            Self::Secret(_) => SettingsKind::Secret,
        }
    }

    /// Who it is.
    pub fn metadata(&self) -> &ObjectMeta {
        match self {
            Self::ConfigMap(object) => &object.metadata,
            Self::Secret(object) => &object.metadata,
        }
    }

    /// Whether it may never change.
    pub fn is_immutable(&self) -> bool {
        match self {
            Self::ConfigMap(object) => object.immutable == Some(true),
            Self::Secret(object) => object.immutable == Some(true),
        }
    }

    /// From text, whose kind is known.
    ///
    /// # Errors
    /// It is no JSON, or none of that kind.
    pub fn from_json(kind: SettingsKind, text: &[u8]) -> Result<Self, serde_json::Error> {
        Self::from_value(kind, serde_json::from_slice(text)?)
    }

    /// From a value, whose kind is known.
    ///
    /// # Errors
    /// It is none of that kind.
    pub fn from_value(kind: SettingsKind, value: serde_json::Value) -> Result<Self, serde_json::Error> {
        Ok(match kind {
            SettingsKind::ConfigMap => Self::ConfigMap(serde_json::from_value(value)?),
            SettingsKind::Secret => Self::Secret(serde_json::from_value(value)?),
        })
    }
}
