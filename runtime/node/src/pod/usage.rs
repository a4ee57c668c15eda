//! What a Pod and its members use: processor time so far, memory and processes now, as the kernel counts them for their
//! cgroups. A rate is the difference of two of these. Reading it costs the node a few files a member, and nothing else.

use serde::{Deserialize, Serialize};

use super::driver::Driver;
use crate::clock::now_ns;
use crate::sandbox::cgroup::Group;

/// One Pod's, at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodUsage {
    /// `metadata.namespace`
    pub namespace: String,
    /// `metadata.name`
    pub name: String,
    /// When: nanoseconds since 1970.
    pub at_ns: u64,
    /// The whole Pod's: its members' and pause's.
    pub total: Usage,
    /// Each living member's.
    pub containers: Vec<MemberUsage>,
}

/// A member's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MemberUsage {
    /// The container's name.
    pub name: String,
    /// `native` or `wasm`.
    pub kind: Option<String>,
    /// Bytes of memory that it may use.
    pub memory_limit: Option<u64>,
    /// What it uses.
    #[serde(flatten)]
    pub usage: Usage,
}

/// Absent where the host does not count it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    /// Nanoseconds of processor time so far.
    pub cpu_ns: Option<u64>,
    /// Bytes of memory, without file pages that the kernel can drop at once (the kubelet's "working set").
    pub memory_bytes: Option<u64>,
    /// Processes and threads.
    pub processes: Option<u64>,
}

impl Usage {
    fn of(group: &Group) -> Usage {
        Usage {
            cpu_ns: group.cpu_usage_ns(),
            memory_bytes: group.memory_working_set(),
            processes: group.pids_current(),
        }
    }
}

impl Driver {
    /// Nothing without a sandbox: then nobody uses anything.
    pub(super) fn usage(&self) -> Option<PodUsage> {
        let sandbox = self.sandbox.as_ref()?;
        let living = (0..self.journal.members.len()).filter(|index| self.journal.members[*index].live_seq().is_some());
        let member = |index: usize| {
            let group = sandbox.cgroup.container(&self.cgroup_id(index))?;
            let container = self.container(index);
            Some(MemberUsage {
                name: container.name.clone(),
                kind: self.journal.members[index].kind.clone(),
                memory_limit: self.pod.memory_limit_of(container),
                usage: Usage::of(&group),
            })
        };
        Some(PodUsage {
            namespace: self.handle.namespace.clone(),
            name: self.handle.name.clone(),
            at_ns: now_ns(),
            total: Usage::of(&sandbox.cgroup.group),
            containers: living.filter_map(member).collect(),
        })
    }
}
