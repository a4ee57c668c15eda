//! From a tree to a tar stream. What changes meanwhile is packed as one of its states, or left out: a file that shrinks is
//! filled up with zeros, one that grows is cut, and what vanishes was never there.
//!
//! Every name is opened without following anything, looked at, and only then read, by that very descriptor.

use std::cell::Cell;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Dir, Mode, OFlags, Stat, fstat, fstatfs, openat, readlinkat};
use rustix::io::Errno;
use tar::{Builder, EntryType, Header};

use super::{ArchiveError, DEEPEST, Tree, kind_of, reopen};

/// File systems of the kernel's own words and of its terminals, not descended into: proc, sysfs, devpts, cgroup (both),
/// debugfs, tracefs, securityfs, bpf, mqueue.
const OF_THE_KERNEL: [i64; 10] = [
    0x9fa0,
    0x6265_6572,
    0x1cd1,
    0x27_e0eb,
    0x6367_7270,
    0x6462_6720,
    0x7472_6163,
    0x7363_6673,
    0xcafe_4a11,
    0x1980_0202,
];
/// Files that say they are empty and are not (those of `/proc`) are read at once, up to this.
const UNSIZED_MAX: u64 = 16 << 20;

/// Writes what is at `path`, as an entry of this name, with all that is in it. Says how much was left out.
///
/// # Errors
/// There is nothing; it cannot be read; `out` takes no more.
pub fn pack(tree: &Tree, path: &[u8], name: &Path, out: impl Write) -> Result<u64, ArchiveError> {
    let top = tree.open(path, OFlags::PATH).map_err(|errno| ArchiveError::new("open", path, errno))?;
    let stat = fstat(&top).map_err(|errno| ArchiveError::new("look at", path, errno))?;
    let broken = Cell::new(false);
    let mut builder = Builder::new(Gate { out, broken: &broken });
    builder.sparse(false);
    let mut packing = Packing { tree, builder, left_out: 0 };
    let mut packed = packing.any(&top, &stat, name, 0);
    if packing.left_out > 0 && !kind_of(&stat).is_dir() {
        packed = Err(ArchiveError::bad("pack", path, "it is neither a file nor a folder"));
    }
    broken.set(packed.is_err());
    packed?;
    let ended = packing.builder.into_inner().and_then(|mut out| out.flush());
    ended.map_err(|error| ArchiveError::new("write the end of the archive of", path, error))?;
    Ok(packing.left_out)
}

/// Shut once something broke: the builder ends its archive when it is dropped, and what broke off would look whole.
struct Gate<'a, W> {
    out: W,
    broken: &'a Cell<bool>,
}

impl<W: Write> Write for Gate<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.broken.get() { Err(io::ErrorKind::BrokenPipe.into()) } else { self.out.write(bytes) }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

struct Packing<'a, W: Write> {
    tree: &'a Tree,
    builder: Builder<W>,
    left_out: u64,
}

impl<W: Write> Packing<'_, W> {
    fn any(&mut self, found: &OwnedFd, stat: &Stat, name: &Path, depth: usize) -> Result<(), ArchiveError> {
        let failed = |attempt| move |error: io::Error| ArchiveError::new(attempt, name.as_os_str().as_bytes(), error);
        let kind = kind_of(stat);
        if kind.is_dir() {
            self.plain(header(self.tree, stat, EntryType::Directory, 0), name).map_err(failed("pack"))?;
            return self.all_in(found, stat, name, depth);
        }
        if kind.is_file() {
            return self.file(found, stat, name).map_err(failed("pack"));
        }
        if kind.is_symlink() {
            return self.link(found, stat, name).map_err(failed("pack"));
        }
        if kind.is_fifo() {
            return self.plain(header(self.tree, stat, EntryType::Fifo, 0), name).map_err(failed("pack"));
        }
        self.left_out += 1;
        Ok(())
    }

    fn plain(&mut self, mut header: Header, name: &Path) -> io::Result<()> {
        self.builder.append_data(&mut header, name, io::empty())
    }

    fn file(&mut self, found: &OwnedFd, stat: &Stat, name: &Path) -> io::Result<()> {
        let mut file = File::from(reopen(found, OFlags::RDONLY)?);
        if stat.st_size == 0 {
            let mut bytes = Vec::new();
            file.take(UNSIZED_MAX).read_to_end(&mut bytes)?;
            let mut header = header(self.tree, stat, EntryType::Regular, bytes.len() as u64);
            return self.builder.append_data(&mut header, name, bytes.as_slice());
        }
        let size = stat.st_size.unsigned_abs();
        let mut header = header(self.tree, stat, EntryType::Regular, size);
        self.builder.append_data(&mut header, name, Exactly { file: &mut file, left: size })
    }

    fn link(&mut self, found: &OwnedFd, stat: &Stat, name: &Path) -> io::Result<()> {
        let target = readlinkat(found, "", Vec::new())?.into_bytes();
        let mut header = header(self.tree, stat, EntryType::Symlink, 0);
        // As it is, where it fits: `append_link` tidies it up.
        if header.set_link_name_literal(&target).is_ok() {
            return self.builder.append_data(&mut header, name, io::empty());
        }
        self.builder.append_link(&mut header, name, PathBuf::from(OsString::from_vec(target)))
    }

    fn all_in(&mut self, found: &OwnedFd, stat: &Stat, name: &Path, depth: usize) -> Result<(), ArchiveError> {
        let failed = |attempt| move |errno: Errno| ArchiveError::new(attempt, name.as_os_str().as_bytes(), errno);
        if depth == DEEPEST {
            let why = "more folders within folders than can be packed";
            return Err(ArchiveError::bad("pack", name.as_os_str().as_bytes(), why));
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let folder = openat(found, ".", flags, Mode::empty()).map_err(failed("open"))?;
        for child in names(&folder).map_err(failed("list"))? {
            let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let opened = match openat(&folder, child.as_os_str(), flags, Mode::empty()) {
                Err(Errno::NOENT) => continue,
                opened => opened,
            };
            let below = name.join(&child);
            let failed = |errno: Errno| ArchiveError::new("open", below.as_os_str().as_bytes(), errno);
            let opened = opened.map_err(failed)?;
            let its = fstat(&opened).map_err(failed)?;
            if its.st_dev != stat.st_dev && fstatfs(&opened).is_ok_and(|of| OF_THE_KERNEL.contains(&of.f_type)) {
                continue;
            }
            self.any(&opened, &its, &below, depth + 1)?;
        }
        Ok(())
    }
}

/// Sorted, so that the same tree is always the same archive.
fn names(folder: &OwnedFd) -> Result<Vec<OsString>, Errno> {
    let mut found = Vec::new();
    for entry in Dir::read_from(folder.as_fd())? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            found.push(OsString::from_vec(name.to_owned()));
        }
    }
    found.sort();
    found.dedup();
    Ok(found)
}

fn header(tree: &Tree, stat: &Stat, kind: EntryType, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(stat.st_mode & 0o7777);
    header.set_uid(tree.inside(stat.st_uid).into());
    header.set_gid(tree.inside(stat.st_gid).into());
    // Before 1970 is 1970, as in any tar without extensions.
    header.set_mtime(u64::try_from(stat.st_mtime).unwrap_or(0));
    header.set_size(size);
    header
}

/// So many bytes of a file, whatever becomes of it.
struct Exactly<'a> {
    file: &'a mut File,
    left: u64,
}

impl Read for Exactly<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let mut read = self.file.read(&mut buffer[..wanted])?;
        if read == 0 {
            buffer[..wanted].fill(0);
            read = wanted;
        }
        self.left -= read as u64;
        Ok(read)
    }
}
