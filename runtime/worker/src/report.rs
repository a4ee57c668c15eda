//! What a role says when it ends badly: one JSON object in its report file, and one line for the logs.
//!
//! Guests choose parts of the text (names of imports and functions), so control characters are escaped and the whole
//! is cut to `REPORT_MAX`. The reader still treats it as hostile.

use crate::trusted;
use dwell_spec::plan::init::REPORT_MAX;
use dwell_spec::plan::worker::{WORKER_REPORT_FD, WorkerReport};
use std::fs::File;
use std::io::Write;
use std::sync::Mutex;

static FILE: Mutex<Option<File>> = Mutex::new(None);

/// Bytes of the message at most; escapes double it in JSON at worst.
const MESSAGE_MAX: usize = (REPORT_MAX - 128) / 2;

/// Takes the report file; without one, reports go to standard error alone.
pub fn open() {
    *FILE.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = trusted::inherited(WORKER_REPORT_FD).ok();
}

/// Leaves the report and says the line.
pub fn leave(reason: &str, message: &str) {
    let message = printable(message, MESSAGE_MAX);
    say(&format!("{reason}: {message}"));
    let report = WorkerReport { reason: reason.to_owned(), message };
    let mut slot = FILE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    if let (Some(mut file), Ok(json)) = (slot.take(), serde_json::to_vec(&report)) {
        // Nowhere is left to complain to: the line above was said.
        drop(file.write_all(&json));
    }
}

/// One line on standard error, `dwell: …`; line breaks become ` | `.
pub fn say(text: &str) {
    let line = text.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" | ");
    drop(writeln!(std::io::stderr(), "dwell: {}", printable(&line, MESSAGE_MAX)));
}

/// Leaves the report and ends the process.
pub fn fail(status: i32, reason: &str, message: &str) -> ! {
    leave(reason, message);
    std::process::exit(status)
}

/// A panic of ours ends a single-guest process with a report instead of a trace.
pub fn panics_end_the_process() {
    std::panic::set_hook(Box::new(|info| fail(134, "WorkerPanic", &panic_text(info))));
}

/// A panic of ours fails the request it happened in, with a line.
pub fn panics_are_said() {
    std::panic::set_hook(Box::new(|info| say(&panic_text(info))));
}

fn panic_text(info: &std::panic::PanicHookInfo<'_>) -> String {
    let payload = info.payload();
    let text = payload.downcast_ref::<&str>().copied().or(payload.downcast_ref::<String>().map(String::as_str));
    let place = info.location().map(|at| format!(" at {}:{}", at.file(), at.line())).unwrap_or_default();
    format!("the worker itself failed{place}: {}", text.unwrap_or("no message"))
}

/// The text without control characters but for line breaks, cut at a character within `max` bytes.
pub fn printable(text: &str, max: usize) -> String {
    let mut out = String::new();
    for c in text.chars() {
        let keep = c == '\n' || !c.is_control();
        let piece = if keep { c.to_string() } else { c.escape_default().to_string() };
        if out.len() + piece.len() > max {
            out.push('…');
            break;
        }
        out.push_str(&piece);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminal_escapes_are_text_and_plain_text_stays() {
        assert_eq!(printable("a\u{1b}[2Jb\nü", 100), "a\\u{1b}[2Jb\nü");
        assert_eq!(printable("plain", 100), "plain");
    }

    #[test]
    fn longest_report_fits() {
        let message = printable(&"\"\\\u{1}".repeat(9000), MESSAGE_MAX);
        let report = WorkerReport { reason: "MissingImport".to_owned(), message };
        assert!(serde_json::to_vec(&report).unwrap().len() <= REPORT_MAX);
    }
}
