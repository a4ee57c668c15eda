//! Netlink: how the kernel is asked for links, addresses, routes, and firewall tables.
//!
//! Messages are built by hand because dwell needs a dozen kinds of the several hundred, in shapes (a whole network
//! namespace in one `sendmsg`) that matter for the start time; the reasons and the measurement are in
//! `docs/adr/0003-netlink-nftables.md`. Rules: netlink(7), rtnetlink(7), `include/uapi/linux/{netlink,rtnetlink}.h`.
//! Nothing here decides a name or an address, and replies are read with every length checked.

pub mod address;
mod answer;
pub mod attributes;
pub mod conntrack;
pub mod link;
pub mod message;
pub mod socket;

pub use message::Message;
pub use socket::{Family, NetlinkError, Socket};
