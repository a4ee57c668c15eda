//! The log: byte for byte, whoever dies, however full the disk is, however loud the neighbour.

use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};

use crate::harness::*;
use crate::logs::{numbers, numbers_so_far, output, output_so_far, records};
use crate::protocol::*;

pub fn upto(n: u64) -> Vec<u64> {
    (1..=n).collect()
}

#[test]
fn the_output_can_be_read_back_byte_for_byte() {
    let mut pod = Pod::new();
    let (log, out, err) = (log_file(), memfd(), memfd());
    let null = File::open("/dev/null").unwrap();
    pod.run(1, &Ask::new(&["mix", "300"]).log(&[&log], 0));
    let direct = Ask::new(&["mix", "300"]).stdio(Stdio::Direct);
    pod.run(2, &direct.fds(&[null.as_raw_fd(), out.as_raw_fd(), err.as_raw_fd()]));
    assert!(output(&[&log], false) == contents(&out));
    assert!(output(&[&log], true) == contents(&err));
    let longest = records(&[&log]).iter().map(|record| record.text.len()).max();
    assert!(longest <= Some(TEXT_MAX), "{longest:?}");
}

#[test]
fn what_has_no_newline_is_written_at_once_and_stays_open() {
    let mut pod = Pod::new();
    let log = log_file();
    pod.run(1, &Ask::new(&["pieces"]).log(&[&log], 0));
    assert_eq!(output(&[&log], false), b"abcdef\nghi\nend");
    let records = records(&[&log]);
    assert_eq!((&records[0].text[..], records[0].full), (&b"abc"[..], false));
    assert_eq!((&records.last().unwrap().text[..], records.last().unwrap().full), (&b"end"[..], false));
}

#[test]
fn a_long_line_is_cut_into_pieces() {
    let mut pod = Pod::new();
    let log = log_file();
    pod.run(1, &Ask::new(&["long", "100000"]).log(&[&log], 0));
    let records = records(&[&log]);
    assert!(records.iter().all(|record| record.text.len() <= TEXT_MAX));
    assert_eq!(records.iter().filter(|record| record.full).count(), 1);
    assert_eq!(output(&[&log], false).len(), 100_001);
}

#[test]
fn no_line_is_lost_or_doubled_when_nodes_come_and_go() {
    let mut pod = Pod::new();
    let (fast, slow) = (log_file(), log_file());
    pod.birth(1, &Ask::new(&["lines", "200000"]).log(&[&fast], 0));
    pod.birth(2, &Ask::new(&["lines", "500", "1000"]).log(&[&slow], 0));
    let mut ended = 0;
    for round in 0..200 {
        let (_, listed) = pod.reconnect();
        let exits = listed.iter().filter(|got| matches!(got.event, Event::Exit(_))).count();
        assert!(exits >= ended, "an exit was lost in round {round}");
        ended = exits;
    }
    while ended < 2 {
        std::thread::sleep(std::time::Duration::from_millis(5));
        let (_, listed) = pod.reconnect();
        ended = listed.iter().filter(|got| matches!(got.event, Event::Exit(_))).count();
    }
    assert!(numbers(&[&fast]) == upto(200_000));
    assert!(numbers(&[&slow]) == upto(500));
}

#[test]
fn a_flood_does_not_hold_up_a_quiet_member() {
    let mut pod = Pod::new();
    let (loud, quiet) = (log_file(), log_file());
    const LIMIT: u64 = 1 << 18;
    let flood = pod.birth(1, &Ask::new(&["lines", "100000000"]).log(&[&loud], LIMIT));
    pod.birth(2, &Ask::new(&["lines", "100", "2000"]).log(&[&quiet], 0));
    assert_eq!(pod.exit(2).status, 0);
    assert!(numbers(&[&quiet]) == upto(100));
    eventually("the flood reaches the limit", || contents(&loud).len() as u64 > LIMIT - 200);
    kill(&flood, libc::SIGKILL);
    let exit = pod.exit(1);
    assert_eq!(exit.status, 9, "the control: the flood was still going on");
    assert!(exit.dropped_lines > 0);
    let kept = numbers(&[&loud]);
    assert!(kept == upto(kept.len() as u64), "what is in the log is the beginning, whole");
    assert!(contents(&loud).len() as u64 <= LIMIT);
}

