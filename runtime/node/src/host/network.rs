//! The network: whether a Pod can have one at all, by making one in a namespace that is thrown away; what dwell would
//! change; and a firewall of the host's that stands in the way.

use std::os::fd::OwnedFd;
use std::{fs, io, thread};

use dwell_spec::plan::pod::HostPort;
use dwell_spec::pod::Protocol;
use dwell_sys::namespace::{Kinds, unshare};
use dwell_sys::netlink::{Family, Socket};

use crate::network::{Network, NetworkConfig, forwarding, host_has_ipv6};

use super::{CheckItem, State, firewall};

pub fn check() -> Vec<CheckItem> {
    let mut items = vec![trial(), ipv6()];
    items.extend(changes());
    items.extend(firewall::check());
    items
}

/// A bridge, a link, a table with a host port: all that a Pod's network is made of.
fn trial() -> CheckItem {
    match thread::spawn(try_in_a_namespace).join() {
        Ok(Ok(())) => CheckItem::ok("Pod network", "bridge, veth and nf_tables work"),
        Ok(Err(why)) => CheckItem::lacking("Pod network", State::Missing, why)
            .costs("only Pods with `hostNetwork: true` can run")
            .remedy("`modprobe -a bridge veth nf_tables nft_chain_nat nft_masq nft_fib_inet nf_conntrack`"),
        Err(_) => CheckItem::lacking("Pod network", State::Missing, "the trial failed"),
    }
}

fn try_in_a_namespace() -> Result<(), String> {
    let words = |error: crate::network::NetworkError| {
        let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
        format!("{error}: {cause}")
    };
    unshare(Kinds::NETWORK).map_err(|errno| format!("make a network namespace: {errno}"))?;
    let pod = thread::spawn(namespace).join().map_err(|_| "a thread failed".to_owned())?;
    let pod = pod.map_err(|error| format!("make a network namespace: {error}"))?;
    let network = Network::open(&NetworkConfig { id: "check".into() }).map_err(words)?;
    let port = HostPort { host_ip: None, host_port: 80, container_port: 80, protocol: Protocol::Tcp };
    network.attach(std::os::fd::AsFd::as_fd(&pod), &[port]).map_err(words)?;
    Ok(())
}

fn namespace() -> io::Result<OwnedFd> {
    unshare(Kinds::NETWORK)?;
    Ok(fs::File::open("/proc/thread-self/ns/net")?.into())
}

fn ipv6() -> CheckItem {
    match host_has_ipv6() {
        true => CheckItem::ok("IPv6", "on"),
        false => CheckItem::lacking("IPv6", State::Degraded, "off")
            .costs("Pods have an IPv4 address alone")
            .remedy("`sysctl -w net.ipv6.conf.all.disable_ipv6=0 net.ipv6.conf.default.disable_ipv6=0`"),
    }
}

/// What dwell changes on the host outside its own things: the whole list.
fn changes() -> Vec<CheckItem> {
    let Ok(mut socket) = Socket::open(Family::Route) else {
        return Vec::new();
    };
    let item = |change: forwarding::Change| {
        let current = change.current.clone().unwrap_or_else(|| "absent".into());
        let found = format!("{} is {current}", change.setting);
        match change.is_pending() {
            true => CheckItem::ok("forwarding", found).costs(format!(
                "dwell writes {} when the first Pod with a network starts, and leaves it: {}",
                change.wanted, change.because
            )),
            false => CheckItem::ok("forwarding", found),
        }
    };
    forwarding::changes(&mut socket, host_has_ipv6()).into_iter().map(item).collect()
}
