//! The one place that reads the wall clock: nanoseconds since the epoch, the unit of journals and of pause.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Now.
pub fn now_ns() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64)
}

/// How long until a moment; zero if it is past.
pub fn until(moment_ns: u64) -> Duration {
    Duration::from_nanos(moment_ns.saturating_sub(now_ns()))
}
