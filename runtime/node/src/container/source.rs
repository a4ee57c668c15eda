//! Opens what a container's plan names, in slot order. Every decision was the planner's; here is only IO.
//!
//! Each source becomes one descriptor that goes through pause to init: detached mounts, cgroup files, sealed memory
//! files. Rights are set on a mount before anybody else holds it. Nothing is attached to the host's own mount tree.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use dwell_spec::facts::VolumePart;
use dwell_spec::plan::container::{FdSource, MountFlags, SHARED_MEMORY};
use dwell_spec::plan::users;
use dwell_spec::plan::worker::WorkerPlan;
use dwell_spec::pod::Propagation;
use dwell_sys::{memfd, mount};
use rustix::fs::{AtFlags, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;
use rustix::mount::MountAttrFlags;

use super::last_words;

const CANNOT_BE_MAPPED: &str = "this kernel cannot map the ids of its file system, as spec.hostUsers: false needs (it can for \
                                ext4, xfs and btrfs, and since Linux 6.3 for tmpfs): keep it on one of those, or give the \
                                Pod the host's users";

/// What the Pod hands to a container's start: descriptors and folders, no objects of its own.
#[derive(Debug)]
pub struct Parts<'a> {
    /// The Pod's volumes, and parts of volumes.
    pub volumes: &'a BTreeMap<VolumePart, Mountable<'a>>,
    /// Folder of the Pod's `hosts`, `hostname` and `resolv.conf`.
    pub pod_files: &'a Path,
    /// Folder that belongs to this start alone.
    pub own_folder: PathBuf,
    /// `tasks` files of the container's v1 cgroups, by hierarchy.
    pub cgroup_tasks: &'a [(String, OwnedFd)],
    /// The compiled module of a Wasm member.
    pub module: Option<BorrowedFd<'a>>,
    /// The worker's executable.
    pub worker: Option<BorrowedFd<'a>>,
    /// The start's report file.
    pub report: BorrowedFd<'a>,
    /// The member that is joined (exec).
    pub target: Option<BorrowedFd<'a>>,
    /// The Pod's own user namespace, and the host's id of its root: mounts are mapped into it.
    pub users: Option<(u32, BorrowedFd<'a>)>,
}

/// What a volume is mounted from.
#[derive(Debug, Clone, Copy)]
pub struct Mountable<'a> {
    /// Its folder or file.
    pub fd: BorrowedFd<'a>,
    /// Ids on it are the host's already: it is not mapped.
    pub is_of_host: bool,
}

/// Everything opened, in slot order, and the terminal if there is one.
#[derive(Debug, Default)]
pub struct Opened {
    /// Descriptor of slot `n` at index `n`.
    pub slots: Vec<OwnedFd>,
    /// Master and slave.
    pub terminal: Option<(OwnedFd, OwnedFd)>,
}

/// Opens every source of the plan.
///
/// # Errors
/// Names the source that could not be opened.
pub fn open_all(sources: &[FdSource], worker_plan: Option<&[u8]>, parts: &Parts<'_>) -> Result<Opened, SourceError> {
    let mut opened = Opened::default();
    for source in sources {
        let fd = open(source, worker_plan, parts, &mut opened.terminal);
        let fd = fd.map_err(|cause| SourceError { what: describe(source), cause })?;
        opened.slots.push(fd);
    }
    Ok(opened)
}

/// The worker's plan as it travels.
pub fn encode_worker_plan(plan: Option<&WorkerPlan>) -> Option<Vec<u8>> {
    plan.and_then(|worker| serde_json::to_vec(worker).ok())
}

