//! Somebody who shares a volume and never rests: exchanges two names in it, as fast as the kernel does, until dropped.
//!
//! A thread of the test's stands in for the member, since it is quicker than any shell; a member could do the same. What
//! a runtime looked at is then something else by the time it is used.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

use rustix::fs::{CWD, RenameFlags, renameat_with};

/// Exchanges `a` and `b` of a folder.
pub struct Flip {
    stop: Arc<AtomicBool>,
    times: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Flip {
    pub fn begin(folder: &Path) -> Flip {
        let (stop, times) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (a, b) = (folder.join("a"), folder.join("b"));
        let (stopped, counted) = (Arc::clone(&stop), Arc::clone(&times));
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                renameat_with(CWD, &a, CWD, &b, RenameFlags::EXCHANGE).expect("exchanges two names");
                counted.fetch_add(1, Ordering::Relaxed);
            }
        });
        Flip { stop, times, thread: Some(thread) }
    }

    /// Panics if it hardly moved: then nothing was raced.
    pub fn end(mut self) {
        self.rest();
        let times = self.times.load(Ordering::Relaxed);
        assert!(times > 100, "control: only {times} exchanges");
    }

    fn rest(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Flip {
    fn drop(&mut self) {
        self.rest();
    }
}
