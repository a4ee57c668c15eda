//! Volumes: each is opened (or made) once per Pod and held as a directory descriptor; mounts and grants are cloned
//! from it, never from a path that is walked again.
//!
//! A leaf: it is given plain paths and the volume's description, and gives back descriptors. An emptyDir on disk is a
//! folder below the Pod's own; one in memory is a tmpfs mounted in the Pod's run folder, so that it outlives pause
//! and node alike (and goes with the Pod). What members put inside is never followed.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use dwell_spec::facts::DeviceNumber;
use dwell_spec::plan::container::SHARED_MEMORY;
use dwell_spec::plan::projection::ProjectedFiles;
use dwell_spec::pod::{HostPathKind, Medium, Volume, VolumeGroup, VolumeSource};
use rustix::fs::{FileType, Mode, OFlags, RenameFlags, ResolveFlags};

pub mod devices;
mod group;
pub mod huge_pages;
mod projected;
mod users;

use users::Ids;
pub use users::Users;

/// A volume, open.
#[derive(Debug)]
pub struct OpenVolume {
    fd: OwnedFd,
    /// Whether it is a single file (a hostPath may be).
    pub is_file: bool,
    /// The device that it gives to members, if its kind says that it is one.
    pub device: Option<DeviceNumber>,
    ids: Ids,
}

impl OpenVolume {
    /// The descriptor that mounts are cloned from.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Whether ids on it are the host's already, so that it must not be mapped into the Pod's user namespace.
    pub fn is_of_host(&self) -> bool {
        self.ids != Ids::AsSeen
    }

    /// A file or folder of it, beneath it whatever a member does meanwhile; with `make`, a folder where there is
    /// nothing, as the volume's own is.
    ///
    /// # Errors
    /// It is not there, or leads out of the volume.
    pub fn part(&self, path: &str, make: bool) -> io::Result<OpenVolume> {
        let fd = match beneath(self.fd(), path, OFlags::empty()) {
            Err(rustix::io::Errno::NOENT) if make => self.make_part(path)?,
            Err(rustix::io::Errno::XDEV) => return Err(io::Error::other("it leads out of the volume")),
            other => other?,
        };
        let is_file = FileType::from_raw_mode(rustix::fs::fstat(&fd)?.st_mode) != FileType::Directory;
        Ok(OpenVolume { fd, is_file, device: None, ids: self.ids })
    }

    fn make_part(&self, path: &str) -> io::Result<OwnedFd> {
        let mode = Mode::from_raw_mode(rustix::fs::fstat(&self.fd)?.st_mode & 0o7777);
        let mut folder = self.fd.try_clone()?;
        for name in path.split('/').filter(|name| !name.is_empty() && *name != ".") {
            let made = match rustix::fs::mkdirat(&folder, name, mode) {
                Err(rustix::io::Errno::EXIST) => false,
                other => other.map(|()| true)?,
            };
            folder = beneath(folder.as_fd(), name, OFlags::DIRECTORY | OFlags::NOFOLLOW)?;
            if made {
                // Whatever the umask is.
                self.ids.give(folder.as_fd())?;
                rustix::fs::chmodat(&folder, ".", mode, rustix::fs::AtFlags::empty())?;
            }
        }
        Ok(folder)
    }
}

/// Links count as long as they stay beneath; those of `/proc` never.
fn beneath(folder: BorrowedFd<'_>, path: &str, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    rustix::fs::openat2(folder, path, OFlags::PATH | OFlags::CLOEXEC | flags, Mode::empty(), resolve)
}

/// Where a Pod's own volumes live.
#[derive(Debug, Clone)]
pub struct VolumeFolders {
    /// For emptyDirs on disk.
    pub disk: PathBuf,
    /// For emptyDirs in memory, and for files that the node writes.
    pub memory: PathBuf,
    /// For the claims of its namespace, which outlive it.
    pub claims: PathBuf,
    /// Bytes that an emptyDir in memory may hold at most, whatever it says: as much as the Pod may use.
    pub memory_limit: Option<u64>,
    /// The same of huge pages, by the size of a page in bytes.
    pub huge_pages: BTreeMap<u64, u64>,
    /// The Pod's own, if it has some.
    pub users: Option<Users>,
}

