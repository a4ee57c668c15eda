//! The few nftables expressions that dwell's rules are made of, and how each is encoded.
//!
//! Registers are the 32-bit ones, 0 to 15. A comparison that fails ends its rule. Concatenated values lie in
//! consecutive registers.

use crate::netlink::Message;

const FIRST_REGISTER: u32 = 8;
const VERDICT_REGISTER: u32 = 0;
const NAME: u16 = 1;
const DATA: u16 = 2;

/// What `Expression::Meta` loads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetaKey {
    /// Name of the link the packet came by, 16 bytes.
    InputName = 6,
    /// Name of the link the packet leaves by, 16 bytes.
    OutputName = 7,
    /// Network protocol, one byte: `IPV4` or `IPV6`.
    NetworkProtocol = 15,
    /// Transport protocol, one byte.
    TransportProtocol = 16,
}

/// `NFPROTO_IPV4`
pub const IPV4: u8 = 2;
/// `NFPROTO_IPV6`
pub const IPV6: u8 = 10;
/// `RTN_LOCAL`, as `Expression::DestinationType` loads it.
pub const LOCAL: u32 = 2;
/// The bit of `ct state new`.
pub const STATE_NEW: u32 = 8;
/// The bit of `ct status dnat`.
pub const STATUS_DNAT: u32 = 32;

/// What `Expression::Conntrack` loads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConntrackKey {
    /// One bit a state.
    State = 0,
    /// Bits of `IPS_*`.
    Status = 2,
}

/// Which header `Expression::Payload` reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Header {
    /// IPv4 or IPv6.
    Network = 1,
    /// TCP or UDP.
    Transport = 2,
}

/// One step of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expression {
    /// Load a property of the packet.
    Meta { key: MetaKey, register: u32 },
    /// Load bytes of a header.
    Payload { header: Header, offset: u32, length: u32, register: u32 },
    /// Load what kind of address the destination is (`LOCAL`, …).
    DestinationType { register: u32 },
    /// Load a property of the flow.
    Conntrack { key: ConntrackKey, register: u32 },
    /// Keep only the bits of `mask`.
    Mask { register: u32, mask: Vec<u8> },
    /// Go on only if the register holds `value` (or, with `not`, does not).
    Compare { register: u32, not: bool, value: Vec<u8> },
    /// Go on only if the map has the key in `key`; its value is put into `value`.
    Lookup { map: String, key: u32, value: u32 },
    /// Rewrite the destination to an address and a port held in registers; `family` is `IPV4` or `IPV6`.
    DestinationNat { family: u8, address: u32, port: u32 },
    /// Rewrite the source to the address of the link that the packet leaves by.
    Masquerade,
    /// Throw the packet away.
    Drop,
}

impl Expression {
    /// Adds the expression's name and data.
    pub(crate) fn encode(&self, element: &mut Message) {
        element.text(NAME, self.name()).nest(DATA, |data| self.fill(data));
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Meta { .. } => "meta",
            Self::Payload { .. } => "payload",
            Self::DestinationType { .. } => "fib",
            Self::Conntrack { .. } => "ct",
            Self::Mask { .. } => "bitwise",
            Self::Compare { .. } => "cmp",
            Self::Lookup { .. } => "lookup",
            Self::DestinationNat { .. } => "nat",
            Self::Masquerade => "masq",
            Self::Drop => "immediate",
        }
    }

    fn fill(&self, data: &mut Message) {
        match self {
            Self::Meta { key, register } => numbers(data, &[reg(*register), *key as u32]),
            Self::Payload { header, offset, length, register } => {
                numbers(data, &[reg(*register), *header as u32, *offset, *length]);
            }
            Self::DestinationType { register } => {
                const ADDRESS_TYPE: u32 = 3;
                const OF_DESTINATION: u32 = 2;
                numbers(data, &[reg(*register), ADDRESS_TYPE, OF_DESTINATION]);
            }
            Self::Conntrack { key, register } => numbers(data, &[reg(*register), *key as u32]),
            Self::Mask { register, mask } => fill_mask(data, *register, mask),
            Self::Compare { register, not, value } => fill_comparison(data, *register, *not, value),
            Self::Lookup { map, key, value } => {
                data.text(1, map).be32(2, reg(*key)).be32(3, reg(*value));
            }
            Self::DestinationNat { family, address, port } => {
                const DNAT: u32 = 1;
                numbers(data, &[DNAT, u32::from(*family), reg(*address)]);
                data.be32(5, reg(*port));
            }
            Self::Masquerade => {}
            Self::Drop => fill_drop(data),
        }
    }
}

fn fill_drop(data: &mut Message) {
    const DROP: u32 = 0;
    data.be32(1, VERDICT_REGISTER).nest(2, |value| {
        value.nest(2, |verdict| {
            verdict.be32(1, DROP);
        });
    });
}

fn fill_mask(data: &mut Message, register: u32, mask: &[u8]) {
    numbers(data, &[reg(register), reg(register), mask.len() as u32]);
    value(data, 4, mask);
    value(data, 5, &vec![0; mask.len()]);
}

fn fill_comparison(data: &mut Message, register: u32, not: bool, wanted: &[u8]) {
    numbers(data, &[reg(register), u32::from(not)]);
    value(data, 3, wanted);
}

fn value(data: &mut Message, kind: u16, bytes: &[u8]) {
    data.nest(kind, |nest| {
        nest.bytes(1, bytes);
    });
}

/// Attributes 1, 2, 3 … in turn.
fn numbers(data: &mut Message, values: &[u32]) {
    for (kind, value) in (1..).zip(values) {
        data.be32(kind, *value);
    }
}

fn reg(number: u32) -> u32 {
    FIRST_REGISTER + number
}