#[test]
fn rotation_goes_on_in_the_next_file_without_losing_a_line() {
    let mut pod = Pod::new();
    let mut files = vec![log_file(), log_file()];
    let ask = Ask::new(&["cat"]).flags(Birth::NEW_PID | Birth::STDIN_PIPE);
    pod.birth(1, &ask.log(&[&files[0], &files[1]], 20_000));
    let stdin = File::from(pod.request(&Request::Take(Held::Stdin), 1, &[]).fd.unwrap());
    let refs = |files: &[File]| output(&files.iter().collect::<Vec<_>>(), false);
    let mut written = Vec::new();
    let mut rotations = 0;
    for n in 1..=3000 {
        let line = format!("{n:<79}\n");
        std::io::Write::write_all(&mut &stdin, line.as_bytes()).unwrap();
        written.extend(line.bytes());
        // A hundred records of 120 bytes: at most one change of files in between.
        if n % 100 == 0 {
            let so_far = |files: &[File]| output_so_far(&files.iter().collect::<Vec<_>>(), false);
            eventually("all is in the log", || so_far(&files).len() == written.len());
            rotations += hand_over(&mut pod, &mut files);
        }
    }
    drop(stdin);
    pod.done(&Request::CloseStdin, 1, &[]);
    let exit = pod.exit(1);
    assert_eq!((exit.dropped_lines, exit.rotations), (0, rotations));
    assert!(rotations >= 10, "{rotations}");
    written.extend(b"end of input\n");
    assert!(refs(&files) == written);
    for file in &files {
        assert!(contents(file).len() <= 20_000);
    }
}

/// A busy machine ran the node so late that a member had filled both files before: three thousand lines in the middle
/// were gone, though three files are kept.
#[test]
fn output_waits_for_a_node_that_is_late() {
    let mut pod = Pod::new();
    let mut files = vec![log_file(), log_file()];
    // Five files of a megabyte.
    pod.birth(1, &Ask::new(&["lines", "40000"]).log(&[&files[0], &files[1]], 1 << 20));
    for expected in 1..=4 {
        std::thread::sleep(std::time::Duration::from_millis(200));
        assert_eq!(hand_over(&mut pod, &mut files), 1, "it has not filled file {expected}");
    }
    let exit = pod.exit(1);
    assert_eq!((exit.status, exit.dropped_lines), (0, 0));
    assert!(numbers(&files.iter().collect::<Vec<_>>()) == upto(40_000));
}

/// As above, but the member has ended before the file comes: what lies in its pipe waits, and so does the news of its end.
#[test]
fn the_last_output_waits_too() {
    let mut pod = Pod::new();
    let mut files = vec![log_file(), log_file()];
    let ask = Ask::new(&["cat"]).flags(Birth::NEW_PID | Birth::STDIN_PIPE);
    let pidfd = pod.birth(1, &ask.log(&[&files[0], &files[1]], 20_000));
    let stdin = File::from(pod.request(&Request::Take(Held::Stdin), 1, &[]).fd.unwrap());
    let say = |n: u64| std::io::Write::write_all(&mut &stdin, format!("{n:<79}\n").as_bytes()).unwrap();
    // Records of 120 bytes: the second file is half full.
    for n in 1..=250 {
        say(n);
        eventually("it is in the log", || numbers_so_far(&[&files[0], &files[1]]).last() == Some(&n));
    }
    (251..=400).for_each(say);
    drop(stdin);
    pod.done(&Request::CloseStdin, 1, &[]);
    eventually("the member is reaped", || pid_of(&pidfd) == -1);
    std::thread::sleep(std::time::Duration::from_millis(200));
    assert!(contents(&files[1]).len() < 15_000, "it did not wait");
    assert_eq!(hand_over(&mut pod, &mut files), 1);
    let exit = pod.exit(1);
    assert_eq!((exit.status, exit.dropped_lines), (0, 0));
    let out = String::from_utf8(output(&files.iter().collect::<Vec<_>>(), false)).unwrap();
    assert_eq!(out.lines().count(), 401, "400, and the end of input");
}

