//! What a command tells its user when it cannot do what was asked, and the exit status that goes with it.
//!
//! Form: `error: …`, one `  caused by: …` for each cause, `  hint: …` (design, section 6: uv's messages). Everything here
//! may hold text that came from members or manifests, so it is made harmless before it reaches a terminal.

use std::error::Error;
use std::io::{self, Write};

use dwell::container::log::LogFailure;
use dwell_serve::client::ClientFailure;

use crate::output::sanitise::printable;
use crate::output::style::Style;

/// Exit status when dwell itself failed, as with docker and podman.
pub const DWELL_FAILED: u8 = 125;

/// Exit status when whoever read our output went away: 128 + SIGPIPE, what a shell reports of any other program.
const READER_GONE: u8 = 141;

/// Why a command ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    message: String,
    causes: Vec<String>,
    hint: Option<String>,
    status: u8,
}

impl Failure {
    /// dwell failed, for this reason.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), causes: Vec::new(), hint: None, status: DWELL_FAILED }
    }

    /// Adds the error that caused it, and what caused that.
    pub fn caused_by(mut self, error: &dyn Error) -> Self {
        self.causes.push(error.to_string());
        self.causes.extend(chain(error));
        self
    }

    /// Adds a cause in words.
    pub fn with_cause(mut self, cause: impl Into<String>) -> Self {
        self.causes.push(cause.into());
        self
    }

    /// Adds what the user can do.
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The error and its causes.
    pub fn of(error: &dyn Error) -> Self {
        Self { causes: chain(error), ..Self::new(error.to_string()) }
    }

    /// Nothing to say, since nobody reads.
    pub fn reader_gone() -> Self {
        Self { status: READER_GONE, ..Self::new("") }
    }

    /// Whether whoever read our output went away.
    pub fn is_reader_gone(&self) -> bool {
        self.status == READER_GONE
    }

    /// The command's exit status.
    pub fn status(&self) -> u8 {
        self.status
    }

    /// Writes it to standard error, as far as that can be written to.
    pub fn report(&self) {
        if self.is_reader_gone() {
            return;
        }
        let text = self.render(Style::stderr());
        _ = io::stderr().lock().write_all(text.as_bytes());
    }

    fn render(&self, style: Style) -> String {
        let mut text = format!("{} {}\n", style.error("error:"), printable(&self.message));
        for cause in &self.causes {
            text += &format!("  {} {}\n", style.dim("caused by:"), printable(cause));
        }
        if let Some(hint) = &self.hint {
            text += &format!("  {} {}\n", style.hint("hint:"), printable(hint));
        }
        text
    }
}

fn chain(error: &dyn Error) -> Vec<String> {
    let mut causes = Vec::new();
    let mut next = error.source();
    while let Some(cause) = next {
        causes.push(cause.to_string());
        next = cause.source();
    }
    causes
}

impl From<ClientFailure> for Failure {
    fn from(error: ClientFailure) -> Self {
        let mut failure = Self::of(&error);
        failure.causes.extend(error.causes());
        failure.hint = error.hint().map(str::to_owned);
        failure
    }
}

impl From<LogFailure> for Failure {
    fn from(error: LogFailure) -> Self {
        match error {
            LogFailure::Sink(e) => Self::from(e),
            other => Self::of(&other),
        }
    }
}

/// Of writing to standard output, the one kind of IO that commands do without saying what it was for.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::reader_gone(),
            _ => Self::new("write the output").caused_by(&error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chain_is_printed_line_by_line_and_made_harmless() {
        let failure = Failure::new("read pod.yaml")
            .caused_by(&io::Error::other("no such \x1b[31mfile"))
            .with_hint("look at the path");
        let expected = "error: read pod.yaml\n  caused by: no such \\u{1b}[31mfile\n  hint: look at the path\n";
        assert_eq!(failure.render(Style::plain()), expected);
        assert_eq!(failure.status(), 125);
    }

    #[test]
    fn a_reader_that_left_is_no_error_of_ours() {
        let failure = Failure::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert!(failure.is_reader_gone());
        assert_eq!(failure.status(), 141);
        assert!(!Failure::from(io::Error::from(io::ErrorKind::StorageFull)).is_reader_gone());
    }
}
