//! System call filters that lie in files: looked for in dwell's own folder, then in the kubelet's, for manifests that were
//! made for one. Whoever may write there is trusted; what a path leads to outside of the folder is not.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use dwell_spec::pod::{Container, SeccompChoice};
use dwell_sys::fs::{open_beneath, open_host};
use rustix::fs::{FileType, Mode, OFlags, fstat};

use crate::layout::Layout;

/// Where the kubelet looks.
const KUBELET: &str = "/var/lib/kubelet/seccomp";
/// Bytes of a file at most.
const FILE_MAX: u64 = 1 << 20;

/// Where a run's own folder has the text that it was begun with.
const KEPT: &str = "filter.json";

/// Files by their path: the text, or why there is none.
pub type Filters = BTreeMap<String, Result<String, String>>;

/// The file that the container names, if it names one.
pub fn find(layout: &Layout, container: &Container) -> Filters {
    let SeccompChoice::File(path) = &container.rights.seccomp else { return Filters::new() };
    let folders = [layout.filters(), PathBuf::from(KUBELET)];
    Filters::from([(path.clone(), find_in(&folders, path))])
}

/// Keeps the text for whoever joins the run, whatever becomes of the file.
///
/// # Errors
/// What the file system said.
pub fn keep(own_folder: &Path, found: &Filters) -> io::Result<()> {
    let text = found.values().find_map(|text| text.as_ref().ok());
    text.map_or(Ok(()), |text| std::fs::write(own_folder.join(KEPT), text))
}

/// What was kept when the run began.
pub fn kept(own_folder: &Path, container: &Container) -> Filters {
    let SeccompChoice::File(path) = &container.rights.seccomp else { return Filters::new() };
    let text = std::fs::read_to_string(own_folder.join(KEPT));
    Filters::from([(path.clone(), text.map_err(|error| format!("read what was kept of it: {error}")))])
}

fn find_in(folders: &[PathBuf], path: &str) -> Result<String, String> {
    for folder in folders {
        match read(folder, path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => return other.map_err(|error| format!("read it in {}: {error}", folder.display())),
        }
    }
    let folders: Vec<_> = folders.iter().map(|folder| folder.display().to_string()).collect();
    Err(format!("there is no such file in {}", folders.join(" or ")))
}

fn read(folder: &Path, path: &str) -> io::Result<String> {
    let folder = open_host(folder.to_str().unwrap_or_default(), OFlags::PATH | OFlags::DIRECTORY)?;
    // Never waits for a FIFO's other end.
    let file = open_beneath(folder.as_fd(), path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())?;
    if FileType::from_raw_mode(fstat(&file)?.st_mode) != FileType::RegularFile {
        return Err(io::Error::other("it is no regular file"));
    }
    let mut text = String::new();
    std::fs::File::from(file).take(FILE_MAX + 1).read_to_string(&mut text)?;
    match text.len() as u64 > FILE_MAX {
        true => Err(io::Error::other(format!("it is larger than {} MiB", FILE_MAX >> 20))),
        false => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_found_beneath_its_folders_and_nowhere_else() {
        let root = std::env::temp_dir().join(format!("dwell-filters-{}", std::process::id()));
        let (own, other) = (root.join("own"), root.join("other"));
        std::fs::create_dir_all(own.join("profiles")).unwrap();
        std::fs::create_dir_all(&other).unwrap();
        std::fs::write(own.join("profiles/a.json"), "own").unwrap();
        std::fs::write(other.join("b.json"), "other").unwrap();
        std::fs::write(root.join("secret"), "secret").unwrap();
        std::os::unix::fs::symlink("../secret", own.join("link")).unwrap();
        std::os::unix::fs::symlink("profiles/a.json", own.join("inside")).unwrap();
        let folders = [own, other];
        assert_eq!(find_in(&folders, "profiles/a.json").as_deref(), Ok("own"));
        assert_eq!(find_in(&folders, "inside").as_deref(), Ok("own"));
        assert_eq!(find_in(&folders, "b.json").as_deref(), Ok("other"));
        assert!(find_in(&folders, "none").unwrap_err().contains("no such file in"));
        assert!(find_in(&folders, "link").unwrap_err().contains("read it in"), "it leads out");
        assert!(find_in(&folders, "profiles").unwrap_err().contains("no regular file"));
        std::fs::remove_dir_all(root).unwrap();
    }
}
