//! Our subtree, and the groups of Pods and containers made in it.
//!
//! ```text
//! version 1                        version 2 with controllers            version 2 without (both mounted)
//! NAME/POD        pause            NAME/POD             nobody           NAME/POD        pause
//! NAME/POD/C      container        NAME/POD/pause       pause            NAME/POD/C      container
//!                                  NAME/POD/C           container
//! ```
//! In version 2 a group with controllers enabled for its children holds no processes itself, hence the leaf. That of huge
//! pages is enabled below a Pod only if it asks for some: else the Pod's own limit, which is none, holds for all in it.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use dwell_spec::plan::container::CgroupLimits;
use dwell_sys::cgroup::device_filter;
use rustix::fs::OFlags;

use super::group::{children, failed, open, write};
use super::layout::{Layout, Version2};
use super::limits::{self, Setting};
use super::{CgroupError, Group};

const PAUSE: &str = "pause";
/// The controller of huge pages.
const HUGE_PAGES: &str = "hugetlb";
/// Where this process moves when its own delegated group becomes the parent of ours.
pub(super) const NODE: &str = "node";

/// The subtree of one node.
#[derive(Debug, Clone)]
pub struct CgroupRoot {
    layout: Layout,
    group: Group,
}

impl CgroupRoot {
    /// Finds the host's hierarchies and makes the subtree `name` in each. On version 2 this enables controllers for
    /// it, in the group above and in its own.
    ///
    /// # Errors
    /// `NoHierarchy`, `BadName`, `NotDelegated`, or the `File` that could not be used.
    pub fn open(name: &str) -> Result<Self, CgroupError> {
        Self::open_in(Layout::detect(), name)
    }

    fn open_in(layout: Layout, name: &str) -> Result<Self, CgroupError> {
        check_name(name)?;
        if layout.v1.is_empty() && layout.v2.is_none() {
            return Err(CgroupError::NoHierarchy);
        }
        let v1 = layout.v1.iter().map(|one| (one.controllers.clone(), one.parent.join(name))).collect();
        let group = Group { v1, v2: layout.v2.as_ref().map(|v2| v2.parent.join(name)) };
        group.dirs().try_for_each(|dir| make(dir))?;
        if let Some(v2) = &layout.v2 {
            enable_above(v2)?;
        }
        let root = Self { layout, group };
        root.enable_below(&root.group, root.v2_controllers())?;
        Ok(root)
    }

    /// What was found.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Makes a Pod's group with the Pod's limits (devices are a container's matter).
    ///
    /// # Errors
    /// `BadName`, or the `File` that could not be used; what was made is removed then.
    pub fn create_pod(&self, id: &str, limits: &CgroupLimits) -> Result<PodCgroup, CgroupError> {
        let pod = self.pod(id)?;
        undone_by(&pod.group, self.fill_pod(&pod, limits))?;
        Ok(pod)
    }

    fn fill_pod(&self, pod: &PodCgroup, limits: &CgroupLimits) -> Result<(), CgroupError> {
        self.make_with_limits(&pod.group, limits)?;
        let has_pages = limits.huge_pages.values().any(|bytes| *bytes > 0);
        let list = self.v2_controllers().iter().filter(|name| has_pages || *name != HUGE_PAGES);
        let list: Vec<String> = list.cloned().collect();
        self.enable_below(&pod.group, &list)?;
        let leaf = pod.group.v2.iter().filter(|_| !list.is_empty()).map(|dir| dir.join(PAUSE));
        leaf.into_iter().try_for_each(|dir| make(&dir))
    }

    /// A Pod's group that an earlier node made; it may be gone.
    ///
    /// # Errors
    /// `BadName`
    pub fn pod(&self, id: &str) -> Result<PodCgroup, CgroupError> {
        check_name(id)?;
        Ok(PodCgroup { root: self.clone(), group: self.group.child(id) })
    }

    /// Kills what is left in a Pod's group and removes it. May be repeated; a group that is gone is success.
    ///
    /// # Errors
    /// `Busy` when processes outlive SIGKILL by more than a tenth of a second, `File` otherwise.
    pub fn end_pod(&self, id: &str) -> Result<(), CgroupError> {
        let group = self.pod(id)?.group;
        if group.is_gone() {
            return Ok(());
        }
        group.kill()?;
        group.remove()
    }

    /// Ids of all Pods with a group in any hierarchy.
    pub fn list_pods(&self) -> Vec<String> {
        let names =
            |dir: &Path| children(dir).into_iter().filter_map(|child| child.file_name()?.to_str().map(str::to_owned));
        let mut found: Vec<String> = self.group.dirs().flat_map(|dir| names(dir)).collect();
        found.sort();
        found.dedup();
        found
    }

