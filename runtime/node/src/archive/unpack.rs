//! From a tar stream into a tree. The stream is as little trusted as the tree: an entry lands below the folder that was
//! named, or nowhere.
//!
//! A file is written under a name of its own and renamed when it is whole, so that a reader finds the old one or the new
//! one, and whoever runs the old one goes on. A failure leaves what was unpacked before it, and nothing half.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid, chownat, fchmod, fstat, futimens, linkat, mkdirat,
    mknodat, openat, renameat, statat, symlinkat, unlinkat,
};
use rustix::io::Errno;
use tar::{Archive, Entry, EntryType};

use super::{ArchiveError, DEEPEST, Tree, kind_of};

/// Whose the new files are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ownership {
    /// Whoever unpacks, or the folder's group where it says so; no set-user and set-group bits.
    Own,
    /// As the archive says.
    Kept,
}

/// What becomes of the first part of every name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Naming {
    /// It stays.
    AsIs,
    /// It becomes this one.
    Renamed(OsString),
    /// It goes: what is in the one folder of the archive lands in the folder that was named.
    Dropped,
}

/// Takes an archive apart in the folder `into`, which must be there. Says how many entries were left out.
///
/// # Errors
/// The folder is not there; the archive is none, or an entry would lead out of it; the tree takes no more.
pub fn unpack(
    tree: &Tree,
    into: &[u8],
    naming: &Naming,
    ownership: Ownership,
    input: impl Read,
) -> Result<u64, ArchiveError> {
    let folder = tree.open(into, OFlags::PATH | OFlags::DIRECTORY);
    drop(folder.map_err(|errno| ArchiveError::new("open the folder", into, errno))?);
    let mut archive = Archive::new(input);
    let mut unpacking = Unpacking { tree, into, naming, ownership, parent: None, left_out: 0, number: 0 };
    let unreadable = |error| ArchiveError::new("read the archive for", into, error);
    for entry in archive.entries().map_err(unreadable)? {
        let mut entry = entry.map_err(unreadable)?;
        let path = entry.path_bytes().into_owned();
        let names = names(&path, naming)?;
        unpacking.entry(&mut entry, &names)?;
    }
    Ok(unpacking.left_out)
}

/// The parts of an entry's name; none of them leads anywhere but down.
fn names(path: &[u8], naming: &Naming) -> Result<Vec<OsString>, ArchiveError> {
    let parts = path.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".");
    let mut names: Vec<OsString> = parts.map(|part| OsString::from_vec(part.to_owned())).collect();
    if names.iter().any(|name| name == "..") {
        return Err(ArchiveError::bad("unpack", path, "a name with .. leads out of the archive"));
    }
    if names.len() > DEEPEST {
        return Err(ArchiveError::bad("unpack", path, "more folders within folders than can be unpacked"));
    }
    match naming {
        Naming::AsIs => {}
        Naming::Renamed(name) => names.first_mut().into_iter().for_each(|first| first.clone_from(name)),
        Naming::Dropped => drop(names.drain(..names.len().min(1))),
    }
    Ok(names)
}

struct Unpacking<'a> {
    tree: &'a Tree,
    into: &'a [u8],
    naming: &'a Naming,
    ownership: Ownership,
    /// The folder of the last entry, since the next one is mostly in it, too.
    parent: Option<(Vec<OsString>, OwnedFd)>,
    left_out: u64,
    number: u64,
}

