//! The compile role: a short-lived process, since compiling is where a hostile module costs most.
//!
//! ```text
//! read (capped) ─ inspect imports and exports ─ limits ─ threads ─ walls ─ compile ─ read back and link ─ write
//! ```
//!
//! Descriptors: 0 the source, 1 the compiled file, 2 words for people, 3 the `ModuleInfo`, 4 the report. Status 0, or
//! 126 with a report for a module that cannot be run here; a limit shows as a signal, or as 134 when memory ran out
//! (the allocator aborts). Before the walls only a bounded read and a pass over section headers touch hostile bytes.
//! The caller bounds memory and time for real (a cgroup); the limits here are the backstop.

mod inspect;
mod provided;

use crate::ending::{HOST_FAILED, NOT_RUNNABLE};
use crate::walls::{landlock, seccomp};
use crate::{engine, link, report, trusted};
use dwell_spec::plan::worker::{ModuleInfo, ModuleKind, SOURCE_MAX};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::fs::File;
use std::io::{Read, Write};

/// Descriptor of the file that takes the `ModuleInfo` as JSON.
const INFO_FD: i32 = 3;
/// Threads that compile. Memory grows a tenth with the second (720 for 650 MB), time halves.
const THREADS: usize = 2;
const MIB: u64 = 1 << 20;

/// Compiles the module on descriptor 0 and exits.
///
/// To be called first thing in `main`, while the process has one thread and has opened nothing.
pub fn compile_main() -> ! {
    report::open();
    // It stands in the host's mounts and will have no capability: a member among the host's processes (hostPID) could else
    // walk through `/proc/PID/root`, which asks for no more rights than the process has.
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)
        .unwrap_or_else(|cause| failed("hide from other processes", &cause));
    report::panics_end_the_process();
    let info_file = trusted::inherited(INFO_FD).unwrap_or_else(|cause| failed("take the info file", &cause));
    let source = read_source();
    let info = inspect::inspect(&source).unwrap_or_else(|why| refuse(why.reason(), &why.to_string()));
    let engine = engine::compiling(info.kind).unwrap_or_else(|cause| failed("make an engine", &cause));
    restrict(info.source_bytes);
    let compiled = compile(&engine, info.kind, &source);
    verify(&engine, info.kind, &compiled);
    write_out(&compiled, &info, info_file);
    std::process::exit(0)
}

fn read_source() -> Vec<u8> {
    let mut source = Vec::new();
    let read = std::io::stdin().lock().take(SOURCE_MAX + 1).read_to_end(&mut source);
    read.unwrap_or_else(|cause| failed("read the module", &cause));
    if source.len() as u64 > SOURCE_MAX {
        refuse("InvalidModule", &format!("the module is larger than {} MB", SOURCE_MAX / MIB));
    }
    source
}

/// Limits by the size of the source, then the compiler's threads, then the walls over all of them.
fn restrict(source_bytes: u64) {
    let megabytes = source_bytes.div_ceil(MIB);
    let memory = (256 * MIB).max(32 * MIB * megabytes) * 3 / 2 + 512 * MIB;
    limit(Resource::As, memory);
    // A slow device takes ten times what a server takes, which is under a second for each megabyte.
    limit(Resource::Cpu, 60 + 60 * megabytes);
    limit(Resource::Core, 0);
    // Whoever takes this process over is root without a right of root's.
    dwell_sys::capability::set(0).unwrap_or_else(|cause| failed("drop capabilities", &cause));
    landlock::raise(&[], false).map(drop).unwrap_or_else(|cause| failed("raise Landlock", &cause));
    let threads = rayon::ThreadPoolBuilder::new().num_threads(THREADS).build_global();
    threads.unwrap_or_else(|cause| failed("start the compiler's threads", &cause));
    rayon::broadcast(|_| ());
    seccomp::raise(seccomp::Need::Compile).unwrap_or_else(|cause| failed("raise seccomp", &cause));
}

/// Lowers a limit; one that is lower already stays.
fn limit(resource: Resource, to: u64) {
    let hard = getrlimit(resource).maximum.map_or(to, |hard| hard.min(to));
    let limit = Rlimit { current: Some(hard), maximum: Some(hard) };
    setrlimit(resource, limit).unwrap_or_else(|cause| failed("lower a limit", &cause));
}

fn compile(engine: &wasmtime::Engine, kind: ModuleKind, source: &[u8]) -> Vec<u8> {
    let compiled = match kind {
        ModuleKind::Preview1Command => engine.precompile_module(source),
        ModuleKind::Preview2Command | ModuleKind::HttpHandler => engine.precompile_component(source),
    };
    compiled.unwrap_or_else(|cause| refuse("InvalidModule", &format!("{cause:#}")))
}

/// Reads the result back as a worker would and links it, so that types are checked and not only names.
fn verify(engine: &wasmtime::Engine, kind: ModuleKind, compiled: &[u8]) {
    let linked = match kind {
        ModuleKind::Preview1Command => trusted::read_back_module(engine, compiled)
            .map(|module| link::preview1(engine).and_then(|linker| linker.instantiate_pre(&module).map(drop))),
        ModuleKind::Preview2Command | ModuleKind::HttpHandler => trusted::read_back_component(engine, compiled)
            .map(|component| link::preview2(engine).and_then(|linker| linker.instantiate_pre(&component).map(drop))),
    };
    match linked {
        Ok(Ok(())) => {}
        Ok(Err(cause)) => refuse("MissingImport", &format!("the module cannot be linked: {cause:#}")),
        Err(cause) => failed("read the compiled module back", &cause),
    }
}

fn write_out(compiled: &[u8], info: &ModuleInfo, mut info_file: File) {
    let mut out = std::io::stdout().lock();
    let written = out.write_all(compiled).and_then(|()| out.flush());
    written.unwrap_or_else(|cause| failed("write the compiled module", &cause));
    let json = serde_json::to_vec(info).unwrap_or_else(|cause| failed("encode what the module is", &cause));
    info_file.write_all(&json).unwrap_or_else(|cause| failed("write what the module is", &cause));
}

fn refuse(reason: &str, message: &str) -> ! {
    report::fail(NOT_RUNNABLE, reason, message)
}

fn failed(what: &str, cause: &dyn std::fmt::Display) -> ! {
    report::fail(HOST_FAILED, "CompileFailed", &format!("{what}: {cause:#}"))
}
