//! Text of the files that a Pod's members share: `/etc/hosts`, `/etc/hostname`, `/etc/resolv.conf`.
//!
//! Written by the node, bound into native members, and handed to workers as text, so both kinds resolve alike.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr};

use super::resolver::Resolver;
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

/// What podman and docker call the host, from inside.
const HOST_NAMES: &str = "host.containers.internal\thost.docker.internal";

/// `/etc/hosts`: the Pod's names stand for its own addresses. With the host's network it is the host's own. Then where
/// the host is, for programs written for other runtimes. The manifest's aliases come last.
pub fn hosts(pod: &Pod, host: &HostFacts, ip: &PodIp) -> String {
    let mut text = if pod.host_network { whole_lines(&host.hosts) } else { own_hosts(pod, ip) };
    let host = if pod.host_network { Some(Ipv4Addr::LOCALHOST) } else { ip.host };
    if let Some(host) = host {
        let _ = writeln!(text, "{host}\t{HOST_NAMES}");
    }
    if !pod.host_aliases.is_empty() {
        text.push_str("\n# Entries added by HostAliases.\n");
    }
    for alias in &pod.host_aliases {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{}\t{}", alias.ip, alias.names.join("\t"));
    }
    text
}

fn whole_lines(text: &str) -> String {
    if text.is_empty() || text.ends_with('\n') { text.to_owned() } else { format!("{text}\n") }
}

fn own_hosts(pod: &Pod, ip: &PodIp) -> String {
    let mut text = HOSTS.to_owned();
    let addresses = [ip.v4.map(IpAddr::from), ip.v6.map(IpAddr::from)];
    for address in addresses.into_iter().flatten() {
        let _ = writeln!(text, "{address}\t{}", pod.own_names.join("\t"));
    }
    text
}

/// `/etc/hostname`
pub fn hostname(pod: &Pod) -> String {
    format!("{}\n", pod.hostname)
}

/// `/etc/resolv.conf`: the host's, without name servers on the host's loopback, which a Pod with a network of its own
/// cannot reach; then what the manifest adds. The node hands in the text behind a local stub resolver where there is one.
pub fn resolv_conf(pod: &Pod, host: &HostFacts) -> String {
    let kept = host.resolv_conf.lines().filter(|line| pod.host_network || !is_loopback_server(line));
    let kept = kept.filter(|_| pod.dns.from_host);
    match pod.dns.is_the_hosts() {
        true => kept.fold(String::new(), |text, line| text + line + "\n"),
        false => Resolver::of(kept).with(&pod.dns).to_string(),
    }
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
    use crate::pod::HostAlias;

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
    fn aliases_come_last_also_with_the_hosts_network() {
        let mut pod = samples::pod();
        let names = vec!["db".to_owned(), "db.local".to_owned()];
        pod.host_aliases = vec![HostAlias { ip: "10.0.0.9".parse().expect("parses"), names }];
        let tail = "\n# Entries added by HostAliases.\n10.0.0.9\tdb\tdb.local\n";
        assert_eq!(hosts(&pod, &samples::host(), &PodIp::UNKNOWN), format!("{HOSTS}{tail}"));
        pod.host_network = true;
        assert_eq!(
            hosts(&pod, &samples::host(), &PodIp::UNKNOWN),
            format!("{}127.0.0.1\t{HOST_NAMES}\n{tail}", samples::host().hosts)
        );
    }

    #[test]
    fn the_pods_name_is_its_addresses() {
        let ip = PodIp {
            v4: Some("10.1.2.3".parse().expect("parses")),
            v6: Some("fd00::3".parse().expect("parses")),
            host: Some("10.1.0.1".parse().expect("parses")),
        };
        let mut pod = samples::pod();
        let text = hosts(&pod, &samples::host(), &ip);
        assert!(
            text.ends_with("10.1.2.3\tdemo\nfd00::3\tdemo\n10.1.0.1\thost.containers.internal\thost.docker.internal\n"),
            "{text}"
        );
        pod.host_network = true;
        let text = hosts(&pod, &samples::host(), &ip);
        assert_eq!(text, format!("{}127.0.0.1\t{HOST_NAMES}\n", samples::host().hosts));
    }
}