fn open(
    source: &FdSource,
    worker_plan: Option<&[u8]>,
    parts: &Parts<'_>,
    terminal: &mut Option<(OwnedFd, OwnedFd)>,
) -> io::Result<OwnedFd> {
    match source {
        FdSource::OverlayRoot { image_dir } => overlay_root(Path::new(image_dir), parts),
        FdSource::ReadOnlyRoot { image_dir } => {
            Ok(mount::clone_readonly(open_root(Path::new(image_dir))?.as_fd(), true)?)
        }
        FdSource::Volume { name, part, flags } => volume(parts, (name.clone(), part.clone()), *flags),
        FdSource::PodFile { name, flags } => pod_file(parts, name, *flags),
        FdSource::Hosts => hosts(parts.pod_files),
        FdSource::SharedMemory { flags } => volume(parts, (SHARED_MEMORY.to_owned(), None), *flags),
        FdSource::LastWords { flags } => last_words(parts, *flags),
        FdSource::CompiledModule { .. } => Ok(mount::clone_readonly(present(parts.module, "compiled module")?, false)?),
        FdSource::CgroupTasks { controller } => tasks(parts.cgroup_tasks, controller),
        FdSource::WorkerExecutable => present(parts.worker, "worker")?.try_clone_to_owned(),
        FdSource::WorkerPlan => Ok(memfd::sealed("worker-plan", worker_plan.unwrap_or_default())?),
        FdSource::Report => parts.report.try_clone_to_owned(),
        FdSource::Devpts => devpts(terminal),
        FdSource::TargetPidfd => present(parts.target, "member to join")?.try_clone_to_owned(),
        FdSource::Users => present(parts.users.map(|users| users.1), "user namespace")?.try_clone_to_owned(),
    }
}

fn present<'a>(fd: Option<BorrowedFd<'a>>, what: &str) -> io::Result<BorrowedFd<'a>> {
    fd.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("there is no {what} here")))
}

fn open_root(path: &Path) -> io::Result<OwnedFd> {
    Ok(rustix::fs::open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?)
}

/// In a user namespace the image is mapped, and the layer of its own belongs to the ids of the host: an overlay as a whole
/// cannot be mapped, nor its upper layer.
fn overlay_root(image: &Path, parts: &Parts<'_>) -> io::Result<OwnedFd> {
    let lower = open_root(image)?;
    let (upper, work) = (parts.own_folder.join("upper"), parts.own_folder.join("work"));
    std::fs::create_dir_all(&upper)?;
    std::fs::create_dir_all(&work)?;
    copy_mode(lower.as_fd(), &upper, parts.users.map(|users| users.0))?;
    let layer = open_root(&parts.own_folder)?;
    let Some((first, _)) = parts.users else { return Ok(mount::overlay(lower.as_fd(), layer.as_fd())?) };
    std::os::unix::fs::chown(&work, Some(first), Some(first))?;
    mount::overlay_over_detached(mapped(mount::clone_tree(lower.as_fd(), "", false)?, parts)?, layer.as_fd())
}

/// The root directory of the member is the upper one: it looks as the image's does.
fn copy_mode(lower: BorrowedFd<'_>, upper: &Path, users: Option<u32>) -> io::Result<()> {
    let found = rustix::fs::fstat(lower)?;
    rustix::fs::chmod(upper, Mode::from_raw_mode(found.st_mode & 0o7777))?;
    let of_host = |id: u32| users.map_or(id, |first| users::of_host(first, id).unwrap_or(first));
    std::os::unix::fs::chown(upper, Some(of_host(found.st_uid)), Some(of_host(found.st_gid)))
}

fn volume(parts: &Parts<'_>, wanted: VolumePart, flags: MountFlags) -> io::Result<OwnedFd> {
    let found = parts.volumes.get(&wanted);
    let found = *found.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the Pod has no such volume"))?;
    if !mount::can_be(propagation(flags), found.fd)? {
        return Err(io::Error::other("it is not on a shared mount, as mountPropagation needs (mount --make-shared)"));
    }
    let tree = mount::clone_tree(found.fd, "", true)?;
    with_rights(if flags.device || found.is_of_host { tree } else { mapped(tree, parts)? }, flags, true)
}

/// Into the Pod's user namespace, if it has one.
fn mapped(tree: OwnedFd, parts: &Parts<'_>) -> io::Result<OwnedFd> {
    let Some((_, users)) = parts.users else { return Ok(tree) };
    mount::map_ids(tree.as_fd(), users).map_err(|errno| match errno {
        Errno::INVAL => io::Error::other(CANNOT_BE_MAPPED),
        _ => io::Error::other(format!("map it into the Pod's user namespace (hostUsers: false): {errno}")),
    })?;
    Ok(tree)
}

