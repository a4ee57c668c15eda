//! What a guest may import, and what a store holds to serve it. Whatever is not linked here is a missing import.
//!
//! Two of wasmtime's own functions are replaced: preview 1 `proc_exit`, which refuses statuses above 125, and preview 2
//! name look-up, which calls the C library's resolver (files, a thread). Policy denies at call time and never by
//! leaving an interface out: every Python component imports sockets, even one that opens none.

use crate::http::outgoing::Outgoing;
use crate::limits::{Budget, Limiter, MAX_RESOURCES};
use crate::names::Names;
use crate::resolve;
use wasmtime::component::{self, ResourceTable};
use wasmtime::{Engine, Linker, Store};
use wasmtime_wasi::p1::WasiP1Ctx;
use wasmtime_wasi::{I32Exit, WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

/// Interfaces linked for components, all at 0.2.
pub const PREVIEW2: &[&str] = &[
    "wasi:cli/environment",
    "wasi:cli/exit",
    "wasi:cli/stderr",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stderr",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:clocks/monotonic-clock",
    "wasi:clocks/wall-clock",
    "wasi:filesystem/preopens",
    "wasi:filesystem/types",
    "wasi:http/outgoing-handler",
    "wasi:http/types",
    "wasi:io/error",
    "wasi:io/poll",
    "wasi:io/streams",
    "wasi:random/insecure",
    "wasi:random/insecure-seed",
    "wasi:random/random",
    "wasi:sockets/instance-network",
    "wasi:sockets/ip-name-lookup",
    "wasi:sockets/network",
    "wasi:sockets/tcp",
    "wasi:sockets/tcp-create-socket",
    "wasi:sockets/udp",
    "wasi:sockets/udp-create-socket",
];

/// Functions of `wasi_snapshot_preview1` (the whole of it).
pub const PREVIEW1: &[&str] = &[
    "args_get",
    "args_sizes_get",
    "clock_res_get",
    "clock_time_get",
    "environ_get",
    "environ_sizes_get",
    "fd_advise",
    "fd_allocate",
    "fd_close",
    "fd_datasync",
    "fd_fdstat_get",
    "fd_fdstat_set_flags",
    "fd_fdstat_set_rights",
    "fd_filestat_get",
    "fd_filestat_set_size",
    "fd_filestat_set_times",
    "fd_pread",
    "fd_prestat_dir_name",
    "fd_prestat_get",
    "fd_pwrite",
    "fd_read",
    "fd_readdir",
    "fd_renumber",
    "fd_seek",
    "fd_sync",
    "fd_tell",
    "fd_write",
    "path_create_directory",
    "path_filestat_get",
    "path_filestat_set_times",
    "path_link",
    "path_open",
    "path_readlink",
    "path_remove_directory",
    "path_rename",
    "path_symlink",
    "path_unlink_file",
    "poll_oneoff",
    "proc_exit",
    "proc_raise",
    "random_get",
    "sched_yield",
    "sock_accept",
    "sock_recv",
    "sock_send",
    "sock_shutdown",
];

/// Name of the module that preview 1 programs import.
pub const PREVIEW1_MODULE: &str = "wasi_snapshot_preview1";

/// What the store of a preview 1 command holds.
pub struct P1State {
    /// Descriptors, arguments, clocks.
    pub wasi: WasiP1Ctx,
    /// Memory bound.
    pub limiter: Limiter,
}

/// What the store of a component holds.
pub struct P2State {
    wasi: WasiCtx,
    http: WasiHttpCtx,
    table: ResourceTable,
    outgoing: Outgoing,
    /// Name look-up in the process.
    pub names: Names,
    /// Memory bound.
    pub limiter: Limiter,
}

impl P2State {
    /// A store for one instance. `network` grants outgoing requests.
    pub fn store(engine: &Engine, wasi: WasiCtx, names: Names, network: bool, budget: &Budget) -> Store<Self> {
        let mut table = ResourceTable::new();
        table.set_max_capacity(MAX_RESOURCES);
        let outgoing = Outgoing::new(names.clone(), network);
        let limiter = budget.limiter();
        let state = Self { wasi, http: WasiHttpCtx::new(), table, outgoing, names, limiter };
        let mut store = Store::new(engine, state);
        store.limiter(|state| &mut state.limiter);
        store.set_hostcall_fuel(crate::limits::HOSTCALL_BYTES);
        store
    }

    /// The table of resources, for interfaces of our own.
    pub fn table(&mut self) -> &mut ResourceTable {
        &mut self.table
    }
}

impl WasiView for P2State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for P2State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { ctx: &mut self.http, table: &mut self.table, hooks: &mut self.outgoing }
    }
}

/// Everything a core module may import.
///
/// # Errors
/// Only a mistake of ours: a name defined twice.
pub fn preview1(engine: &Engine) -> wasmtime::Result<Linker<P1State>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p1::add_to_linker_async(&mut linker, |state: &mut P1State| &mut state.wasi)?;
    linker.allow_shadowing(true);
    linker.func_wrap(PREVIEW1_MODULE, "proc_exit", |status: i32| -> wasmtime::Result<()> {
        // Eight bits are all that a process can say; a failure must not become a success by losing the others.
        Err(I32Exit(if status & 0xff == 0 && status != 0 { 255 } else { status & 0xff }).into())
    })?;
    Ok(linker)
}

/// Everything a component may import.
///
/// # Errors
/// Only a mistake of ours: a name defined twice.
pub fn preview2(engine: &Engine) -> wasmtime::Result<component::Linker<P2State>> {
    let mut linker = component::Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    linker.allow_shadowing(true);
    resolve::add_to_linker(&mut linker)?;
    Ok(linker)
}
