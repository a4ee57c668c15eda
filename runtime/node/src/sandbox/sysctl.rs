//! Kernel parameters of a Pod's own namespaces.
//!
//! `/proc/sys` shows whoever opens a file there its own namespaces, so a thread enters the Pod's, writes, and is thrown
//! away. Which parameters are a Pod's to set is decided where the manifest is checked, never here.

use std::os::fd::BorrowedFd;

use dwell_spec::plan::users::IDS;
use dwell_spec::pod::separators_swapped;
use dwell_sys::identity;
use dwell_sys::namespace::{Kind, within};

/// Groups that may ping.
const PING_GROUPS: &str = "net.ipv4.ping_group_range";

/// Writes them all, in order; names have dots.
///
/// # Errors
/// The first that could not be written, as a sentence; those before it stay.
pub fn set(
    net: BorrowedFd<'_>,
    ipc: BorrowedFd<'_>,
    users: Option<u32>,
    sysctls: &[(String, String)],
) -> Result<(), String> {
    let write_all = || {
        // Those of IPC are the namespace's root's to write, whatever else one may.
        users
            .map_or(Ok(()), |first| identity::act_as(first, first))
            .map_err(|error| format!("become the root of the Pod's namespaces: {error}"))?;
        sysctls.iter().try_for_each(|(name, value)| {
            std::fs::write(path(name), of_host(name, value, users))
                .map_err(|error| format!("set the sysctl {name} to {value:?}: {error}"))
        })
    };
    let done = within(&[(net, Kind::Network), (ipc, Kind::InterProcessCommunication)], write_all);
    done.map_err(|error| format!("set sysctls in the Pod's namespaces: {error}"))?
}

/// The kernel takes group ids as the writer's namespace has them, and that is the host's.
fn of_host(name: &str, value: &str, users: Option<u32>) -> String {
    let Some(first) = users.filter(|_| name == PING_GROUPS) else { return value.to_owned() };
    let shifted = value.split_whitespace().map(|id| {
        id.parse::<u32>().map_or_else(|_| id.to_owned(), |id| first.saturating_add(id.min(IDS - 1)).to_string())
    });
    shifted.collect::<Vec<_>>().join(" ")
}

/// As `net.ipv4.conf.eth0/7.arp_filter`: a slash stands where a dot is part of a name.
fn path(name: &str) -> String {
    format!("/proc/sys/{}", separators_swapped(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_that_may_ping_are_those_of_the_namespace() {
        assert_eq!(of_host(PING_GROUPS, "0\t2000", Some(70_000)), "70000 72000");
        assert_eq!(of_host(PING_GROUPS, "0 2147483647", Some(70_000)), "70000 135535");
        assert_eq!(of_host(PING_GROUPS, "0 2000", None), "0 2000");
        assert_eq!(of_host("kernel.sem", "1 2", Some(70_000)), "1 2");
    }

    #[test]
    fn a_dot_separates_and_a_slash_stands_for_one() {
        assert_eq!(path("net.core.somaxconn"), "/proc/sys/net/core/somaxconn");
        assert_eq!(path("net.ipv4.conf.eth0/7.arp_filter"), "/proc/sys/net/ipv4/conf/eth0.7/arp_filter");
    }
}
