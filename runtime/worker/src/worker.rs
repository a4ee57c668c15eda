//! The worker's role, from the first instruction to the guest's exit status.
//!
//! ```text
//! plan ─signals─ engine ─map module─ link ─open grants─ runtime ┬ command: context ┐
//!                                                               └ http: listeners  ┴ Landlock ─thread─ seccomp ─ run
//! ```
//!
//! Everything that needs a path, a system call or memory the walls forbid happens before them; guest code runs only
//! after. A wall that cannot be raised ends the start: running without it is not an option here (but see
//! `walls::landlock` on older kernels).

use crate::command::{self, Ready};
use crate::ending::{HOST_FAILED, NOT_RUNNABLE, of_link};
use crate::grants::{self, Grant};
use crate::walls::landlock;
use crate::walls::seccomp::{self, Need};
use crate::{engine, http, link, report, trusted};
use dwell_spec::plan::worker::{MODULE_PATH, ModuleKind, WORKER_PLAN_FD, WorkerPlan};
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use wasmtime_wasi::p2::bindings::CommandPre;
use wasmtime_wasi_http::p2::bindings::ProxyPre;

/// Bytes of a plan at most: environments and hosts files are the large parts.
const PLAN_MAX: u64 = 16 << 20;
/// The blocking thread must never end: another could not be made.
const FOR_EVER: Duration = Duration::from_secs(u32::MAX as u64);

/// Runs the Wasm member that the plan on descriptor 3 describes, and exits as it does.
///
/// To be called first thing in `main`, while the process has one thread and has opened nothing.
pub fn worker_main() -> ! {
    report::open();
    report::panics_end_the_process();
    let plan = read_plan();
    let early = Arc::new(AtomicBool::new(true));
    end_on_signals(&plan, &early);
    match plan.kind {
        ModuleKind::HttpHandler => serve(&plan, &early),
        ModuleKind::Preview1Command | ModuleKind::Preview2Command => run(&plan),
    }
}

fn read_plan() -> WorkerPlan {
    let parse = || -> Result<WorkerPlan, String> {
        let file = trusted::inherited(WORKER_PLAN_FD).map_err(|cause| cause.to_string())?;
        // The file may have been written through this very description.
        rustix::fs::seek(&file, rustix::fs::SeekFrom::Start(0)).map_err(|cause| cause.to_string())?;
        let mut text = Vec::new();
        file.take(PLAN_MAX).read_to_end(&mut text).map_err(|cause| cause.to_string())?;
        serde_json::from_slice(&text).map_err(|cause| cause.to_string())
    };
    parse().unwrap_or_else(|cause| report::fail(HOST_FAILED, "WorkerFailed", &format!("read the worker plan: {cause}")))
}

/// As PID 1 a process has no default actions, so SIGTERM and SIGINT end it from a handler: a spinning guest cannot
/// keep that away. An HTTP worker is `early` until it can drain.
fn end_on_signals(plan: &WorkerPlan, early: &Arc<AtomicBool>) {
    let http = plan.kind == ModuleKind::HttpHandler;
    let term = if http { 0 } else { 128 + libc::SIGTERM };
    let always = Arc::new(AtomicBool::new(true));
    let term_while = if http { early } else { &always };
    let install = signal_hook::flag::register_conditional_shutdown;
    let done = install(libc::SIGTERM, term, Arc::clone(term_while))
        .and_then(|_| install(libc::SIGINT, 128 + libc::SIGINT, Arc::clone(&always)));
    done.unwrap_or_else(|cause| host_failed("install signal handlers", &cause));
}

fn run(plan: &WorkerPlan) -> ! {
    let runtime = runtime();
    let inside = runtime.enter();
    let (ready, grants) = prepare(plan);
    drop(inside);
    raise_walls(plan, &runtime, &grants, plan.kind != ModuleKind::Preview1Command);
    drop(grants);
    runtime.block_on(ready()).leave()
}

