//! Supervision: the rules by which members are started again, stopped and given up. Pure, with the clock as argument.

pub mod backoff;
pub mod decide;
pub mod events;
pub mod health;
pub mod journal;
pub mod prober;
pub mod runs;
pub mod storage;
pub mod wishes;
