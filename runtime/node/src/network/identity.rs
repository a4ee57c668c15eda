//! Names and numbers that follow from a node's identity alone: bridge, table, hardware addresses, preferred subnets.
//!
//! Two state folders get different ones without talking to each other, and a node that comes back finds its own. A
//! bridge of ours is known by its hardware address, 46 bits of the identity, which is set in the very message that
//! takes the name; so the name is a lock even among strangers. Pure.

use std::net::{Ipv4Addr, Ipv6Addr};

use sha2::{Digest, Sha256};

/// Every link that dwell makes begins with this.
pub const LINK_PREFIX: &str = "dw";
/// Every bridge that dwell makes begins with this.
pub const BRIDGE_PREFIX: &str = "dwell-";
/// Every table that dwell makes begins with this.
pub const TABLE_PREFIX: &str = "dwell-";

/// Names tried when a stranger holds the first.
pub const BRIDGE_NAMES: u8 = 8;

/// What follows from a state folder's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    hash: [u8; 32],
}

impl Identity {
    /// The identity behind any text that is unique to the state folder and stays with it.
    pub fn new(id: &str) -> Self {
        Self { hash: Sha256::digest(id.as_bytes()).into() }
    }

    /// The bridge's name at the `attempt`th try: 12 characters.
    pub fn bridge(&self, attempt: u8) -> String {
        format!("{BRIDGE_PREFIX}{:06x}", self.tag().wrapping_add(u32::from(attempt)) & 0xff_ffff)
    }

    /// The table's name.
    pub fn table(&self) -> String {
        let bytes = &self.hash[..8];
        bytes.iter().fold(TABLE_PREFIX.to_owned(), |name, byte| name + &format!("{byte:02x}"))
    }

    /// Name of a Pod's link on the host: at most 15 characters, as the kernel allows.
    pub fn veth(&self, serial: u32) -> String {
        format!("{LINK_PREFIX}{:06x}-{:x}", self.tag(), serial & 0xff_ffff)
    }

    /// The bridge's hardware address: locally administered, unicast.
    pub fn bridge_mac(&self) -> [u8; 6] {
        let hash = &self.hash;
        [(hash[10] & 0xfc) | 0x02, hash[11], hash[12], hash[13], hash[14], hash[15]]
    }

    /// A number from which address pools start looking.
    pub fn seed(&self) -> u32 {
        u32::from_be_bytes([self.hash[16], self.hash[17], self.hash[18], self.hash[19]])
    }

    /// The unique local IPv6 subnet (RFC 4193), a /64: the address ending in zero.
    pub fn subnet6(&self) -> Ipv6Addr {
        let hash = &self.hash;
        let word = |at: usize| u16::from_be_bytes([hash[at], hash[at + 1]]);
        Ipv6Addr::new(0xfd00 | u16::from(hash[20]), word(21), word(23), word(25), 0, 0, 0, 0)
    }

    fn tag(&self) -> u32 {
        u32::from_be_bytes([0, self.hash[0], self.hash[1], self.hash[2]])
    }
}

/// Hardware address of a Pod's link: made from its address, so a neighbour's cached answer is never stale.
pub fn pod_mac(v4: Ipv4Addr) -> [u8; 6] {
    let [a, b, c, d] = v4.octets();
    [0x0a, 0x58, a, b, c, d]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_the_kernel_and_differ() {
        let (one, two) = (Identity::new("/var/lib/dwell"), Identity::new("/tmp/other"));
        assert!(one.veth(u32::MAX).len() <= 15);
        assert!(one.bridge(255).len() <= 15);
        assert_ne!(one.bridge(0), one.bridge(1));
        assert_ne!(one.bridge(0), two.bridge(0));
        assert_ne!(one.table(), two.table());
        assert_ne!(one.subnet6(), two.subnet6());
        assert_eq!(one, Identity::new("/var/lib/dwell"), "control: the same folder, the same identity");
    }

    #[test]
    fn hardware_addresses_are_local_unicast() {
        for id in 0..100 {
            assert_eq!(Identity::new(&id.to_string()).bridge_mac()[0] & 3, 2);
        }
        assert_eq!(pod_mac(Ipv4Addr::LOCALHOST)[0] & 3, 2);
        assert_eq!(Identity::new("x").subnet6().octets()[0], 0xfd);
    }
}