impl VolumeFolders {
    /// A folder that was made for the Pod, with its users and its group.
    fn own(
        &self,
        path: &Path,
        made: Result<OpenVolume, Failure>,
        group: Option<VolumeGroup>,
    ) -> Result<OpenVolume, Failure> {
        made.and_then(|open| self.taken(path, open)).and_then(|open| given(path, open, group))
    }

    /// A folder of the Pod alone, with users of its own as theirs.
    fn taken(&self, path: &Path, open: OpenVolume) -> Result<OpenVolume, Failure> {
        let Some(users) = &self.users else { return Ok(open) };
        let ids = users.take(open.fd()).map_err(|error| (path.into(), "give to the users of the Pod", error))?;
        Ok(OpenVolume { ids, ..open })
    }
}

/// Opens the volume, making what its kind says must be made. Idempotent. `files` are those of a projected volume; none
/// leaves it as it is. The volume becomes the group's, except that what lies in a claim stays as it is (`open_claim`).
///
/// # Errors
/// Names the volume, the path and what was wrong with it.
pub fn ensure_open(
    volume: &Volume,
    folders: &VolumeFolders,
    files: Option<&ProjectedFiles>,
    group: Option<VolumeGroup>,
) -> Result<OpenVolume, VolumeError> {
    match &volume.source {
        VolumeSource::EmptyDir { medium: Medium::Disk, .. } | VolumeSource::Ephemeral => {
            let path = folders.disk.join(&volume.name);
            folders.own(&path, disk_dir(&path), group)
        }
        VolumeSource::EmptyDir { medium: Medium::Memory, size_limit } => {
            let size = at_most(size_limit.iter().chain(&folders.memory_limit).min());
            let path = folders.memory.join(&volume.name);
            folders.own(&path, memory_dir(&path, TMPFS, &format!("mode=0777{size}")), group)
        }
        VolumeSource::EmptyDir { medium: Medium::HugePages { page }, size_limit } => {
            let size = at_most(size_limit.iter().chain(folders.huge_pages.get(page)).min());
            let path = folders.memory.join(&volume.name);
            let open = memory_dir(&path, "hugetlbfs", &format!("mode=0777,pagesize={page}{size}"));
            folders.own(&path, open, group)
        }
        VolumeSource::Claim { name, .. } => claim_dir(&folders.claims.join(name)),
        VolumeSource::Image { dir } => host_path(Path::new(dir), HostPathKind::Directory),
        VolumeSource::HostPath { path, kind } => host_path(Path::new(path), *kind),
        source @ VolumeSource::Projected { .. } => {
            projected_dir(&volume.name, folders, source.is_secret(), files.map(|files| (files, group)))
        }
    }
    .map_err(|failure| named(&volume.name, failure))
}

const TMPFS: &str = "tmpfs";

fn at_most(bytes: Option<&u64>) -> String {
    bytes.map(|bytes| format!(",size={bytes}")).unwrap_or_default()
}

fn named(volume: &str, (path, what, source): Failure) -> VolumeError {
    VolumeError { volume: volume.to_owned(), path, what, source }
}

/// Opens a claim and gives what lies in it to the group, if there is one, as its policy says; a claim that may only be read
/// stays as it is. Waits for the disk, and as long as there is much in it.
///
/// # Errors
/// As `ensure_open`.
pub fn open_claim(
    volume: &Volume,
    folders: &VolumeFolders,
    group: Option<VolumeGroup>,
) -> Result<OpenVolume, VolumeError> {
    let open = ensure_open(volume, folders, None, None)?;
    if let Some(group) = group.filter(|_| !volume.source.is_read_only()) {
        // Opened anew, to be listed.
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let given = rustix::fs::openat(open.fd(), ".", flags, Mode::empty())
            .map_err(io::Error::from)
            .and_then(|folder| group::give_tree(folder.as_fd(), group, true));
        given.map_err(|error| named(&volume.name, (folders.claims.clone(), GIVE, error)))?;
    }
    Ok(open)
}

