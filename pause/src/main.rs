//! pause, the keeper of a Pod: holds its namespaces, gives birth to its members, reaps them, writes their logs, and
//! keeps what must outlive the node. What it is asked and answers is specified in `protocol.rs`.
//!
//! Static, `no_std`, without allocation, without dependencies: it must still run when everything else has failed, in
//! a few pages of memory, since a machine holds hundreds of it. One thread, one `ppoll` loop, every buffer there
//! from the beginning, bounded work per turn. It opens nothing by path once its root is empty, and trusts nothing of its
//! members but that their output is bytes. At most 8,192 bytes on x86-64: routines that many callers share are never
//! inlined, and `options` names the passes of the compiler that would trade size for speed.
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
mod packet;
#[allow(dead_code)]
mod protocol;
mod sandbox;
mod stamp;
mod sys;
mod table;

/// Everything that is written to, beside the stack's frames. `_start` lays it on the stack, below the page on which the
/// kernel put the arguments: nothing was ever written there, so it reads as zeros (which every field takes for its
/// beginning) and costs nothing until it is used. A static would cost the file a segment and every access a long
/// address. It needs 200 KB of the stack's limit, which is 8 MB unless somebody made it less than any program needs.
#[repr(C, align(4096))]
struct State {
    buffers: log::Buffers,
    keeper: keeper::Keeper,
}

/// Pages of `State`.
const STATE_PAGES: usize = size_of::<State>() / 4096;

const _: () = assert!(STATE_PAGES < 50);

/// Where `_start` leads: becomes the sandbox, then keeps it for ever.
extern "C" fn entry(state: &mut State) -> ! {
    sandbox::enter(&mut state.keeper);
    state.keeper.run(&mut state.buffers)
}

/// Nothing panics on purpose; if something does, the Pod ends rather than go on in an unknown state.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    sys::exit(70)
}

/// What unwinding would call. The precompiled core names it, and nothing here unwinds.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}
