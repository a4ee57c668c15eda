//! Torn lines, rotation, restarts, joined records, tail and since; each against files made for it.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::container::log::LogWatch;

static UNIQUE: AtomicU32 = AtomicU32::new(0);

struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let unique = UNIQUE.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("dwell-log-{}-{unique}", std::process::id()));
        std::fs::create_dir(&dir).unwrap();
        Self(dir)
    }

    fn append(&self, name: &str, text: impl AsRef<[u8]>) {
        let mut file = OpenOptions::new().create(true).append(true).open(self.0.join(name)).unwrap();
        file.write_all(text.as_ref()).unwrap();
    }

    fn reader(&self, filter: Filter) -> LogReader {
        LogReader::new(self.0.clone(), filter)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

const ALL: Filter = Filter { attempts: Attempts::All, since: None, tail: None };

fn line(second: u32, stream: &str, tag: &str, text: &str) -> String {
    format!("2026-01-02T03:04:{second:02}.000000001Z {stream} {tag} {text}\n")
}

/// What the member wrote to standard output, newlines included; a while ago, if the log is finished.
fn joined(reader: &mut LogReader, finish: bool) -> String {
    let before = std::time::SystemTime::now() - std::time::Duration::from_secs(10);
    let files = std::fs::read_dir(&reader.dir).into_iter().flatten().flatten().filter(|_| finish);
    files
        .filter_map(|file| File::open(file.path()).ok())
        .for_each(|file| file.set_modified(before).unwrap_or_default());
    read(reader, finish)
}

fn read(reader: &mut LogReader, finish: bool) -> String {
    let mut out = Vec::new();
    let sink = |record: Record<'_>| {
        out.extend_from_slice(record.bytes);
        out.extend_from_slice(if record.ends_line { b"\n" } else { b"" });
        Ok(())
    };
    if finish { reader.finish(sink) } else { reader.drain(sink) }.unwrap();
    String::from_utf8_lossy(&out).into_owned()
}

#[test]
fn partial_records_join_to_the_bytes_that_were_written() {
    let folder = Folder::new();
    folder.append("0.0.log", line(1, "stdout", "P", "abc"));
    folder.append("0.0.log", line(1, "stdout", "F", "def"));
    folder.append("0.0.log", line(2, "stdout", "P", "no end"));
    assert_eq!(joined(&mut folder.reader(ALL), true), "abcdef\nno end");
}

#[test]
fn a_torn_line_waits_until_it_is_whole() {
    let folder = Folder::new();
    let whole = line(1, "stdout", "F", "hello");
    let (head, rest) = whole.split_at(20);
    folder.append("0.0.log", head);
    let mut reader = folder.reader(ALL);
    assert_eq!(joined(&mut reader, false), "");
    folder.append("0.0.log", rest);
    assert_eq!(joined(&mut reader, false), "hello\n");
    assert_eq!(joined(&mut reader, false), "");
}

#[test]
fn a_line_torn_for_good_is_shown_at_the_end_and_before_the_next_file() {
    let folder = Folder::new();
    folder.append("0.0.log", "2026-01-02T03:0");
    assert_eq!(joined(&mut folder.reader(ALL), true), "2026-01-02T03:0\n");
    folder.append("1.0.log", line(1, "stdout", "F", "next"));
    assert_eq!(joined(&mut folder.reader(ALL), false), "2026-01-02T03:0\nnext\n");
}

#[test]
fn rotation_and_restart_are_followed_in_order() {
    let folder = Folder::new();
    let mut reader = folder.reader(ALL);
    assert_eq!(joined(&mut reader, false), "");
    folder.append("0.0.log", line(1, "stdout", "F", "one"));
    folder.append("0.1.log", "");
    assert_eq!(joined(&mut reader, false), "one\n");
    folder.append("0.0.log", line(2, "stdout", "F", "two"));
    folder.append("0.1.log", line(3, "stdout", "F", "three"));
    folder.append("0.2.log", "");
    assert_eq!(joined(&mut reader, false), "two\nthree\n");
    folder.append("1.0.log", line(4, "stdout", "F", "four"));
    assert_eq!(joined(&mut reader, false), "four\n");
}

