//! Compiling a module, in a short-lived process of its own, once per digest however many ask.
//!
//! The process gets descriptors only: the source to read, a nameless file to write, a nameless file for what it says.
//! The results are named into the cache after it succeeded, so a killed node or compiler leaves nothing half made.
//! Compiling is where hostile modules cost most: the process limits itself (address space, CPU time, system calls),
//! and the node gives it no more than `address_space` and `CPU_SECONDS`. What it reports is hostile text.

use std::collections::HashMap;
use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use dwell_spec::plan::init::REPORT_MAX;
use dwell_spec::plan::worker::WorkerReport;
use rustix::fs::{Mode, OFlags};
use rustix::process::{WaitId, WaitIdOptions, waitid};
use tokio::net::unix::pipe::Receiver;

use super::cache::{Entry, ModuleCache, tempfile_in};
use crate::blocking::blocking;

/// Turns modules into cache entries.
#[derive(Debug)]
pub struct Compiler {
    exe: Arc<OwnedFd>,
    folder: PathBuf,
    boot: PathBuf,
    cache: tokio::sync::OnceCell<ModuleCache>,
    under_way: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

/// A module that is ready to run.
#[derive(Debug)]
pub struct Compiled {
    /// `sha256:…` of the source.
    pub digest: String,
    /// The cache's entry.
    pub entry: Entry,
}

impl Compiler {
    /// `exe` is the file that carries the compile role; `folder` holds the cache, `boot` what is known of it in this boot.
    pub fn new(exe: Arc<OwnedFd>, folder: PathBuf, boot: PathBuf) -> Compiler {
        Compiler { exe, folder, boot, cache: tokio::sync::OnceCell::new(), under_way: Mutex::default() }
    }

    /// The cache of this engine. Its key is asked of the executable, once and only when a module comes, so that a node
    /// without Wasm members never touches the engine.
    async fn cache(&self) -> io::Result<&ModuleCache> {
        self.cache
            .get_or_try_init(|| async {
                Ok(ModuleCache::new(self.folder.clone(), self.boot.clone(), self.engine_key().await?))
            })
            .await
    }