/// Opens the memory that all members of the Pod share, a tmpfs of its own; with `anew`, an empty one for a new sandbox.
///
/// # Errors
/// As `ensure_open`.
pub fn shared_memory(folders: &VolumeFolders, anew: bool) -> Result<OpenVolume, VolumeError> {
    let path = folders.memory.join(SHARED_MEMORY);
    let emptied = if anew { unmount_if_mounted(&path) } else { Ok(()) };
    emptied
        .map_err(|error| (path.clone(), "unmount what was left of", error))
        .and_then(|()| memory_dir(&path, TMPFS, "mode=1777,size=64m"))
        .and_then(|open| folders.taken(&path, open))
        .map_err(|failure| named("of the shared memory", failure))
}

/// Opens the host's shared memory, which members with `hostIPC` have.
///
/// # Errors
/// As `ensure_open`.
pub fn shared_memory_of_host() -> Result<OpenVolume, VolumeError> {
    open_dir(Path::new("/dev/shm")).map_err(|failure| named("of the shared memory", failure))
}

/// Unmounts and removes every volume folder of a Pod. Idempotent.
///
/// # Errors
/// The first folder that would not go.
pub fn remove_all(folders: &VolumeFolders) -> io::Result<()> {
    remove_memory(&folders.memory)?;
    dwell_sys::remove::remove_tree(&folders.disk)
}

/// The same for those in memory alone.
///
/// # Errors
/// The first folder that would not go.
pub fn remove_memory(memory: &Path) -> io::Result<()> {
    for entry in read_dir_if_any(memory)? {
        unmount_if_mounted(&entry.path())?;
    }
    dwell_sys::remove::remove_tree(memory)
}

fn read_dir_if_any(path: &Path) -> io::Result<Vec<std::fs::DirEntry>> {
    match std::fs::read_dir(path) {
        Ok(entries) => entries.collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn unmount_if_mounted(path: &Path) -> io::Result<()> {
    match rustix::mount::unmount(path, rustix::mount::UnmountFlags::DETACH | rustix::mount::UnmountFlags::NOFOLLOW) {
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOENT) => Ok(()),
        other => Ok(other?),
    }
}

type Failure = (PathBuf, &'static str, io::Error);

const GIVE: &str = "give to the group of the Pod (fsGroup)";

/// A folder that is new, and what members make in it will be the group's.
fn given(path: &Path, open: OpenVolume, group: Option<VolumeGroup>) -> Result<OpenVolume, Failure> {
    let given = group.map_or(Ok(()), |group| group::give_new_folder(open.fd(), open.ids.of(group.gid)));
    given.map_err(|error| (path.into(), GIVE, error)).map(|()| open)
}

fn claim_dir(path: &Path) -> Result<OpenVolume, Failure> {
    make_claim(path).map_err(|error| (path.to_path_buf(), "make the folder of the claim", error))?;
    open_dir(path)
}

/// Makes the folder of a claim, unless it is there. Its name is on the disk before anybody writes into it.
///
/// # Errors
/// What the file system said.
pub fn make_claim(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    make_dir(path, 0o777)?;
    path.ancestors().skip(1).take(3).try_for_each(|folder| std::fs::File::open(folder)?.sync_all())
}

fn disk_dir(path: &Path) -> Result<OpenVolume, Failure> {
    make_dir(path, 0o777).map_err(|e| (path.into(), "make the folder of the volume", e))?;
    open_dir(path)
}

fn memory_dir(path: &Path, kind: &str, options: &str) -> Result<OpenVolume, Failure> {
    make_dir(path, 0o777).map_err(|e| (path.into(), "make the folder of the volume", e))?;
    if !is_mount_point(path).map_err(|e| (path.into(), "look at the volume", e))? {
        mount_memory(path, kind, options).map_err(|e| (path.into(), "mount memory for the volume at", e))?;
    }
    open_dir(path)
}

/// The run folder is in memory on any ordinary host, but a Secret asks for certainty.
fn projected_dir(
    name: &str,
    folders: &VolumeFolders,
    secret: bool,
    files: Option<(&ProjectedFiles, Option<VolumeGroup>)>,
) -> Result<OpenVolume, Failure> {
    let path = folders.memory.join(name);
    let open = if secret { memory_dir(&path, TMPFS, "mode=0777")? } else { disk_dir(&path)? };
    let open = folders.taken(&path, open)?;
    if let Some((files, group)) = files {
        projected::write(&path, files, (open.ids, group.map(|group| group.gid)))
            .map_err(|e| (path, "write the files of", e))?;
    }
    Ok(open)
}

fn mount_memory(path: &Path, kind: &str, options: &str) -> io::Result<()> {
    let options = std::ffi::CString::new(options)?;
    let flags = rustix::mount::MountFlags::NOSUID | rustix::mount::MountFlags::NODEV;
    Ok(rustix::mount::mount("dwell", path, kind, flags, options.as_c_str())?)
}

fn is_mount_point(path: &Path) -> io::Result<bool> {
    let (own, parent) = (rustix::fs::stat(path)?, rustix::fs::stat(path.join(".."))?);
    Ok(own.st_dev != parent.st_dev)
}

/// With its mode or not at all, whenever the node is killed.
fn make_dir(path: &Path, mode: u32) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = path.parent().unwrap_or(Path::new("/"));
    let fresh = parent.join(format!(".{}.new", path.file_name().unwrap_or_default().to_string_lossy()));
    // One that was left is as good.
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&fresh)?;
    std::fs::set_permissions(&fresh, std::fs::Permissions::from_mode(mode))?;
    match rustix::fs::renameat_with(rustix::fs::CWD, &fresh, rustix::fs::CWD, path, RenameFlags::NOREPLACE) {
        Err(rustix::io::Errno::EXIST) if path.is_dir() => std::fs::remove_dir(&fresh),
        other => Ok(other?),
    }
}

