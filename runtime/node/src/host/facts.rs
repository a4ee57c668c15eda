//! Facts for the planner, read once when a node starts.

use std::fs;
use std::net::IpAddr;
use std::path::Path;

use dwell_spec::facts::HostFacts;
use dwell_sys::netlink::{Family, Socket, address, link};
use rustix::process::{Resource, getrlimit};

use crate::sandbox::cgroup::Layout;

/// Where systemd-resolved keeps the servers that its stub at 127.0.0.53, which no Pod can reach, stands for.
const RESOLVED: &str = "/run/systemd/resolve/resolv.conf";
const RESOLV_CONF: &str = "/etc/resolv.conf";

/// What this host offers a node whose folder this is. What cannot be read is left empty.
pub fn facts(folder: &Path) -> HostFacts {
    let cgroups = Layout::detect();
    HostFacts {
        cgroup_v1: cgroups.v1_names(),
        cgroup_v2: cgroups.v2.is_some(),
        resolv_conf: resolv_conf(),
        hosts: fs::read_to_string("/etc/hosts").unwrap_or_default(),
        hostname: rustix::system::uname().nodename().to_string_lossy().into_owned(),
        nofile_hard: getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX),
        seccomp: fs::exists("/proc/sys/kernel/seccomp").unwrap_or(false),
        capabilities: capabilities(),
        arch: std::env::consts::ARCH.to_owned(),
        addresses: addresses(),
        cpus: std::thread::available_parallelism().map_or(1, |number| number.get() as u64),
        memory: memory(),
        disk: disk(folder),
        huge_pages: crate::volume::huge_pages::sizes(),
    }
}

/// Our bounding set; all, where `/proc` does not tell.
fn capabilities() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let set = status.lines().find_map(|line| line.strip_prefix("CapBnd:"));
    set.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or(u64::MAX)
}

/// Of the folder, or of the nearest above it that is there.
fn disk(folder: &Path) -> u64 {
    let found = folder.ancestors().find_map(|folder| rustix::fs::statvfs(folder).ok());
    found.map_or(0, |disk| disk.f_blocks.saturating_mul(disk.f_frsize))
}

fn memory() -> u64 {
    let info = rustix::system::sysinfo();
    info.totalram * u64::from(info.mem_unit)
}

fn resolv_conf() -> String {
    let text = fs::read_to_string(RESOLV_CONF).unwrap_or_default();
    let servers = || text.lines().filter_map(|line| line.strip_prefix("nameserver"));
    let only_loopback = servers().count() > 0 && servers().all(is_loopback);
    if only_loopback { fs::read_to_string(RESOLVED).unwrap_or(text) } else { text }
}

fn is_loopback(server: &str) -> bool {
    server.trim().parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

/// The host's own addresses, the one that its default route leaves by first, IPv4 before IPv6; without loopback,
/// link-local ones, and dwell's bridges.
fn addresses() -> Vec<IpAddr> {
    let Ok(mut socket) = Socket::open(Family::Route) else {
        return Vec::new();
    };
    let (Ok(links), Ok(found)) = (link::list(&mut socket), address::list(&mut socket)) else {
        return Vec::new();
    };
    let routes = address::list_routes(&mut socket).unwrap_or_default();
    let leaving = |index| routes.iter().any(|route| route.destination.is_none() && route.link == Some(index));
    let ours = |index| {
        links.iter().any(|link| link.index == index && link.name.starts_with(crate::network::identity::BRIDGE_PREFIX))
    };
    let mut list: Vec<_> = found.iter().filter(|one| is_usable(one.subnet.address) && !ours(one.link)).collect();
    list.sort_by_key(|one| (!leaving(one.link), one.subnet.address.is_ipv6()));
    list.into_iter().map(|one| one.subnet.address).collect()
}

fn is_usable(address: IpAddr) -> bool {
    let link_local = match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    !link_local && !address.is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_of_this_host() {
        let facts = facts(Path::new("/nowhere/at/all"));
        assert!(facts.cgroup_v2 || !facts.cgroup_v1.is_empty());
        assert!(facts.disk > 0 && facts.nofile_hard > 0 && !facts.hostname.is_empty());
        assert!(addresses().iter().all(|address| !address.is_loopback()));
        assert!(is_loopback(" 127.0.0.53") && !is_loopback(" 192.0.2.1"));
    }
}
