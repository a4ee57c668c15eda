//! The firewall table of one state folder: masquerade for Pods, host ports by maps, and no other way in.
//!
//! One `inet` table, every chain with policy accept, so it decides about nobody's packets but those of its own bridge:
//! - `prerouting`, `output` (nat, -100): a local destination address whose protocol and port are in a map is
//!   rewritten to a Pod's address and port. Loopback destinations are left to the relay: leading them away needs
//!   `route_localnet`, which opens the host's own loopback services to Pods;
//! - `postrouting` (nat, 100): what a Pod sends to elsewhere leaves with the host's address; what comes back to the
//!   bridge through a host port too, else a Pod that asks a host address for its neighbour or itself gets an answer
//!   from a stranger;
//! - `forward` (filter, -5): a new flow from elsewhere reaches the bridge only through a host port, and nothing leaves
//!   the bridge with an address that is not a Pod's.
//!
//! Pure: messages only. Rule: nft(8).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use dwell_spec::plan::pod::HostPort;
use dwell_spec::pod::Protocol;
use dwell_sys::netlink::{Message, address::octets};
use dwell_sys::nft::expression::{ConntrackKey, Expression, Header, LOCAL, MetaKey, STATE_NEW, STATUS_DNAT};
use dwell_sys::nft::{Chain, Field, Hook, Table};

use super::phrase::*;
use super::subnet;

const CHAINS: [Chain<'static>; 4] = [
    Chain { name: "prerouting", kind: "nat", hook: Hook::Prerouting, priority: -100 },
    Chain { name: "output", kind: "nat", hook: Hook::Output, priority: -100 },
    Chain { name: "postrouting", kind: "nat", hook: Hook::Postrouting, priority: 100 },
    Chain { name: "forward", kind: "filter", hook: Hook::Forward, priority: -5 },
];

/// What the table is made for.
#[derive(Debug, Clone)]
pub struct Layout {
    /// Its name.
    pub table: Table,
    /// The bridge's name.
    pub bridge: String,
    /// First address of the Pods' IPv4 subnet.
    pub subnet4: Ipv4Addr,
    /// First address of the Pods' IPv6 subnet.
    pub subnet6: Option<Ipv6Addr>,
}

impl Layout {
    /// The messages that make the whole table, empty of host ports.
    pub fn create(&self) -> Vec<Message> {
        let mut messages = vec![self.table.create()];
        messages.extend(CHAINS.iter().map(|chain| self.table.chain(chain)));
        for (version, id) in [(V4, 1), (V6, 3)] {
            messages.extend(self.maps(version, id));
        }
        for version in [V4, V6] {
            messages.extend(["prerouting", "output"].iter().flat_map(|chain| self.lead_in(chain, version)));
        }
        messages.extend(self.masquerade());
        messages.extend(self.walls());
        messages
    }

    /// The messages that lead a host port to a Pod, with the host address each is for; none for what only the relay
    /// serves.
    pub fn open(&self, port: &HostPort, v4: Ipv4Addr, v6: Option<Ipv6Addr>) -> Vec<(IpAddr, Message)> {
        let targets = targets(port, v4, v6).into_iter();
        let add = |(host, pod): (IpAddr, IpAddr)| {
            let (map, key) = key(port, host);
            (host, self.table.add_element(map, &key, &value(pod, port.container_port)))
        };
        targets.map(add).collect()
    }

    /// The messages that undo `open`.
    pub fn close(&self, port: &HostPort, v4: Ipv4Addr, v6: Option<Ipv6Addr>) -> Vec<Message> {
        let delete = |(host, _)| {
            let (map, key) = key(port, host);
            self.table.delete_element(map, &key)
        };
        targets(port, v4, v6).into_iter().map(delete).collect()
    }

    fn maps(&self, version: Version, id: u32) -> [Message; 2] {
        let value = [version.field, Field::Port];
        let addressed = [version.field, Field::Protocol, Field::Port];
        [
            self.table.map(version.ports, id, &addressed[1..], &value),
            self.table.map(version.addressed, id + 1, &addressed, &value),
        ]
    }

    fn lead_in(&self, chain: &str, version: Version) -> [Message; 2] {
        let mut local = is_version(version);
        if chain == "output" {
            local.extend(not_loopback(version));
        }
        local.extend([Expression::DestinationType { register: 0 }, equals(0, &LOCAL.to_ne_bytes())]);
        let rule = |map: &str, key: Vec<Expression>| {
            let lookup = Expression::Lookup { map: map.to_owned(), key: 0, value: 0 };
            let nat = Expression::DestinationNat { family: version.protocol, address: 0, port: version.words() };
            self.table.rule(chain, &[local.clone(), key, vec![lookup, nat]].concat())
        };
        let mut addressed = vec![load(Header::Network, version.destination, version.length, 0)];
        addressed.extend(transport(version.words()));
        [rule(version.addressed, addressed), rule(version.ports, transport(0))]
    }

    fn masquerade(&self) -> Vec<Message> {
        let returning = [flow(ConntrackKey::Status, STATUS_DNAT), vec![differs(0, &[0; 4])]].concat();
        let per_version = |(version, from_pod): (Version, Vec<Expression>)| {
            let begin = [is_version(version), from_pod].concat();
            let away = [begin.clone(), self.leaves_by(true), vec![Expression::Masquerade]].concat();
            let back = [begin, self.leaves_by(false), returning.clone(), vec![Expression::Masquerade]].concat();
            [self.table.rule("postrouting", &away), self.table.rule("postrouting", &back)]
        };
        self.subnets(false).into_iter().flat_map(per_version).collect()
    }

