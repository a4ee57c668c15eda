//! Volumes: each is opened (or made) once per Pod and held as a directory descriptor; mounts and grants are cloned
//! from it, never from a path that is walked again.
//!
//! A leaf: it is given plain paths and the volume's description, and gives back descriptors. An emptyDir on disk is a
//! folder below the Pod's own; one in memory is a tmpfs mounted in the Pod's run folder, so that it outlives pause
//! and node alike (and goes with the Pod). What members put inside is never followed.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use dwell_spec::plan::projection::ProjectedFiles;
use dwell_spec::pod::{HostPathKind, Volume, VolumeSource};
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags};

mod projected;

/// A volume, open.
#[derive(Debug)]
pub struct OpenVolume {
    fd: OwnedFd,
    /// Whether it is a single file (a hostPath may be).
    pub is_file: bool,
}

impl OpenVolume {
    /// The descriptor that mounts are cloned from.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
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
        Ok(OpenVolume { fd, is_file })
    }

    fn make_part(&self, path: &str) -> io::Result<OwnedFd> {
        let mode = Mode::from_raw_mode(rustix::fs::fstat(&self.fd)?.st_mode & 0o777);
        let mut folder = self.fd.try_clone()?;
        for name in path.split('/').filter(|name| !name.is_empty() && *name != ".") {
            let made = match rustix::fs::mkdirat(&folder, name, mode) {
                Err(rustix::io::Errno::EXIST) => false,
                other => other.map(|()| true)?,
            };
            folder = beneath(folder.as_fd(), name, OFlags::DIRECTORY | OFlags::NOFOLLOW)?;
            if made {
                // Whatever the umask is.
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
}

/// Opens the volume, making what its kind says must be made. Idempotent. `files` are those of a projected volume; none
/// leaves it as it is.
///
/// # Errors
/// Names the volume, the path and what was wrong with it.
pub fn ensure_open(
    volume: &Volume,
    folders: &VolumeFolders,
    files: Option<&ProjectedFiles>,
) -> Result<OpenVolume, VolumeError> {
    match &volume.source {
        VolumeSource::EmptyDir { memory: false, .. } => disk_dir(&folders.disk.join(&volume.name)),
        VolumeSource::EmptyDir { memory: true, size_limit } => {
            memory_dir(&folders.memory.join(&volume.name), *size_limit)
        }
        VolumeSource::HostPath { path, kind } => host_path(Path::new(path), *kind),
        source @ VolumeSource::Projected { .. } => {
            projected_dir(&folders.memory.join(&volume.name), source.is_secret(), files)
        }
    }
    .map_err(|(path, what, source)| VolumeError { volume: volume.name.clone(), path, what, source })
}

/// Unmounts and removes every volume folder of a Pod. Idempotent.
///
/// # Errors
/// The first folder that would not go.
pub fn remove_all(folders: &VolumeFolders) -> io::Result<()> {
    for entry in read_dir_if_any(&folders.memory)? {
        unmount_if_mounted(&entry.path())?;
    }
    dwell_sys::remove::remove_tree(&folders.memory)?;
    dwell_sys::remove::remove_tree(&folders.disk)
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

fn disk_dir(path: &Path) -> Result<OpenVolume, Failure> {
    make_dir(path, 0o777).map_err(|e| (path.into(), "make the folder of the volume", e))?;
    open_dir(path)
}

fn memory_dir(path: &Path, size_limit: Option<u64>) -> Result<OpenVolume, Failure> {
    make_dir(path, 0o777).map_err(|e| (path.into(), "make the folder of the volume", e))?;
    if !is_mount_point(path).map_err(|e| (path.into(), "look at the volume", e))? {
        mount_tmpfs(path, size_limit).map_err(|e| (path.into(), "mount a tmpfs for the volume at", e))?;
    }
    open_dir(path)
}

/// The run folder is in memory on any ordinary host, but a Secret asks for certainty.
fn projected_dir(path: &Path, secret: bool, files: Option<&ProjectedFiles>) -> Result<OpenVolume, Failure> {
    let open = if secret { memory_dir(path, None)? } else { disk_dir(path)? };
    if let Some(files) = files {
        projected::write(path, files).map_err(|e| (path.into(), "write the files of", e))?;
    }
    Ok(open)
}

fn mount_tmpfs(path: &Path, size_limit: Option<u64>) -> io::Result<()> {
    let mut options = String::from("mode=0777");
    if let Some(bytes) = size_limit {
        options.push_str(&format!(",size={bytes}"));
    }
    let options = std::ffi::CString::new(options)?;
    let flags = rustix::mount::MountFlags::NOSUID | rustix::mount::MountFlags::NODEV;
    Ok(rustix::mount::mount("dwell", path, "tmpfs", flags, options.as_c_str())?)
}

fn is_mount_point(path: &Path) -> io::Result<bool> {
    let (own, parent) = (rustix::fs::stat(path)?, rustix::fs::stat(path.join(".."))?);
    Ok(own.st_dev != parent.st_dev)
}

fn make_dir(path: &Path, mode: u32) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
}

fn open_dir(path: &Path) -> Result<OpenVolume, Failure> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let fd = rustix::fs::open(path, flags, Mode::empty()).map_err(|e| (path.into(), "open the volume", e.into()))?;
    Ok(OpenVolume { fd, is_file: false })
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
    let found = rustix::fs::fstat(&fd).map_err(|e| fail("look at the hostPath", e.into()))?;
    let found = FileType::from_raw_mode(found.st_mode);
    check_kind(found, kind).map_err(|e| fail("use the hostPath", e))?;
    Ok(OpenVolume { fd, is_file: found != FileType::Directory })
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