    /// Removes the subtree if it has no Pod; whether it is gone.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn remove_root_if_empty(&self) -> Result<bool, CgroupError> {
        if !self.list_pods().is_empty() {
            return Ok(false);
        }
        self.group.remove().map(|()| true)
    }

    fn make_with_limits(&self, group: &Group, limits: &CgroupLimits) -> Result<(), CgroupError> {
        group.dirs().try_for_each(|dir| make(dir))?;
        self.limit(group, limits)
    }

    fn limit(&self, group: &Group, limits: &CgroupLimits) -> Result<(), CgroupError> {
        self.tell(group, |name| limits::v1(name, limits), &limits::v2(self.v2_controllers(), limits))
    }

    /// As `limit`, where there may have been others.
    fn limit_anew(&self, group: &Group, limits: &CgroupLimits) -> Result<(), CgroupError> {
        let lifted = limits::v2_lifted(self.v2_controllers(), limits);
        let lifted = self.tell(group, |name| limits::v1_lifted(name, limits), &lifted);
        let limited = self.limit(group, limits);
        lifted.and(limited)
    }

    /// All that can be said is said, whatever is refused; the first refusal is told. `v1` gives the settings of a controller.
    fn tell(&self, group: &Group, v1: impl Fn(&str) -> Vec<Setting>, v2: &[Setting]) -> Result<(), CgroupError> {
        let of_v1 = group
            .v1
            .iter()
            .flat_map(|(controllers, dir)| controllers.iter().flat_map(|name| v1(name)).map(move |one| (dir, one)));
        let of_v2 = group.v2.iter().flat_map(|dir| v2.iter().map(move |one| (dir, one.clone())));
        let outcomes: Vec<_> = of_v1.chain(of_v2).map(|(dir, one)| apply(dir, &one)).collect();
        outcomes.into_iter().collect()
    }

    fn enable_below(&self, group: &Group, controllers: &[String]) -> Result<(), CgroupError> {
        let list = enabling(controllers);
        match &group.v2 {
            Some(dir) if !list.is_empty() => write(&dir.join("cgroup.subtree_control"), &list),
            _ => Ok(()),
        }
    }

    fn v2_controllers(&self) -> &[String] {
        self.layout.v2.as_ref().map_or(&[], |v2| &v2.controllers)
    }
}

/// A Pod's group.
#[derive(Debug, Clone)]
pub struct PodCgroup {
    root: CgroupRoot,
    /// For killing, counting and removing the whole Pod.
    pub group: Group,
}

impl PodCgroup {
    /// Makes a container's group with its limits and device allow-list. A further start needs another id, or the old
    /// group removed.
    ///
    /// # Errors
    /// `BadName`, or the `File` that could not be used; what was made is removed then.
    pub fn create_container(&self, id: &str, limits: &CgroupLimits) -> Result<ContainerCgroup, CgroupError> {
        let group = self.named(id)?;
        let filled = self.root.make_with_limits(&group, limits);
        let filled = filled.and_then(|()| self.restrict_devices(&group, limits));
        undone_by(&group, filled.and_then(|()| end_together(&group)))?;
        let directory = undone_by(&group, group.v2_dir())?;
        Ok(ContainerCgroup { group, directory })
    }

    /// Gives the Pod, and those of its containers that live, other limits. Twice, where the first time one was refused: some
    /// hold only once another does (a part is never more than the whole, memory never more than memory with swap).
    ///
    /// # Errors
    /// The `File` that refused for good.
    pub fn limit(&self, pod: &CgroupLimits, containers: &[(String, CgroupLimits)]) -> Result<(), CgroupError> {
        let all = || {
            let mut outcomes = vec![self.root.limit_anew(&self.group, pod)];
            for (id, limits) in containers {
                outcomes.push(self.named(id).and_then(|group| self.root.limit_anew(&group, limits)));
            }
            outcomes.into_iter().collect::<Result<(), _>>()
        };
        all().or_else(|_| all())
    }

    /// A container's group that was made before; it may be gone. `None` for a name that no group of ours has.
    pub fn container(&self, id: &str) -> Option<Group> {
        self.named(id).ok()
    }

    fn named(&self, id: &str) -> Result<Group, CgroupError> {
        check_name(id)?;
        if id == PAUSE {
            return Err(CgroupError::BadName { name: id.to_owned() });
        }
        Ok(self.group.child(id))
    }

    /// The version 1 `tasks` files through which pause moves itself into the Pod's group.
    ///
    /// # Errors
    /// `File` when one is gone.
    pub fn pause_tasks(&self) -> Result<Vec<OwnedFd>, CgroupError> {
        Ok(self.group.all_tasks()?.into_iter().map(|(_, tasks)| tasks).collect())
    }