#[test]
fn a_node_that_hands_over_nothing_holds_nobody_up_for_long_and_one_that_is_gone_not_at_all() {
    let mut pod = Pod::new();
    let lines = ["lines", "50000"];
    let log = log_file();
    let start = std::time::Instant::now();
    let exit = pod.run(1, &Ask::new(&lines).log(&[&log], 100_000));
    let with_a_node = start.elapsed();
    assert!(exit.status == 0 && exit.dropped_lines > 40_000, "{exit:?}");
    let second = log_file();
    let start = std::time::Instant::now();
    let pidfd = pod.birth(2, &Ask::new(&lines).log(&[&second], 100_000));
    pod.disconnect();
    eventually("the member is reaped", || pid_of(&pidfd) == -1);
    assert!(start.elapsed() < with_a_node / 2, "{:?} and {with_a_node:?}", start.elapsed());
    assert!(contents(&second).len() > 99_000, "the control: the limit was reached");
}

/// Hands over another file if the log went on in the next one: how many times it did.
fn hand_over(pod: &mut Pod, files: &mut Vec<File>) -> u32 {
    let next = log_file();
    let got = pod.request(&Request::LogNext, 1, &[next.as_raw_fd()]);
    if got.event != Event::Done {
        assert_eq!(refusal(&got), Refusal::Full);
        return 0;
    }
    files.push(next);
    let told = pod.pushed(|got| match got.event {
        Event::Rotated { rotations } => Some(rotations),
        _ => None,
    });
    assert_eq!(told as usize, files.len() - 2);
    1
}

#[test]
fn at_the_limit_lines_are_dropped_counted_and_reported_in_the_next_file() {
    let mut pod = Pod::new();
    let (log, next) = (log_file(), log_file());
    let ask = Ask::new(&["cat"]).flags(Birth::NEW_PID | Birth::STDIN_PIPE);
    pod.birth(1, &ask.log(&[&log], 1000));
    let stdin = File::from(pod.request(&Request::Take(Held::Stdin), 1, &[]).fd.unwrap());
    let say = |text: &str| std::io::Write::write_all(&mut &stdin, text.as_bytes()).unwrap();
    for n in 0..40 {
        say(&format!("{n:049}\n"));
    }
    let dropped = |pod: &mut Pod| {
        let (_, listed) = pod.reconnect();
        let Event::Live(live) = listed[0].event else { panic!("{:?}", listed[0].event) };
        assert_eq!(live.flags & Live::NEEDS_NEXT, Live::NEEDS_NEXT);
        (live.dropped_lines, live.dropped_bytes)
    };
    eventually("it has read all", || dropped(&mut pod).0 == 29);
    assert_eq!(dropped(&mut pod), (29, 29 * 50));
    pod.done(&Request::LogNext, 1, &[next.as_raw_fd()]);
    let notice = b"dwell: 29 lines (1450 bytes) dropped: log limit reached\n";
    eventually("the notice is there at once", || output_so_far(&[&next], true) == notice);
    say("after\n");
    eventually("writing goes on", || output_so_far(&[&next], false) == b"after\n");
    assert_eq!(output(&[&log], false).len(), 11 * 50);
    drop(stdin);
    pod.done(&Request::CloseStdin, 1, &[]);
    let exit = pod.exit(1);
    assert_eq!((exit.dropped_lines, exit.rotations), (29, 1));
}

