//! What the relay is told: which listening sockets of the host it was given, and where in the Pod each leads.
//!
//! Encoded with postcard behind a version, in a sealed memory file at `init::PLAN_FD`; slot `n` is descriptor
//! `init::FIRST_SLOT_FD + n`. The relay connects to the Pod's own addresses, never to loopback: forwarded traffic must
//! not look like a trusted neighbour's (CVE-2021-20199).

use std::net::{Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use super::init::Slot;
use crate::pod::Protocol;

/// Grows when the encoding changes; the relay refuses another version.
pub const RELAY_PLAN_VERSION: u32 = 1;

/// Everything one Pod's relay does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelayPlan {
    /// The host's sockets.
    pub listeners: Vec<RelayListener>,
    /// The Pod's IPv4 address.
    pub v4: Option<Ipv4Addr>,
    /// The Pod's IPv6 address.
    pub v6: Option<Ipv6Addr>,
}

/// One socket of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelayListener {
    /// A listening TCP socket or a bound UDP socket, not blocking; or one of SCTP, which is held and not served.
    pub slot: Slot,
    /// Which of them.
    pub protocol: Protocol,
    /// Port in the Pod.
    pub target_port: u16,
}

impl RelayPlan {
    /// The plan as the relay reads it.
    pub fn encode(&self) -> Vec<u8> {
        postcard::to_allocvec(&(RELAY_PLAN_VERSION, self)).unwrap_or_default()
    }

    /// What `encode` wrote; `None` for anything else, another version included.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (version, rest) = postcard::take_from_bytes::<u32>(bytes).ok()?;
        (version == RELAY_PLAN_VERSION).then(|| postcard::from_bytes(rest).ok())?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_survives_and_another_version_does_not() {
        let listener = RelayListener { slot: Slot(2), protocol: Protocol::Udp, target_port: 53 };
        let plan = RelayPlan { listeners: vec![listener], v4: Some(Ipv4Addr::LOCALHOST), v6: None };
        let mut bytes = plan.encode();
        assert_eq!(RelayPlan::decode(&bytes), Some(plan));
        assert_eq!(RelayPlan::decode(&bytes[..bytes.len() - 1]), None);
        bytes[0] += 1;
        assert_eq!(RelayPlan::decode(&bytes), None);
    }
}
