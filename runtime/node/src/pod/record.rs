//! The files of a Pod's record: the object for readers, the journal for the next node. Each is written whole, beside
//! its place, and renamed into it: whoever reads finds the old one or the new one, never half of either.
//!
//! A Pod that is not finished has its newest record in the run folder, which is memory and dies with the boot as the
//! Pod's processes do; what must outlast the boot (that it was accepted, that it is to stop, how it ended) is written
//! to the state folder as well. `sync` makes a record survive a power cut; it costs a disk flush, so only what the caller was promised is synced.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Replaces the file by the value's JSON.
///
/// # Errors
/// What the file system said; the old file is untouched then.
pub fn write(path: &Path, value: &impl Serialize) -> io::Result<()> {
    write_beside(path, value)?;
    std::fs::rename(fresh(path), path)
}

/// The same, and on the disk when it returns: a power cut leaves the old one or the new one.
///
/// # Errors
/// As `write`, and what `fsync` said.
pub fn replace(path: &Path, value: &impl Serialize) -> io::Result<()> {
    write_beside(path, value)?.sync_data()?;
    std::fs::rename(fresh(path), path)?;
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

/// Its bytes where they are renamed from.
fn write_beside(path: &Path, value: &impl Serialize) -> io::Result<File> {
    let bytes = serde_json::to_vec(value)?;
    let mut file = File::create(fresh(path))?;
    file.write_all(&bytes)?;
    Ok(file)
}

fn fresh(path: &Path) -> PathBuf {
    path.with_extension("new")
}

/// Reads a value written by `write`.
///
/// # Errors
/// Not there, or not such a value.
pub fn read<T: DeserializeOwned>(path: &Path) -> io::Result<T> {
    Ok(serde_json::from_slice(&std::fs::read(path)?)?)
}

/// Reads the newer of two: `now` if it is there, else `lasting`.
///
/// # Errors
/// Neither is there, or it is not such a value.
pub fn read_newest<T: DeserializeOwned>(now: &Path, lasting: &Path) -> io::Result<T> {
    match read(now) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => read(lasting),
        other => other,
    }
}

/// Flushes files of one folder, and their names in it, to the disk.
///
/// # Errors
/// What `fsync` said.
pub fn sync(folder: &Path, files: &[PathBuf]) -> io::Result<()> {
    for path in files {
        File::open(path)?.sync_data()?;
    }
    File::open(folder)?.sync_all()
}