fn open_dir(path: &Path) -> Result<OpenVolume, Failure> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let fd = rustix::fs::open(path, flags, Mode::empty()).map_err(|e| (path.into(), "open the volume", e.into()))?;
    Ok(OpenVolume { fd, is_file: false, device: None, ids: Ids::AsSeen })
}

fn host_path(path: &Path, kind: HostPathKind) -> Result<OpenVolume, Failure> {
    let fail = |what, error: io::Error| (path.to_path_buf(), what, error);
    match kind {
        HostPathKind::DirectoryOrCreate if !path.exists() => {
            make_dir(path, 0o755).map_err(|e| fail("make the hostPath's folder", e))?;
        }
        HostPathKind::FileOrCreate if !path.exists() => {
            make_file(path).map_err(|e| fail("make the hostPath's file", e))?;
        }
        _ => {}
    }
    let fd = rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
        .map_err(|e| fail("open the hostPath", e.into()))?;
    let stat = rustix::fs::fstat(&fd).map_err(|e| fail("look at the hostPath", e.into()))?;
    let found = FileType::from_raw_mode(stat.st_mode);
    check_kind(found, kind).map_err(|e| fail("use the hostPath", e))?;
    let (major, minor) = (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev));
    let device = kind.is_device().then(|| DeviceNumber { block: kind == HostPathKind::BlockDevice, major, minor });
    Ok(OpenVolume { fd, is_file: found != FileType::Directory, device, ids: Ids::AsSeen })
}

fn make_file(path: &Path) -> io::Result<()> {
    let file = std::fs::OpenOptions::new().write(true).create_new(true).open(path)?;
    file.set_permissions(std::fs::Permissions::from_mode(0o644))
}

fn check_kind(found: FileType, kind: HostPathKind) -> io::Result<()> {
    let (expected, fits) = match kind {
        HostPathKind::Unchecked => return Ok(()),
        HostPathKind::Directory | HostPathKind::DirectoryOrCreate => ("a directory", found == FileType::Directory),
        HostPathKind::File | HostPathKind::FileOrCreate => ("a regular file", found == FileType::RegularFile),
        HostPathKind::Socket => ("a socket", found == FileType::Socket),
        HostPathKind::CharDevice => ("a character device", found == FileType::CharacterDevice),
        HostPathKind::BlockDevice => ("a block device", found == FileType::BlockDevice),
    };
    if fits { Ok(()) } else { Err(io::Error::other(format!("it is not {expected}"))) }
}

/// A volume that could not be opened.
#[derive(Debug)]
pub struct VolumeError {
    volume: String,
    path: PathBuf,
    what: &'static str,
    source: io::Error,
}

impl std::fmt::Display for VolumeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "volume {}: {} {}", self.volume, self.what, self.path.display())
    }
}

impl std::error::Error for VolumeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}
