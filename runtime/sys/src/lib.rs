//! What dwell needs of the kernel and rustix does not give: each module one subject, each function one call or one
//! short, fixed sequence of calls. The only crate with unsafe besides pause.
#![allow(unsafe_code)]

pub mod capability;
pub mod cgroup;
pub mod complain;
pub mod cpu_timer;
pub mod exec;
pub mod fs;
pub mod identity;
pub mod keyring;
pub mod landlock;
pub mod memfd;
pub mod mount;
pub mod namespace;
pub mod netlink;
pub mod nft;
pub mod process;
pub mod remove;
pub mod seccomp;
pub mod signal;
pub mod usage;
pub mod walk;
