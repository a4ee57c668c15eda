//! nftables over netlink, without the `nft` program: what one table of ours needs, and enough reading to see what
//! other tables would do to a Pod's packets.
//!
//! A transaction is a list of messages that the kernel applies as a whole or not at all. Every message names its
//! table, so nothing of another table can be changed by accident. Rules: nft(8),
//! `include/uapi/linux/netfilter/nf_tables.h`; concatenated fields are padded to four bytes each.

pub mod expression;
pub mod read;

use crate::netlink::message::{APPEND, CREATE, EXCLUSIVE};
use crate::netlink::{Message, NetlinkError, Socket};

pub use expression::Expression;

const SUBSYSTEM: u16 = 10;
const BATCH_BEGIN: u16 = 16;
const BATCH_END: u16 = 17;
const INET: u8 = 1;

const NEW_TABLE: u16 = 0;
const DELETE_TABLE: u16 = 2;
const NEW_CHAIN: u16 = 3;
const NEW_RULE: u16 = 6;
const NEW_SET: u16 = 9;
const NEW_ELEMENT: u16 = 12;
const DELETE_ELEMENT: u16 = 14;

const LIST_ELEMENT: u16 = 1;
const MAP: u32 = 0x8;

/// Where a base chain is hooked in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hook {
    /// Packets that arrived, before routing.
    Prerouting = 0,
    /// Packets for this host.
    Input = 1,
    /// Packets that pass through.
    Forward = 2,
    /// Packets of this host.
    Output = 3,
    /// Packets that leave, after routing.
    Postrouting = 4,
}

/// A base chain whose policy is accept.
#[derive(Debug, Clone, Copy)]
pub struct Chain<'a> {
    /// Its name.
    pub name: &'a str,
    /// `nat` or `filter`.
    pub kind: &'a str,
    /// Where it is hooked in.
    pub hook: Hook,
    /// Its place among other chains of that hook, lowest first.
    pub priority: i32,
}

/// What the fields of a map's key or value are, as `nft` prints them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// An IPv4 address.
    Ipv4 = 7,
    /// An IPv6 address.
    Ipv6 = 8,
    /// A transport protocol's number.
    Protocol = 12,
    /// A port.
    Port = 13,
}

impl Field {
    fn padded_length(self) -> u32 {
        if self == Self::Ipv6 { 16 } else { 4 }
    }
}

/// One table of family `inet`, by name; methods make the messages that change it.
#[derive(Debug, Clone)]
pub struct Table {
    /// Its name.
    pub name: String,
}

impl Table {
    /// Makes the table; refused with EEXIST when it is there.
    pub fn create(&self) -> Message {
        let mut message = request(NEW_TABLE, CREATE | EXCLUSIVE);
        message.text(1, &self.name);
        message
    }

    /// Deletes the table with all that is in it; refused with ENOENT when it is not there.
    pub fn delete(&self) -> Message {
        let mut message = request(DELETE_TABLE, 0);
        message.text(1, &self.name);
        message
    }

    /// Makes a base chain.
    pub fn chain(&self, chain: &Chain<'_>) -> Message {
        const ACCEPT: u32 = 1;
        let mut message = request(NEW_CHAIN, CREATE | EXCLUSIVE);
        message.text(1, &self.name).text(3, chain.name).nest(4, |hook| {
            hook.be32(1, chain.hook as u32).be32(2, chain.priority as u32);
        });
        message.be32(5, ACCEPT).text(7, chain.kind);
        message
    }

    /// Appends a rule to a chain.
    pub fn rule(&self, chain: &str, expressions: &[Expression]) -> Message {
        let mut message = request(NEW_RULE, CREATE | APPEND);
        message.text(1, &self.name).text(2, chain).nest(4, |list| {
            for expression in expressions {
                list.nest(LIST_ELEMENT, |element| expression.encode(element));
            }
        });
        message
    }

    /// Makes a map from `key` to `value`; `id` is any number unique in the transaction.
    pub fn map(&self, name: &str, id: u32, key: &[Field], value: &[Field]) -> Message {
        let mut message = request(NEW_SET, CREATE | EXCLUSIVE);
        message.text(1, &self.name).text(2, name).be32(3, MAP);
        message.be32(4, concatenation(key)).be32(5, length(key));
        message.be32(6, concatenation(value)).be32(7, length(value)).be32(10, id).nest(9, |_| {});
        // Both in network byte order, for whoever lists the table: NFTNL_UDATA_SET_KEYBYTEORDER and …DATABYTEORDER.
        message.bytes(13, &[0, 4, 2, 0, 0, 0, 1, 4, 2, 0, 0, 0]);
        message
    }

    /// Adds one element; refused with EEXIST when the key is there, whatever it leads to.
    pub fn add_element(&self, map: &str, key: &[u8], value: &[u8]) -> Message {
        self.element(NEW_ELEMENT, CREATE | EXCLUSIVE, map, key, Some(value))
    }

    /// Removes one element; refused with ENOENT when it is not there.
    pub fn delete_element(&self, map: &str, key: &[u8]) -> Message {
        self.element(DELETE_ELEMENT, 0, map, key, None)
    }

    fn element(&self, kind: u16, flags: u16, map: &str, key: &[u8], value: Option<&[u8]>) -> Message {
        let mut message = request(kind, flags);
        message.text(1, &self.name).text(2, map).nest(3, |list| {
            list.nest(LIST_ELEMENT, |element| {
                element.nest(1, |data| {
                    data.bytes(1, key);
                });
                if let Some(value) = value {
                    element.nest(2, |data| {
                        data.bytes(1, value);
                    });
                }
            });
        });
        message
    }
}

/// Applies all messages or none.
///
/// # Errors
/// The first refusal, by position; the kernel has changed nothing then.
pub fn commit(socket: &mut Socket, messages: &[Message]) -> Result<(), NetlinkError> {
    socket.transact(&batch(BATCH_BEGIN), messages, &batch(BATCH_END))
}

fn batch(kind: u16) -> Message {
    Message::new(kind, 0, &[0, 0, 0, SUBSYSTEM as u8])
}

fn request(kind: u16, flags: u16) -> Message {
    Message::new((SUBSYSTEM << 8) | kind, flags, &[INET, 0, 0, 0])
}

fn concatenation(fields: &[Field]) -> u32 {
    fields.iter().fold(0, |kind, field| (kind << 6) | *field as u32)
}

fn length(fields: &[Field]) -> u32 {
    fields.iter().map(|field| field.padded_length()).sum()
}
