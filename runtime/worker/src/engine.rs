//! The engine's configuration: one source for compiling and for running, since code runs only in an engine that is
//! configured exactly as the one that compiled it.
//!
//! Epochs cost up to 19 % in tight loops and are on only where one request must not hold up the others. The pool is
//! an HTTP worker's alone: it makes an instance per request there, while a command makes one in its life.

use dwell_spec::plan::worker::ModuleKind;
use sha2::{Digest, Sha256};
use std::hash::{Hash, Hasher};
use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Strategy};

/// Grows when compiled code changes for a reason that wasmtime's own hash does not see.
const CONFIG_VERSION: u32 = 1;
/// Bytes of stack a guest may use; deeper recursion is a trap.
const WASM_STACK: usize = 1 << 20;
/// Bytes of the stack that guest and host calls share.
const FIBER_STACK: usize = 2 << 20;
/// Requests that an HTTP worker serves at once; more wait.
pub const MAX_INSTANCES: u32 = 64;
/// Bytes a pooled memory keeps between two requests.
const KEEP_RESIDENT: usize = 256 << 10;

/// What decides the compiled code.
fn config(kind: ModuleKind) -> Config {
    let mut config = Config::new();
    config.epoch_interruption(kind == ModuleKind::HttpHandler);
    config.max_wasm_stack(WASM_STACK);
    config.async_stack_size(FIBER_STACK);
    // Names of functions are kept without it; offsets into the source and unwinding tables for gdb are not.
    config.generate_address_map(false);
    config.native_unwind_info(false);
    config
}

/// An engine that compiles, and can do nothing a worker's could not load.
///
/// # Errors
/// This host's processor lacks what wasmtime needs.
pub fn compiling(kind: ModuleKind) -> wasmtime::Result<Engine> {
    let mut config = config(kind);
    config.strategy(Strategy::Cranelift);
    Engine::new(&config)
}

/// An engine with the compiler switched off, for a worker.
///
/// # Errors
/// The pool's address space is refused.
pub fn running(kind: ModuleKind, pooled: bool) -> wasmtime::Result<Engine> {
    let mut config = config(kind);
    config.enable_compiler(false);
    if pooled {
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool()));
    }
    Engine::new(&config)
}

/// Room for `MAX_INSTANCES` components of ordinary shape. A component that does not fit is allocated on demand.
fn pool() -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(MAX_INSTANCES);
    pool.total_stacks(MAX_INSTANCES);
    pool.total_core_instances(MAX_INSTANCES * 32);
    pool.total_memories(MAX_INSTANCES * 2);
    pool.total_tables(MAX_INSTANCES * 8);
    pool.total_gc_heaps(MAX_INSTANCES);
    pool.max_memories_per_component(2);
    pool.max_tables_per_component(8);
    pool.max_unused_warm_slots(4);
    pool.linear_memory_keep_resident(KEEP_RESIDENT);
    pool
}

/// A digest of everything that compiled code depends on besides its source: wasmtime's version and settings, this
/// processor's features, this crate's version. Hexadecimal, 64 characters; a part of a cache entry's name.
pub fn engine_key() -> String {
    let mut digest = Digester(Sha256::new());
    (CONFIG_VERSION, env!("CARGO_PKG_VERSION")).hash(&mut digest);
    for kind in [ModuleKind::Preview1Command, ModuleKind::HttpHandler] {
        match compiling(kind) {
            Ok(engine) => engine.precompile_compatibility_hash().hash(&mut digest),
            Err(_) => "no engine on this processor".hash(&mut digest),
        }
    }
    digest.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `Hash` into SHA-256: the standard hasher is neither stable between versions nor wide enough for a name.
struct Digester(Sha256);

impl Hasher for Digester {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_is_the_same_twice_and_a_digest() {
        assert_eq!(engine_key(), engine_key());
        assert_eq!(engine_key().len(), 64);
    }

    #[test]
    fn epochs_make_another_engine() {
        let hash = |kind| {
            let mut digest = Digester(Sha256::new());
            compiling(kind).unwrap().precompile_compatibility_hash().hash(&mut digest);
            digest.0.finalize()
        };
        assert_eq!(hash(ModuleKind::Preview1Command), hash(ModuleKind::Preview2Command));
        assert_ne!(hash(ModuleKind::Preview1Command), hash(ModuleKind::HttpHandler));
    }
}
