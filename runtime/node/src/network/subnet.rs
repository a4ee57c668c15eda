//! Which IPv4 subnet the Pods of one state folder get. Pure: routes and addresses in, subnet out.
//!
//! A /22 in one of the private ranges (RFC 1918), picked by identity, that nothing on the host is routed to. Only when
//! every range is covered by somebody's wide route (a VPN's 10.0.0.0/8, say) is one inside a wider route taken, since
//! the longer prefix wins for our own bridge. IPv6 needs no choice: 56 bits of the identity make its /64.

use std::net::Ipv4Addr;

/// Bits of the prefix of a Pod subnet.
pub const PREFIX: u8 = 22;
/// Bits of the prefix of a Pod's IPv6 subnet.
pub const PREFIX6: u8 = 64;
const SUBNET_SIZE: u32 = 1 << (32 - PREFIX);
/// (first address, number of subnets of `PREFIX` bits)
const RANGES: [(Ipv4Addr, u32); 3] =
    [(Ipv4Addr::new(10, 64, 0, 0), 4096), (Ipv4Addr::new(172, 20, 0, 0), 512), (Ipv4Addr::new(192, 168, 128, 0), 32)];

/// An IPv4 network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network4 {
    /// Any address in it.
    pub address: Ipv4Addr,
    /// Bits of its prefix, 0 to 32.
    pub prefix: u8,
}

impl Network4 {
    fn overlaps(self, other: Self) -> bool {
        let mask = mask(self.prefix.min(other.prefix));
        self.address.to_bits() & mask == other.address.to_bits() & mask
    }
}

/// The first address of the subnet to use, or `None` when every candidate is taken.
pub fn choose(seed: u32, taken: &[Network4]) -> Option<Ipv4Addr> {
    let narrow: Vec<_> = taken.iter().copied().filter(|network| network.prefix >= 16).collect();
    first_free(seed, taken).or_else(|| first_free(seed, &narrow))
}

fn first_free(seed: u32, taken: &[Network4]) -> Option<Ipv4Addr> {
    let free = |address: &Ipv4Addr| {
        let candidate = Network4 { address: *address, prefix: PREFIX };
        !taken.iter().any(|network| network.overlaps(candidate))
    };
    RANGES.iter().find_map(|(start, count)| {
        let candidates = (0..*count).map(|step| (seed % count + step) % count);
        candidates.map(|index| Ipv4Addr::from_bits(start.to_bits() + index * SUBNET_SIZE)).find(free)
    })
}

/// The address with its host part zeroed, for the prefix of Pod subnets.
pub fn base(address: Ipv4Addr) -> Ipv4Addr {
    Ipv4Addr::from_bits(address.to_bits() & mask(PREFIX))
}

/// The netmask of so many bits.
pub fn mask(prefix: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(prefix.min(32))).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(a: u8, b: u8, c: u8, prefix: u8) -> Network4 {
        Network4 { address: Ipv4Addr::new(a, b, c, 0), prefix }
    }

    #[test]
    fn what_is_routed_is_skipped() {
        let first = choose(7, &[]).unwrap();
        let taken = [Network4 { address: first, prefix: 24 }];
        let second = choose(7, &taken).unwrap();
        assert_ne!(first, second);
        assert_eq!(choose(7, &[network(203, 0, 113, 24)]), Some(first), "control: an unrelated route");
    }

    #[test]
    fn a_wide_route_moves_to_another_range_and_only_then_is_entered() {
        let ten = network(10, 0, 0, 8);
        assert_eq!(choose(7, &[ten]).unwrap().octets()[0], 172);
        let all = [ten, network(172, 16, 0, 12), network(192, 168, 0, 16)];
        assert_eq!(choose(7, &all).unwrap().octets()[0], 10);
        let narrow: Vec<_> = (64..128).map(|b| network(10, b, 0, 16)).chain(all).collect();
        assert_eq!(choose(7, &narrow).unwrap().octets()[0], 172);
    }

    #[test]
    fn masks_at_both_ends() {
        assert_eq!((mask(0), mask(32), mask(8)), (0, u32::MAX, 0xff00_0000));
        assert_eq!(base(Ipv4Addr::new(10, 64, 7, 9)), Ipv4Addr::new(10, 64, 4, 0));
    }
}
