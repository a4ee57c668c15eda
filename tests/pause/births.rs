//! Births: what a newborn has, where it stands, and what is refused.

use std::os::fd::{AsRawFd, OwnedFd};

use crate::harness::*;
use crate::logs::{output, output_so_far};
use crate::protocol::*;

fn said(pod: &mut Pod, seq: u64, ask: Ask) -> String {
    let log = log_file();
    let exit = pod.run(seq, &ask.log(&[&log], 0));
    assert_eq!(exit.status, 0, "{}", String::from_utf8_lossy(&output(&[&log], true)));
    String::from_utf8(output(&[&log], false)).unwrap()
}

#[test]
fn a_newborn_has_what_it_was_given_and_nothing_else() {
    let mut pod = Pod::new();
    let (slot, other) = (memfd(), memfd());
    let mut ask = Ask::new(&["state", "more"]);
    ask.slots = 2;
    let text = said(&mut pod, 7, ask.fds(&[slot.as_raw_fd(), other.as_raw_fd()]));
    assert_eq!(
        text,
        "open [0, 1, 2, 3, 4, 5, 6]\npid 1 parent 0 tty 0 env 0\nblocked 0 ignored []\nhostname pod\n\
         args [\"member\", \"state\", \"more\"]\n"
    );
    let shared = said(&mut pod, 8, Ask::new(&["state"]).flags(0));
    assert!(shared.contains("open [0, 1, 2, 3, 4]\n"), "{shared}");
    assert!(shared.contains(" parent 1 "), "{shared}");
}

#[test]
fn the_descriptors_arrive_in_their_order() {
    let mut pod = Pod::new();
    let member = member_binary();
    let files: Vec<_> = (0..12).map(|_| memfd()).collect();
    let fds: Vec<i32> = std::iter::once(&member).chain(&files).map(AsRawFd::as_raw_fd).collect();
    let birth = Birth { flags: 0, stdio: Stdio::Direct, slots: 7, target: 0, log_limit: 0, args: b"member\0sleep\0" };
    let born = pod.request(&Request::Birth(birth), 1, &fds);
    assert!(matches!(born.event, Event::Born { .. }), "{:?}", born.event);
    let pid = pid_of(&born.fd.unwrap());
    let inode = |path: String| std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(path).unwrap());
    let own = |at: usize| inode(format!("/proc/self/fd/{}", files[at].as_raw_fd()));
    // plan, report, stdio, slots came in this order; stdio lies first.
    let order = [2, 3, 4, 0, 1, 5, 6, 7, 8, 9, 10, 11];
    for (at, file) in order.into_iter().enumerate() {
        assert_eq!(inode(format!("/proc/{pid}/fd/{at}")), own(file), "descriptor {at}");
    }
}

#[test]
fn a_sequence_number_is_used_once() {
    let mut pod = Pod::new();
    assert_eq!(refusal(&pod.ask(0, &Ask::new(&["exit", "0"]))), Refusal::Repeat);
    pod.run(5, &Ask::new(&["exit", "0"]));
    for seq in [5, 4, 1] {
        assert_eq!(refusal(&pod.ask(seq, &Ask::new(&["exit", "0"]))), Refusal::Repeat);
    }
    let (hello, _) = pod.reconnect();
    assert_eq!(hello.last_seq, 5);
    assert_eq!(refusal(&pod.ask(5, &Ask::new(&["exit", "0"]))), Refusal::Repeat);
    pod.run(6, &Ask::new(&["exit", "0"]));
}

#[test]
fn what_cannot_be_executed_is_refused_with_its_errno_and_leaves_nothing() {
    let mut pod = Pod::new();
    let before = descriptors(&pod);
    let text = memfd();
    std::io::Write::write_all(&mut &text, b"not a program").unwrap();
    let birth = Birth { flags: 1, stdio: Stdio::Logged, slots: 0, target: 0, log_limit: 0, args: b"" };
    let fds = [text.as_raw_fd(); 3];
    for _ in 0..3 {
        let got = pod.request(&Request::Birth(birth), 3, &fds);
        let expected =
            Event::Refused { reason: Refusal::System, operation: Operation::Execute, errno: libc::ENOEXEC as u32 };
        assert_eq!(got.event, expected);
    }
    assert_eq!(descriptors(&pod), before);
    assert_eq!(children(pod.pid()), Vec::<i32>::new());
    pod.run(3, &Ask::new(&["exit", "0"]));
}

