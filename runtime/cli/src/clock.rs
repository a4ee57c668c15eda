//! The time of day, the one thing that the pure parts must be told.

use std::time::{SystemTime, UNIX_EPOCH};

use k8s_openapi::jiff::Timestamp;

/// Now; the epoch if the machine's clock stands before it.
pub fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let second = i64::try_from(since_epoch.as_secs()).unwrap_or(i64::MAX);
    Timestamp::new(second, since_epoch.subsec_nanos().cast_signed()).unwrap_or(Timestamp::UNIX_EPOCH)
}
