//! pause by itself, without a node: its protocol, births, exits, logs, and the walls around it.
//!
//! Needs root. Every test starts a pause of its own, as a node would, and ends it; nothing here reads a clock.
//! The system calls are made directly, so that neither side of what is tested shares code with the other but for the
//! protocol file.

#![allow(unsafe_code)]

#[path = "../../pause/src/protocol.rs"]
#[allow(dead_code)]
mod protocol;

mod births;
mod exits;
mod harness;
mod log_files;
mod logs;
mod requests;
mod walls;
mod wire;
