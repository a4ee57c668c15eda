//! The files of a configMap, secret, downwardAPI or projected volume, laid out so that an update is one rename: readers
//! see all of the old files or all of the new ones (the kubelet's AtomicWriter).
//!
//! ```text
//! VOLUME/..2026_11_25_20_51_14.123456789/app/config     the files
//! VOLUME/..data -> ..2026_11_25_20_51_14.123456789       replaced by a rename
//! VOLUME/app    -> ..data/app                            a link for each first name
//! ```
//! Only the node writes here: members have it mounted read-only. Whatever a node that was killed between two steps left
//! is removed by the next write.

use std::collections::BTreeSet;
use std::fs::Permissions;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use dwell_spec::plan::projection::{ProjectedFile, ProjectedFiles};
use dwell_spec::pod::VolumeGroup;
use rustix::fs::FileType;

use super::group;
use super::users::Ids;

/// The link to what counts, and the one that takes its place.
const DATA: &str = "..data";
const NEXT: &str = "..data_tmp";

/// Whose the files are, and of which group they are to be.
type Owner = (Ids, Option<u32>);

/// Makes a folder hold exactly these files, and be the group's if there is one. Idempotent; says whether anything changed.
///
/// # Errors
/// What the file system said. What was there before still counts then.
pub fn write(folder: &Path, files: &ProjectedFiles, owner: Owner) -> io::Result<bool> {
    let before = std::fs::read_link(folder.join(DATA)).ok();
    let changed = before.is_none() || !holds(&folder.join(DATA), files, owner.1) || !owner.0.are_of(&folder.join(DATA));
    let current = if changed { replace(folder, files, owner)? } else { before.unwrap_or_default() };
    link_first_names(folder, files, owner.0)?;
    remove_others(folder, files, &current)?;
    Ok(changed)
}

/// Lays the files out anew and makes them count; the folder that they are in.
fn replace(folder: &Path, files: &ProjectedFiles, (ids, gid): Owner) -> io::Result<PathBuf> {
    let name = stamp();
    let fresh = folder.join(&name);
    make_folder(&fresh, ids)?;
    for (path, file) in files {
        let path = fresh.join(path);
        make_folders(path.parent().unwrap_or(&fresh), ids)?;
        let mut to = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        ids.give_at(&path)?;
        to.write_all(&file.content)?;
        to.set_permissions(Permissions::from_mode(file.mode))?;
    }
    if let Some(gid) = gid {
        let group = VolumeGroup { gid: ids.of(gid), on_root_mismatch: false };
        group::give_tree(std::fs::File::open(&fresh)?.as_fd(), group, false)?;
        group::give_folder(std::fs::File::open(folder)?.as_fd(), group.gid, false)?;
    }
    remove_if_any(&folder.join(NEXT))?;
    symlink(&name, folder.join(NEXT))?;
    ids.give_at(&folder.join(NEXT))?;
    std::fs::rename(folder.join(NEXT), folder.join(DATA))?;
    Ok(name.into())
}

/// With those above it, up to one that is there.
fn make_folders(folder: &Path, ids: Ids) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    make_folders(folder.parent().unwrap_or(folder), ids)?;
    make_folder(folder, ids)
}

/// Whatever the umask is.
fn make_folder(folder: &Path, ids: Ids) -> io::Result<()> {
    std::fs::create_dir(folder)?;
    ids.give_at(folder)?;
    std::fs::set_permissions(folder, Permissions::from_mode(0o755))
}

/// Now, and unlike every other.
fn stamp() -> String {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
    let time = k8s_openapi::jiff::Timestamp::new(now.tv_sec, now.tv_nsec as i32).unwrap_or_default();
    time.strftime("..%Y_%m_%d_%H_%M_%S.%9f").to_string()
}

/// Whether a folder holds exactly these files, with the bits that a group has of each.
fn holds(folder: &Path, files: &ProjectedFiles, gid: Option<u32>) -> bool {
    let mut found = BTreeSet::new();
    let more = if gid.is_some() { group::bits(FileType::RegularFile, false) } else { 0 };
    let listed = list(folder, "", &mut found);
    let same = |(path, file): (&String, &ProjectedFile)| {
        let path = folder.join(path);
        let mode = std::fs::metadata(&path).map(|found| found.permissions().mode() & 0o7777);
        mode.is_ok_and(|mode| mode == file.mode | more) && std::fs::read(&path).is_ok_and(|bytes| bytes == file.content)
    };
    listed.is_ok() && found.iter().eq(files.keys()) && files.iter().all(same)
}

fn list(folder: &Path, prefix: &str, found: &mut BTreeSet<String>) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let path = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            list(&entry.path(), &format!("{path}/"), found)?;
        } else {
            found.insert(path);
        }
    }
    Ok(())
}

fn first_name(path: &str) -> &str {
    path.split('/').next().unwrap_or(path)
}