    fn walls(&self) -> Vec<Message> {
        let new = [flow(ConntrackKey::State, STATE_NEW), vec![differs(0, &[0; 4])]].concat();
        let not_led = [flow(ConntrackKey::Status, STATUS_DNAT), vec![equals(0, &[0; 4])]].concat();
        let stranger = [self.came_by(true), self.leaves_by(false), new, not_led, vec![Expression::Drop]].concat();
        let forged = |(version, not_a_pod): (Version, Vec<Expression>)| {
            let bridge = [self.came_by(false), self.leaves_by(true)].concat();
            self.table.rule("forward", &[is_version(version), bridge, not_a_pod, vec![Expression::Drop]].concat())
        };
        let mut messages = vec![self.table.rule("forward", &stranger)];
        messages.extend(self.subnets(true).into_iter().map(forged));
        messages
    }

    /// Per version: the source is a Pod's (or, with `not`, is not).
    fn subnets(&self, not: bool) -> Vec<(Version, Vec<Expression>)> {
        let within = |version: Version, mask: Vec<u8>, base: Vec<u8>| {
            let source = load(Header::Network, version.source, version.length, 0);
            let compare = Expression::Compare { register: 0, not, value: base };
            (version, vec![source, Expression::Mask { register: 0, mask }, compare])
        };
        let mask6 = u128::MAX << (128 - subnet::PREFIX6);
        let mask4 = subnet::mask(subnet::PREFIX).to_be_bytes().to_vec();
        let v4 = within(V4, mask4, self.subnet4.octets().to_vec());
        let v6 = self.subnet6.map(|base| within(V6, mask6.to_be_bytes().to_vec(), base.octets().to_vec()));
        std::iter::once(v4).chain(v6).collect()
    }

    fn came_by(&self, not: bool) -> Vec<Expression> {
        self.link(MetaKey::InputName, not)
    }

    fn leaves_by(&self, not: bool) -> Vec<Expression> {
        self.link(MetaKey::OutputName, not)
    }

    fn link(&self, key: MetaKey, not: bool) -> Vec<Expression> {
        let mut value = self.bridge.as_bytes().to_vec();
        value.resize(16, 0);
        vec![Expression::Meta { key, register: 0 }, Expression::Compare { register: 0, not, value }]
    }
}

/// (host address or the unspecified one, Pod address) for each IP version in which the port is led.
fn targets(port: &HostPort, v4: Ipv4Addr, v6: Option<Ipv6Addr>) -> Vec<(IpAddr, IpAddr)> {
    let four = (IpAddr::from(Ipv4Addr::UNSPECIFIED), IpAddr::from(v4));
    let six = v6.map(|v6| (IpAddr::from(Ipv6Addr::UNSPECIFIED), IpAddr::from(v6)));
    match port.host_ip {
        None => std::iter::once(four).chain(six).collect(),
        Some(host) if host.is_loopback() => Vec::new(),
        Some(host @ IpAddr::V4(_)) => vec![(host, four.1)],
        Some(host @ IpAddr::V6(_)) => six.map(|(_, pod)| (host, pod)).into_iter().collect(),
    }
}

fn key(port: &HostPort, host: IpAddr) -> (&'static str, Vec<u8>) {
    let version = Version::of(host);
    let protocol = match port.protocol {
        Protocol::Tcp => 6,
        Protocol::Udp => 17,
        Protocol::Sctp => 132,
    };
    let mut key = if host.is_unspecified() { Vec::new() } else { octets(host) };
    key.extend_from_slice(&[protocol, 0, 0, 0]);
    key.extend(padded(port.host_port));
    (if host.is_unspecified() { version.ports } else { version.addressed }, key)
}

fn value(pod: IpAddr, port: u16) -> Vec<u8> {
    [octets(pod), padded(port)].concat()
}

fn padded(port: u16) -> Vec<u8> {
    let [high, low] = port.to_be_bytes();
    vec![high, low, 0, 0]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(host_ip: Option<&str>) -> HostPort {
        let host_ip = host_ip.map(|text| text.parse().unwrap());
        HostPort { host_ip, host_port: 8080, container_port: 80, protocol: Protocol::Tcp }
    }

    #[test]
    fn a_port_without_an_address_is_led_in_both_versions_and_loopback_in_none() {
        let (v4, v6) = (Ipv4Addr::new(10, 64, 0, 2), Some(Ipv6Addr::LOCALHOST));
        assert_eq!(targets(&port(None), v4, v6).len(), 2);
        assert_eq!(targets(&port(None), v4, None).len(), 1);
        assert!(targets(&port(Some("127.0.0.1")), v4, v6).is_empty());
        assert!(targets(&port(Some("::1")), v4, v6).is_empty());
        assert_eq!(targets(&port(Some("192.0.2.2")), v4, v6).len(), 1, "control: an ordinary address");
    }

    #[test]
    fn keys_are_padded_fields() {
        let (map, bytes) = key(&port(None), Ipv4Addr::UNSPECIFIED.into());
        assert_eq!((map, bytes), ("ports4", vec![6, 0, 0, 0, 0x1f, 0x90, 0, 0]));
        let sctp = HostPort { protocol: Protocol::Sctp, ..port(None) };
        let (map, bytes) = key(&sctp, Ipv6Addr::UNSPECIFIED.into());
        assert_eq!((map, bytes), ("ports6", vec![132, 0, 0, 0, 0x1f, 0x90, 0, 0]));
        let (map, bytes) = key(&port(None), Ipv4Addr::new(192, 0, 2, 2).into());
        assert_eq!((map, bytes.len()), ("addressed4", 12));
    }
}
