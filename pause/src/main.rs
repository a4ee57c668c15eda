//! pause, the keeper of a Pod: holds its namespaces, gives birth to its members, reaps them, writes their logs, and
//! keeps what must outlive the node. What it is asked and answers is specified in `protocol.rs`.
//!
//! Static, `no_std`, without allocation, without dependencies: it must still run when everything else has failed, in
//! a few pages of memory, since a machine holds hundreds of it. One thread, one `ppoll` loop, every buffer static,
//! bounded work per turn. It opens nothing by path once its root is empty, and trusts nothing of its members but that
//! their output is bytes.
//!
//! Built by one command, run beside this crate's `pause.ld`, the same in the node's build script and in the tests:
//!
//! ```text
//! cd pause && rustc --edition 2024 --crate-name pause --crate-type bin --target TRIPLE \
//!     $(sed 's/^/-C /' options) src/main.rs -o OUT
//! ```

#![no_std]
#![no_main]

mod answer;
#[cfg_attr(target_arch = "x86_64", path = "arch/x86_64.rs")]
#[cfg_attr(target_arch = "aarch64", path = "arch/aarch64.rs")]
mod arch;
mod birth;
mod connection;
mod keeper;
mod log;
mod memory;
#[allow(dead_code)]
mod protocol;
mod sandbox;
mod stamp;
mod sys;
mod table;

use core::cell::UnsafeCell;

/// State of the one thread there is.
pub struct Global<T>(UnsafeCell<T>);

// SAFETY: pause has one thread. The newborn that shares its memory (`birth.rs`) runs while that thread is suspended.
unsafe impl<T> Sync for Global<T> {}

static KEEPER: Global<keeper::Keeper> = Global(UnsafeCell::new(keeper::Keeper::EMPTY));
static BUFFERS: Global<log::Buffers> = Global(UnsafeCell::new(log::Buffers::EMPTY));

/// Where `_start` leads: becomes the sandbox, then keeps it for ever.
extern "C" fn entry() -> ! {
    // SAFETY: these are the only references ever made to the two statics; `entry` runs once.
    let (keeper, buffers) = unsafe { (&mut *KEEPER.0.get(), &mut *BUFFERS.0.get()) };
    sandbox::enter(keeper);
    keeper.run(buffers)
}

/// Nothing panics on purpose; if something does, the Pod ends rather than go on in an unknown state.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    sys::exit(70)
}

/// What unwinding would call. The precompiled core names it, and nothing here unwinds.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}
