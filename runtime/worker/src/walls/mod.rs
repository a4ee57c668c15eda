//! The last walls: raised by the process itself, after everything is open and before guest code runs.
//!
//! Landlock takes away every path but the grants, seccomp every system call but those that running a guest needs.
//! Neither can be taken down again. The order matters: Landlock binds the calling thread and threads it makes later,
//! so the one blocking thread is made between the two; seccomp is then put on all threads at once.

pub mod landlock;
pub mod seccomp;
