//! What a member may do beyond what its user may.

use serde::{Deserialize, Serialize};

/// Groups besides the primary one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Groups {
    /// `supplementalGroups`.
    pub more: Vec<u32>,
    /// `supplementalGroupsPolicy: Strict`: those that the image gives do not count.
    pub strict: bool,
}

/// `fsGroup`: who owns the volumes besides their user. It is among the members' groups, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeGroup {
    /// The group.
    pub gid: u32,
    /// `fsGroupChangePolicy: OnRootMismatch`: what lies in a volume whose own folder is the group's already stays as it is.
    pub on_root_mismatch: bool,
}

/// What a member may do, whoever it runs as.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rights {
    /// The mask of capabilities: containerd's default set, as `capabilities` changes it.
    pub capabilities: u64,
    /// Whether `ALL` was added: it means those that there are.
    pub every_capability: bool,
    /// `allowPrivilegeEscalation: true`, written out: set-uid programs work.
    pub may_gain_privileges: bool,
    /// `seccompProfile`.
    pub seccomp: SeccompChoice,
    /// `runAsNonRoot`.
    pub must_not_be_root: bool,
    /// `privileged`: every capability and device, no filter, nothing covered.
    pub privileged: bool,
    /// `procMount: Unmasked`: nothing covered.
    pub unmasked: bool,
}

/// Which system call filter a native member gets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum SeccompChoice {
    /// The usual one.
    #[default]
    Default,
    /// None.
    Unconfined,
    /// That of a file, by its relative path beneath the folder of profiles.
    File(String),
}

#[cfg(feature = "manifest")]
impl Default for Rights {
    fn default() -> Self {
        Self {
            capabilities: crate::capabilities::DEFAULT,
            every_capability: false,
            may_gain_privileges: false,
            seccomp: SeccompChoice::Default,
            must_not_be_root: false,
            privileged: false,
            unmasked: false,
        }
    }
}

#[cfg(feature = "manifest")]
impl Rights {
    /// The mask of capabilities that it may hold, where nobody can hold more than `there_are`. Who asked for all gets
    /// those; one that was asked for by name and is not there is left in, to be refused by the kernel.
    #[must_use]
    pub fn capabilities_of(&self, there_are: u64) -> u64 {
        match (self.privileged, self.every_capability) {
            (true, _) => crate::capabilities::ALL & there_are,
            (false, true) => self.capabilities & there_are,
            (false, false) => self.capabilities,
        }
    }

    /// The field, and why, that asks for what a Wasm member cannot have: it makes no system call of its own, so more
    /// rights would be the worker's, which has none to give away.
    pub fn not_for_wasm(&self) -> Option<(&'static str, &'static str)> {
        if self.privileged {
            return Some(("privileged", "a Wasm member makes no system call of its own, so it has no use for rights"));
        }
        if self.capabilities & !crate::capabilities::DEFAULT != 0 {
            return Some(("capabilities.add", "a Wasm member has no use for capabilities"));
        }
        if self.unmasked {
            return Some(("procMount", "a Wasm member has no /proc"));
        }
        if self.may_gain_privileges {
            return Some(("allowPrivilegeEscalation", "a Wasm member executes no program that could gain privileges"));
        }
        (self.seccomp != SeccompChoice::Default)
            .then_some(("seccompProfile", "a Wasm member's worker keeps its filter"))
    }
}
