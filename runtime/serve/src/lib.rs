//! The node as a service: the HTTP face (`api`), its client (`client`), and the process that ties a node to a socket.
//! `cli → serve → node`: nothing here knows of commands, nothing in the node knows of HTTP.
#![forbid(unsafe_code)]

pub mod api;
pub mod client;
mod notify;

use std::fmt::Display;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dwell::layout::Layout;
use dwell::{Node, NodeConfig, NodeErrorKind, WorkerExecutable};
use dwell_sys::complain::complain;
use tokio::net::UnixListener;
use tokio::signal::unix::{SignalKind, signal};

/// How long a node that was started on demand stays without a Pod that may still run.
pub const IDLE_SECONDS: u64 = 60;

/// A node that broke before this is not begun anew at once.
const STEADY: Duration = Duration::from_secs(10);
const BETWEEN_BEGINNINGS: Duration = Duration::from_secs(1);

/// How long a node that is to be replaced may take to leave.
const LEAVE: Duration = Duration::from_secs(10);
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

/// `sun_path` without its final NUL.
const SOCKET_PATH_MAX: usize = 107;

/// How to serve.
#[derive(Debug)]
pub struct ServeOptions {
    /// The state folder.
    pub layout: Layout,
    /// Leave after a minute without Pods.
    pub on_demand: bool,
    /// Take the place of a node that is there.
    pub replace: bool,
    /// What runs Wasm members; without it they are refused.
    pub worker: Option<WorkerExecutable>,
}

/// Runs a node in this process until it is told to end (SIGTERM, SIGINT) or, on demand, has had nothing to do.
/// Pods go on without it. Ends with status 0, or 125 and a sentence on standard error.
pub fn serve(options: ServeOptions) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(16).build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("start the runtime: {error}")),
    };
    match runtime.block_on(run(options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => fail(&message),
    }
}

fn fail(message: &str) -> ExitCode {
    complain(format_args!("error: {message}"));
    ExitCode::from(125)
}

async fn run(options: ServeOptions) -> Result<(), String> {
    let ServeOptions { layout, on_demand, replace, worker } = options;
    fits_an_address(&layout)?;
    // Before anything is made that an end would have to remove: a signal that comes while the node opens waits.
    let (mut terminate, mut interrupt) = (on(SignalKind::terminate())?, on(SignalKind::interrupt())?);
    let began = Instant::now();
    let node = open(&layout, worker, replace).await?;
    let listener = match listen(&layout) {
        Ok(listener) => listener,
        Err(error) => {
            // Nobody else would give back what opening it took of the host.
            node.close().await;
            return Err(describe("listen on", &layout, error));
        }
    };
    let serving = api::serve(listener, node.clone());
    tokio::pin!(serving);
    notify::tell("READY=1");
    tokio::select! {
        () = &mut serving => {}
        () = leave_when_idle(&node), if on_demand => {}
        () = node.shutdown_requested() => {}
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    if node.is_broken() {
        return Err(begin_anew(began));
    }
    // Nobody would remove it later; what fails for a moment is tried again.
    let _ = std::fs::remove_file(layout.socket()).or_else(|_| std::fs::remove_file(layout.socket()));
    // Requests that were being answered get their answers.
    let _ = tokio::time::timeout(Duration::from_millis(100), serving).await;
    node.close().await;
    Ok(())
}

/// Opens the node. One that is there is asked to leave, if it is to be replaced: its Pods go on meanwhile.
async fn open(layout: &Layout, worker: Option<WorkerExecutable>, replace: bool) -> Result<Arc<Node>, String> {
    let deadline = Instant::now() + LEAVE;
    loop {
        let config = NodeConfig { layout: layout.clone(), worker: worker.clone() };
        match Node::open(config).await {
            Err(error) if replace && error.kind() == NodeErrorKind::Conflict && Instant::now() < deadline => {
                if let Ok(client) = client::Client::connect(layout).await {
                    // One that is leaving already needs no asking.
                    let _ = client.shutdown().await;
                }
                tokio::time::sleep(BETWEEN_LOOKS).await;
            }
            other => return other.map_err(|error| dwell::chain(&error)),
        }
    }
}

/// Executes this program again, as it was started: a new node in the same process, which finds every Pod by its record.
/// Lock, socket and connections close meanwhile, so that commands notice. Returns why it could not.
fn begin_anew(began: Instant) -> String {
    complain("a Pod's driver panicked: the node begins anew");
    if began.elapsed() < STEADY {
        // It may well happen again.
        std::thread::sleep(BETWEEN_BEGINNINGS);
    }
    let mut arguments = std::env::args_os();
    let mut command = std::process::Command::new("/proc/self/exe");
    command.arg0(arguments.next().unwrap_or_default()).args(arguments);
    format!("begin anew: {}", command.exec())
}

/// From the moment it may leave, the node refuses new Pods as "unavailable", and the command that hears that starts
/// another node.
async fn leave_when_idle(node: &Arc<Node>) {
    loop {
        node.idle_for(Duration::from_secs(IDLE_SECONDS)).await;
        if node.begin_leaving() {
            return;
        }
    }
}

/// Before anything is made: a socket's address holds a path of limited length.
fn fits_an_address(layout: &Layout) -> Result<(), String> {
    let socket = layout.socket();
    match socket.as_os_str().len() {
        length if length > SOCKET_PATH_MAX => Err(format!(
            "the path of the node's socket has {length} bytes, and at most {SOCKET_PATH_MAX} fit: choose a shorter \
             --state-dir than {}",
            layout.run().display()
        )),
        _ => Ok(()),
    }
}

fn listen(layout: &Layout) -> std::io::Result<UnixListener> {
    let socket = layout.socket();
    match std::fs::remove_file(&socket) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // The folder is root's alone, so there is no moment in which another could connect.
    let listener = UnixListener::bind(&socket)?;
    std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

fn on(kind: SignalKind) -> Result<tokio::signal::unix::Signal, String> {
    signal(kind).map_err(|error| format!("listen for signals: {error}"))
}

fn describe(what: &str, layout: &Layout, error: impl Display) -> String {
    format!("{what} {}: {error}", layout.socket().display())
}
