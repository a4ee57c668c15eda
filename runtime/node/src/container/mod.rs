//! One container of a Pod: what its start opens, the files its output goes to, what it says of its end, and reading
//! its log.

pub(crate) mod filters;
pub(crate) mod last_words;
pub mod log;
pub(crate) mod log_files;
pub(crate) mod source;
