//! Makes text from outside (names, reasons, messages) harmless on a terminal. A member's own output is not touched here:
//! that is the user's program talking to the user's terminal.

/// Bytes of such a text at most.
const LONGEST: usize = 8 * 1024;

/// The text with every control character (but newline and tab) spelled out, bidirectional overrides too; cut when long.
pub fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len().min(LONGEST));
    for (at, c) in text.char_indices() {
        if out.len() >= LONGEST {
            cut(&mut out, &text[at..]);
            break;
        }
        match is_harmless(c) {
            true => out.push(c),
            false => out.extend(c.escape_unicode()),
        }
    }
    out
}

/// Whole lines if there are some, and how many more there would be.
fn cut(out: &mut String, rest: &str) {
    match out.rfind('\n') {
        Some(line) => {
            out.truncate(line + 1);
            *out += &format!("… and {} more lines", rest.trim_end().matches('\n').count() + 1);
        }
        None => out.push('…'),
    }
}

/// `printable`, on one line.
pub fn one_line(text: &str) -> String {
    printable(text).replace(['\n', '\t'], " ")
}

fn is_harmless(c: char) -> bool {
    let bidirectional = matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}');
    (!c.is_control() || c == '\n' || c == '\t') && !bidirectional
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_spelled_out_and_plain_text_is_kept() {
        assert_eq!(printable("wörld\n\ttab"), "wörld\n\ttab");
        assert_eq!(printable("\x1b]0;x\x07\u{9b}\u{202e}"), "\\u{1b}]0;x\\u{7}\\u{9b}\\u{202e}");
        assert_eq!(one_line("a\nb"), "a b");
    }

    #[test]
    fn long_text_is_cut() {
        assert!(printable(&"x".repeat(1 << 20)).len() <= LONGEST + 10);
        let lines = "a problem\n".repeat(1000);
        let shown = printable(&lines);
        let kept = shown.matches("a problem\n").count();
        assert!(kept > 700 && shown.ends_with(&format!("\n… and {} more lines", 1000 - kept)), "{kept}");
    }
}