#[test]
fn exec_is_born_into_the_members_pid_namespace_and_ends_with_it() {
    let mut pod = Pod::new();
    let target = pod.birth(1, &Ask::new(&["sleep"]));
    let namespace = |pid: i32| std::fs::read_link(format!("/proc/{pid}/ns/pid")).unwrap();
    let mut join = Ask::new(&["sleep"]).flags(Birth::JOIN);
    join.target = 1;
    let joined = pod.birth(2, &join);
    assert_eq!(namespace(pid_of(&joined)), namespace(pid_of(&target)));
    let mut state = Ask::new(&["state"]).flags(Birth::JOIN);
    state.target = 1;
    assert!(said(&mut pod, 3, state).contains("pid 3 parent 0"), "counted in the member's namespace");
    // pause came back: the next one is a sibling.
    let beside = pod.birth(4, &Ask::new(&["sleep"]).flags(0));
    assert_eq!(namespace(pid_of(&beside)), namespace(pod.pid()));
    kill(&target, libc::SIGKILL);
    assert_eq!(pod.exit(2).status, 9);
    assert_eq!(pod.exit(1).status, 9);
    assert_eq!(refusal(&pod.ask(5, &join)), Refusal::NotFound);
}

#[test]
fn direct_streams_are_the_callers() {
    let mut pod = Pod::new();
    let (out, err) = (memfd(), memfd());
    let null = std::fs::File::open("/dev/null").unwrap();
    let ask = Ask::new(&["mix", "5"]).stdio(Stdio::Direct);
    let exit = pod.run(1, &ask.fds(&[null.as_raw_fd(), out.as_raw_fd(), err.as_raw_fd()]));
    assert_eq!(exit.status, 0);
    assert!(contents(&out).ends_with(b"\nno newline"));
    assert!(contents(&err).starts_with(b"error 0\n\n"));
}

#[test]
fn standard_input_outlives_the_node() {
    let mut pod = Pod::new();
    let log = log_file();
    pod.birth(1, &Ask::new(&["cat"]).flags(Birth::NEW_PID | Birth::STDIN_PIPE).log(&[&log], 0));
    for line in ["one\n", "two\n", "three\n"] {
        let (_, listed) = pod.reconnect();
        let Event::Live(live) = listed[0].event else { panic!("{:?}", listed[0].event) };
        assert_eq!(live.flags & Live::STDIN, Live::STDIN);
        let given = pod.request(&Request::Take(Held::Stdin), 1, &[]);
        write(given.fd.as_ref().unwrap(), line.as_bytes());
    }
    pod.done(&Request::CloseStdin, 1, &[]);
    assert_eq!(pod.refused(&Request::CloseStdin, 1, &[]), Refusal::NotFound);
    assert_eq!(pod.exit(1).status, 0);
    assert_eq!(output(&[&log], false), b"one\ntwo\nthree\nend of input\n");
    assert_eq!(pod.refused(&Request::Take(Held::Stdin), 1, &[]), Refusal::NotFound);
}

fn write(fd: &OwnedFd, bytes: &[u8]) {
    // SAFETY: the bytes are as long as said.
    let n = unsafe { libc::write(fd.as_raw_fd(), bytes.as_ptr().cast(), bytes.len()) };
    assert_eq!(n, bytes.len() as isize);
}

#[test]
fn a_terminal_is_logged_and_written_to_through_a_copy_of_its_master() {
    let mut pod = Pod::new();
    let log = log_file();
    // SAFETY: no pointers; the slave is opened through its master.
    let (master, slave) = unsafe {
        let master = own(libc::posix_openpt(libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC).into());
        assert_eq!(libc::unlockpt(master.as_raw_fd()), 0);
        const TIOCGPTPEER: libc::c_ulong = 0x5441;
        let slave = libc::ioctl(master.as_raw_fd(), TIOCGPTPEER as _, libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC);
        (master, own(slave.into()))
    };
    let ask = Ask::new(&["cat"]).stdio(Stdio::Terminal).log(&[&log], 0);
    pod.birth(1, &ask.fds(&[master.as_raw_fd(), slave.as_raw_fd()]));
    drop((master, slave));
    let (_, listed) = pod.reconnect();
    let Event::Live(live) = listed[0].event else { panic!("{:?}", listed[0].event) };
    assert_eq!(live.flags & (Live::TERMINAL | Live::STDIN), Live::TERMINAL);
    let given = pod.request(&Request::Take(Held::Terminal), 1, &[]).fd.unwrap();
    write(&given, b"hello\n");
    eventually("echo and answer", || output_so_far(&[&log], false) == b"hello\r\nhello\r\n");
    write(&given, &[4]);
    assert_eq!(pod.exit(1).status, 0);
    assert_eq!(output(&[&log], false), b"hello\r\nhello\r\nend of input\r\n");
}

pub fn descriptors(pod: &Pod) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", pod.pid())).unwrap().count()
}

pub fn children(pid: i32) -> Vec<i32> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    text.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}
