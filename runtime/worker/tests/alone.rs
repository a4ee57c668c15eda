//! The two roles of this crate and nothing else, told apart as the `dwell` binary does: by the name it is called by.

fn main() {
    let name = std::env::args().next().unwrap_or_default();
    match name.rsplit('/').next() {
        Some("dwell-compile") => dwell_worker::compile_main(),
        Some("dwell-worker") => dwell_worker::worker_main(),
        _ => println!("{}", dwell_worker::engine_key()),
    }
}