#[test]
fn parts_sort_as_numbers_and_strangers_are_ignored() {
    let folder = Folder::new();
    for part in [10, 9, 2] {
        folder.append(&format!("0.{part}.log"), line(1, "stdout", "F", &part.to_string()));
    }
    folder.append("0.3.log.tmp", "x\n");
    std::os::unix::fs::symlink("/etc/passwd", folder.0.join("0.11.log")).unwrap();
    let mut reader = folder.reader(ALL);
    assert_eq!(joined(&mut reader, true), "2\n");
    std::fs::remove_file(folder.0.join("0.2.log")).unwrap();
    assert_eq!(joined(&mut reader, true), "9\n10\n");
}

#[test]
fn a_link_is_never_followed() {
    let folder = Folder::new();
    std::os::unix::fs::symlink("/etc/passwd", folder.0.join("0.0.log")).unwrap();
    let failed = folder.reader(ALL).drain(|_| panic!("read through a link"));
    assert!(matches!(failed, Err(LogFailure::Read(..))));
}

#[test]
fn a_reader_that_lags_goes_on_with_what_is_left() {
    let folder = Folder::new();
    folder.append("0.0.log", line(1, "stdout", "F", "a"));
    let mut reader = folder.reader(ALL);
    assert_eq!(joined(&mut reader, false), "a\n");
    std::fs::remove_file(folder.0.join("0.0.log")).unwrap();
    folder.append("0.4.log", line(1, "stdout", "F", "e"));
    assert_eq!(joined(&mut reader, false), "e\n");
}

#[test]
fn attempts_are_told_apart() {
    let folder = Folder::new();
    for attempt in 0..3 {
        folder.append(&format!("{attempt}.0.log"), line(1, "stdout", "F", &format!("run {attempt}")));
    }
    let of = |attempts| joined(&mut folder.reader(Filter { attempts, ..ALL }), true);
    assert_eq!(of(Attempts::All), "run 0\nrun 1\nrun 2\n");
    assert_eq!(of(Attempts::Current), "run 2\n");
    assert_eq!(of(Attempts::Previous), "run 1\n");
}

#[test]
fn no_previous_attempt_is_said() {
    let folder = Folder::new();
    let mut reader = folder.reader(Filter { attempts: Attempts::Previous, ..ALL });
    assert!(matches!(reader.drain(|_| Ok(())), Err(LogFailure::NoPrevious)));
}

#[test]
fn tail_counts_whole_lines_over_parts_and_lets_later_ones_through() {
    let folder = Folder::new();
    folder.append("0.0.log", line(1, "stdout", "F", "one") + &line(2, "stdout", "F", "two"));
    folder.append("0.1.log", line(3, "stdout", "P", "thr") + &line(3, "stdout", "F", "ee"));
    let tail = |n| Filter { tail: Some(n), ..ALL };
    assert_eq!(joined(&mut folder.reader(tail(9)), true), "one\ntwo\nthree\n");
    assert_eq!(joined(&mut folder.reader(tail(2)), true), "two\nthree\n");
    assert_eq!(joined(&mut folder.reader(tail(1)), true), "three\n");
    let mut none = folder.reader(tail(0));
    assert_eq!(joined(&mut none, false), "");
    folder.append("0.1.log", line(4, "stdout", "F", "four"));
    assert_eq!(joined(&mut none, false), "four\n");
}

/// `logs -f --tail 0` showed nothing: it waited at the end of the file that pause is given ahead of time.
#[test]
fn a_tail_begins_in_the_file_that_is_written_not_in_the_next_one() {
    let folder = Folder::new();
    folder.append("0.0.log", line(1, "stdout", "F", "one"));
    folder.append("0.1.log", "");
    let mut none = folder.reader(Filter { tail: Some(0), ..ALL });
    assert_eq!(joined(&mut none, false), "");
    folder.append("0.0.log", line(2, "stdout", "F", "two"));
    assert_eq!(joined(&mut none, false), "two\n");
    folder.append("0.1.log", line(3, "stdout", "F", "three"));
    assert_eq!(joined(&mut none, false), "three\n");
}

#[test]
fn since_compares_times_not_text() {
    let folder = Folder::new();
    folder.append("0.0.log", line(1, "stdout", "F", "early") + &line(5, "stdout", "F", "late") + "garbage\n");
    let since = Some("2026-01-02T05:04:03+02:00".parse().unwrap());
    assert_eq!(joined(&mut folder.reader(Filter { since, ..ALL }), true), "late\n");
}

