//! Kernel parameters of a Pod's own namespaces.
//!
//! `/proc/sys` shows whoever opens a file there its own namespaces, so a thread enters the Pod's, writes, and is thrown
//! away. Which parameters are a Pod's to set is decided where the manifest is checked, never here.

use std::os::fd::BorrowedFd;
use std::thread;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

const STACK: usize = 128 * 1024;

/// Writes them all, in order; names have dots.
///
/// # Errors
/// The first that could not be written, as a sentence; those before it stay.
pub fn set(net: BorrowedFd<'_>, ipc: BorrowedFd<'_>, sysctls: &[(String, String)]) -> Result<(), String> {
    let inside = move || {
        for (namespace, kind) in
            [(net, LinkNameSpaceType::Network), (ipc, LinkNameSpaceType::InterProcessCommunication)]
        {
            move_into_link_name_space(namespace, Some(kind)).map_err(|e| format!("enter the Pod's namespaces: {e}"))?;
        }
        sysctls.iter().try_for_each(|(name, value)| {
            std::fs::write(path(name), value).map_err(|error| format!("set the sysctl {name} to {value:?}: {error}"))
        })
    };
    thread::scope(|scope| {
        let worker = thread::Builder::new().name("sysctl".into()).stack_size(STACK);
        let worker = worker.spawn_scoped(scope, inside).map_err(|e| format!("set sysctls: start a thread: {e}"))?;
        worker.join().map_err(|_| "set sysctls: the thread panicked".to_owned())?
    })
}

/// A name may hold a slash where a dot is part of a name, as in `net.ipv4.conf.eth0/7.arp_filter`.
fn path(name: &str) -> String {
    let swapped = name.chars().map(|c| match c {
        '.' => '/',
        '/' => '.',
        other => other,
    });
    format!("/proc/sys/{}", swapped.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dot_separates_and_a_slash_stands_for_one() {
        assert_eq!(path("net.core.somaxconn"), "/proc/sys/net/core/somaxconn");
        assert_eq!(path("net.ipv4.conf.eth0/7.arp_filter"), "/proc/sys/net/ipv4/conf/eth0.7/arp_filter");
    }
}
