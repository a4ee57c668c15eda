//! A packet as pause has it in memory: fields where `protocol.rs` puts them, since both architectures are little-endian.
//!
//! Plain numbers only, so any 64 bytes are a valid one; nothing here judges them.

use crate::protocol::SIZE;

/// The fixed part of a message.
#[repr(C)]
pub struct Packet {
    pub magic: u32,
    pub version: u16,
    /// See `protocol::kind`.
    pub kind: u16,
    pub id: u64,
    /// A member's `seq`, or the key of a kept socket, or 0.
    pub subject: u64,
    pub body: [u64; 5],
}

const _: () = assert!(size_of::<Packet>() == SIZE && cfg!(target_endian = "little"));

impl Packet {
    /// One that says nothing yet.
    pub const BLANK: Self = Self { magic: 0, version: 0, kind: 0, id: 0, subject: 0, body: [0; 5] };
}
