//! Files of variables that a container names (`fileKeyRef`), read from the Pod's volumes when it begins. Members write
//! there: a link cannot lead out of the volume, a FIFO is not waited for, and what is too large is not read.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read};

use dwell_spec::env_file::FILE_MAX;
use dwell_spec::facts::EnvFiles;
use dwell_spec::pod::Container;

use crate::image::rootfs;
use crate::volume::OpenVolume;

/// Those that the container names and that lie in volumes which are open; each once.
pub fn read(container: &Container, volumes: &BTreeMap<String, OpenVolume>) -> EnvFiles {
    let mut found = EnvFiles::new();
    for key in container.env_files() {
        if let Some(volume) = volumes.get(&key.volume) {
            let text = || read_one(volume, &key.path).map_err(|error| error.to_string());
            found.entry(key.place()).or_insert_with(text);
        }
    }
    found
}

fn read_one(volume: &OpenVolume, path: &str) -> io::Result<Option<String>> {
    let file = match rootfs::open_file(volume.fd(), path) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(None),
        other => other?,
    };
    let mut bytes = Vec::new();
    file.take(FILE_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_MAX {
        return Err(io::Error::other(format!("it is larger than {} MiB", FILE_MAX >> 20)));
    }
    String::from_utf8(bytes).map(Some).map_err(|_| io::Error::other("it is no text"))
}
