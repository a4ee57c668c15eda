//! Members' output, written to standard output and standard error.
//!
//! Without prefixes: byte for byte. With prefixes: each line begins with its member's name, and only lines do; a line in
//! two records keeps one prefix. When another member has something to say while a line is unfinished, that line is ended
//! first, and its rest begins a new line with a prefix of its own; if the rest is the line's end alone, it is there already.
//! Standard output is flushed before anything goes to standard error and the other way round, so that their order survives
//! where both lead to the same place.

use std::collections::HashSet;
use std::io::{self, Write};

use dwell::container::log::{Record, Stream};

use super::style::Style;

/// Where members' output goes.
pub struct MemberOutput<O: Write, E: Write> {
    out: Sink<O>,
    err: Sink<E>,
    last: Stream,
    timestamps: bool,
}

struct Sink<W: Write> {
    writer: W,
    prefixes: Vec<String>,
    open_line: Option<usize>,
    /// Members whose line was ended because another had something to say.
    cut: HashSet<usize>,
}

impl<O: Write, E: Write> MemberOutput<O, E> {
    /// Lines begin with the name of their member (by position), unless `names` is `None`.
    pub fn new(out: (O, Style), err: (E, Style), names: Option<&[String]>) -> Self {
        let out = Sink { writer: out.0, prefixes: prefixes(names, out.1), open_line: None, cut: HashSet::new() };
        let err = Sink { writer: err.0, prefixes: prefixes(names, err.1), open_line: None, cut: HashSet::new() };
        Self { out, err, last: Stream::Stdout, timestamps: false }
    }

    /// Lines begin with their time as well.
    pub fn with_timestamps(mut self, timestamps: bool) -> Self {
        self.timestamps = timestamps;
        self
    }

    /// Writes one record of a member.
    ///
    /// # Errors
    /// What writing failed with.
    pub fn write(&mut self, member: usize, record: &Record<'_>) -> io::Result<()> {
        if record.stream != self.last {
            self.flush()?;
            self.last = record.stream;
        }
        let time = record.time.filter(|_| self.timestamps);
        match record.stream {
            Stream::Stdout => self.out.write(member, record, time),
            Stream::Stderr => self.err.write(member, record, time),
        }
    }

    /// Hands everything to the system.
    ///
    /// # Errors
    /// What writing failed with.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.writer.flush()?;
        self.err.writer.flush()
    }
}

impl<W: Write> Sink<W> {
    fn write(&mut self, member: usize, record: &Record<'_>, time: Option<&str>) -> io::Result<()> {
        if let Some(other) = self.open_line.filter(|other| *other != member && !self.prefixes.is_empty()) {
            self.writer.write_all(b"\n")?;
            self.open_line = None;
            self.cut.insert(other);
        }
        if self.cut.remove(&member) && record.ends_line && record.bytes.is_empty() {
            return Ok(());
        }
        if self.open_line.is_none() {
            self.begin_line(member, time)?;
        }
        self.writer.write_all(record.bytes)?;
        self.open_line = Some(member).filter(|_| !record.ends_line);
        match record.ends_line {
            true => self.writer.write_all(b"\n"),
            false => Ok(()),
        }
    }

    fn begin_line(&mut self, member: usize, time: Option<&str>) -> io::Result<()> {
        if let Some(prefix) = self.prefixes.get(member) {
            self.writer.write_all(prefix.as_bytes())?;
        }
        match time {
            Some(time) => write!(self.writer, "{time} "),
            None => Ok(()),
        }
    }
}

/// `name | `, all of one width.
fn prefixes(names: Option<&[String]>, style: Style) -> Vec<String> {
    let names = names.unwrap_or_default();
    let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    names.iter().enumerate().map(|(n, name)| format!("{} ", style.member(n, &format!("{name:width$} |")))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(stream: Stream, bytes: &[u8], ends_line: bool) -> Record<'_> {
        Record { time: Some("T"), stream, ends_line, bytes }
    }

    fn written(names: Option<&[String]>, timestamps: bool, records: &[(usize, Record<'_>)]) -> (String, String) {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let plain = Style::plain();
        let mut output = MemberOutput::new((&mut out, plain), (&mut err, plain), names).with_timestamps(timestamps);
        for (member, record) in records {
            output.write(*member, record).unwrap();
        }
        output.flush().unwrap();
        (String::from_utf8_lossy(&out).into(), String::from_utf8_lossy(&err).into())
    }

    #[test]
    fn one_member_is_copied_byte_for_byte() {
        let records = [
            (0, record(Stream::Stdout, b"a", false)),
            (0, record(Stream::Stderr, b"e", true)),
            (0, record(Stream::Stdout, b"b\r", true)),
            (0, record(Stream::Stdout, b"no end", false)),
        ];
        assert_eq!(written(None, false, &records), ("ab\r\nno end".into(), "e\n".into()));
    }

    #[test]
    fn prefixes_stand_at_line_starts_only() {
        let names = ["web".to_owned(), "a".to_owned()];
        let records = [
            (0, record(Stream::Stdout, b"long ", false)),
            (0, record(Stream::Stdout, b"line", true)),
            (0, record(Stream::Stdout, b"half", false)),
            (1, record(Stream::Stdout, b"x", true)),
            (0, record(Stream::Stdout, b"rest", true)),
            (1, record(Stream::Stderr, b"", true)),
        ];
        let expected = "web | long line\nweb | half\na   | x\nweb | rest\n";
        assert_eq!(written(Some(&names), false, &records), (expected.into(), "a   | \n".into()));
    }

    /// A Python member writes a line's text and its end apart; between the two another member spoke, and an empty line
    /// that nobody had written followed.
    #[test]
    fn the_end_of_a_line_that_was_cut_is_not_another_line() {
        let names = ["web".to_owned(), "a".to_owned()];
        let records = [
            (0, record(Stream::Stdout, b"text", false)),
            (1, record(Stream::Stdout, b"x", true)),
            (0, record(Stream::Stdout, b"", true)),
            (0, record(Stream::Stdout, b"", true)),
            (0, record(Stream::Stdout, b"more", true)),
        ];
        assert_eq!(written(Some(&names), false, &records).0, "web | text\na   | x\nweb | \nweb | more\n");
    }

    #[test]
    fn timestamps_stand_at_line_starts_only() {
        let records = [(0, record(Stream::Stdout, b"a", false)), (0, record(Stream::Stdout, b"b", true))];
        assert_eq!(written(None, true, &records).0, "T ab\n");
    }
}