impl Unpacking<'_> {
    fn entry(&mut self, entry: &mut Entry<'_, impl Read>, names: &[OsString]) -> Result<(), ArchiveError> {
        let Some((name, above)) = names.split_last() else { return Ok(()) };
        let path = entry.path_bytes().into_owned();
        self.enter(above).map_err(|errno| ArchiveError::new("open the folder of", &path, errno))?;
        let made = match entry.header().entry_type() {
            EntryType::Directory => self.folder(entry, name),
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => self.file(entry, name),
            EntryType::Symlink => self.symlink(entry, name),
            EntryType::Link => self.hard_link(entry, name),
            EntryType::Fifo => self.fifo(entry, name),
            _ => {
                self.left_out += 1;
                Ok(())
            }
        };
        made.map_err(|error| ArchiveError::new("unpack", &path, error))
    }

    fn at(&self, names: &[OsString]) -> Vec<u8> {
        let mut path = self.into.to_owned();
        for name in names {
            path.push(b'/');
            path.extend_from_slice(name.as_bytes());
        }
        path
    }

    /// Opens the folder, made where an archive leaves out those above its files.
    fn enter(&mut self, names: &[OsString]) -> Result<(), Errno> {
        if self.parent.as_ref().is_some_and(|(open, _)| open == names) {
            return Ok(());
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        let mut missing = 0;
        let found = loop {
            match self.tree.open(&self.at(&names[..names.len() - missing]), flags) {
                Err(Errno::NOENT) if missing < names.len() => missing += 1,
                found => break found?,
            }
        };
        let mut folder = found;
        for name in &names[names.len() - missing..] {
            make_folder(&folder, name)?;
            folder = openat(&folder, name.as_os_str(), flags | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
        }
        self.parent = Some((names.to_owned(), folder));
        Ok(())
    }

    fn parent(&self) -> io::Result<&OwnedFd> {
        self.parent.as_ref().map(|(_, folder)| folder).ok_or_else(|| io::Error::other("no folder is open"))
    }

    fn folder(&self, entry: &Entry<'_, impl Read>, name: &OsStr) -> io::Result<()> {
        let parent = self.parent()?;
        make_folder(parent, name)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let folder = match openat(parent, name, flags, Mode::empty()) {
            // A link to a folder, as `/var/run` often is: what comes next goes where it leads.
            Err(Errno::NOTDIR | Errno::LOOP) => return Ok(()),
            folder => folder?,
        };
        // What a folder hands on to those made in it is its own matter.
        let hands_on = fstat(&folder)?.st_mode & 0o2000;
        self.owned(entry, &folder)?;
        Ok(fchmod(&folder, Mode::from_raw_mode(self.mode(entry)? | hands_on))?)
    }

    fn file(&mut self, entry: &mut Entry<'_, impl Read>, name: &OsStr) -> io::Result<()> {
        replaceable(self.parent()?, name)?;
        let (partial, file) = self.partial()?;
        let (parent, mut file) = (self.parent()?, File::from(file));
        let written = self.fill(entry, &mut file).and_then(|()| Ok(renameat(parent, &partial, parent, name)?));
        if written.is_err() {
            let _ = unlinkat(parent, &partial, AtFlags::empty());
        }
        written
    }

    /// A new file, and its name for now.
    fn partial(&mut self) -> io::Result<(String, OwnedFd)> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        loop {
            self.number += 1;
            let name = format!(".dwell-{}-{}", std::process::id(), self.number);
            match openat(self.parent()?, &name, flags, Mode::from_raw_mode(0o600)) {
                // Left by one that was killed.
                Err(Errno::EXIST) => {}
                opened => return Ok((name, opened?)),
            }
        }
    }

    fn fill(&self, entry: &mut Entry<'_, impl Read>, file: &mut File) -> io::Result<()> {
        let size = entry.size();
        if io::copy(entry, file)? != size {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the archive ends in the middle of it"));
        }
        self.owned(entry, &*file)?;
        fchmod(&*file, Mode::from_raw_mode(self.mode(entry)?))?;
        let modified = Timespec { tv_sec: entry.header().mtime()?.try_into().unwrap_or(0), tv_nsec: 0 };
        Ok(futimens(&*file, &Timestamps { last_access: modified, last_modification: modified })?)
    }

    fn symlink(&self, entry: &Entry<'_, impl Read>, name: &OsStr) -> io::Result<()> {
        let target = entry.link_name_bytes().ok_or_else(|| io::Error::other("a link without its target"))?;
        let parent = self.parent()?;
        in_place(parent, name, || symlinkat(OsStr::from_bytes(&target), parent, name))?;
        if self.ownership == Ownership::Kept {
            let (uid, gid) = ids(entry)?;
            chownat(parent, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
        }
        Ok(())
    }

    /// Of a file that the archive brought, or that is there.
    fn hard_link(&self, entry: &Entry<'_, impl Read>, name: &OsStr) -> io::Result<()> {
        let target = entry.link_name_bytes().ok_or_else(|| io::Error::other("a link without its target"))?;
        let names = names(&target, self.naming).map_err(io::Error::other)?;
        let file = self.tree.open(&self.at(&names), OFlags::PATH | OFlags::NOFOLLOW)?;
        if !kind_of(&fstat(&file)?).is_file() {
            return Err(io::Error::other("a hard link to what is no file"));
        }
        let parent = self.parent()?;
        in_place(parent, name, || linkat(&file, "", parent, name, AtFlags::EMPTY_PATH))
    }

    fn fifo(&self, entry: &Entry<'_, impl Read>, name: &OsStr) -> io::Result<()> {
        let (parent, mode) = (self.parent()?, Mode::from_raw_mode(self.mode(entry)?));
        in_place(parent, name, || mknodat(parent, name, FileType::Fifo, mode, 0))
    }

    fn mode(&self, entry: &Entry<'_, impl Read>) -> io::Result<u32> {
        let kept = if self.ownership == Ownership::Kept { 0o7777 } else { 0o1777 };
        Ok(entry.header().mode()? & kept)
    }

    fn owned(&self, entry: &Entry<'_, impl Read>, file: impl std::os::fd::AsFd) -> io::Result<()> {
        if self.ownership == Ownership::Kept {
            let (uid, gid) = ids(entry)?;
            rustix::fs::fchown(file, Some(uid), Some(gid))?;
        }
        Ok(())
    }
}

fn ids(entry: &Entry<'_, impl Read>) -> io::Result<(Uid, Gid)> {
    let number = |id: u64| u32::try_from(id).ok().filter(|id| *id != u32::MAX);
    let (uid, gid) = (number(entry.header().uid()?), number(entry.header().gid()?));
    let ids = uid.zip(gid).map(|(uid, gid)| (Uid::from_raw(uid), Gid::from_raw(gid)));
    ids.ok_or_else(|| io::Error::other("an owner that cannot be"))
}

fn make_folder(parent: &OwnedFd, name: &OsStr) -> Result<(), Errno> {
    match mkdirat(parent, name, Mode::from_raw_mode(0o755)) {
        Err(Errno::EXIST) => Ok(()),
        made => made,
    }
}

/// A device, a FIFO or a socket is somebody's, and no file is made of it.
fn replaceable(parent: &OwnedFd, name: &OsStr) -> io::Result<()> {
    match statat(parent, name, AtFlags::SYMLINK_NOFOLLOW).map(|there| kind_of(&there)) {
        Ok(FileType::RegularFile | FileType::Symlink) | Err(Errno::NOENT) => Ok(()),
        Ok(FileType::Directory) => Err(Errno::ISDIR.into()),
        Ok(_) => Err(io::Error::other("there is a device, a FIFO or a socket, which is not replaced")),
        Err(errno) => Err(errno.into()),
    }
}

/// Makes it, in the place of what is there and is no folder.
fn in_place(parent: &OwnedFd, name: &OsStr, make: impl Fn() -> Result<(), Errno>) -> io::Result<()> {
    match make() {
        Err(Errno::EXIST) => {
            replaceable(parent, name)?;
            unlinkat(parent, name, AtFlags::empty())?;
            Ok(make()?)
        }
        made => Ok(made?),
    }
}
