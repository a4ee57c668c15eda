//! Kernel parameters of a Pod's own namespaces.
//!
//! `/proc/sys` shows whoever opens a file there its own namespaces, so a thread enters the Pod's, writes, and is thrown
//! away. Which parameters are a Pod's to set is decided where the manifest is checked, never here.

use std::os::fd::BorrowedFd;

use dwell_spec::pod::separators_swapped;
use dwell_sys::namespace::{Kind, within};

/// Writes them all, in order; names have dots.
///
/// # Errors
/// The first that could not be written, as a sentence; those before it stay.
pub fn set(net: BorrowedFd<'_>, ipc: BorrowedFd<'_>, sysctls: &[(String, String)]) -> Result<(), String> {
    let write_all = || {
        sysctls.iter().try_for_each(|(name, value)| {
            std::fs::write(path(name), value).map_err(|error| format!("set the sysctl {name} to {value:?}: {error}"))
        })
    };
    let done = within(&[(net, Kind::Network), (ipc, Kind::InterProcessCommunication)], write_all);
    done.map_err(|error| format!("set sysctls in the Pod's namespaces: {error}"))?
}

/// As `net.ipv4.conf.eth0/7.arp_filter`: a slash stands where a dot is part of a name.
fn path(name: &str) -> String {
    format!("/proc/sys/{}", separators_swapped(name))
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
