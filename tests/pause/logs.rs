//! Reads records back: the test's own, strict reader.

use std::fs::File;

use crate::harness::contents;

/// One record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub stderr: bool,
    pub full: bool,
    pub text: Vec<u8>,
}

/// Every record of the files, in order. Anything that is no record is a failure.
pub fn records(files: &[&File]) -> Vec<Record> {
    files.iter().flat_map(|file| parse(&contents(file))).collect()
}

fn parse(bytes: &[u8]) -> Vec<Record> {
    assert!(bytes.is_empty() || bytes.ends_with(b"\n"), "the last record is torn");
    bytes.split_inclusive(|byte| *byte == b'\n').map(|line| record(&line[..line.len() - 1])).collect()
}

fn record(line: &[u8]) -> Record {
    let shape = b"0000-00-00T00:00:00.000000000Z std";
    let torn = || panic!("no record: {:?}", String::from_utf8_lossy(line));
    for (byte, shape) in line.iter().zip(shape) {
        if !(byte == shape || *shape == b'0' && byte.is_ascii_digit()) {
            torn();
        }
    }
    if line.len() < 40 {
        torn();
    }
    let (stream, tag) = (&line[31..37], &line[37..40]);
    assert!(stream == b"stdout" || stream == b"stderr", "{stream:?}");
    assert!(tag == b" F " || tag == b" P ", "{tag:?}");
    Record { stderr: stream == b"stderr", full: tag == b" F ", text: line[40..].to_vec() }
}

/// What the member wrote to one stream.
pub fn output(files: &[&File], stderr: bool) -> Vec<u8> {
    joined(&records(files), stderr)
}

/// The same while it is being written: a record that crosses a page is seen in two halves for a moment, which once failed a
/// test as torn.
pub fn output_so_far(files: &[&File], stderr: bool) -> Vec<u8> {
    let whole = |bytes: Vec<u8>| {
        let end = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        parse(&bytes[..end])
    };
    joined(&files.iter().flat_map(|file| whole(contents(file))).collect::<Vec<_>>(), stderr)
}

fn joined(records: &[Record], stderr: bool) -> Vec<u8> {
    let mut bytes = Vec::new();
    for record in records.iter().filter(|record| record.stderr == stderr) {
        bytes.extend(&record.text);
        if record.full {
            bytes.push(b'\n');
        }
    }
    bytes
}

/// The numbers at the beginning of each line of standard output.
pub fn numbers(files: &[&File]) -> Vec<u64> {
    numbers_in(output(files, false))
}

/// The same while they are being written.
pub fn numbers_so_far(files: &[&File]) -> Vec<u64> {
    numbers_in(output_so_far(files, false))
}

fn numbers_in(output: Vec<u8>) -> Vec<u64> {
    let text = String::from_utf8(output).unwrap();
    text.lines().map(|line| line.trim().parse().unwrap()).collect()
}
