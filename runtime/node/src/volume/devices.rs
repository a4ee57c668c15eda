//! The devices in the host's `/dev`, for members that may use them all.
//!
//! No link is followed, no other file system entered: what is mounted below `/dev` is somebody's own.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use dwell_spec::facts::{DeviceNumber, HostDevice};

/// More of them would be no `/dev`.
const MOST: usize = 4096;
/// Folders within folders.
const DEEPEST: usize = 4;

/// Every device there is, by name. What goes away meanwhile is left out.
pub fn list() -> Vec<HostDevice> {
    let mut found = Vec::new();
    if let Ok(top) = fs::metadata("/dev") {
        collect(Path::new("/dev"), top.dev(), DEEPEST, &mut found);
    }
    found.sort_by(|one, other| one.path.cmp(&other.path));
    found
}

/// The device at a path of the host, if there is one and the caller may look.
pub fn at(path: &str) -> Option<DeviceNumber> {
    let meta = fs::metadata(path).ok()?;
    let kind = meta.file_type();
    (kind.is_block_device() || kind.is_char_device()).then(|| number(&meta))
}

fn number(meta: &fs::Metadata) -> DeviceNumber {
    let (block, device) = (meta.file_type().is_block_device(), meta.rdev());
    DeviceNumber { block, major: rustix::fs::major(device), minor: rustix::fs::minor(device) }
}

fn collect(folder: &Path, file_system: u64, depth: usize, found: &mut Vec<HostDevice>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let Ok(meta) = entry.metadata() else { continue };
        let (kind, path) = (meta.file_type(), entry.path());
        if kind.is_dir() && depth > 0 && meta.dev() == file_system {
            collect(&path, file_system, depth - 1, found);
        } else if (kind.is_char_device() || kind.is_block_device()) && found.len() < MOST {
            // A name that is no text is nobody's device.
            found.extend(path.to_str().map(|path| HostDevice {
                path: path.to_owned(),
                number: number(&meta),
                mode: meta.mode() & 0o777,
                owner: (meta.uid(), meta.gid()),
            }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_of_this_host() {
        let found = list();
        let null = found.iter().find(|device| device.path == "/dev/null").unwrap();
        assert_eq!(null.number, DeviceNumber { block: false, major: 1, minor: 3 });
        assert_eq!(null.mode, 0o666);
        assert_eq!((at("/dev/null"), at("/dev")), (Some(null.number), None));
        assert!(!found.iter().any(|device| device.path.starts_with("/dev/pts/")), "that is another file system");
    }
}