    async fn engine_key(&self) -> io::Result<String> {
        let said: File = dwell_sys::memfd::writable("engine-key")?.into();
        let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
        let fds: [(BorrowedFd<'_>, i32); 3] = [(null.as_fd(), 0), (said.as_fd(), 1), (null.as_fd(), 2)];
        let argv: [&CStr; 2] = [c"dwell-compile", c"--engine-key"];
        let (_, pidfd) = dwell_sys::process::spawn_vfork((*self.exe).as_fd(), &argv, &[], &fds, None)?;
        let status = Child { pidfd: Receiver::from_owned_fd_unchecked(pidfd)?, reaped: false }.wait().await?;
        let mut key = String::new();
        let mut said = said;
        said.rewind()?;
        said.take(256).read_to_string(&mut key)?;
        let whole = status == 0 && !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_hexdigit());
        whole.then_some(key).ok_or_else(|| io::Error::other(format!("the engine named no key (status {status})")))
    }

    /// The entry for a source file (`module` names it in errors), compiled now if it never was. Dropping the future leaves
    /// a compilation that is under way to end by itself, unused.
    ///
    /// # Errors
    /// The module is not one, imports what nothing provides, or costs more than it may.
    pub async fn ensure_compiled(&self, source: File, module: &str) -> Result<Compiled, CompileError> {
        let failed = |what, source| CompileError::Io { module: module.to_owned(), what, source };
        let cache = self.cache().await.map_err(|e| failed("ask the engine that is to run", e))?;
        let (digest, source) = hash(cache, source).await.map_err(|e| failed("read", e))?;
        let turn = self.turn(&digest);
        let made = {
            let _one_at_a_time = turn.lock().await;
            match find(cache, &digest).await {
                Some(entry) => Ok(Some(entry)),
                None => self.compile(cache, &digest, &source, module).await.map(|()| cache.find(&digest)),
            }
        };
        // Whoever waits for this turn has a share of it.
        self.under_way.lock().expect("no holder panics").remove(&digest);
        let entry = made?.ok_or_else(|| failed("find the compiled form of", io::ErrorKind::NotFound.into()))?;
        Ok(Compiled { digest, entry })
    }

    fn turn(&self, digest: &str) -> Arc<tokio::sync::Mutex<()>> {
        self.under_way.lock().expect("no holder panics").entry(digest.to_owned()).or_default().clone()
    }

    async fn compile(
        &self,
        cache: &ModuleCache,
        digest: &str,
        source: &File,
        module: &str,
    ) -> Result<(), CompileError> {
        let failed = |what, source| CompileError::Io { module: module.to_owned(), what, source };
        let folder = cache.ensure_folder().map_err(|e| failed("make the cache folder for", e))?;
        let files = Outputs::open(&folder).map_err(|e| failed("make a file for the compiled form of", e))?;
        let child = self.spawn(source, &files).map_err(|e| failed("start the compiler for", e))?;
        let status = child.wait().await.map_err(|e| failed("wait for the compiler of", e))?;
        if status != 0 {
            return Err(files.explain(module, status));
        }
        publish(cache, digest, files).await.map_err(|e| failed("store the compiled form of", e))
    }

    fn spawn(&self, source: &File, files: &Outputs) -> io::Result<Child> {
        let null = rustix::fs::open("/dev/null", OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
        let fds: [(BorrowedFd<'_>, i32); 5] = [
            (source.as_fd(), 0),
            (files.code.as_fd(), 1),
            (null.as_fd(), 2),
            (files.info.as_fd(), 3),
            (files.report.as_fd(), 4),
        ];
        let argv: [&CStr; 1] = [c"dwell-compile"];
        let (_, pidfd) = dwell_sys::process::spawn_vfork((*self.exe).as_fd(), &argv, &[], &fds, None)?;
        Ok(Child { pidfd: Receiver::from_owned_fd_unchecked(pidfd)?, reaped: false })
    }
}

/// On a thread of its own, where it has to be read whole: once a boot.
async fn find(cache: &ModuleCache, digest: &str) -> Option<Entry> {
    if cache.is_verified(digest) {
        return cache.find(digest);
    }
    let (cache, digest) = (cache.clone(), digest.to_owned());
    blocking(move || cache.find(&digest)).await.ok().flatten()
}

async fn hash(cache: &ModuleCache, mut source: File) -> io::Result<(String, File)> {
    let cache = cache.clone();
    blocking(move || {
        cache.ensure_folder()?;
        cache.digest(&mut source).map(|digest| (digest, source))
    })
    .await?
}

/// Waits for the disk, on a thread of its own.
async fn publish(cache: &ModuleCache, digest: &str, files: Outputs) -> io::Result<()> {
    let (cache, digest) = (cache.clone(), digest.to_owned());
    blocking(move || {
        let (mut info, Outputs { mut code, info: mut said, .. }) = (String::new(), files);
        said.rewind()?;
        said.take(1 << 20).read_to_string(&mut info)?;
        // A worker maps it as whoever its member runs as; the folder keeps everybody else out.
        rustix::fs::fchmod(&code, Mode::from_raw_mode(0o444))?;
        cache.store(&digest, &mut code, &info)
    })
    .await?
}

struct Outputs {
    code: File,
    info: File,
    report: File,
}

impl Outputs {
    fn open(folder: &Path) -> io::Result<Outputs> {
        Ok(Outputs { code: tempfile_in(folder)?, info: tempfile_in(folder)?, report: tempfile_in(folder)? })
    }

    fn explain(&self, module: &str, status: i32) -> CompileError {
        let report = crate::report::read_worker_report(&self.report).unwrap_or(WorkerReport {
            reason: "CompileFailed".into(),
            message: format!("the compiler ended with status {status} (it may have needed more than its limits)"),
        });
        CompileError::Refused { module: module.to_owned(), status, report }
    }
}

/// A child process; killed and reaped when dropped before its end.
struct Child {
    pidfd: Receiver,
    reaped: bool,
}

impl Child {
    /// The exit status, 128 + signal when one ended it.
    async fn wait(mut self) -> io::Result<i32> {
        self.pidfd.readable().await?;
        let status = waitid(WaitId::PidFd(self.pidfd.as_fd()), WaitIdOptions::EXITED)?;
        self.reaped = true;
        let status = status.ok_or_else(|| io::Error::other("the process has no status"))?;
        let code = status.exit_status().or_else(|| status.terminating_signal().map(|signal| 128 + signal));
        code.ok_or_else(|| io::Error::other("the process neither exited nor was killed"))
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if !self.reaped {
            let fd = self.pidfd.as_fd();
            let _ = rustix::process::pidfd_send_signal(fd, rustix::process::Signal::KILL);
            let _ = waitid(WaitId::PidFd(fd), WaitIdOptions::EXITED);
        }
    }
}

/// A module that could not be made ready.
#[derive(Debug)]
pub enum CompileError {
    /// dwell or the machine failed.
    Io {
        /// The module's path.
        module: String,
        /// A verb phrase.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The compile process refused it, or was ended by its limits.
    Refused {
        /// The module's path.
        module: String,
        /// Its exit status.
        status: i32,
        /// Its words.
        report: WorkerReport,
    },
}

impl std::fmt::Display for CompileError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            CompileError::Io { module, what, .. } => write!(f, "{what} {module}"),
            CompileError::Refused { module, report, .. } => {
                debug_assert!(report.message.len() <= REPORT_MAX);
                write!(f, "compile {module}: {}", report.message)
            }
        }
    }
}

impl std::error::Error for CompileError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            CompileError::Io { source, .. } => Some(source),
            CompileError::Refused { .. } => None,
        }
    }
}
