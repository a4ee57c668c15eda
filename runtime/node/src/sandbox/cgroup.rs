//! Cgroups of Pods and containers, on hosts with version 1, version 2, or both at once.
//!
//! One shape everywhere: `<parent>/<name>/<pod>/<container>`, in every hierarchy that is driven. On a host with both,
//! version 1 holds the controllers, and version 2 is used for what needs none: births into a group, `cgroup.kill`,
//! CPU accounting. A member enters by itself (`0` into `tasks`) or is born inside (version 2): nothing here writes
//! `cgroup.procs` when something starts, which would wait 8 to 16 ms for an RCU grace period.
//!
//! No group but our own is touched, except that controllers are enabled for our own subtree (version 2). Rules:
//! `Documentation/admin-guide/cgroup-v1/`, `cgroup-v2.rst`.

mod group;
mod layout;
mod limits;
mod root;

use std::fmt;
use std::io;
use std::path::PathBuf;

pub use group::Group;
pub use layout::{Hierarchy, Layout, Version2};
pub use root::{CgroupRoot, ContainerCgroup, PodCgroup};

/// Why a cgroup could not be used.
#[derive(Debug)]
pub enum CgroupError {
    /// Neither version is mounted.
    NoHierarchy,
    /// A name that could be taken for something else in a cgroup directory.
    BadName {
        /// The name.
        name: String,
    },
    /// A file or directory of a hierarchy could not be used.
    File {
        /// A verb.
        attempt: &'static str,
        /// Which.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// A group still holds processes after waiting for them to go.
    Busy {
        /// Which.
        path: PathBuf,
    },
    /// The controllers cannot be enabled for our subtree, because the group above holds processes.
    NotDelegated {
        /// The group above.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
}

impl CgroupError {
    /// What to do about it, if that is known.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NoHierarchy => Some("mount one: `mount -t cgroup2 cgroup2 /sys/fs/cgroup`"),
            Self::NotDelegated { .. } => Some("run dwell as a service with `Delegate=yes`"),
            _ => None,
        }
    }
}

impl fmt::Display for CgroupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoHierarchy => write!(f, "look for a cgroup hierarchy: none is mounted"),
            Self::BadName { name } => write!(f, "name a cgroup {name:?}: only letters, digits, - and _ are allowed"),
            Self::File { attempt, path, .. } => write!(f, "{attempt} {}", path.display()),
            Self::Busy { path } => write!(f, "remove cgroup {}: processes remain in it", path.display()),
            Self::NotDelegated { path, .. } => {
                write!(f, "enable cgroup controllers below {}", path.display())
            }
        }
    }
}

impl std::error::Error for CgroupError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::File { source, .. } | Self::NotDelegated { source, .. } => Some(source),
            Self::NoHierarchy | Self::BadName { .. } | Self::Busy { .. } => None,
        }
    }
}
