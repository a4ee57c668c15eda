//! An HTTP worker: HTTP/1.1 in, a fresh instance of the component for each request, its answer out.
//!
//! ```text
//! listening ─connection─ (at most MAX_CONNECTIONS) ─request─ (at most MAX_INSTANCES run, others wait) ─ instance
//!     │ SIGTERM
//! draining: no new connection, each finishes what it has begun, at most `drain_seconds` ─ exit 0
//! ```
//!
//! All requests share one thread. A tick of CPU time makes the running guest yield, so one that loops for ever holds up
//! nobody else; it ends when its client leaves (see `request`), or with the worker.

mod listen;
pub mod outgoing;
mod request;

use crate::engine::MAX_INSTANCES;
use crate::grants::Grant;
use crate::limits::Budget;
use crate::link::P2State;
use crate::names::Names;
use crate::report;
use dwell_spec::plan::worker::WorkerPlan;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use wasmtime::Engine;
use wasmtime_wasi_http::p2::bindings::ProxyPre;

/// CPU time after which a running guest lets the others have a turn.
pub const TICK: Duration = Duration::from_millis(10);
/// Connections that are open at once; more wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 1024;
/// Bytes of a request's head.
const MAX_HEAD: usize = 64 << 10;
/// Fields of a request's head.
const MAX_FIELDS: usize = 128;
/// Time for a client to send a request's head, also the idle time of a connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(75);
/// Pause after an `accept` that failed for want of descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What every request needs; one a worker.
struct Shared {
    engine: Engine,
    pre: ProxyPre<P2State>,
    plan: WorkerPlan,
    grants: Vec<Grant>,
    names: Names,
    budget: Budget,
    instances: Arc<Semaphore>,
}

/// A server that listens and has not begun to accept.
pub struct Server {
    shared: Arc<Shared>,
    listeners: Vec<TcpListener>,
    terminate: Signal,
}

/// Binds every address of the plan. Must be called inside the runtime.
///
/// # Errors
/// A sentence that names the address. A host without IPv6 is only told about, if another address is bound.
pub fn prepare(
    plan: &WorkerPlan,
    engine: &Engine,
    pre: ProxyPre<P2State>,
    grants: Vec<Grant>,
) -> Result<Server, String> {
    let listeners = listen::all(&plan.listen)?;
    let terminate = signal(SignalKind::terminate()).map_err(|cause| format!("watch for SIGTERM: {cause}"))?;
    let shared = Shared {
        engine: engine.clone(),
        pre,
        plan: plan.clone(),
        grants,
        names: Names::of(plan),
        budget: Budget::new(plan.memory_limit),
        instances: Arc::new(Semaphore::new(MAX_INSTANCES as usize)),
    };
    Ok(Server { shared: Arc::new(shared), listeners, terminate })
}

impl Server {
    /// The grants each instance is given.
    pub fn grants(&self) -> &[Grant] {
        &self.shared.grants
    }

    /// Serves until SIGTERM, drains, and returns the exit status.
    pub async fn serve(mut self) -> i32 {
        let (drain, draining) = watch::channel(false);
        let (alive, mut all_gone) = mpsc::channel::<Infallible>(1);
        let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        for listener in self.listeners.drain(..) {
            let client = Clients { shared: self.shared.clone(), places: places.clone(), draining: draining.clone() };
            tokio::spawn(client.accept(listener, alive.clone()));
        }
        drop(alive);
        self.terminate.recv().await;
        drain.send_replace(true);
        let limit = Duration::from_secs(self.shared.plan.drain_seconds.into());
        if tokio::time::timeout(limit, all_gone.recv()).await.is_err() {
            report::say(&format!("requests were still running {} s after SIGTERM", limit.as_secs()));
        }
        0
    }
}

struct Clients {
    shared: Arc<Shared>,
    places: Arc<Semaphore>,
    draining: watch::Receiver<bool>,
}

impl Clients {
    async fn accept(mut self, listener: TcpListener, alive: mpsc::Sender<Infallible>) {
        loop {
            let Ok(place) = self.places.clone().acquire_owned().await else {
                return;
            };
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                _ = self.draining.wait_for(|drain| *drain) => return,
            };
            match accepted {
                Ok((stream, _)) => self.start(stream, place, alive.clone()),
                Err(cause) => say_and_wait(cause).await,
            }
        }
    }

    fn start(&self, stream: TcpStream, place: OwnedSemaphorePermit, alive: mpsc::Sender<Infallible>) {
        let (shared, draining) = (self.shared.clone(), self.draining.clone());
        tokio::spawn(async move {
            connection(shared, stream, draining).await;
            drop((place, alive));
        });
    }
}

/// What a client does to its own connection is no line of ours.
async fn say_and_wait(cause: io::Error) {
    if cause.kind() != io::ErrorKind::ConnectionAborted {
        report::say(&format!("accept a connection: {cause}"));
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }
}

async fn connection(shared: Arc<Shared>, stream: TcpStream, mut draining: watch::Receiver<bool>) {
    // Answers are written whole; waiting to fill a packet only delays them.
    drop(stream.set_nodelay(true));
    let service = service_fn(move |request| request::answer(shared.clone(), request));
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    builder.max_buf_size(MAX_HEAD).max_headers(MAX_FIELDS).half_close(true);
    let serving = builder.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(serving);
    let done = tokio::select! {
        biased;
        _ = draining.wait_for(|drain| *drain) => None,
        done = &mut serving => Some(done),
    };
    if done.is_none() {
        serving.as_mut().graceful_shutdown();
        drop(serving.await);
    }
}