fn prepare(plan: &WorkerPlan) -> (Ready, Vec<Grant>) {
    let engine = engine::running(plan.kind, false).unwrap_or_else(|cause| host_failed("make an engine", &cause));
    let module = Path::new(MODULE_PATH);
    if plan.kind == ModuleKind::Preview1Command {
        let module = trusted::map_module(&engine, module).unwrap_or_else(|cause| unmappable(&cause));
        let pre = link::preview1(&engine).unwrap_or_else(|cause| host_failed("link", &cause)).instantiate_pre(&module);
        let pre = pre.unwrap_or_else(|cause| of_link(&cause).leave());
        let grants = open_grants(plan);
        (command::preview1(&engine, pre, plan, &grants).unwrap_or_else(|cause| host_failed("give", &cause)), grants)
    } else {
        let pre = link_component(&engine).unwrap_or_else(|cause| of_link(&cause).leave());
        let pre = CommandPre::new(pre).unwrap_or_else(|cause| of_link(&cause).leave());
        let grants = open_grants(plan);
        (command::preview2(&engine, pre, plan, &grants).unwrap_or_else(|cause| host_failed("give", &cause)), grants)
    }
}

fn serve(plan: &WorkerPlan, early: &AtomicBool) -> ! {
    report::panics_are_said();
    // The random generator takes its seed now, before the walls, not in the first request.
    drop(wasmtime_wasi::WasiCtxBuilder::new());
    let (engine, pre) = pooled_or_not(plan.kind);
    let grants = open_grants(plan);
    let runtime = runtime();
    let inside = runtime.enter();
    let server =
        http::prepare(plan, &engine, pre, grants).unwrap_or_else(|cause| report::fail(1, "ListenFailed", &cause));
    drop(inside);
    early.store(false, Ordering::SeqCst);
    trusted::epoch_follows_sigprof(&engine).unwrap_or_else(|cause| host_failed("install the tick", &cause));
    dwell_sys::cpu_timer::signal_every(http::TICK).unwrap_or_else(|cause| host_failed("start the tick", &cause));
    raise_walls(plan, &runtime, server.grants(), true);
    let status = runtime.block_on(server.serve());
    std::process::exit(status)
}

/// A component that does not fit the pool's slots is instantiated on demand instead.
fn pooled_or_not(kind: ModuleKind) -> (wasmtime::Engine, ProxyPre<link::P2State>) {
    let attempt = |pooled| {
        let engine = engine::running(kind, pooled)?;
        let pre = ProxyPre::new(link_component(&engine)?)?;
        Ok((engine, pre))
    };
    attempt(true).or_else(|_: wasmtime::Error| attempt(false)).unwrap_or_else(|cause| of_link(&cause).leave())
}

fn link_component(engine: &wasmtime::Engine) -> wasmtime::Result<wasmtime::component::InstancePre<link::P2State>> {
    let component = trusted::map_component(engine, Path::new(MODULE_PATH)).unwrap_or_else(|cause| unmappable(&cause));
    link::preview2(engine)?.instantiate_pre(&component)
}

fn open_grants(plan: &WorkerPlan) -> Vec<Grant> {
    grants::open(plan).unwrap_or_else(|cause| {
        let source = std::error::Error::source(&cause).map(|source| format!(": {source}")).unwrap_or_default();
        report::fail(NOT_RUNNABLE, "GrantFailed", &format!("{cause}{source}"))
    })
}

fn runtime() -> Runtime {
    Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .max_blocking_threads(1)
        .thread_keep_alive(FOR_EVER)
        .build()
        .unwrap_or_else(|cause| host_failed("make a runtime", &cause))
}

fn raise_walls(plan: &WorkerPlan, runtime: &Runtime, grants: &[Grant], thread: bool) {
    rustix::process::chdir("/").unwrap_or_else(|cause| host_failed("change to /", &cause));
    landlock::raise(grants, plan.network).map(drop).unwrap_or_else(|cause| host_failed("raise Landlock", &cause));
    if thread {
        runtime.block_on(async { tokio::task::spawn_blocking(|| ()).await }).unwrap_or_default();
    }
    let serve = plan.kind == ModuleKind::HttpHandler;
    let need = Need::Guest { network: plan.network, serve };
    seccomp::raise(need).unwrap_or_else(|cause| host_failed("raise seccomp", &cause));
}

fn host_failed(what: &str, cause: &dyn std::fmt::Display) -> ! {
    report::fail(HOST_FAILED, "WorkerFailed", &format!("{what}: {cause:#}"))
}

fn unmappable(cause: &wasmtime::Error) -> ! {
    report::fail(HOST_FAILED, "WorkerFailed", &format!("map the compiled module: {cause:#}"))
}
