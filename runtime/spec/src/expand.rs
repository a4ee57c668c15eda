//! `$(VAR)` in command, args and env, exactly as Kubernetes expands it.
//!
//! Source: third_party/forked/golang/expansion. `$(VAR)` is the variable's value, or itself when there is none;
//! `$$` is one `$`, so `$$(VAR)` is the text `$(VAR)`; any other `$` is itself. What is put in is not expanded again.
//! (One thing is not copied: behind a lone `$` the original splits a character of several bytes.)
//! The result is bounded, since variables that hold one another double with every line.

use std::collections::HashMap;
use std::fmt;

/// Bytes of one string that the kernel takes at exec (MAX_ARG_STRLEN), without the NUL.
pub const MAX_STRING: usize = 128 * 1024 - 1;

/// Bytes to which many strings may expand together: more than a program can be given.
pub const MAX_TOGETHER: usize = 8 << 20;

/// The result would be longer than `MAX_STRING`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLong;

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expands to more than {MAX_STRING} bytes, the kernel's limit for one string")
    }
}

impl std::error::Error for TooLong {}

/// Variables in order, each once: one that is written twice keeps its place and takes the later value.
#[derive(Debug, Default)]
pub struct Variables {
    list: Vec<(String, String)>,
    places: HashMap<String, usize>,
}

impl Variables {
    /// A variable's value.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.places.get(name).map(|place| self.list[*place].1.as_str())
    }

    /// Sets a variable.
    pub fn set(&mut self, name: &str, value: String) {
        match self.places.get(name) {
            Some(place) => self.list[*place].1 = value,
            None => {
                self.places.insert(name.to_owned(), self.list.len());
                self.list.push((name.to_owned(), value));
            }
        }
    }

    /// Expands `text` by them.
    ///
    /// # Errors
    /// As `expand`.
    pub fn expand(&self, text: &str) -> Result<String, TooLong> {
        expand(text, |name| self.get(name))
    }

    /// Names and values.
    pub fn into_list(self) -> Vec<(String, String)> {
        self.list
    }
}

/// Expands `text`; `value_of` knows the variables.
///
/// # Errors
/// When the result is longer than the kernel takes.
pub fn expand<'a>(text: &str, value_of: impl Fn(&str) -> Option<&'a str>) -> Result<String, TooLong> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        push(&mut out, before)?;
        rest = match reference(after) {
            Reference::Escaped(tail) => push(&mut out, "$").map(|()| tail)?,
            Reference::Variable(name, tail) => {
                match value_of(name) {
                    Some(value) => push(&mut out, value)?,
                    None => [("$("), name, ")"].into_iter().try_for_each(|part| push(&mut out, part))?,
                }
                tail
            }
            Reference::None => push(&mut out, "$").map(|()| after)?,
        };
    }
    push(&mut out, rest)?;
    Ok(out)
}

/// What stands behind a `$`, and what comes after that.
enum Reference<'a> {
    Escaped(&'a str),
    Variable(&'a str, &'a str),
    None,
}

fn reference(after: &str) -> Reference<'_> {
    if let Some(tail) = after.strip_prefix('$') {
        return Reference::Escaped(tail);
    }
    match after.strip_prefix('(').and_then(|inner| inner.split_once(')')) {
        Some((name, tail)) => Reference::Variable(name, tail),
        None => Reference::None,
    }
}

fn push(out: &mut String, part: &str) -> Result<(), TooLong> {
    if out.len() + part.len() > MAX_STRING {
        return Err(TooLong);
    }
    out.push_str(part);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(name: &str) -> Option<&'static str> {
        match name {
            "VAR_A" => Some("A"),
            "VAR_B" => Some("B"),
            "VAR_C" => Some("C"),
            "VAR_REF" => Some("$(VAR_A)"),
            "VAR_EMPTY" => Some(""),
            _ => None,
        }
    }

    /// The cases of Kubernetes' own expand_test.go.
    #[test]
    fn kubernetes_own_cases() {
        let rows = [
            ("$(VAR_A)", "A"),
            ("___$(VAR_B)___", "___B___"),
            ("$(VAR_A)-1", "A-1"),
            ("$(VAR_A)_$(VAR_B)_$(VAR_C)", "A_B_C"),
            ("foo$$(VAR_A)bar", "foo$(VAR_A)bar"),
            ("$$(VAR_A)$$(VAR_B)", "$(VAR_A)$(VAR_B)"),
            ("f000-$$VAR_A", "f000-$VAR_A"),
            ("foo\\$(VAR_C)bar", "foo\\Cbar"),
            ("foo\\\\$(VAR_C)bar", "foo\\\\Cbar"),
            ("foo\\\\\\\\$(VAR_A)bar", "foo\\\\\\\\Abar"),
            ("$(VAR_A$(VAR_B)", "$(VAR_A$(VAR_B)"),
            ("$(VAR_A$(VAR_B", "$(VAR_A$(VAR_B"),
            ("f-$(VAR_REF)", "f-$(VAR_A)"),
            ("foo-$(VAR_EMPTY)-bar", "foo--bar"),
            ("$(VAR_DNE)", "$(VAR_DNE)"),
            ("$$$$$$(BIG_MONEY)", "$$$(BIG_MONEY)"),
            ("$$$$$$(VAR_A)", "$$$(VAR_A)"),
            ("$$$$$$$(GOOD_ODDS)", "$$$$(GOOD_ODDS)"),
            ("$$$$$$$(VAR_A)", "$$$A"),
            ("$VAR_A)", "$VAR_A)"),
            ("${VAR_A}", "${VAR_A}"),
            ("$(VAR_B)_______$(A", "B_______$(A"),
            ("$(VAR_C)_______$(", "C_______$("),
            ("$(VAR_A)foobarzab$", "Afoobarzab$"),
            ("foo-\\$(VAR_A", "foo-\\$(VAR_A"),
            ("--$($($($($--", "--$($($($($--"),
            ("$($($($($--foo$(", "$($($($($--foo$("),
            ("foo0--$($($($(", "foo0--$($($($("),
            ("$(foo$$var)", "$(foo$$var)"),
            ("$ä$(VAR_A)", "$äA"),
            ("", ""),
        ];
        for (text, expected) in rows {
            assert_eq!(expand(text, known).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn the_result_is_bounded() {
        let value = "x".repeat(MAX_STRING / 2);
        let expand = |text: &str| expand(text, |_| Some(value.as_str())).map(|s| s.len());
        assert_eq!(expand("$(A)$(A)"), Ok(MAX_STRING / 2 * 2));
        assert_eq!(expand("$(A)$(A)$(A)"), Err(TooLong));
    }

    /// Text without a reference comes out as it went in; escaping anything makes it so.
    #[test]
    fn escaped_text_is_itself() {
        let mut seed = 7u32;
        let alphabet: Vec<char> = "$()VARä _".chars().collect();
        for _ in 0..20_000 {
            let mut text = String::new();
            for _ in 0..12 {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                text.push(alphabet[(seed >> 16) as usize % alphabet.len()]);
            }
            assert_eq!(expand(&text.replace('$', "$$"), known).as_deref(), Ok(text.as_str()));
        }
    }
}