fn link_first_names(folder: &Path, files: &ProjectedFiles, ids: Ids) -> io::Result<()> {
    let names: BTreeSet<&str> = files.keys().map(|path| first_name(path)).collect();
    for name in names {
        match symlink(format!("{DATA}/{name}"), folder.join(name)) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => made.and_then(|()| ids.give_at(&folder.join(name)))?,
        }
    }
    Ok(())
}

/// Links to files that are no more, and folders of files that counted before.
fn remove_others(folder: &Path, files: &ProjectedFiles, current: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let wanted = files.keys().any(|path| *first_name(path) == *name);
        if name == DATA || name == *current || wanted {
            continue;
        }
        if entry.file_type()?.is_dir() {
            dwell_sys::remove::remove_tree(&entry.path())?;
        } else {
            remove_if_any(&entry.path())?;
        }
    }
    Ok(())
}

fn remove_if_any(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOBODYS: Owner = (Ids::AsSeen, None);

    fn files(all: &[(&str, u32, &str)]) -> ProjectedFiles {
        let one = |(path, mode, text): &(&str, u32, &str)| {
            ((*path).to_owned(), ProjectedFile { mode: *mode, content: text.as_bytes().to_vec() })
        };
        all.iter().map(one).collect()
    }

    fn names(folder: &Path) -> Vec<String> {
        let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.filter(|name| !name.starts_with("..2")).collect();
        names.sort();
        names
    }

    #[test]
    fn files_are_there_with_their_modes_and_change_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        assert!(write(folder, &files(&[("a", 0o644, "1"), ("d/e/f", 0o400, "2")]), NOBODYS).unwrap());
        assert_eq!(names(folder), ["..data", "a", "d"]);
        assert_eq!(std::fs::read_to_string(folder.join("d/e/f")).unwrap(), "2");
        let mode = |path: &str| std::fs::metadata(folder.join(path)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode("a"), mode("d"), mode("d/e/f")), (0o644, 0o755, 0o400));
        let open = std::fs::read_link(folder.join("..data")).unwrap();
        assert!(
            !write(folder, &files(&[("a", 0o644, "1"), ("d/e/f", 0o400, "2")]), NOBODYS).unwrap(),
            "nothing changed"
        );
        assert_eq!(std::fs::read_link(folder.join("..data")).unwrap(), open);
        assert!(write(folder, &files(&[("a", 0o600, "1")]), NOBODYS).unwrap());
        assert_eq!((names(folder), mode("a")), (vec!["..data".to_owned(), "a".to_owned()], 0o600));
        assert!(!folder.join(open).exists(), "the old files are gone");
        assert!(write(folder, &files(&[]), NOBODYS).unwrap());
        assert_eq!(names(folder), ["..data"]);
    }

    /// Once, what a group may read was no longer what the manifest said, and all was laid out anew each time.
    #[test]
    fn the_bits_of_the_group_are_no_change() {
        let folder = tempfile::tempdir().unwrap();
        let wanted = files(&[("a", 0o400, "1")]);
        assert!(write(folder.path(), &wanted, (Ids::AsSeen, Some(5))).unwrap());
        assert!(!write(folder.path(), &wanted, (Ids::AsSeen, Some(5))).unwrap());
        assert!(write(folder.path(), &wanted, NOBODYS).unwrap(), "control");
    }

    #[test]
    fn all_of_it_is_the_pods_and_another_pods_once_it_is() {
        use std::os::unix::fs::MetadataExt;
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let wanted = files(&[("a", 0o644, "1"), ("d/e/f", 0o400, "2")]);
        for first in [0x7000_0000, 0x7001_0000] {
            let owner = (Ids::OfHost { first }, Some(5));
            assert!(write(folder, &wanted, owner).unwrap());
            assert!(!write(folder, &wanted, owner).unwrap(), "nothing changed");
            let look =
                |path: &str| std::fs::symlink_metadata(folder.join(path)).map(|found| (found.uid(), found.gid()));
            for path in ["..data/a", "..data/d", "..data/d/e/f"] {
                assert_eq!(look(path).unwrap(), (first, first + 5), "{path}");
            }
            assert_eq!(look("..data").unwrap().0, first, "a link");
            assert!(look("a").unwrap().0 >= 0x7000_0000, "a link");
        }
        assert!(write(folder, &wanted, NOBODYS).unwrap(), "control");
        assert_eq!(std::fs::metadata(folder.join("d/e/f")).unwrap().uid(), 0);
    }

    #[test]
    fn what_a_killed_node_left_is_in_nobodys_way() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        write(folder, &files(&[("a", 0o644, "1")]), NOBODYS).unwrap();
        std::fs::create_dir(folder.join("..2000_01_01_00_00_00.000000001")).unwrap();
        symlink("..2000_01_01_00_00_00.000000001", folder.join(NEXT)).unwrap();
        symlink("..data/gone", folder.join("gone")).unwrap();
        write(folder, &files(&[("a", 0o644, "2")]), NOBODYS).unwrap();
        assert_eq!(std::fs::read_dir(folder).unwrap().count(), 3, "the files, what counts, and a");
        assert_eq!(std::fs::read_to_string(folder.join("a")).unwrap(), "2");
    }
}