/// A file of the node's for the Pod. Where its file system cannot be mapped, it becomes the Pod's own.
fn mapped_or_given(file: OwnedFd, parts: &Parts<'_>) -> io::Result<OwnedFd> {
    let Some((first, users)) = parts.users else { return Ok(file) };
    match mount::map_ids(file.as_fd(), users) {
        Err(Errno::INVAL) => {
            let (uid, gid) = (Uid::from_raw(first), Gid::from_raw(first));
            rustix::fs::chownat(&file, "", Some(uid), Some(gid), AtFlags::EMPTY_PATH)?;
        }
        mapped => mapped?,
    }
    Ok(file)
}

fn pod_file(parts: &Parts<'_>, name: &str, flags: MountFlags) -> io::Result<OwnedFd> {
    let fd =
        rustix::fs::open(parts.pod_files.join(name), OFlags::PATH | OFlags::CLOEXEC | OFlags::NOFOLLOW, Mode::empty())?;
    with_rights(mapped_or_given(mount::clone_tree(fd.as_fd(), "", false)?, parts)?, flags, false)
}

fn hosts(folder: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    Ok(rustix::fs::open(folder.join("hosts"), flags, Mode::empty())?)
}

fn last_words(parts: &Parts<'_>, flags: MountFlags) -> io::Result<OwnedFd> {
    let file = last_words::make(&parts.own_folder)?;
    with_rights(mapped_or_given(mount::clone_tree(file.as_fd(), "", false)?, parts)?, flags, false)
}

fn with_rights(tree: OwnedFd, flags: MountFlags, recursive: bool) -> io::Result<OwnedFd> {
    let mut attributes = MountAttrFlags::empty();
    attributes.set(MountAttrFlags::MOUNT_ATTR_RDONLY, flags.read_only);
    attributes.set(MountAttrFlags::MOUNT_ATTR_NOEXEC, flags.noexec);
    attributes.set(MountAttrFlags::MOUNT_ATTR_NOSUID, flags.nosuid);
    attributes.set(MountAttrFlags::MOUNT_ATTR_NODEV, flags.nodev);
    mount::restrict(tree.as_fd(), attributes, propagation(flags), recursive)?;
    Ok(tree)
}

fn propagation(flags: MountFlags) -> mount::Propagation {
    match flags.propagation {
        Propagation::None => mount::Propagation::Private,
        Propagation::HostToContainer => mount::Propagation::Slave,
        Propagation::Bidirectional => mount::Propagation::Kept,
    }
}

fn tasks(files: &[(String, OwnedFd)], controller: &str) -> io::Result<OwnedFd> {
    let found = files.iter().find(|(name, _)| name == controller).map(|(_, fd)| fd.as_fd());
    present(found, "cgroup of this controller")?.try_clone_to_owned()
}

fn devpts(terminal: &mut Option<(OwnedFd, OwnedFd)>) -> io::Result<OwnedFd> {
    let devpts = mount::devpts()?;
    *terminal = Some(mount::open_terminal(devpts.as_fd())?);
    Ok(devpts)
}

fn describe(source: &FdSource) -> String {
    match source {
        FdSource::OverlayRoot { image_dir } | FdSource::ReadOnlyRoot { image_dir } => {
            format!("the root file system {image_dir}")
        }
        FdSource::Volume { name, part: None, .. } => format!("volume {name}"),
        FdSource::Volume { name, part: Some(part), .. } => format!("{part} of volume {name}"),
        FdSource::PodFile { name, .. } => format!("the Pod's {name}"),
        FdSource::Hosts => "the Pod's hosts".into(),
        FdSource::SharedMemory { .. } => "the Pod's shared memory".into(),
        FdSource::LastWords { .. } => "the file for last words".into(),
        FdSource::CompiledModule { .. } => "the compiled module".into(),
        FdSource::CgroupTasks { controller } => format!("the cgroup of {controller}"),
        FdSource::WorkerExecutable => "the worker".into(),
        FdSource::WorkerPlan => "the worker's plan".into(),
        FdSource::Report => "the report file".into(),
        FdSource::Devpts => "a terminal".into(),
        FdSource::TargetPidfd => "the member to join".into(),
        FdSource::Users => "the Pod's user namespace".into(),
    }
}

/// A source that could not be opened.
#[derive(Debug)]
pub struct SourceError {
    what: String,
    cause: io::Error,
}

impl std::fmt::Display for SourceError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "open {}", self.what)
    }
}

impl std::error::Error for SourceError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.cause)
    }
}
