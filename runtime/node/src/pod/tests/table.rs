//! Reads `rules.txt`: sections of rows `cell | cell => what follows`. It knows nothing of what they mean.

const TEXT: &str = include_str!("rules.txt");

/// Every row of a section is put to `answer`; whatever it answers otherwise than the row says is told together.
#[track_caller]
pub fn check(section: &str, answer: impl Fn(&[&str]) -> String) {
    let rows = rows(TEXT, section);
    assert!(!rows.is_empty(), "there is no section [{section}]");
    let wrong: Vec<String> = rows.iter().filter_map(|row| row.fault(&answer)).collect();
    assert!(wrong.is_empty(), "[{section}]: {} of {} rows\n{}", wrong.len(), rows.len(), wrong.join("\n"));
}

/// The names of all sections.
pub fn sections() -> Vec<&'static str> {
    TEXT.lines().filter_map(section_of).collect()
}

/// What stands behind `#@`: a rule, and the test that keeps it with real processes.
pub fn kept_by() -> Vec<(&'static str, &'static str)> {
    let lines = TEXT.lines().filter_map(|line| line.strip_prefix("#@ "));
    lines.map(|line| line.trim_end().rsplit_once(' ').expect("a rule and a test")).collect()
}

struct Row<'a> {
    line: usize,
    text: &'a str,
    cells: Vec<&'a str>,
    follows: String,
}

impl Row<'_> {
    fn fault(&self, answer: &impl Fn(&[&str]) -> String) -> Option<String> {
        let answer = answer(&self.cells);
        (answer != self.follows)
            .then(|| format!("rules.txt:{}: {}\n  but the code says: {answer}", self.line, self.text))
    }
}

fn section_of(line: &str) -> Option<&str> {
    line.strip_prefix('[')?.strip_suffix(']')
}

fn rows<'a>(text: &'a str, section: &str) -> Vec<Row<'a>> {
    let (mut within, mut rows) = (false, Vec::new());
    for (number, line) in text.lines().enumerate().map(|(n, line)| (n + 1, line.trim())) {
        if let Some(name) = section_of(line) {
            within = name == section;
        } else if within && !line.is_empty() && !line.starts_with('#') {
            rows.push(row(number, line));
        }
    }
    rows
}

fn row(line: usize, text: &str) -> Row<'_> {
    let (situation, follows) = text.split_once("=>").unwrap_or_else(|| panic!("rules.txt:{line}: a row has a =>"));
    let follows = follows.split_whitespace().collect::<Vec<_>>().join(" ");
    Row { line, text, cells: situation.split('|').map(str::trim).collect(), follows }
}

#[test]
fn a_row_that_the_code_breaks_is_found() {
    let text = "[a]\nx | y => z\n[b]\nx => y\n";
    let [row] = &rows(text, "a")[..] else { panic!("one row") };
    assert_eq!((row.line, &row.cells[..], row.follows.as_str()), (2, &["x", "y"][..], "z"));
    assert!(row.fault(&|_: &[&str]| "z".into()).is_none());
    assert!(row.fault(&|_: &[&str]| "y".into()).is_some_and(|fault| fault.contains("rules.txt:2")));
}
