//! The list under construction: operations, and the descriptors they refer to.

use super::container::{FdSource, push_source};
use super::init::{Op, Slot};
use super::refusal::{PlanError, Problem};
use crate::facts::HostFacts;

/// Descriptors of one plan at most: a message carries 253 (`SCM_MAX_FD`), of which a birth needs a few itself.
pub const SLOTS_MAX: usize = 240;

/// Operations and sources, in order.
#[derive(Debug, Default)]
pub struct Steps {
    /// In slot order.
    pub sources: Vec<FdSource>,
    /// In the order in which they are replayed.
    pub ops: Vec<Op>,
}

impl Steps {
    /// Appends operations.
    pub fn then(&mut self, ops: impl IntoIterator<Item = Op>) {
        self.ops.extend(ops);
    }

    /// A descriptor to open.
    pub fn source(&mut self, source: FdSource) -> Slot {
        push_source(&mut self.sources, source)
    }

    /// Attaches a detached mount.
    pub fn attach(&mut self, source: FdSource, target: &str, is_dir: bool) {
        let mount = self.source(source);
        self.ops.push(Op::Attach { mount, target: target.to_owned(), is_dir });
    }

    /// First of all: what follows is already paid for by the container's own cgroups. On v2 the birth itself does it.
    pub fn enter_cgroups(&mut self, host: &HostFacts) {
        for controller in &host.cgroup_v1 {
            let tasks = self.source(FdSource::CgroupTasks { controller: controller.clone() });
            self.ops.push(Op::EnterCgroup { tasks, controller: controller.clone() });
        }
    }

    /// # Errors
    /// When there are more descriptors than fit.
    pub fn check(&self, container: &str) -> Result<(), PlanError> {
        match self.sources.len() {
            count if count > SLOTS_MAX => Err(PlanError::of(container, "volumeMounts", Problem::TooManyMounts(count))),
            _ => Ok(()),
        }
    }
}
