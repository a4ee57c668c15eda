//! The user's own terminal and signals: raw mode that is always undone, standard input without blocking the rest, and
//! what Ctrl-C means.
pub mod attachment;
pub mod input;
pub mod interrupt;
pub mod raw;
