//! From a tar stream into a tree. The stream is as little trusted as the tree: an entry lands below the folder that was
//! named, or nowhere.
//!
//! A file is written under a name of its own and renamed when it is whole, so that a reader finds the old one or the new
//! one, and whoever runs the old one goes on. A failure leaves what was unpacked before it, and nothing half; a process that is
//! killed, one file named `.dwell-…`. A link in the place of a file is replaced.

use std::cell::Cell;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, Stat, Timespec, Timestamps, Uid, chownat, fchmod, fchown, fstat, futimens,
    linkat, mkdirat, mknodat, openat, renameat, statat, symlinkat, unlinkat,
};
use rustix::io::Errno;
use tar::{Archive, Entry, EntryType};

use super::metered::{Meter, Metered};
use super::{ArchiveError, DEEPEST, Scope, Tree, kind_of};

/// Whose the new files are. A folder that is there already stays as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ownership {
    /// Whoever unpacks, less the bits of its umask, and without set-user and set-group bits. Who is replaced hands on owner
    /// and mode; a folder hands on its group where it says so.
    Own,
    /// The same, of this user and this group, and no umask.
    Of(u32, u32),
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
    let meter = Meter::default();
    let mut archive = Archive::new(Metered { input, meter: &meter });
    let mask = if ownership == Ownership::Own { umask() } else { 0 };
    let mut unpacking =
        Unpacking { tree, into, naming, ownership, mask, parent: None, left_out: 0, number: Cell::default() };
    let unreadable = |error| ArchiveError::new("read the archive for", into, error);
    let mut entries = archive.entries().map_err(unreadable)?;
    loop {
        meter.begin_headers();
        let entry = entries.next();
        meter.end_headers();
        let Some(entry) = entry else { break };
        let mut entry = entry.map_err(unreadable)?;
        let path = entry.path_bytes().into_owned();
        let names = names(&path, naming)?;
        unpacking.entry(&mut entry, &path, &names)?;
        // What nobody wanted is no header.
        io::copy(&mut entry, &mut io::sink()).map_err(unreadable)?;
    }
    if !meter.saw_the_end() {
        return Err(unreadable(io::Error::new(io::ErrorKind::UnexpectedEof, "it is none, or it is cut off")));
    }
    Ok(unpacking.left_out)
}

/// The mask of this process; the call that asks for it would change it.
fn umask() -> u32 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("Umask:"));
    mask.and_then(|mask| u32::from_str_radix(mask.trim(), 8).ok()).unwrap_or(0o022)
}

/// The parts of an entry's name; none of them leads anywhere but down.
fn names(path: &[u8], naming: &Naming) -> Result<Vec<OsString>, ArchiveError> {
    let parts = path.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".");
    let mut names: Vec<OsString> = parts.map(|part| OsString::from_vec(part.to_owned())).collect();
    if names.iter().any(|name| name == "..") {
        return Err(ArchiveError::bad("unpack", path, "a name with .. leads out of the archive"));
    }
    // The top itself is in no folder.
    if names.len() > DEEPEST + 1 {
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
    mask: u32,
    /// The folder of the last entry, since the next one is mostly in it, too.
    parent: Option<(Vec<OsString>, OwnedFd)>,
    left_out: u64,
    /// Names for now that were tried.
    number: Cell<u64>,
}