#[test]
fn a_line_without_end_costs_one_buffer_and_loses_nothing() {
    let folder = Folder::new();
    let long = "x".repeat(3 * BUFFER);
    folder.append("0.0.log", line(1, "stderr", "F", &long) + &line(1, "stdout", "F", "after"));
    let mut reader = folder.reader(ALL);
    let (mut bytes, mut ends) = (0, 0);
    reader
        .drain(|record| {
            let stderr = record.stream == Stream::Stderr;
            bytes += if stderr { record.bytes.len() } else { 0 };
            ends += usize::from(stderr && record.ends_line);
            Ok(())
        })
        .unwrap();
    assert_eq!((bytes, ends), (long.len(), 1));
    assert_eq!(reader.buffer.capacity(), BUFFER);
}

#[test]
fn hostile_bytes_are_handed_on() {
    let folder = Folder::new();
    File::create(folder.0.join("0.0.log")).unwrap().write_all(b"\0\xff\n\n stdout F x\n").unwrap();
    let mut seen = Vec::new();
    folder
        .reader(ALL)
        .drain(|r| {
            seen.push(r.bytes.to_vec());
            Ok(())
        })
        .unwrap();
    assert_eq!(seen, [&b"\0\xff"[..], b"", b" stdout F x"]);
}

#[tokio::test(flavor = "current_thread")]
async fn the_watch_sees_folders_and_lines_that_come_later() {
    let folder = Folder::new();
    let mut watch = LogWatch::new();
    watch.add_pod(&folder.0, ["web"]);
    let logs = folder.0.join("logs/web");
    std::fs::create_dir_all(&logs).unwrap();
    watch.changed().await.unwrap();
    std::fs::write(logs.join("0.0.log"), line(1, "stdout", "F", "x")).unwrap();
    let mut reader = LogReader::new(logs, ALL);
    let mut seen = String::new();
    while seen.is_empty() {
        watch.changed().await.unwrap();
        seen = joined(&mut reader, false);
    }
    assert_eq!(seen, "x\n");
}

/// A member that wrote faster than its log was read kept `logs` for ever.
#[test]
fn what_is_written_meanwhile_is_left_for_the_next_time() {
    let folder = Folder::new();
    let more = |number: u32| folder.append("0.0.log", line(number % 60, "stdout", "F", &format!("line {number}")));
    (0..3).for_each(more);
    let mut seen = 0;
    let mut reader = folder.reader(ALL);
    let sink = |_: Record<'_>| {
        seen += 1;
        more(seen + 10);
        folder.append("0.1.log", line(1, "stdout", "F", "next"));
        Ok(())
    };
    reader.finish(sink).unwrap();
    assert_eq!(seen, 3);
    assert!(joined(&mut reader, true).starts_with("line 11\nline 12\nline 13\nnext\n"));
}

/// The end of a log that grows lies within a line as often as not: that one is neither handed on nor counted.
#[test]
fn the_last_line_of_a_growing_log_is_a_whole_one() {
    let folder = Folder::new();
    let whole = line(1, "stdout", "F", "text");
    folder.append("0.0.log", &whole);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut file = OpenOptions::new().append(true).open(folder.0.join("0.0.log")).unwrap();
            for _ in 0..5000 {
                whole.as_bytes().chunks(7).for_each(|piece| file.write_all(piece).unwrap());
            }
        });
        while !writer.is_finished() {
            assert_eq!(read(&mut folder.reader(Filter { tail: Some(1), ..ALL }), true), "text\n");
        }
    });
}

/// Of a member that writes fast the older files are rotated away while the newest is counted: they are not asked for.
#[test]
fn a_tail_reads_no_more_files_than_it_must() {
    let folder = Folder::new();
    std::fs::create_dir(folder.0.join("0.0.log")).unwrap();
    folder.append(
        "0.1.log",
        line(1, "stdout", "P", "o") + &line(2, "stdout", "F", "ne") + &line(3, "stdout", "F", "two"),
    );
    folder.append("0.2.log", "");
    let tail = |n| Filter { tail: Some(n), ..ALL };
    assert_eq!(joined(&mut folder.reader(tail(1)), true), "two\n");
    let failed = folder.reader(tail(2)).finish(|_| Ok(())).is_err();
    assert!(failed, "control: the first of two lines may have begun in the file before, which is none");
}
