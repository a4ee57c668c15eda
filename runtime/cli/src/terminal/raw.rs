//! Raw mode of the user's terminal, undone when the value is dropped: at the end, on an error, and on a panic (the binary
//! unwinds). Signals that would end the process are turned into ordinary ends by `interrupt`. termios(3).

use std::io;

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

/// The terminal on standard input, in raw mode for as long as this lives.
pub struct RawMode {
    before: Termios,
}

impl RawMode {
    /// Enters raw mode, if standard input is a terminal.
    ///
    /// # Errors
    /// The terminal refuses.
    pub fn enter() -> io::Result<Option<Self>> {
        let stdin = rustix::stdio::stdin();
        let Ok(before) = tcgetattr(stdin) else {
            return Ok(None);
        };
        let mut raw = before.clone();
        raw.make_raw();
        // Not Flush: what was typed ahead is the member's.
        tcsetattr(stdin, OptionalActions::Drain, &raw)?;
        Ok(Some(Self { before }))
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        _ = tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &self.before);
    }
}

/// Columns and rows of the terminal on standard input, else on standard output.
pub fn size() -> Option<(u16, u16)> {
    let size = tcgetwinsize(rustix::stdio::stdin()).or_else(|_| tcgetwinsize(rustix::stdio::stdout())).ok()?;
    Some((size.ws_col, size.ws_row)).filter(|(columns, rows)| *columns > 0 && *rows > 0)
}