impl Unpacking<'_> {
    /// `names` are the parts of `path`, as they are meant here.
    fn entry(&mut self, entry: &mut Entry<'_, impl Read>, path: &[u8], names: &[OsString]) -> Result<(), ArchiveError> {
        let Some((name, above)) = names.split_last() else { return Ok(()) };
        let extended = entry.pax_extensions().map_err(|error| ArchiveError::new("read the headers of", path, error))?;
        if extended.into_iter().flatten().flatten().any(|one| one.key_bytes().starts_with(b"GNU.sparse.")) {
            return Err(ArchiveError::bad("unpack", path, "sparse files of this format (pax) are not known here"));
        }
        self.enter(above).map_err(|errno| ArchiveError::new("open the folder of", path, errno))?;
        let made = match entry.header().entry_type() {
            EntryType::Directory => self.folder(entry, name),
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => self.file(entry, name),
            EntryType::Symlink => self.symlink(entry, name),
            EntryType::Link => self.hard_link(entry, name),
            EntryType::Fifo => self.fifo(entry, name),
            EntryType::XGlobalHeader => Ok(()),
            _ => {
                self.left_out += 1;
                Ok(())
            }
        };
        made.map_err(|error| ArchiveError::new("unpack", path, error))
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
        let is_new = make_folder(parent, name)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let folder = match openat(parent, name, flags, Mode::empty()) {
            // A link to a folder, as `/var/run` often is: what comes next goes where it leads.
            Err(Errno::NOTDIR | Errno::LOOP) if self.tree.scope != Scope::Plain => return Ok(()),
            folder => folder?,
        };
        if !is_new && self.ownership != Ownership::Kept {
            return Ok(());
        }
        // What a folder hands on to those made in it is its own matter.
        let hands_on = fstat(&folder)?.st_mode & 0o2000;
        self.owned(entry, &folder)?;
        Ok(fchmod(&folder, Mode::from_raw_mode(self.mode(entry)? | hands_on))?)
    }

    fn file(&self, entry: &mut Entry<'_, impl Read>, name: &OsStr) -> io::Result<()> {
        let parent = self.parent()?;
        let replaced = replaceable(parent, name)?.filter(|there| kind_of(there).is_file());
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let open = |partial: &OsStr| openat(parent, partial, flags, Mode::from_raw_mode(0o600));
        let (partial, file) = self.made_apart(open)?;
        let mut file = File::from(file);
        let written =
            self.fill(entry, &mut file, replaced).and_then(|()| Ok(renameat(parent, &partial, parent, name)?));
        if written.is_err() {
            let _ = unlinkat(parent, &partial, AtFlags::empty());
        }
        written
    }

    /// Makes something under a name of its own, in the folder of the entry; it is renamed when it is whole.
    fn made_apart<T>(&self, make: impl Fn(&OsStr) -> Result<T, Errno>) -> Result<(OsString, T), Errno> {
        loop {
            self.number.set(self.number.get() + 1);
            let name = OsString::from(format!(".dwell-{}-{}", std::process::id(), self.number.get()));
            match make(&name) {
                // Another copy's, or left by one that was killed.
                Err(Errno::EXIST) => {}
                made => return made.map(|made| (name, made)),
            }
        }
    }

    /// Makes it, in the place of what is there and is no folder: what is there goes only when it is made.
    fn in_place(&self, name: &OsStr, make: impl Fn(&OsStr) -> Result<(), Errno>) -> io::Result<()> {
        match make(name) {
            Err(Errno::EXIST) => {
                let parent = self.parent()?;
                replaceable(parent, name)?;
                let (partial, ()) = self.made_apart(make)?;
                let renamed = renameat(parent, &partial, parent, name);
                // Two names of one file stay both.
                let _ = unlinkat(parent, &partial, AtFlags::empty());
                Ok(renamed?)
            }
            made => Ok(made?),
        }
    }

    fn fill(&self, entry: &mut Entry<'_, impl Read>, file: &mut File, replaced: Option<Stat>) -> io::Result<()> {
        let size = entry.size();
        if io::copy(entry, file)? != size {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the archive ends in the middle of it"));
        }
        match replaced.filter(|_| self.ownership != Ownership::Kept) {
            Some(there) => {
                fchown(&*file, Some(Uid::from_raw(there.st_uid)), Some(Gid::from_raw(there.st_gid)))?;
                fchmod(&*file, Mode::from_raw_mode(there.st_mode & 0o777))?;
            }
            None => {
                self.owned(entry, &*file)?;
                fchmod(&*file, Mode::from_raw_mode(self.mode(entry)?))?;
            }
        }
        let modified = Timespec { tv_sec: entry.header().mtime()?.try_into().unwrap_or(0), tv_nsec: 0 };
        Ok(futimens(&*file, &Timestamps { last_access: modified, last_modification: modified })?)
    }

    fn symlink(&self, entry: &Entry<'_, impl Read>, name: &OsStr) -> io::Result<()> {
        let target = entry.link_name_bytes().ok_or_else(|| io::Error::other("a link without its target"))?;
        let parent = self.parent()?;
        self.in_place(name, |name| symlinkat(OsStr::from_bytes(&target), parent, name))?;
        if let Some((uid, gid)) = self.owner(entry, parent)? {
            chownat(parent, name, Some(uid), gid, AtFlags::SYMLINK_NOFOLLOW)?;
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
        self.in_place(name, |name| linkat(&file, "", parent, name, AtFlags::EMPTY_PATH))
    }

    fn fifo(&self, entry: &Entry<'_, impl Read>, name: &OsStr) -> io::Result<()> {
        let (parent, mode) = (self.parent()?, Mode::from_raw_mode(self.mode(entry)?));
        self.in_place(name, |name| mknodat(parent, name, FileType::Fifo, mode, 0))
    }

    fn mode(&self, entry: &Entry<'_, impl Read>) -> io::Result<u32> {
        let kept = if self.ownership == Ownership::Kept { 0o7777 } else { 0o1777 };
        Ok(entry.header().mode()? & kept & !self.mask)
    }

    fn owned(&self, entry: &Entry<'_, impl Read>, file: impl AsFd) -> io::Result<()> {
        if let Some((uid, gid)) = self.owner(entry, self.parent()?)? {
            fchown(file, Some(uid), gid)?;
        }
        Ok(())
    }

    /// No group where the folder hands on its own.
    fn owner(&self, entry: &Entry<'_, impl Read>, parent: &OwnedFd) -> io::Result<Option<(Uid, Option<Gid>)>> {
        Ok(match self.ownership {
            Ownership::Own => None,
            Ownership::Of(uid, gid) => {
                let hands_on = fstat(parent)?.st_mode & 0o2000 != 0;
                Some((Uid::from_raw(uid), (!hands_on).then(|| Gid::from_raw(gid))))
            }
            Ownership::Kept => ids(self.tree, entry).map(|(uid, gid)| Some((uid, Some(gid))))?,
        })
    }
}

