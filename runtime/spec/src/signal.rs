//! Signals by the names people type: `TERM`, `SIGTERM`, `SIGRTMIN+3`, `15`. Numbers are those of Linux on every
//! architecture that dwell runs on; real-time signals count from 34, as the C libraries leave them.

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
/// Other names of some.
const ALIASES: &[(&str, &str)] = &[("CLD", "CHLD"), ("IOT", "ABRT"), ("POLL", "IO")];
const FIRST_REAL_TIME: i32 = 34;
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
        let number = by_name(name).or_else(|| name.parse().ok()).filter(|number| (1..=LAST).contains(number));
        number.map(SignalName).ok_or_else(|| UnknownSignal(text.to_owned()))
    }
}

fn by_name(name: &str) -> Option<i32> {
    let name = ALIASES.iter().find(|(alias, _)| *alias == name).map_or(name, |(_, known)| known);
    let usual = NAMES.iter().find(|(known, _)| *known == name).map(|(_, number)| *number);
    usual.or_else(|| real_time(name))
}

/// `RTMIN`, `RTMIN+3`, `RTMAX-2`, `RTMAX`.
fn real_time(name: &str) -> Option<i32> {
    let steps = |rest: &str, sign: char| match rest {
        "" => Some(0),
        _ => rest.strip_prefix(sign)?.parse::<u8>().ok().map(i32::from),
    };
    let number = match (name.strip_prefix("RTMIN"), name.strip_prefix("RTMAX")) {
        (Some(rest), _) => FIRST_REAL_TIME + steps(rest, '+')?,
        (_, Some(rest)) => LAST - steps(rest, '-')?,
        _ => return None,
    };
    (FIRST_REAL_TIME..=LAST).contains(&number).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_prefixes_and_numbers_are_signals_and_nothing_else_is() {
        for text in ["TERM", "sigterm", "15"] {
            assert_eq!(text.parse::<SignalName>().unwrap().number(), 15);
        }
        for (text, number) in [("SIGRTMIN", 34), ("RTMIN+3", 37), ("SIGRTMAX-2", 62), ("rtmax", 64), ("SIGPOLL", 29)] {
            assert_eq!(text.parse::<SignalName>().unwrap().number(), number);
        }
        for text in ["", "0", "65", "-9", "KILLER", "RTMIN+31", "RTMIN-1", "RTMAX+1", "RTMAX-31", "RTMIN3"] {
            assert!(text.parse::<SignalName>().is_err(), "{text}");
        }
    }
}
