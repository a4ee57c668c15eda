//! A Wasm member's process, and the process that compiles for it.
//!
//! Both are roles of the one `dwell` file, told apart by `argv[0]` before anything else happens:
//!
//! ```text
//! dwell-compile   0 source, 1 compiled, 2 words, 3 ModuleInfo, 4 WorkerReport     check imports → walls → compile → verify
//! dwell-worker    0-2 stdio, 3 WorkerPlan, 4 WorkerReport                         load → link → grants → walls → run
//! ```
//!
//! The worker stands in an empty read-only root: the compiled module at `/module`, each grant at `/0`, `/1`, …, no
//! `/proc`, no `/dev`. From the moment the walls stand it holds its standard streams, one descriptor a grant, and
//! sockets of the Pod's network; it can make neither a process nor executable memory.
//!
//! What a guest says is hostile: it becomes neither a path outside a grant, nor a line of ours unescaped, nor memory
//! without bound. Everything unsafe is in `trusted`.

mod command;
mod compile;
mod ending;
mod engine;
mod grants;
mod http;
mod limits;
mod link;
mod names;
mod report;
mod resolve;
mod stdio;
mod trusted;
mod walls;
mod worker;

pub use compile::compile_main;
pub use engine::engine_key;
pub use worker::worker_main;