fn ids(tree: &Tree, entry: &Entry<'_, impl Read>) -> io::Result<(Uid, Gid)> {
    let number = |id: u64| u32::try_from(id).ok().filter(|id| *id != u32::MAX).and_then(|id| tree.of_host(id));
    let (uid, gid) = (number(entry.header().uid()?), number(entry.header().gid()?));
    let ids = uid.zip(gid).map(|(uid, gid)| (Uid::from_raw(uid), Gid::from_raw(gid)));
    ids.ok_or_else(|| io::Error::other("an owner that cannot be"))
}

/// Whether it was not there.
fn make_folder(parent: &OwnedFd, name: &OsStr) -> Result<bool, Errno> {
    match mkdirat(parent, name, Mode::from_raw_mode(0o755)) {
        Err(Errno::EXIST) => Ok(false),
        made => made.map(|()| true),
    }
}

/// What is there and may be replaced: a device, a FIFO or a socket is somebody's, and no file is made of it.
fn replaceable(parent: &OwnedFd, name: &OsStr) -> io::Result<Option<Stat>> {
    let there = match statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => return Ok(None),
        there => there?,
    };
    match kind_of(&there) {
        FileType::RegularFile | FileType::Symlink => Ok(Some(there)),
        FileType::Directory => Err(Errno::ISDIR.into()),
        _ => Err(io::Error::other("there is a device, a FIFO or a socket, which is not replaced")),
    }
}
