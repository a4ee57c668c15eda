//! Reading the report file that init, worker or the compile process left.
//!
//! Hostile text: bounded, decoded leniently, control characters replaced, so that it can stand in a status, a log
//! line or on a terminal. Never a path or an argument.

use std::fs::File;
use std::os::unix::fs::FileExt;

use dwell_spec::plan::init::REPORT_MAX;
use dwell_spec::plan::worker::WorkerReport;
use serde::Deserialize;

/// What init says when a start fails, or the worker when its guest ends badly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// A CamelCase word.
    pub reason: String,
    /// Plain sentences.
    pub message: String,
    /// Whether init failed before the member was executed.
    pub start_failed: bool,
}

#[derive(Deserialize)]
struct InitReport {
    op: String,
    #[serde(default)]
    message: String,
}

/// The report of a run, if it left one.
pub fn read_report(file: &File) -> Option<Report> {
    let text = read_bounded(file)?;
    let line = text.lines().next().unwrap_or_default();
    if let Ok(report) = serde_json::from_str::<WorkerReport>(line) {
        let (reason, message) = (word(&report.reason), sentence(&report.message));
        return Some(Report { reason, message, start_failed: false });
    }
    let report: InitReport = serde_json::from_str(line).ok()?;
    let message = sentence(if report.message.is_empty() { &report.op } else { &report.message });
    Some(Report { reason: "StartError".into(), message, start_failed: true })
}

/// The compile process's or worker's own form.
pub fn read_worker_report(file: &File) -> Option<WorkerReport> {
    let text = read_bounded(file)?;
    let report: WorkerReport = serde_json::from_str(text.trim_end()).ok()?;
    Some(WorkerReport { reason: word(&report.reason), message: sentence(&report.message) })
}

fn read_bounded(file: &File) -> Option<String> {
    let mut bytes = vec![0u8; REPORT_MAX];
    let mut filled = 0;
    while filled < bytes.len() {
        match file.read_at(&mut bytes[filled..], filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(_) => return None,
        }
    }
    (filled > 0).then(|| String::from_utf8_lossy(&bytes[..filled]).into_owned())
}

/// Letters and digits only, at most 64: what Kubernetes allows of a reason.
fn word(text: &str) -> String {
    let word: String = text.chars().filter(char::is_ascii_alphanumeric).take(64).collect();
    if word.is_empty() { "Error".into() } else { word }
}

/// Control characters but newline become `?`.
pub(crate) fn sentence(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { '?' } else { c }).take(REPORT_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn file(text: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text).unwrap();
        file
    }

    #[test]
    fn a_workers_report_keeps_its_reason() {
        let report = read_report(&file(br#"{"reason":"Trap","message":"unreachable"}"#)).unwrap();
        assert_eq!((report.reason.as_str(), report.start_failed), ("Trap", false));
    }

    #[test]
    fn an_init_report_is_a_failed_start() {
        let report =
            read_report(&file(br#"{"op":"PivotRoot","path":"/","errno":22,"message":"pivot the root: EINVAL"}"#));
        assert!(report.unwrap().start_failed);
    }

    #[test]
    fn terminal_escapes_and_garbage_do_not_pass() {
        let report = read_report(&file(b"{\"reason\":\"Tr\\u001bap!\",\"message\":\"a\\u001b[2Jb\"}")).unwrap();
        assert_eq!((report.reason.as_str(), report.message.as_str()), ("Trap", "a?[2Jb"));
        assert_eq!(read_report(&file(&[0xff; 9000])), None);
    }
}
