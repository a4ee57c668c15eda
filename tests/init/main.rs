//! `init` by itself: each operation proved by what a member then sees, with a control that leaves the operation out.

mod harness;
mod hostile;
mod member;
mod program;
mod samples;
mod walls;
