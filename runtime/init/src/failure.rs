//! Why a start failed, and how it is told: one line of JSON in the report file, an exit status, nothing else.
//!
//! The report is bounded (`REPORT_MAX`) and written by hand, so that init carries no JSON library; paths in it may come
//! from an image, so everything that is not printable ASCII is escaped or cut.

use std::fmt::Write;
use std::os::fd::BorrowedFd;

use dwell_spec::plan::init::{REPORT_MAX, STATUS_SETUP};
use rustix::io::Errno;

/// Characters of a path in a report; the message gets the rest.
const PATH_CHARS: usize = 512;
/// Characters of a message; each takes at most 6 bytes when escaped, and half the report is left for the rest.
const MESSAGE_CHARS: usize = 300;

/// The first thing that went wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The operation's name as in `Op`, or `Exec`, or `ReadPlan`.
    pub op: &'static str,
    /// What it was applied to, if it has a path.
    pub path: String,
    /// What the kernel said.
    pub errno: Option<Errno>,
    /// One plain sentence.
    pub message: String,
    /// Exit status.
    pub status: i32,
}

impl Failure {
    /// An operation that the kernel refused.
    pub fn refused(op: &'static str, path: &str, errno: Errno) -> Self {
        let what = phrase(op);
        let what = if path.is_empty() { what.to_owned() } else { format!("{what} {path}") };
        let message = format!("{what}: {}", described(errno));
        Self { op, path: path.to_owned(), errno: Some(errno), message, status: STATUS_SETUP }
    }

    /// An operation that init itself refused.
    pub fn because(op: &'static str, path: &str, message: String) -> Self {
        Self { op, path: path.to_owned(), errno: None, message, status: STATUS_SETUP }
    }

    /// The same of one that a filter may have caused.
    pub fn under_a_filter(mut self) -> Self {
        if matches!(self.errno, Some(Errno::PERM | Errno::NOSYS)) {
            self.message += " (its system call filter may forbid it)";
        }
        self
    }

    /// Writes the report and ends the process.
    pub fn report_and_exit(&self, report: Option<BorrowedFd<'_>>) -> ! {
        let text = self.json();
        debug_assert!(text.len() <= REPORT_MAX);
        if let Some(report) = report {
            // Nothing is left to tell it to; the exit status still says that it failed.
            let _ = rustix::io::write(report, text.as_bytes());
        }
        std::process::exit(self.status)
    }

    fn json(&self) -> String {
        let errno = self.errno.map_or(0, Errno::raw_os_error);
        let (path, message) = (escaped(&self.path, PATH_CHARS / 2), escaped(&self.message, MESSAGE_CHARS));
        format!("{{\"op\":\"{}\",\"path\":\"{path}\",\"errno\":{errno},\"message\":\"{message}\"}}\n", self.op)
    }
}

/// What people call an operation that fails because of what they wrote; the others keep their names.
fn phrase(op: &str) -> &str {
    match op {
        "ChangeDirectory" => "change to the working directory",
        "Attach" => "mount a volume at",
        "SetUser" => "become the user",
        "SetRlimit" => "set a resource limit",
        _ => op,
    }
}

/// The kernel's word, and what it means where that is not obvious.
fn described(errno: Errno) -> String {
    let text = std::io::Error::from(errno).to_string();
    match errno {
        Errno::LOOP => format!("{text}: a symbolic link stands where there must be none"),
        _ => text,
    }
}

fn escaped(text: &str, most: usize) -> String {
    let mut out = String::new();
    for character in text.chars().take(most) {
        match character {
            '"' | '\\' => out.extend(['\\', character]),
            ' '..='~' => out.push(character),
            other => escape(&mut out, other),
        }
    }
    out
}

fn escape(out: &mut String, character: char) {
    for unit in character.encode_utf16(&mut [0; 2]) {
        // Writing to a String cannot fail.
        let _ = write!(out, "\\u{unit:04x}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_one_bounded_line_of_json() {
        let hostile = "\n\"}\\\u{1b}[31m\u{1f600}".repeat(5000);
        let failure = Failure::because("Attach", &hostile, hostile.clone());
        let text = failure.json();
        assert!(text.len() <= REPORT_MAX, "{}", text.len());
        assert_eq!(text.matches('\n').count(), 1);
        assert!(text.bytes().all(|byte| byte == b'\n' || (b' '..=b'~').contains(&byte)));
    }

    #[test]
    fn it_names_operation_path_and_errno() {
        let text = Failure::refused("MountProc", "/proc", Errno::PERM).json();
        let start = "{\"op\":\"MountProc\",\"path\":\"/proc\",\"errno\":1,\"message\":\"MountProc /proc: ";
        assert!(text.starts_with(start), "{text}");
    }
}
