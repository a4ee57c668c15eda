//! The program between a birth and a member: `init` replays an `InitPlan` and executes the member; `relay` carries one
//! host port on loopback into a Pod; `users` makes a Pod's namespaces in a user namespace of its own.
//!
//! One small static file, since it is executed at every start: no thread, no locale, no argument parsing. Which of
//! them it is stands in `argv[1]`, else in the end of `argv[0]`.
#![deny(unsafe_code)]

mod cover;
mod failure;
mod mounts;
mod nodes;
mod person;
mod program;
mod relay;
mod replay;
mod start;
mod stdin;
mod users;

fn main() {
    let mut arguments = std::env::args_os();
    let own = arguments.next().unwrap_or_default();
    let role = arguments.next().unwrap_or(own);
    if role.as_encoded_bytes().ends_with(b"relay") {
        relay::main();
    }
    if role.as_encoded_bytes().ends_with(b"users") {
        users::main();
    }
    start::main();
}
