//! The head of a log record: `2026-11-25T01:02:03.123456789Z stdout F `.
//!
//! RFC 3339 in UTC with nanoseconds, as the Kubernetes log format wants it.

use crate::sys::Time;

/// Bytes of a head.
pub const HEAD: usize = 40;
/// Where in it the letters `out` stand.
pub const STREAM: usize = 34;
/// Where in it the tag stands.
pub const TAG: usize = 38;

/// The head of a record of `stdout` with the tag `F`; the caller changes the letters that differ.
pub fn head(time: &Time) -> [u8; HEAD] {
    let mut head = *b"0000-00-00T00:00:00.000000000Z stdout F ";
    let second = (time.seconds % 86_400) as u32;
    let (year, month, day) = civil((time.seconds / 86_400) as u32);
    digits(&mut head, 4, year);
    digits(&mut head, 7, month);
    digits(&mut head, 10, day);
    digits(&mut head, 13, second / 3600);
    digits(&mut head, 16, second / 60 % 60);
    digits(&mut head, 19, second % 60);
    digits(&mut head, 29, time.nanos as u32);
    head
}

/// Year, month and day of a day since 1970. Counting costs nothing that matters beside a write(2).
fn civil(mut days: u32) -> (u32, u32, u32) {
    let (mut year, mut month) = (1970, 1);
    loop {
        let leap = u32::from(year % 4 == 0 && (year % 100 != 0 || year % 400 == 0));
        // 31 in the odd months up to July and the even ones after it.
        let length = if month == 2 { 28 + leap } else { 30 + ((month + month / 8) & 1) };
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
#[inline(never)]
pub fn digits(out: &mut [u8], end: usize, mut value: u32) {
    for digit in out.iter_mut().take(end).rev() {
        if value == 0 {
            return;
        }
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
    }
}
