//! What the kernel sends back: a datagram of messages, each an object, an acknowledgement, or a refusal with words.

use std::io;

use super::attributes::{find, text};
use super::socket::NetlinkError;

const ERROR: u16 = 2;
const DONE: u16 = 3;
const MULTI: u16 = 0x2;
const DUMP_INTERRUPTED: u16 = 0x10;
const EXTENDED_ACK_TLVS: u16 = 0x200;

#[derive(Debug)]
pub(super) struct Part {
    pub kind: u16,
    flags: u16,
    sequence: u32,
    pub body: Vec<u8>,
}

pub(super) struct Failure {
    errno: i32,
    detail: String,
}

impl Failure {
    pub fn at(self, index: usize) -> NetlinkError {
        NetlinkError::Refused { index, detail: self.detail, source: io::Error::from_raw_os_error(self.errno) }
    }
}

impl Part {
    /// Whether it closes a list.
    pub fn is_last(&self) -> bool {
        self.kind == DONE
    }

    /// Whether what is listed changed meanwhile.
    pub fn is_interrupted(&self) -> bool {
        self.flags & DUMP_INTERRUPTED != 0
    }

    pub fn index(&self, first: u32, count: usize) -> Option<usize> {
        let index = self.sequence.wrapping_sub(first) as usize;
        (index < count).then_some(index)
    }

    /// What an acknowledgement or the end of a failed dump says; `None` for an object.
    pub fn answer(&self) -> Option<Result<(), Failure>> {
        let errno = match self.kind {
            ERROR => self.errno(),
            DONE if self.flags & MULTI != 0 && self.errno() < 0 => self.errno(),
            _ => return None,
        };
        Some(if errno == 0 { Ok(()) } else { Err(Failure { errno: -errno, detail: self.words() }) })
    }

    fn errno(&self) -> i32 {
        self.body.get(..4).map_or(0, |code| i32::from_ne_bytes([code[0], code[1], code[2], code[3]]))
    }

    /// `NLMSGERR_ATTR_MSG`, which follows the 16-byte header of the refused message (capped, so no payload).
    fn words(&self) -> String {
        if self.kind != ERROR || self.flags & EXTENDED_ACK_TLVS == 0 {
            return String::new();
        }
        self.body.get(20..).and_then(|rest| find(rest, 1)).map(text).unwrap_or_default()
    }
}

pub(super) fn parts(mut rest: &[u8]) -> Result<Vec<Part>, NetlinkError> {
    let mut found = Vec::new();
    while rest.len() >= 16 {
        let word = |at: usize| u32::from_ne_bytes([rest[at], rest[at + 1], rest[at + 2], rest[at + 3]]);
        let length = word(0) as usize;
        let body = rest.get(16..length).ok_or(NetlinkError::Malformed)?.to_vec();
        let kind = u16::from_ne_bytes([rest[4], rest[5]]);
        let flags = u16::from_ne_bytes([rest[6], rest[7]]);
        found.push(Part { kind, flags, sequence: word(8), body });
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_truncated_answer_is_malformed() {
        let mut bytes = vec![0u8; 16];
        bytes[0] = 40;
        assert!(matches!(parts(&bytes), Err(NetlinkError::Malformed)));
        bytes[0] = 16;
        assert_eq!(parts(&bytes).unwrap().len(), 1, "control");
    }
}
