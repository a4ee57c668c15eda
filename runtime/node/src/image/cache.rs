//! The cache of compiled modules: content-addressed by the module's digest and the engine's configuration, in a
//! root-only folder, never filled from an image.
//!
//! ```text
//! CACHE/<engine key>/<sha256>.cwasm   the compiled code, on the disk before it has a name
//! CACHE/<engine key>/<sha256>.json    its seal: what the compiler said of it, its size and its own digest; likewise
//! BOOT/verified-<sha256>              an entry that was made, or compared with its seal, since the machine started
//! BOOT/<device>-<inode>-<size>-<mtime>-<ctime>   the digest of a source file that was hashed before
//! ```
//! A power cut may leave any file short, empty or of other content, whatever its name promises: so an entry is compared
//! with its seal once a boot, and one that does not fit is thrown away and compiled anew; and what is known of source
//! files dies with the boot (BOOT is in memory). Hashing a module costs more than starting it, so within one boot a file
//! whose identity and change time did not move is not hashed again. A file changed within the last two seconds is never
//! remembered (its clock may not have ticked yet).

use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use dwell_spec::plan::worker::{ModuleInfo, SOURCE_MAX};
use dwell_sys::complain::complain;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// One node's view of the cache.
#[derive(Debug, Clone)]
pub struct ModuleCache {
    folder: PathBuf,
    boot: PathBuf,
    engine_key: String,
}

/// What an entry must be.
#[derive(Debug, Serialize, Deserialize)]
struct Seal {
    info: ModuleInfo,
    size: u64,
    digest: String,
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
    /// `folder` and `boot` must be root's alone; `boot` must not outlast the boot.
    pub fn new(folder: PathBuf, boot: PathBuf, engine_key: String) -> ModuleCache {
        ModuleCache { folder, boot, engine_key }
    }

    /// The folder of this engine's entries, made if missing.
    ///
    /// # Errors
    /// What the file system said.
    pub fn ensure_folder(&self) -> io::Result<PathBuf> {
        let folder = self.folder.join(&self.engine_key);
        std::fs::create_dir_all(&folder)?;
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.boot)?;
        Ok(folder)
    }

    /// The entry for this digest, if it was compiled before and is what it was.
    pub fn find(&self, digest: &str) -> Option<Entry> {
        let seal = std::fs::read(self.path(digest, "json")).ok()?;
        let mut file = File::open(self.path(digest, "cwasm")).ok()?;
        match serde_json::from_slice::<Seal>(&seal) {
            Ok(seal) if self.fits(digest, &seal, &mut file) => Some(Entry { file, info: seal.info }),
            _ => {
                complain(format_args!("the compiled form of module {digest} is damaged: it is compiled anew"));
                None
            }
        }
    }

    /// Whether the entry is known to be what it was.
    pub fn is_verified(&self, digest: &str) -> bool {
        self.verified(digest).exists()
    }

    fn fits(&self, digest: &str, seal: &Seal, file: &mut File) -> bool {
        if !file.metadata().is_ok_and(|meta| meta.len() == seal.size) {
            return false;
        }
        if self.is_verified(digest) {
            return true;
        }
        let fits = hash(file, u64::MAX).is_ok_and(|found| found == seal.digest);
        if fits {
            let _ = File::create(self.verified(digest));
        }
        fits
    }

    /// Stores what a compiler made: `code`, a nameless file of the cache's folder, and its own words of it. Replaces a
    /// damaged entry. Code of another source than the digest's is nobody's: a member that could write to the file may have
    /// exchanged it between two looks, and whoever runs the module of that digest would run another.
    ///
    /// # Errors
    /// What the file system said; words that are none, or of another source.
    pub fn store(&self, digest: &str, code: &mut File, info: &str) -> io::Result<()> {
        let info = serde_json::from_str::<ModuleInfo>(info)?;
        if info.source_digest != digest {
            return Err(io::Error::other("it changed while it was being compiled"));
        }
        let seal = Seal { info, size: code.metadata()?.len(), digest: hash(code, u64::MAX)? };
        let folder = self.ensure_folder()?;
        let written = tempfile_in(&folder)?;
        serde_json::to_writer(&written, &seal)?;
        for (file, extension) in [(&written, "json"), (&*code, "cwasm")] {
            file.sync_data()?;
            let path = self.path(digest, extension);
            let _ = std::fs::remove_file(&path);
            name_file(file, &path)?;
        }
        File::open(folder)?.sync_all()?;
        File::create(self.verified(digest)).map(drop)
    }

    fn verified(&self, digest: &str) -> PathBuf {
        self.boot.join(format!("verified-{}-{}", self.engine_key, bare(digest)))
    }

    fn path(&self, digest: &str, extension: &str) -> PathBuf {
        self.folder.join(&self.engine_key).join(format!("{}.{extension}", bare(digest)))
    }

    /// The digest of a source file (`sha256:…`), from memory if it did not change. One that is larger than a module may be
    /// is read only so far that the compiler sees it is: a hole without end costs no more.
    ///
    /// # Errors
    /// What reading said.
    pub fn digest(&self, file: &mut File) -> io::Result<String> {
        let before = file.metadata()?;
        let remembered = self.boot.join(identity(&before));
        if let Some(digest) = std::fs::read_to_string(&remembered).ok().filter(|text| is_digest(text)) {
            return Ok(digest);
        }
        let digest = hash(file, SOURCE_MAX + 1)?;
        if settled(&before) && identity(&before) == identity(&file.metadata()?) {
            remember(&remembered, &digest);
        }
        Ok(digest)
    }
}

