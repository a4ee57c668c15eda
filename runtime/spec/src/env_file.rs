//! Files that hold variables, as Kubernetes reads them for `fileKeyRef`: `NAME='value'`, which any POSIX shell reads the
//! same way. Written by members, so hostile. Pure; must never guess what a line may have meant.
//!
//! Blank lines, blanks before a name and around `=`, and lines that begin with `#` mean nothing. What stands between the
//! quotes is the value, line ends too. Of two with one name the later counts.

use std::fmt;

/// Bytes of a file at most.
pub const FILE_MAX: u64 = 1 << 20;
/// Bytes of a name that is asked for, and of a value, at most: the kubelet's.
pub const NAME_MAX: usize = 128;
/// See `NAME_MAX`.
pub const VALUE_MAX: usize = 32 << 10;

const BLANKS: [char; 2] = [' ', '\t'];

/// What cannot be read, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// From 1.
    pub line: usize,
    why: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {} (a line is NAME='value')", self.line, self.why)
    }
}

/// The value of a name; `None` where the file has no such name.
///
/// # Errors
/// Any line that cannot be read, also behind the name.
pub fn value<'a>(text: &'a str, name: &str) -> Result<Option<&'a str>, Fault> {
    let mut rest = Rest { text, line: 1 };
    let mut found = None;
    while let Some((known, value)) = rest.variable()? {
        if known == name {
            found = Some(value);
        }
    }
    Ok(found)
}

/// What is still to be read.
struct Rest<'a> {
    text: &'a str,
    line: usize,
}

impl<'a> Rest<'a> {
    /// The next name and value.
    fn variable(&mut self) -> Result<Option<(&'a str, &'a str)>, Fault> {
        self.skip_what_means_nothing();
        if self.text.is_empty() {
            return Ok(None);
        }
        let line = self.text.lines().next().unwrap_or_default();
        let Some((name, _)) = line.split_once('=') else { return Err(self.fault("there is no `=`")) };
        let bare = name.trim_end_matches(BLANKS);
        if bare.is_empty() || bare.contains(|c: char| c.is_whitespace() || c.is_control() || "'\"".contains(c)) {
            return Err(self.fault(&format!("{} is no variable's name", shown(bare))));
        }
        self.text = self.text[name.len() + 1..].trim_start_matches(BLANKS);
        let Some(quoted) = self.text.strip_prefix('\'') else {
            return Err(self.fault(&format!("the value of {} does not stand in single quotes", shown(bare))));
        };
        let Some((value, after)) = quoted.split_once('\'') else {
            return Err(self.fault(&format!("the quote of {} is not closed", shown(bare))));
        };
        self.line += value.matches('\n').count();
        self.text = after;
        self.end_of_line(bare)?;
        Ok(Some((bare, value)))
    }

    fn skip_what_means_nothing(&mut self) {
        loop {
            self.text = self.text.trim_start_matches(BLANKS);
            if self.text.starts_with('#') {
                self.text = &self.text[self.text.find('\n').unwrap_or(self.text.len())..];
            }
            let Some(next) = self.text.strip_prefix('\n') else { return };
            (self.text, self.line) = (next, self.line + 1);
        }
    }

    /// Behind a value comes nothing but a remark.
    fn end_of_line(&mut self, name: &str) -> Result<(), Fault> {
        let tail = self.text.split('\n').next().unwrap_or_default();
        let said = tail.trim_matches(BLANKS);
        let is_remark = said.starts_with('#') && tail.starts_with(BLANKS);
        if !said.is_empty() && !is_remark {
            return Err(self.fault(&format!("behind the value of {} comes {}", shown(name), shown(said))));
        }
        self.text = &self.text[tail.len()..];
        Ok(())
    }

    fn fault(&self, why: &str) -> Fault {
        Fault { line: self.line, why: why.to_owned() }
    }
}

/// A few letters of it.
fn shown(text: &str) -> String {
    let short: String = text.chars().take(40).collect();
    format!("{short:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_what_stands_in_the_quotes() {
        let text =
            "# remark\n\n  A='1'\nB = 'two words'  # and why\nLINES='a\n# no remark\n$HOME \\n'\nEMPTY=''\nA='2'";
        let of = |name| value(text, name).expect("reads");
        assert_eq!(of("A"), Some("2"), "as a shell has it");
        assert_eq!(of("B"), Some("two words"));
        assert_eq!(of("LINES"), Some("a\n# no remark\n$HOME \\n"));
        assert_eq!(of("EMPTY"), Some(""));
        assert_eq!(of("C"), None);
        assert_eq!(value("", "A"), Ok(None));
        assert_eq!(value("#", "A"), Ok(None));
    }

    #[test]
    fn whatever_a_shell_would_read_otherwise_is_refused() {
        let refused = [
            ("A=1", 1, "single quotes"),
            ("\nA=\"1\"", 2, "single quotes"),
            ("A='1''2'", 1, "behind the value"),
            ("A='1'$B", 1, "behind the value"),
            ("A='1'#b", 1, "behind the value"),
            ("A='1'\r\nB='2'", 1, "\"\\r\""),
            ("A='a\nb'\nB", 3, "no `=`"),
            ("A='a\nb", 1, "not closed"),
            ("export A='1'", 1, "no variable's name"),
            ("='1'", 1, "no variable's name"),
            ("A='1'\nB\n='2'", 2, "no `=`"),
        ];
        for (text, line, why) in refused {
            let fault = value(text, "A").expect_err(text);
            assert_eq!(fault.line, line, "{text:?}: {fault}");
            assert!(fault.to_string().contains(why), "{text:?}: {fault}");
        }
    }

    #[test]
    fn hostile_files_are_told_in_few_words() {
        let fault = value(&"x".repeat(1 << 20), "A").expect_err("no variable").to_string();
        assert!(fault.len() < 200, "{fault}");
        let fault = value(&format!("{}='1'", "x\u{7}".repeat(1 << 10)), "A").expect_err("no name").to_string();
        assert!(fault.len() < 400 && !fault.contains('\u{7}'), "{fault}");
    }
}
