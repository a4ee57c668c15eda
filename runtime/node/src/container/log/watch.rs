//! Tells when the logs of a Pod may hold more: one inotify descriptor over the Pod's folder and its log folders.
//!
//! Folders may appear later (a Pod is written down before it is set up), so those that are missing are tried again at
//! each event of their parent; a watch is set before the caller reads, so nothing falls between (inotify(7)).
//! Where the kernel's limit of inotify instances is reached, it looks every `POLL` instead.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use tokio::io::unix::AsyncFd;

/// How often to look where inotify is not to be had.
const POLL: Duration = Duration::from_millis(100);

/// A watch over the log folders of some Pods.
pub struct LogWatch {
    events: Option<AsyncFd<OwnedFd>>,
    missing: Vec<PathBuf>,
}

impl LogWatch {
    /// Watches nothing yet. Must be called within a tokio runtime that drives IO.
    #[expect(clippy::new_without_default, reason = "it does IO")]
    pub fn new() -> Self {
        let events = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).and_then(watched);
        Self { events: events.ok(), missing: Vec::new() }
    }

    /// Watches `pod_dir` (`Layout::pod`) and, as they appear, the log folders of `containers` below it.
    pub fn add_pod<'a>(&mut self, pod_dir: &Path, containers: impl IntoIterator<Item = &'a str>) {
        let logs = pod_dir.join("logs");
        self.missing.extend(containers.into_iter().map(|name| logs.join(name)));
        self.missing.extend([logs, pod_dir.to_owned()]);
        self.add_missing();
    }

    /// Returns when something was written, created or renamed since the last call (or may have been). Dropping the
    /// future loses nothing.
    ///
    /// # Errors
    /// The descriptor failed, which no ordinary condition causes.
    pub async fn changed(&mut self) -> io::Result<()> {
        let Some(events) = &self.events else {
            tokio::time::sleep(POLL).await;
            return Ok(());
        };
        let mut ready = events.readable().await?;
        drain(ready.get_inner())?;
        ready.clear_ready();
        self.add_missing();
        Ok(())
    }

    /// From the outermost folder inwards, so that a folder made in between is seen by its parent's watch or by us.
    fn add_missing(&mut self) {
        let Some(events) = &self.events else { return };
        let flags = WatchFlags::MODIFY | WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::ONLYDIR;
        for at in (0..self.missing.len()).rev() {
            if inotify::add_watch(events.get_ref(), &self.missing[at], flags).is_ok() {
                self.missing.remove(at);
            }
        }
    }
}

#[expect(deprecated, reason = "an OwnedFd keeps its descriptor, which is all that the unsafe successor asks for")]
fn watched(fd: OwnedFd) -> rustix::io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(fd, tokio::io::Interest::READABLE).map_err(|_| rustix::io::Errno::IO)
}

/// Takes all queued events; which file they name does not matter.
fn drain(fd: &OwnedFd) -> io::Result<()> {
    let mut buffer = [MaybeUninit::uninit(); 4096];
    loop {
        match rustix::io::read(fd, &mut buffer) {
            Ok((events, _)) if !events.is_empty() => {}
            Ok(_) | Err(rustix::io::Errno::AGAIN) => return Ok(()),
            Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
}
