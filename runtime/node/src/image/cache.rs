//! The cache of compiled modules: content-addressed by the module's digest and the engine's configuration, in a
//! root-only folder, never filled from an image.
//!
//! ```text
//! CACHE/<engine key>/<sha256>.cwasm   the compiled code       renamed into place, whole
//! CACHE/<engine key>/<sha256>.json    its `ModuleInfo`        renamed first, so a .cwasm always has one
//! CACHE/digests/<device>-<inode>-<size>-<mtime>-<ctime>       the digest of a source file that was hashed before
//! ```
//! Hashing a module costs more than starting it, so a file whose identity and change time did not move is not hashed
//! again. A file changed within the last two seconds is never remembered (its clock may not have ticked yet).

use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use dwell_spec::plan::worker::ModuleInfo;
use sha2::{Digest, Sha256};

/// One node's view of the cache.
#[derive(Debug, Clone)]
pub struct ModuleCache {
    folder: PathBuf,
    engine_key: String,
}

/// A compiled module, found.
#[derive(Debug)]
pub struct Entry {
    /// The compiled code.
    pub file: File,
    /// What the compile process said of it.
    pub info: ModuleInfo,
}

impl ModuleCache {
    /// `folder` must be root's alone.
    pub fn new(folder: PathBuf, engine_key: String) -> ModuleCache {
        ModuleCache { folder, engine_key }
    }

    /// The folder of this engine's entries, made if missing.
    ///
    /// # Errors
    /// What the file system said.
    pub fn ensure_folder(&self) -> io::Result<PathBuf> {
        let folder = self.folder.join(&self.engine_key);
        std::fs::create_dir_all(&folder)?;
        std::fs::create_dir_all(self.digests())?;
        Ok(folder)
    }

    /// The entry for this digest, if it was compiled before.
    pub fn find(&self, digest: &str) -> Option<Entry> {
        let info = std::fs::read(self.path(digest, "json")).ok()?;
        let info = serde_json::from_slice(&info).ok()?;
        File::open(self.path(digest, "cwasm")).ok().map(|file| Entry { file, info })
    }

    /// Where an entry's part lies.
    pub fn path(&self, digest: &str, extension: &str) -> PathBuf {
        let name = digest.strip_prefix("sha256:").unwrap_or(digest);
        self.folder.join(&self.engine_key).join(format!("{name}.{extension}"))
    }

    /// The digest of a source file (`sha256:…`), from memory if it did not change.
    ///
    /// # Errors
    /// What reading said.
    pub fn digest(&self, file: &mut File) -> io::Result<String> {
        let before = file.metadata()?;
        let remembered = self.digests().join(identity(&before));
        if let Ok(digest) = std::fs::read_to_string(&remembered) {
            return Ok(digest);
        }
        let digest = hash(file)?;
        if settled(&before) && identity(&before) == identity(&file.metadata()?) {
            remember(&remembered, &digest);
        }
        Ok(digest)
    }

    fn digests(&self) -> PathBuf {
        self.folder.join("digests")
    }
}

fn identity(meta: &std::fs::Metadata) -> String {
    let (m, c) = ((meta.mtime(), meta.mtime_nsec()), (meta.ctime(), meta.ctime_nsec()));
    format!("{:x}-{:x}-{:x}-{:x}.{:x}-{:x}.{:x}", meta.dev(), meta.ino(), meta.size(), m.0, m.1, c.0, c.1)
}

fn settled(meta: &std::fs::Metadata) -> bool {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_secs() as i64);
    meta.ctime() + 2 < now && meta.mtime() + 2 < now
}

/// Forgetting is harmless, so a failure is not reported.
fn remember(path: &Path, digest: &str) {
    let fresh = path.with_extension(format!("new{}", std::process::id()));
    if std::fs::write(&fresh, digest).is_ok() {
        let _ = std::fs::rename(&fresh, path);
    }
}

fn hash(file: &mut File) -> io::Result<String> {
    file.rewind()?;
    let (mut hasher, mut buffer) = (Sha256::new(), vec![0u8; 128 * 1024]);
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            read => hasher.update(&buffer[..read]),
        }
    }
    file.rewind()?;
    let hex: String = hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("sha256:{hex}"))
}
