//! Images of today: a directory as root file system, a single module. Looking into them, compiling what is WebAssembly.

pub mod cache;
pub mod compile;
pub mod look;
pub mod rootfs;
