//! The head of a log record: `2026-11-25T01:02:03.123456789Z stdout F `.
//!
//! RFC 3339 in UTC with nanoseconds, as the Kubernetes log format wants it. The day is found by Howard Hinnant's
//! `civil_from_days` (eras of 400 years that begin in March, so that the leap day is the last of its year).

use crate::sys::Time;

/// Bytes of a head.
pub const HEAD: usize = 40;
/// Where in it the tag stands.
pub const TAG: usize = 38;

/// The head of records of `stderr` or `stdout`, with the tag `F`.
pub fn head(time: &Time, stderr: bool) -> [u8; HEAD] {
    let mut head = *b"0000-00-00T00:00:00.000000000Z stdout F ";
    let days = (time.seconds / 86_400) as u32;
    let second = (time.seconds % 86_400) as u32;
    let (year, month, day) = civil(days);
    let fields = [
        (4, 4, year),
        (7, 2, month),
        (10, 2, day),
        (13, 2, second / 3600),
        (16, 2, second / 60 % 60),
        (19, 2, second % 60),
        (29, 9, time.nanos as u32),
    ];
    for (end, count, value) in fields {
        digits(&mut head, end, count, value);
    }
    if stderr {
        (head[34], head[35], head[36]) = (b'e', b'r', b'r');
    }
    head
}

/// Year, month and day of a day since 1970.
fn civil(days: u32) -> (u32, u32, u32) {
    let days = days + 719_468;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    (year_of_era + era * 400 + u32::from(month <= 2), month, day)
}

/// Writes the last `count` digits of the number, so that they stop before `end`.
pub fn digits(out: &mut [u8], end: usize, count: usize, mut value: u32) {
    for digit in out.iter_mut().take(end).rev().take(count) {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
    }
}
