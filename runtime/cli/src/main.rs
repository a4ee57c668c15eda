//! The `dwell` binary: one file, three roles, told apart by `argv[0]`.
//!
//! `dwell-worker` runs a Wasm member and `dwell-compile` compiles one; both stand inside walls that the node made, so the
//! role is decided before anything else: no allocation, no argument parsing, no signal handler comes first. Every other
//! name is the command line: `args` → `command/*` → `output`, on one thread.
#![forbid(unsafe_code)]

mod args;
mod clock;
mod command;
mod failure;
mod output;
mod pods;
mod terminal;

use std::process::ExitCode;

fn main() -> ExitCode {
    match role().as_deref() {
        Some("dwell-worker") => worker_role(),
        Some("dwell-compile") => compile_role(),
        _ => command::main(),
    }
}

/// The last component of `argv[0]`.
fn role() -> Option<String> {
    let name = std::env::args_os().next()?;
    Some(std::path::Path::new(&name).file_name()?.to_str()?.to_owned())
}

#[cfg(feature = "wasm")]
fn worker_role() -> ExitCode {
    dwell_worker::worker_main()
}

#[cfg(feature = "wasm")]
fn compile_role() -> ExitCode {
    if std::env::args_os().nth(1).is_some_and(|flag| flag == "--engine-key") {
        print!("{}", dwell_worker::engine_key());
        return ExitCode::SUCCESS;
    }
    dwell_worker::compile_main()
}

#[cfg(not(feature = "wasm"))]
use without_wasm as worker_role;
#[cfg(not(feature = "wasm"))]
use without_wasm as compile_role;

#[cfg(not(feature = "wasm"))]
fn without_wasm() -> ExitCode {
    dwell_sys::complain::complain("error: this dwell was built without the engine for Wasm members");
    ExitCode::from(failure::DWELL_FAILED)
}
