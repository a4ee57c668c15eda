//! Signals by the names people type: `TERM`, `SIGTERM`, `15`.

use std::str::FromStr;

const NAMES: &[(&str, i32)] = &[
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("ILL", 4),
    ("TRAP", 5),
    ("ABRT", 6),
    ("BUS", 7),
    ("FPE", 8),
    ("KILL", 9),
    ("USR1", 10),
    ("SEGV", 11),
    ("USR2", 12),
    ("PIPE", 13),
    ("ALRM", 14),
    ("TERM", 15),
    ("STKFLT", 16),
    ("CHLD", 17),
    ("CONT", 18),
    ("STOP", 19),
    ("TSTP", 20),
    ("TTIN", 21),
    ("TTOU", 22),
    ("URG", 23),
    ("XCPU", 24),
    ("XFSZ", 25),
    ("VTALRM", 26),
    ("PROF", 27),
    ("WINCH", 28),
    ("IO", 29),
    ("PWR", 30),
    ("SYS", 31),
];
const LAST: i32 = 64;

/// A valid signal number, 1 to 64.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignalName(i32);

impl SignalName {
    /// The kernel's number.
    pub fn number(self) -> i32 {
        self.0
    }
}

/// A text that names no signal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownSignal(String);

impl std::fmt::Display for UnknownSignal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "no signal named {:?}; use a name such as TERM or a number from 1 to {LAST}", self.0)
    }
}

impl std::error::Error for UnknownSignal {}

impl FromStr for SignalName {
    type Err = UnknownSignal;

    fn from_str(text: &str) -> Result<SignalName, UnknownSignal> {
        let upper = text.to_ascii_uppercase();
        let name = upper.strip_prefix("SIG").unwrap_or(&upper);
        let by_name = NAMES.iter().find(|(known, _)| *known == name).map(|(_, number)| *number);
        let number = by_name.or_else(|| name.parse().ok()).filter(|number| (1..=LAST).contains(number));
        number.map(SignalName).ok_or_else(|| UnknownSignal(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_prefixes_and_numbers_are_signals_and_nothing_else_is() {
        for text in ["TERM", "sigterm", "15"] {
            assert_eq!(text.parse::<SignalName>().unwrap().number(), 15);
        }
        for text in ["", "0", "65", "-9", "KILLER"] {
            assert!(text.parse::<SignalName>().is_err(), "{text}");
        }
    }
}
