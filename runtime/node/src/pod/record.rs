//! The files of a Pod's record: the object for readers, the journal for the next node. Each is written whole, beside
//! its place, and renamed into it: whoever reads finds the old one or the new one, never half of either.
//!
//! `sync` makes a record survive a power cut; it costs a disk flush, so only what the caller was promised is synced.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Replaces the file by the value's JSON.
///
/// # Errors
/// What the file system said; the old file is untouched then.
pub fn write(path: &Path, value: &impl Serialize) -> io::Result<()> {
    let fresh = path.with_extension("new");
    let bytes = serde_json::to_vec(value)?;
    let mut file = File::create(&fresh)?;
    file.write_all(&bytes)?;
    std::fs::rename(&fresh, path)
}

/// Reads a value written by `write`.
///
/// # Errors
/// Not there, or not such a value.
pub fn read<T: DeserializeOwned>(path: &Path) -> io::Result<T> {
    Ok(serde_json::from_slice(&std::fs::read(path)?)?)
}

/// Flushes the file and its folder's entry of it to the disk.
///
/// # Errors
/// What `fsync` said.
pub fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()?;
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}
