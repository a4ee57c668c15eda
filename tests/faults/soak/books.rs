//! What is on disk of a member: the tally that it keeps itself, and the log that its pause writes. Reads, nothing else.

use std::path::Path;

/// How far each run has counted, in order of their beginnings.
///
/// # Panics
/// When the member itself does not count as it should: then nothing can be said of its log.
pub fn tallies(file: &Path) -> Vec<usize> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let mut runs = Vec::new();
    for line in text.lines() {
        match runs.last_mut() {
            _ if line == "begun" => runs.push(0),
            Some(last) => {
                *last += 1;
                assert_eq!(line, last.to_string(), "{}", file.display());
            }
            None => panic!("{}: {line:?} before it began", file.display()),
        }
    }
    runs
}

/// The lines of one run. A record that was torn, by the end of whoever wrote it, is none.
pub fn log_lines(folder: &Path, run: usize) -> Vec<String> {
    let part = |part: usize| std::fs::read_to_string(folder.join(format!("{run}.{part}.log"))).ok();
    let text: String = (0..).map_while(part).collect();
    text.split_inclusive('\n').filter_map(|record| record.strip_suffix('\n')).map(content).collect()
}

/// What the member wrote; of a record that is not one whole line of standard output, all of it.
fn content(record: &str) -> String {
    match record.splitn(4, ' ').collect::<Vec<_>>()[..] {
        [_, "stdout", "F", text] => text.to_owned(),
        _ => record.to_owned(),
    }
}
