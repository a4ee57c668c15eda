//! Everything unsafe of this crate: descriptors by number, mapping compiled code, and one signal handler.
//!
//! Compiled code is trusted because of where it comes from: only the compile process writes the cache, the folder is
//! root's, and the planner binds the entry read-only at `/module`. Nothing that an image or a guest holds may ever
//! reach `map_*` (wasmtime: "it is possible to craft code which has undefined behaviour").
#![allow(unsafe_code)]

use rustix::fd::{BorrowedFd, FromRawFd, OwnedFd};
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use wasmtime::component::Component;
use wasmtime::{Engine, Module};

static TAKEN: AtomicU32 = AtomicU32::new(0);

/// The descriptor `number` (3 to 31), which whoever executed this role left open for it.
///
/// # Errors
/// `EBADF` when it is not open, or was taken before.
pub fn inherited(number: i32) -> io::Result<File> {
    assert!((3..32).contains(&number), "a descriptor of the role's own");
    let bit = 1 << number;
    if TAKEN.fetch_or(bit, Ordering::SeqCst) & bit != 0 {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    // SAFETY: the number is one the role's contract hands over, and no code of this process opened it: roles take
    // their descriptors first, and the bit above lets each be taken once, so this is its only owner.
    let fd = unsafe { OwnedFd::from_raw_fd(number) };
    match rustix::io::fcntl_getfd(&fd) {
        Ok(_) => Ok(File::from(fd)),
        Err(cause) => {
            std::mem::forget(fd);
            Err(cause.into())
        }
    }
}

/// Maps a compiled core module.
///
/// # Errors
/// The file is not a module compiled for this engine, or cannot be mapped.
pub fn map_module(engine: &Engine, path: &Path) -> wasmtime::Result<Module> {
    // SAFETY: the path is the planner's read-only bind of a cache entry that only the compile process writes.
    unsafe { Module::deserialize_file(engine, path) }
}

/// Maps a compiled component.
///
/// # Errors
/// As for `map_module`.
pub fn map_component(engine: &Engine, path: &Path) -> wasmtime::Result<Component> {
    // SAFETY: as for `map_module`.
    unsafe { Component::deserialize_file(engine, path) }
}

/// Reads a module back that this very process compiled.
///
/// # Errors
/// The bytes are no module for this engine.
pub fn read_back_module(engine: &Engine, compiled: &[u8]) -> wasmtime::Result<Module> {
    // SAFETY: the caller, `compile`, got the bytes from the engine a moment ago.
    unsafe { Module::deserialize(engine, compiled) }
}

/// Reads a component back that this very process compiled.
///
/// # Errors
/// The bytes are no component for this engine.
pub fn read_back_component(engine: &Engine, compiled: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: as for `read_back_module`.
    unsafe { Component::deserialize(engine, compiled) }
}

/// Watches a standard stream for input; `None` if it cannot be watched (a file, `/dev/null`). Inside the runtime only.
pub fn watch_input(fd: BorrowedFd<'static>) -> Option<AsyncFd<BorrowedFd<'static>>> {
    // SAFETY: the type says that the descriptor stays open for ever, and its number never changes.
    unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) }.ok()
}

/// From now on each `SIGPROF` moves the engine's epoch, which makes running guests yield.
///
/// # Errors
/// The handler could not be installed.
pub fn epoch_follows_sigprof(engine: &Engine) -> io::Result<()> {
    let engine = engine.clone();
    // SAFETY: the handler only adds to an atomic counter (`Engine::increment_epoch` is documented as signal-safe); it
    // neither allocates, nor locks, nor panics. It is never removed, so the engine it holds is never dropped in it.
    unsafe { signal_hook::low_level::register(libc::SIGPROF, move || engine.increment_epoch()) }.map(drop)
}