fn bare(digest: &str) -> &str {
    digest.strip_prefix("sha256:").unwrap_or(digest)
}

fn is_digest(text: &str) -> bool {
    text.starts_with("sha256:") && bare(text).len() == 64 && bare(text).bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// A file without a name, which is gone with whoever makes it unless it is given one.
pub(super) fn tempfile_in(folder: &Path) -> io::Result<File> {
    let flags = rustix::fs::OFlags::TMPFILE | rustix::fs::OFlags::RDWR | rustix::fs::OFlags::CLOEXEC;
    Ok(rustix::fs::open(folder, flags, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR)?.into())
}

/// Gives a nameless file its name.
fn name_file(file: &File, path: &Path) -> io::Result<()> {
    let nameless = CString::new(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
    let (cwd, flags) = (rustix::fs::CWD, rustix::fs::AtFlags::SYMLINK_FOLLOW);
    Ok(rustix::fs::linkat(cwd, nameless.as_c_str(), cwd, path, flags)?)
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

/// Of so many bytes at most.
fn hash(file: &mut File, most: u64) -> io::Result<String> {
    file.rewind()?;
    let (mut hasher, mut buffer) = (Sha256::new(), vec![0u8; 128 * 1024]);
    let mut begin = (&*file).take(most);
    loop {
        match begin.read(&mut buffer)? {
            0 => break,
            read => hasher.update(&buffer[..read]),
        }
    }
    file.rewind()?;
    let hex: String = hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("sha256:{hex}"))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn digest_of(text: &[u8]) -> String {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text).unwrap();
        hash(&mut file, u64::MAX).unwrap()
    }

    /// A member that shared a module with its sibling exchanged it between the digest and the compiler's look: every Pod that
    /// ran the module of that digest ran the other one.
    #[test]
    fn what_was_exchanged_under_the_compiler_is_stored_for_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let cache = ModuleCache::new(folder.path().join("cache"), folder.path().join("boot"), "engine".to_owned());
        let (looked_at, compiled) = (digest_of(b"one"), digest_of(b"another"));
        let info = format!(
            r#"{{"kind":"Preview1Command","source_bytes":7,"source_digest":"{compiled}","imports":[],"exports":[]}}"#
        );
        let store = |digest: &str| {
            let mut code = tempfile_in(&cache.ensure_folder().unwrap()).unwrap();
            code.write_all(b"code").unwrap();
            cache.store(digest, &mut code, &info)
        };
        let said = store(&looked_at).unwrap_err().to_string();
        assert!(said.contains("changed") && cache.find(&looked_at).is_none(), "{said}");
        store(&compiled).unwrap();
        assert!(cache.find(&compiled).is_some(), "control: what was looked at and compiled alike");
    }

    /// A member planted a file of a terabyte without a byte in it, and somebody asked for it to be run.
    #[test]
    fn a_hole_without_end_is_hashed_up_to_a_bound() {
        let mut hole = tempfile::tempfile().unwrap();
        hole.set_len(1 << 40).unwrap();
        let mut control = tempfile::tempfile().unwrap();
        control.set_len(4096).unwrap();
        assert_eq!(hash(&mut hole, 4096).unwrap(), hash(&mut control, u64::MAX).unwrap());
    }
}