    /// The version 2 directory that pause is born into.
    ///
    /// # Errors
    /// `File` when it is gone.
    pub fn pause_directory(&self) -> Result<Option<OwnedFd>, CgroupError> {
        match self.pause_dir() {
            Some(dir) => open(&dir, OFlags::RDONLY | OFlags::DIRECTORY).map(Some),
            None => self.group.v2_dir(),
        }
    }

    fn pause_dir(&self) -> Option<std::path::PathBuf> {
        Some(self.group.v2.as_ref()?.join(PAUSE)).filter(|leaf| leaf.is_dir())
    }

    fn restrict_devices(&self, group: &Group, limits: &CgroupLimits) -> Result<(), CgroupError> {
        let by_file = group.v1.iter().find(|(controllers, _)| controllers.iter().any(|one| one == "devices"));
        match (by_file, &group.v2) {
            (Some((_, dir)), _) => restrict_by_file(dir, limits),
            (None, Some(dir)) => restrict_by_program(dir, limits),
            (None, None) => Ok(()),
        }
    }
}

/// A container's group, just made.
#[derive(Debug)]
pub struct ContainerCgroup {
    /// Everything that can be done with it.
    pub group: Group,
    directory: Option<OwnedFd>,
}

impl ContainerCgroup {
    /// The `tasks` files of every version 1 hierarchy, by controller, open for writing.
    ///
    /// # Errors
    /// `File` when the group is gone.
    pub fn tasks(&self) -> Result<Vec<(String, OwnedFd)>, CgroupError> {
        self.group.all_tasks()
    }

    /// The version 2 directory that the member is born into; `None` where version 2 is not mounted.
    pub fn into_directory(self) -> Option<OwnedFd> {
        self.directory
    }
}

/// Refuse all, then allow one rule a write: a second line in one write is dropped in silence.
fn restrict_by_file(dir: &Path, limits: &CgroupLimits) -> Result<(), CgroupError> {
    write(&dir.join("devices.deny"), "a")?;
    let allow = dir.join("devices.allow");
    limits.devices.iter().try_for_each(|rule| write(&allow, &limits::device_line(rule)))
}

fn restrict_by_program(dir: &Path, limits: &CgroupLimits) -> Result<(), CgroupError> {
    let rules: Vec<_> = limits.devices.iter().map(limits::device_filter).collect();
    let group = open(dir, OFlags::RDONLY | OFlags::DIRECTORY)?;
    device_filter::restrict(group.as_fd(), &rules).map_err(failed("restrict devices of", dir))
}

/// Version 2: a container that runs out of memory ends as a whole, as in Kubernetes.
fn end_together(group: &Group) -> Result<(), CgroupError> {
    let together = Setting { file: "memory.oom.group".into(), value: "1".into(), optional: true };
    group.v2.iter().try_for_each(|dir| apply(dir, &together))
}

fn apply(dir: &Path, setting: &Setting) -> Result<(), CgroupError> {
    match write(&dir.join(&*setting.file), &setting.value) {
        Err(CgroupError::File { source, .. }) if setting.optional && source.kind() == io::ErrorKind::NotFound => Ok(()),
        outcome => outcome,
    }
}

fn make(dir: &Path) -> Result<(), CgroupError> {
    match fs::create_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        outcome => outcome.map_err(failed("make", dir)),
    }
}

/// Enables controllers in the group above ours. If that is our own delegated group, this process leaves it first for
/// a leaf of its own: the one write of `cgroup.procs`, once in a node's life.
fn enable_above(v2: &Version2) -> Result<(), CgroupError> {
    let list = enabling(&v2.controllers);
    if list.is_empty() {
        return Ok(());
    }
    if v2.delegated {
        let leaf = v2.parent.join(NODE);
        make(&leaf)?;
        write(&leaf.join("cgroup.procs"), "0")?;
    }
    write(&v2.parent.join("cgroup.subtree_control"), &list).map_err(|error| match error {
        CgroupError::File { source, .. } if source.kind() == io::ErrorKind::ResourceBusy => {
            CgroupError::NotDelegated { path: v2.parent.clone(), source }
        }
        error => error,
    })
}

fn enabling(controllers: &[String]) -> String {
    controllers.iter().map(|name| format!("+{name}")).collect::<Vec<_>>().join(" ")
}

fn undone_by<T>(group: &Group, outcome: Result<T, CgroupError>) -> Result<T, CgroupError> {
    outcome.inspect_err(|_| drop(group.remove()))
}

/// No dot, since the kernel's own files have one; nothing that could leave the directory.
fn check_name(name: &str) -> Result<(), CgroupError> {
    let fine = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if name.is_empty() || name.len() > 200 || !name.bytes().all(fine) || name == "tasks" {
        return Err(CgroupError::BadName { name: name.to_owned() });
    }
    Ok(())
}

#[cfg(test)]
#[path = "root_tests.rs"]
mod tests;
