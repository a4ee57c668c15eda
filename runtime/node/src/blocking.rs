//! Work that waits for the disk, on a thread of its own, while the node's one thread goes on.
//!
//! Not the runtime's pool, which panics where the host has no thread to give (its limit of processes, or memory for
//! a moment): here the work waits and tries again, and what gets no thread is an error like any other. Must never run
//! more than [`AT_ONCE`] at once; [`settled`] waits for what was begun, also for what nobody waits for any more.

use std::io;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit, oneshot};

/// As many as a disk has use for.
const AT_ONCE: u32 = 16;
/// Between attempts to get a thread; each wait is twice the one before.
const FIRST_WAIT: Duration = Duration::from_millis(5);
const LAST_WAIT: Duration = Duration::from_secs(2);

static TURNS: Semaphore = Semaphore::const_new(AT_ONCE as usize);

/// Does it on a thread, and gives what it gave.
///
/// # Errors
/// The host gave no thread, or the work panicked.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    let turn = turns(1).await;
    let (done, result) = oneshot::channel();
    start_patiently(move || {
        // Nobody may be waiting any more.
        let _ = done.send(work());
        drop(turn);
    })
    .await?;
    result.await.map_err(|_| io::Error::other("the node failed at it; its log says why"))
}

/// Does it some time, whoever waits.
pub(crate) fn begin(work: impl FnOnce() + Send + 'static) {
    tokio::spawn(blocking(work));
}

/// Nothing is being done any more.
pub(crate) async fn settled() {
    drop(turns(AT_ONCE).await);
}

async fn turns(number: u32) -> SemaphorePermit<'static> {
    TURNS.acquire_many(number).await.expect("nobody closes it")
}

async fn start_patiently(work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    // A thread that cannot begin drops what it was to do: it gets a share.
    let work = Arc::new(Mutex::new(Some(work)));
    let mut wait = FIRST_WAIT;
    loop {
        let share = work.clone();
        match thread::Builder::new().spawn(move || run(&share)) {
            Ok(_) => return Ok(()),
            Err(error) if wait > LAST_WAIT => return Err(no_thread(&error)),
            Err(_) => tokio::time::sleep(wait).await,
        }
        wait *= 2;
    }
}

fn run(work: &Mutex<Option<impl FnOnce()>>) {
    let work = work.lock().expect("nobody panics with it").take();
    if let Some(work) = work {
        work();
    }
}

fn no_thread(error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("start a thread: {error} (the host's or the node's limit of processes)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_panics_is_an_error_and_frees_its_turn() {
        for _ in 0..AT_ONCE * 2 {
            assert!(blocking(|| panic!("on purpose")).await.is_err());
        }
        assert_eq!(blocking(|| 7).await.unwrap(), 7);
        settled().await;
    }

    #[tokio::test]
    async fn what_nobody_waits_for_is_waited_for_in_the_end() {
        let (tell, told) = std::sync::mpsc::channel();
        begin(move || {
            thread::sleep(Duration::from_millis(50));
            tell.send(()).unwrap();
        });
        tokio::task::yield_now().await;
        settled().await;
        told.try_recv().unwrap();
    }
}
