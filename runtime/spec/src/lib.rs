//! dwell's pure part: text becomes a `Pod`, a `Pod` with facts becomes plans. No IO, no unsafe, no clock.
#![forbid(unsafe_code)]

pub mod facts;
pub mod plan;
pub mod pod;
