//! Colours, only where a terminal shows them and the user has not declined (`NO_COLOR`, <https://no-color.org>).

use std::io::IsTerminal;

/// Whether and how text is coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    colour: bool,
}

/// Foreground colours of members' prefixes, told apart on dark and light backgrounds; red is kept for errors.
const MEMBERS: [u8; 6] = [36, 33, 32, 35, 34, 96];

impl Style {
    /// For standard output.
    pub fn stdout() -> Self {
        Self { colour: std::io::stdout().is_terminal() && allowed() }
    }

    /// For standard error.
    pub fn stderr() -> Self {
        Self { colour: std::io::stderr().is_terminal() && allowed() }
    }

    /// No colour.
    #[cfg(test)]
    pub fn plain() -> Self {
        Self { colour: false }
    }

    /// The word that begins an error.
    pub fn error(self, text: &str) -> String {
        self.wrap("1;31", text)
    }

    /// The word that begins a hint.
    pub fn hint(self, text: &str) -> String {
        self.wrap("1;36", text)
    }

    /// Less important text.
    pub fn dim(self, text: &str) -> String {
        self.wrap("2", text)
    }

    /// What is as it should be.
    pub fn good(self, text: &str) -> String {
        self.wrap("32", text)
    }

    /// What works with something less.
    pub fn warning(self, text: &str) -> String {
        self.wrap("33", text)
    }

    /// The prefix of the n-th member.
    pub fn member(self, n: usize, text: &str) -> String {
        self.wrap(&MEMBERS[n % MEMBERS.len()].to_string(), text)
    }

    fn wrap(self, code: &str, text: &str) -> String {
        match self.colour {
            true => format!("\x1b[{code}m{text}\x1b[0m"),
            false => text.to_owned(),
        }
    }
}

fn allowed() -> bool {
    let set = |name| std::env::var_os(name).is_some_and(|v| !v.is_empty());
    !set("NO_COLOR") && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}
