//! One physical line of a log file becomes a `Record`. Pure; borrows, never allocates; any byte string is accepted.
//!
//! Source of the format: `k8s.io/cri-client/pkg/logs` (`parseCRILog`): time, stream and tags are separated by single
//! spaces, tags among themselves by `:`, and the first tag is `F` or `P`.

/// Which of a member's two output streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stream {
    /// Standard output; also everything a terminal shows.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A piece of a member's output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// RFC 3339 with nanoseconds, as pause wrote it; `None` for a line that is no CRI line or continues a long one.
    pub time: Option<&'a str>,
    /// Where the member wrote it.
    pub stream: Stream,
    /// Whether a newline followed in the member's output.
    pub ends_line: bool,
    /// What the member wrote, without that newline.
    pub bytes: &'a [u8],
}

/// Reads one physical line, given without its newline. What is no CRI line becomes a whole line of standard output.
pub fn parse_record(line: &[u8]) -> Record<'_> {
    parse_cri(line).unwrap_or(Record { time: None, stream: Stream::Stdout, ends_line: true, bytes: line })
}

fn parse_cri(line: &[u8]) -> Option<Record<'_>> {
    let (time, rest) = split_space(line)?;
    let (stream, rest) = split_space(rest)?;
    let (tags, bytes) = split_space(rest).unwrap_or((rest, b""));
    Some(Record { time: Some(time_shape(time)?), stream: parse_stream(stream)?, ends_line: parse_tags(tags)?, bytes })
}

fn split_space(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = bytes.iter().position(|b| *b == b' ')?;
    Some((&bytes[..at], &bytes[at + 1..]))
}

fn parse_stream(word: &[u8]) -> Option<Stream> {
    match word {
        b"stdout" => Some(Stream::Stdout),
        b"stderr" => Some(Stream::Stderr),
        _ => None,
    }
}

/// Whether the first tag says that the line ended.
fn parse_tags(tags: &[u8]) -> Option<bool> {
    match tags.split(|b| *b == b':').next()? {
        b"F" => Some(true),
        b"P" => Some(false),
        _ => None,
    }
}

/// The word if it looks like RFC 3339 from afar; the exact value is parsed only where a filter compares it.
fn time_shape(word: &[u8]) -> Option<&str> {
    let shaped = (20..=40).contains(&word.len())
        && word[4] == b'-'
        && word[10] == b'T'
        && word.iter().all(|b| b.is_ascii_digit() || b"-+:.TZ".contains(b));
    shaped.then(|| std::str::from_utf8(word).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: &str = "2016-10-06T00:17:09.669794202Z";

    #[test]
    fn full_and_partial_records() {
        let line = format!("{TIME} stdout F log content 1");
        let record = parse_record(line.as_bytes());
        assert_eq!(record.time, Some(TIME));
        assert_eq!((record.stream, record.ends_line), (Stream::Stdout, true));
        assert_eq!(record.bytes, b"log content 1");
        let line = format!("{TIME} stderr P:other  two spaces\r");
        let record = parse_record(line.as_bytes());
        assert_eq!((record.stream, record.ends_line), (Stream::Stderr, false));
        assert_eq!(record.bytes, b" two spaces\r");
    }

    #[test]
    fn an_empty_line_of_the_member_is_empty() {
        for line in [format!("{TIME} stdout F "), format!("{TIME} stdout F")] {
            let record = parse_record(line.as_bytes());
            assert_eq!(record.bytes, b"");
            assert!(record.ends_line && record.time.is_some());
        }
    }

    #[test]
    fn anything_else_is_shown_as_it_is() {
        let hostile: [&[u8]; 7] = [
            b"",
            b" ",
            b"no log line",
            b"2016-10-06T00:17:09Z stdin F x",
            b"2016-10-06T00:17:09Z stdout X x",
            b"2016-10-06Tx\xff:17:09Z stdout F x",
            b"\xff\xfe\x00\x01 stdout F x",
        ];
        for line in hostile {
            let record = parse_record(line);
            assert_eq!(record, Record { time: None, stream: Stream::Stdout, ends_line: true, bytes: line });
        }
    }
}
