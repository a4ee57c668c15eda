//! Finding the node, or starting one.
//!
//! A node is started as `/proc/self/exe serve --on-demand`, with nothing of the caller's but its environment: standard
//! error goes to `node.log`, the working directory is `/`, and the new node leaves the caller's session itself
//! (setsid(2)). Two commands may start one each at the same time: the loser of the lock ends at once, and both commands
//! find the winner; a node that is just leaving still holds the lock, so a loser without a winner is tried again. Whether a node lives is asked of its socket alone; taking the lock to look would keep a node from it.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use dwell::layout::Layout;
use tokio::net::UnixStream;

use super::failure::{ClientFailure, Kind};
use super::http::{Client, dial};

/// How long a new node may live without listening: a slow disk and many Pods to look after take their time, and one that
/// ended is known at once.
const READY: Duration = Duration::from_secs(60);
/// How long to look for another node after ours has ended: it may have lost the race for the lock.
const OTHER: Duration = Duration::from_millis(150);
/// How often to start one: the lock may belong to a node that is just leaving.
const TRIES: u32 = 3;
const FIRST_WAIT: Duration = Duration::from_micros(300);
const LONGEST_WAIT: Duration = Duration::from_millis(10);
/// `node.log` is begun anew above this size.
const NODE_LOG_MAX: u64 = 1024 * 1024;
/// Bytes of `node.log` searched for a last line.
const NODE_LOG_TAIL: u64 = 16 * 1024;

impl Client {
    /// The node that listens now.
    ///
    /// # Errors
    /// `Kind::NoNode` if there is none, `Kind::Denied` if the socket is not the caller's to open.
    pub async fn connect(layout: &Layout) -> Result<Self, ClientFailure> {
        let socket = layout.socket();
        let stream = dial(&socket).await?;
        Ok(Self::over(socket, stream))
    }

    /// The node that listens now, else one that is started. Dropping the future leaves a started node running.
    ///
    /// # Errors
    /// `NodeDied` with the last line it wrote, `NotReady`, `Start`, or `Kind::Denied`.
    pub async fn connect_or_start(layout: &Layout) -> Result<Self, ClientFailure> {
        match Self::connect(layout).await {
            Err(failure) if failure.kind() == Kind::NoNode => start(layout).await,
            other => other,
        }
    }
}

async fn start(layout: &Layout) -> Result<Client, ClientFailure> {
    let deadline = Instant::now() + READY;
    let mut failure = None;
    for _ in 0..TRIES {
        match start_once(layout, deadline).await {
            Err(died @ ClientFailure::NodeDied(..)) => failure = Some(died),
            other => return other,
        }
    }
    Err(failure.unwrap_or(ClientFailure::NotReady(READY.as_secs())))
}

async fn start_once(layout: &Layout, deadline: Instant) -> Result<Client, ClientFailure> {
    let log = open_log(layout).map_err(|e| {
        ClientFailure::Start(format!("open its log {} (another --state-dir?)", layout.node_log().display()), e)
    })?;
    let begin = log.metadata().map_or(0, |m| m.len());
    let mut node = spawn(layout, log).map_err(|e| ClientFailure::Start("execute it".into(), e))?;
    let ended = tokio::select! {
        stream = wait_for_socket(layout, deadline) => return stream.map(|s| Client::over(layout.socket(), s)),
        ended = wait_for_end(&mut node) => ended,
    };
    match tokio::time::timeout(OTHER, wait_for_socket(layout, deadline)).await {
        Ok(stream) => stream.map(|s| Client::over(layout.socket(), s)),
        Err(_) => Err(ClientFailure::NodeDied(ended, last_line(layout, begin))),
    }
}

fn open_log(layout: &Layout) -> io::Result<File> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(layout.lib())?;
    let path = layout.node_log();
    let too_long = std::fs::metadata(&path).is_ok_and(|m| m.len() > NODE_LOG_MAX);
    if too_long {
        std::fs::remove_file(&path)?;
    }
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}

fn spawn(layout: &Layout, log: File) -> io::Result<Child> {
    // Descriptors that our own caller left open (a pipe that somebody reads to its end, say) stay with us.
    dwell_sys::exec::close_on_exec_from(3)?;
    let mut command = Command::new("/proc/self/exe");
    command.arg0("dwell").args(["serve", "--on-demand"]).current_dir("/");
    if let Some(dir) = layout.state_dir() {
        command.arg("--state-dir").arg(dir);
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn()
}

async fn wait_for_socket(layout: &Layout, deadline: Instant) -> Result<UnixStream, ClientFailure> {
    let socket = layout.socket();
    let mut wait = FIRST_WAIT;
    loop {
        match dial(&socket).await {
            Err(failure) if failure.kind() == Kind::NoNode => {}
            other => return other,
        }
        if Instant::now() > deadline {
            return Err(ClientFailure::NotReady(READY.as_secs()));
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}

/// Also reaps it, so that a long-lived command keeps no zombie.
async fn wait_for_end(node: &mut Child) -> ExitStatus {
    loop {
        if let Ok(Some(status)) = node.try_wait() {
            return status;
        }
        tokio::time::sleep(LONGEST_WAIT).await;
    }
}

/// The last line that was written to `node.log` after `begin`, cut to a sane length.
fn last_line(layout: &Layout, begin: u64) -> Option<String> {
    let mut file = File::open(layout.node_log()).ok()?;
    let end = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(begin.max(end.saturating_sub(NODE_LOG_TAIL)))).ok()?;
    let mut text = Vec::new();
    file.take(NODE_LOG_TAIL).read_to_end(&mut text).ok()?;
    let text = String::from_utf8_lossy(&text);
    let line = text.lines().rev().find(|line| !line.trim().is_empty())?;
    Some(line.chars().take(500).collect())
}
