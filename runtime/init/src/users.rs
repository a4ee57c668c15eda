//! Makes the namespaces of a Pod that has a user namespace of its own, and keeps them until pause has entered them.
//!
//! Descriptor 0 is a socket to the node. Each step says how it went in one byte, 0 or an errno; between the two the node
//! writes the map of ids, so that what the kernel makes for the second one has an owner. It ends with the socket: a node that is
//! killed leaves nothing.
//!
//! ```text
//! new user namespace ──0──► node maps ids ──any byte──► new network, IPC and UTS namespaces ──0──► … the socket ends
//! ```

use dwell_sys::namespace::{self, Kinds};
use rustix::io::{Errno, read, write};

/// Does not return.
pub fn main() -> ! {
    let done = made();
    if let Err(errno) = done {
        say(errno.raw_os_error() as u8);
    }
    // Whoever is at the other end has what it wanted, or is gone.
    let _ = read(rustix::stdio::stdin(), &mut [0]);
    std::process::exit(i32::from(done.is_err()))
}

fn made() -> Result<(), Errno> {
    namespace::unshare(Kinds::USER)?;
    say(0);
    if read(rustix::stdio::stdin(), &mut [0])? == 0 {
        return Err(Errno::PIPE);
    }
    namespace::unshare(Kinds::NETWORK | Kinds::INTER_PROCESS_COMMUNICATION | Kinds::HOST_NAME_AND_NIS_DOMAIN_NAME)?;
    say(0);
    Ok(())
}

fn say(byte: u8) {
    let _ = write(rustix::stdio::stdin(), &[byte]);
}