/// A file on a disk of this many bytes; the disk is a tmpfs that is mounted nowhere.
fn small_disk(size: &std::ffi::CStr) -> OwnedFd {
    // SAFETY: fsopen, fsconfig and fsmount as documented; every string is NUL-terminated.
    unsafe {
        let context = libc::syscall(libc::SYS_fsopen, c"tmpfs".as_ptr(), 1);
        libc::syscall(libc::SYS_fsconfig, context, 1, c"size".as_ptr(), size.as_ptr(), 0);
        libc::syscall(libc::SYS_fsconfig, context, 6, 0, 0, 0);
        let mount = own(libc::syscall(libc::SYS_fsmount, context, 1, 0));
        libc::close(context as i32);
        mount
    }
}

fn create(disk: &OwnedFd, name: &std::ffi::CStr) -> File {
    let flags = libc::O_RDWR | libc::O_CREAT | libc::O_APPEND | libc::O_CLOEXEC;
    // SAFETY: the name is NUL-terminated.
    File::from(own(unsafe { libc::openat(disk.as_raw_fd(), name.as_ptr(), flags, 0o600) }.into()))
}

#[test]
fn a_full_disk_tears_no_line_and_blocks_nobody() {
    let mut pod = Pod::new();
    let disk = small_disk(c"262144");
    let (log, ballast) = (create(&disk, c"log"), create(&disk, c"ballast"));
    std::io::Write::write_all(&mut &ballast, &[0; 100_000]).unwrap();
    let full = pod.run(1, &Ask::new(&["lines", "50000"]).log(&[&log], 0));
    assert_eq!(full.status, 0, "the member is not held up");
    let kept = numbers(&[&log]);
    assert!(!kept.is_empty() && kept == upto(kept.len() as u64));
    assert_eq!(kept.len() as u64 + full.dropped_lines, 50_000);
    assert_eq!(full.dropped_bytes, full.dropped_lines * 80);
}

#[test]
fn when_the_disk_has_room_again_the_log_says_what_is_missing() {
    let mut pod = Pod::new();
    let disk = small_disk(c"65536");
    let (log, ballast) = (create(&disk, c"log"), create(&disk, c"ballast"));
    let ask = Ask::new(&["cat"]).flags(Birth::NEW_PID | Birth::STDIN_PIPE);
    pod.birth(1, &ask.log(&[&log], 0));
    let stdin = File::from(pod.request(&Request::Take(Held::Stdin), 1, &[]).fd.unwrap());
    let say = |text: &str| std::io::Write::write_all(&mut &stdin, text.as_bytes()).unwrap();
    say("before, open");
    eventually("it is written", || output_so_far(&[&log], false) == b"before, open");
    while std::io::Write::write(&mut &ballast, &[0; 4096]).is_ok() {}
    let mut said = 0;
    let mut pieces = |pod: &mut Pod| {
        eventually("something is dropped", || {
            say(&format!("{:999}\n", ""));
            said += 1;
            let (_, listed) = pod.reconnect();
            matches!(listed[0].event, Event::Live(live) if live.dropped_lines > 2)
        });
    };
    pieces(&mut pod);
    ballast.set_len(0).unwrap();
    say("after\n");
    eventually("writing goes on", || output_so_far(&[&log], false).ends_with(b"\nafter\n"));
    let notice = String::from_utf8(output(&[&log], true)).unwrap();
    assert!(notice.starts_with("dwell: ") && notice.ends_with(" bytes) dropped: log write failed\n"), "{notice}");
    let lines = output(&[&log], false).iter().filter(|byte| **byte == b'\n').count();
    pod.done(&Request::CloseStdin, 1, &[]);
    drop(stdin);
    let exit = pod.exit(1);
    assert!(exit.dropped_lines >= 2);
    // Those said, "after", "end of input" comes later; a line cut open by the drop is ended.
    assert!(lines as u64 + exit.dropped_lines > said);
}

#[test]
fn without_a_log_the_output_is_read_and_dropped() {
    let mut pod = Pod::new();
    let exit = pod.run(1, &Ask::new(&["lines", "50000"]));
    assert_eq!((exit.status, exit.dropped_lines), (0, 0));
}
