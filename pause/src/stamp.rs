//! The head of a log record: `2026-11-25T01:02:03.123456789Z stdout F `.
//!
//! RFC 3339 in UTC with nanoseconds, as the Kubernetes log format wants it.

use core::num::{NonZeroU32, NonZeroU64};

use crate::arch::copy;

/// The head, in the parts that change between the records of one chunk.
#[repr(C)]
pub struct Head {
    time: [u8; 34],
    pub stream: [u8; 4],
    pub tag: [u8; 2],
}

/// Bytes of a head.
pub const HEAD: usize = size_of::<Head>();
/// Where in it the tag stands.
pub const TAG: usize = 38;
/// Names of the streams.
pub const STREAMS: [[u8; 4]; 2] = [*b"out ", *b"err "];
/// The tag of a record that ends its line.
pub const FULL: [u8; 2] = *b"F ";
/// The tag of a piece.
pub const PIECE: [u8; 2] = *b"P ";

/// Where the parts of the time of day end, and the radix of each.
static CLOCK: [(u32, NonZeroU32); 4] = [(29, radix(1_000_000_000)), (19, radix(60)), (16, radix(60)), (13, radix(24))];

const fn radix(radix: u32) -> NonZeroU32 {
    NonZeroU32::new(radix).unwrap()
}

impl Head {
    /// Sets the time: nanoseconds since 1970.
    pub fn set(&mut self, nanoseconds: u64) {
        let empty = b"0000-00-00T00:00:00.000000000Z std";
        // SAFETY: two arrays of the same type.
        unsafe { copy(self.time.as_mut_ptr(), empty.as_ptr(), size_of_val(empty)) };
        let mut rest = nanoseconds;
        for (end, radix) in &CLOCK {
            let radix = NonZeroU64::from(*radix);
            digits(&mut self.time, *end as usize, rest % radix);
            rest /= radix;
        }
        let (year, month, day) = civil(rest as u32);
        digits(&mut self.time, 4, u64::from(year));
        digits(&mut self.time, 7, u64::from(month));
        digits(&mut self.time, 10, u64::from(day));
    }
}

/// Year, month and day of a day since 1970. Counting costs nothing that matters beside a write(2).
fn civil(mut days: u32) -> (u32, u32, u32) {
    let (mut year, mut month) = (1970, 1);
    loop {
        // The fourth years but the hundredth ones, of which the four hundredth (here: the sixteenth) are.
        let mask = if year % 100 == 0 { 15 } else { 3 };
        // 31 in the odd months up to July and the even ones after it.
        let mut length = 30 + ((month + month / 8) & 1);
        if month == 2 {
            length = 28 + u32::from(year & mask == 0);
        }
        if days < length {
            return (year, month, days + 1);
        }
        days -= length;
        month += 1;
        if month == 13 {
            (year, month) = (year + 1, 1);
        }
    }
}

/// Writes the number so that its last digit stands before `end`, and leaves alone the zeros that it does not reach.
/// Says where its first digit stands.
#[inline(never)]
pub fn digits(out: &mut [u8], end: usize, mut value: u64) -> usize {
    let mut at = end;
    while let Some(digit) = out.get_mut(at.wrapping_sub(1)) {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
        at -= 1;
        if value == 0 {
            break;
        }
    }
    at
}
