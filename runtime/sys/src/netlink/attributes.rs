//! Reading attributes out of a reply. Every length is checked against what is there; a malformed rest ends the walk.

/// Walks the attributes in `bytes`: (kind without flag bits, payload).
pub fn attributes(bytes: &[u8]) -> Attributes<'_> {
    Attributes { rest: bytes }
}

/// The walk of `attributes`.
#[derive(Debug, Clone)]
pub struct Attributes<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let header = self.rest.get(..4)?;
        let length = usize::from(u16::from_ne_bytes([header[0], header[1]]));
        let kind = u16::from_ne_bytes([header[2], header[3]]) & 0x3fff;
        let payload = self.rest.get(4..length)?;
        self.rest = self.rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, payload))
    }
}

/// The first attribute of that kind.
pub fn find(bytes: &[u8], kind: u16) -> Option<&[u8]> {
    attributes(bytes).find(|(found, _)| *found == kind).map(|(_, payload)| payload)
}

/// A number in the machine's byte order.
pub fn native_u32(payload: &[u8]) -> Option<u32> {
    Some(u32::from_ne_bytes(payload.get(..4)?.try_into().ok()?))
}

/// A number in network byte order.
pub fn network_u32(payload: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(payload.get(..4)?.try_into().ok()?))
}

/// Text up to its NUL; what is not UTF-8 is replaced.
pub fn text(payload: &[u8]) -> String {
    let end = payload.iter().position(|byte| *byte == 0).unwrap_or(payload.len());
    String::from_utf8_lossy(&payload[..end]).into_owned()
}

/// An IPv4 or IPv6 address, by its length.
pub fn address(payload: &[u8]) -> Option<std::net::IpAddr> {
    match payload.len() {
        4 => Some(<[u8; 4]>::try_from(payload).ok()?.into()),
        16 => Some(<[u8; 16]>::try_from(payload).ok()?.into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_beyond_the_end_ends_the_walk() {
        assert_eq!(attributes(&[200, 0, 1, 0, 9, 9]).count(), 0);
        assert_eq!(attributes(&[2, 0, 1, 0]).count(), 0, "shorter than its own header");
        assert_eq!(attributes(&[5, 0, 1, 0, 9]).count(), 1, "control: unpadded last attribute");
    }
}
