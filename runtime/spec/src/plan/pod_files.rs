//! Text of the files that a Pod's members share: `/etc/hosts`, `/etc/hostname`, `/etc/resolv.conf`.
//!
//! Written by the node, bound into native members, and handed to workers as text, so both kinds resolve alike.

use std::fmt::Write;
use std::net::IpAddr;

use crate::facts::{HostFacts, PodIp};
use crate::pod::Pod;

/// What every `hosts` begins with, as the kubelet writes it.
const HOSTS: &str = "# Written by dwell for this Pod.\n\
127.0.0.1\tlocalhost\n\
::1\tlocalhost ip6-localhost ip6-loopback\n\
fe00::0\tip6-localnet\n\
fe00::0\tip6-mcastprefix\n\
fe00::1\tip6-allnodes\n\
fe00::2\tip6-allrouters\n";

/// `/etc/hosts`: the Pod's name stands for its own addresses. With the host's network it is the host's own.
pub fn hosts(pod: &Pod, host: &HostFacts, ip: &PodIp) -> String {
    if pod.host_network {
        return host.hosts.clone();
    }
    let mut text = HOSTS.to_owned();
    let addresses = [ip.v4.map(IpAddr::from), ip.v6.map(IpAddr::from)];
    for address in addresses.into_iter().flatten() {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{address}\t{}", pod.hostname);
    }
    text
}

/// `/etc/hostname`
pub fn hostname(pod: &Pod) -> String {
    format!("{}\n", pod.hostname)
}

/// `/etc/resolv.conf`: the host's, without name servers on the host's loopback, which a Pod with a network of its own
/// cannot reach. The node hands in the text behind a local stub resolver where there is one.
pub fn resolv_conf(pod: &Pod, host: &HostFacts) -> String {
    let kept = host.resolv_conf.lines().filter(|line| pod.host_network || !is_loopback_server(line));
    kept.fold(String::new(), |text, line| text + line + "\n")
}

fn is_loopback_server(line: &str) -> bool {
    let mut words = line.split_whitespace();
    words.next() == Some("nameserver")
        && words.next().and_then(|word| word.parse::<IpAddr>().ok()).is_some_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    #[test]
    fn loopback_name_servers_only_with_the_hosts_network() {
        let host = HostFacts {
            resolv_conf: "nameserver 127.0.0.53\nnameserver ::1\nnameserver 9.9.9.9\nsearch a b".to_owned(),
            ..samples::host()
        };
        let mut pod = samples::pod();
        assert_eq!(resolv_conf(&pod, &host), "nameserver 9.9.9.9\nsearch a b\n");
        pod.host_network = true;
        assert_eq!(resolv_conf(&pod, &host).lines().count(), 4);
    }

    #[test]
    fn the_pods_name_is_its_addresses() {
        let ip = PodIp { v4: Some("10.1.2.3".parse().expect("parses")), v6: Some("fd00::3".parse().expect("parses")) };
        let mut pod = samples::pod();
        let text = hosts(&pod, &samples::host(), &ip);
        assert!(text.ends_with("10.1.2.3\tdemo\nfd00::3\tdemo\n"), "{text}");
        pod.host_network = true;
        assert_eq!(hosts(&pod, &samples::host(), &ip), samples::host().hosts);
    }
}
