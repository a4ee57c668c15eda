//! `adapters FILE`: writes the reactor adapter, which turns a preview 1 core module into a component.
#![forbid(unsafe_code)]

use wasi_preview1_component_adapter_provider::WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER;

fn main() -> std::io::Result<()> {
    let path = std::env::args_os().nth(1).expect("usage: adapters FILE");
    std::fs::write(path, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER)
}
