//! A line on standard error that may fail to be written: a full disk or a reader that left must end nobody, which the
//! standard macros would (they panic).

use std::fmt::Display;
use std::io::Write;

/// Writes the line, or does not.
pub fn complain(words: impl Display) {
    let _ = writeln!(std::io::stderr().lock(), "{words}");
}
