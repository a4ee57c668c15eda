//! Running a command: one instance, one call, one exit status.

use crate::ending::{self, Ending};
use crate::grants::{self, Grant};
use crate::limits::Budget;
use crate::link::{P1State, P2State};
use crate::names::Names;
use crate::stdio::{Input, Output};
use dwell_spec::plan::worker::WorkerPlan;
use std::future::Future;
use std::pin::Pin;
use wasmtime::{Engine, InstancePre, Store};
use wasmtime_wasi::WasiCtxBuilder;
use wasmtime_wasi::p2::bindings::CommandPre;

/// A command with everything open, waiting for the walls.
pub type Ready = Box<dyn FnOnce() -> Pin<Box<dyn Future<Output = Ending>>>>;

/// The context a guest sees: arguments, environment, streams, grants, network. Must be called inside the runtime.
///
/// # Errors
/// A grant cannot be opened.
pub fn context(plan: &WorkerPlan, grants: &[Grant], input: Input) -> wasmtime::Result<WasiCtxBuilder> {
    let mut builder = WasiCtxBuilder::new();
    builder.args(&plan.args).envs(&environment(plan));
    builder.stdin(input).stdout(Output::stdout(plan.tty)).stderr(Output::stderr(plan.tty));
    builder.allow_blocking_current_thread(true);
    builder.allow_tcp(plan.network).allow_udp(plan.network).allow_ip_name_lookup(plan.network);
    if plan.network {
        builder.inherit_network();
    }
    if let Some(dir) = &plan.working_dir {
        builder.initial_cwd(dir);
    }
    grants::give(grants, &mut builder)?;
    Ok(builder)
}

/// The plan's environment, with `PWD` as the working directory (an explicit `PWD` would lie about it).
fn environment(plan: &WorkerPlan) -> Vec<(String, String)> {
    let mut env = plan.env.clone();
    if let Some(dir) = &plan.working_dir {
        env.retain(|(name, _)| name != "PWD");
        env.push(("PWD".to_owned(), dir.clone()));
    }
    env
}

/// Prepares a preview 1 command. Must be called inside the runtime.
///
/// # Errors
/// A grant cannot be opened.
pub fn preview1(
    engine: &Engine,
    pre: InstancePre<P1State>,
    plan: &WorkerPlan,
    grants: &[Grant],
) -> wasmtime::Result<Ready> {
    let wasi = context(plan, grants, input(plan))?.build_p1();
    let limiter = Budget::new(plan.memory_limit).limiter();
    let mut store = Store::new(engine, P1State { wasi, limiter });
    store.limiter(|state| &mut state.limiter);
    Ok(Box::new(move || {
        Box::pin(async move {
            let result = start(&mut store, &pre).await;
            ending::of(result, &store.data().limiter)
        })
    }))
}

async fn start(store: &mut Store<P1State>, pre: &InstancePre<P1State>) -> wasmtime::Result<i32> {
    let instance = pre.instantiate_async(&mut *store).await?;
    let start = instance.get_typed_func::<(), ()>(&mut *store, "_start")?;
    start.call_async(store, ()).await.map(|()| 0)
}

/// Prepares a `wasi:cli/run` component. Must be called inside the runtime.
///
/// # Errors
/// A grant cannot be opened.
pub fn preview2(
    engine: &Engine,
    pre: CommandPre<P2State>,
    plan: &WorkerPlan,
    grants: &[Grant],
) -> wasmtime::Result<Ready> {
    let wasi = context(plan, grants, input(plan))?.build();
    let names = Names::of(plan);
    let mut store = P2State::store(engine, wasi, names, plan.network, &Budget::new(plan.memory_limit));
    Ok(Box::new(move || {
        Box::pin(async move {
            let result = run(&mut store, &pre).await;
            ending::of(result, &store.data().limiter)
        })
    }))
}

async fn run(store: &mut Store<P2State>, pre: &CommandPre<P2State>) -> wasmtime::Result<i32> {
    let command = pre.instantiate_async(&mut *store).await?;
    let result = command.wasi_cli_run().call_run(store).await?;
    Ok(if result.is_ok() { 0 } else { 1 })
}

fn input(plan: &WorkerPlan) -> Input {
    if plan.stdin { Input::open(plan.tty) } else { Input::closed() }
}
