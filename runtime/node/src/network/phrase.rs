//! The phrases that the table's rules are made of, the same for both IP versions. Registers begin at 0.

use std::net::{IpAddr, Ipv6Addr};

use dwell_sys::nft::Field;
use dwell_sys::nft::expression::{ConntrackKey, Expression, Header, IPV4, IPV6, MetaKey};

/// One IP version, as rules need it.
#[derive(Debug, Clone, Copy)]
pub struct Version {
    pub protocol: u8,
    pub source: u32,
    pub destination: u32,
    pub length: u32,
    pub field: Field,
    pub ports: &'static str,
    pub addressed: &'static str,
}

pub const V4: Version = Version {
    protocol: IPV4,
    source: 12,
    destination: 16,
    length: 4,
    field: Field::Ipv4,
    ports: "ports4",
    addressed: "addressed4",
};
pub const V6: Version = Version {
    protocol: IPV6,
    source: 8,
    destination: 24,
    length: 16,
    field: Field::Ipv6,
    ports: "ports6",
    addressed: "addressed6",
};

impl Version {
    pub fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { V4 } else { V6 }
    }

    /// Words of 32 bits that an address fills.
    pub fn words(self) -> u32 {
        self.length / 4
    }
}

pub fn is_version(version: Version) -> Vec<Expression> {
    vec![Expression::Meta { key: MetaKey::NetworkProtocol, register: 0 }, equals(0, &[version.protocol])]
}

pub fn not_loopback(version: Version) -> Vec<Expression> {
    let destination = load(Header::Network, version.destination, version.length, 0);
    if version.protocol == IPV4 {
        let mask = Expression::Mask { register: 0, mask: vec![255, 0, 0, 0] };
        vec![destination, mask, differs(0, &[127, 0, 0, 0])]
    } else {
        vec![destination, differs(0, &Ipv6Addr::LOCALHOST.octets())]
    }
}

/// Protocol and destination port, in two registers from `register`.
pub fn transport(register: u32) -> Vec<Expression> {
    let protocol = Expression::Meta { key: MetaKey::TransportProtocol, register };
    vec![protocol, load(Header::Transport, 2, 2, register + 1)]
}

/// The flow's bits under `mask`, in register 0.
pub fn flow(key: ConntrackKey, mask: u32) -> Vec<Expression> {
    let mask = mask.to_ne_bytes().to_vec();
    vec![Expression::Conntrack { key, register: 0 }, Expression::Mask { register: 0, mask }]
}

pub fn load(header: Header, offset: u32, length: u32, register: u32) -> Expression {
    Expression::Payload { header, offset, length, register }
}

pub fn equals(register: u32, value: &[u8]) -> Expression {
    Expression::Compare { register, not: false, value: value.to_vec() }
}

pub fn differs(register: u32, value: &[u8]) -> Expression {
    Expression::Compare { register, not: true, value: value.to_vec() }
}
