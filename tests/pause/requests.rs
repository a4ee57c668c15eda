//! What a node may send, and what becomes of what it should not have sent.

use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use crate::harness::*;
use crate::protocol::*;

/// A pipe whose write end goes to pause: the read end tells when pause has closed it.
struct Witness {
    read: OwnedFd,
    write: Option<OwnedFd>,
}

impl Witness {
    fn new() -> Self {
        let mut ends = [0; 2];
        assert_eq!(
            // SAFETY: two descriptors are written.
            unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) },
            0
        );
        Self { read: own(ends[0].into()), write: Some(own(ends[1].into())) }
    }

    fn fd(&self) -> RawFd {
        self.write.as_ref().unwrap().as_raw_fd()
    }

    /// Waits: a test that starts a process just now holds a copy until it executes.
    fn becomes_free(&mut self) {
        eventually("every copy is closed", || self.is_free());
    }

    /// Whether nobody holds the write end any more, once the test's own is closed.
    fn is_free(&mut self) -> bool {
        self.write = None;
        let mut wait = libc::pollfd { fd: self.read.as_raw_fd(), events: 0, revents: 0 };
        // SAFETY: one pollfd.
        unsafe { libc::poll(&mut wait, 1, 0) };
        wait.revents & libc::POLLHUP != 0
    }
}

fn encoded(request: &Request, id: u64) -> Vec<u8> {
    let mut bytes = [0; MESSAGE_MAX];
    let n = request.encode(id, 5, &mut bytes);
    bytes[..n].to_vec()
}

#[test]
fn what_is_no_request_is_refused_and_its_descriptors_are_closed() {
    let mut pod = Pod::new();
    let ping = encoded(&Request::Ping, 42);
    let change = |at: usize, byte: u8| {
        let mut bytes = ping.clone();
        bytes[at] = byte;
        bytes
    };
    let long: Vec<u8> = ping.iter().copied().chain(std::iter::repeat_n(0, 5000)).collect();
    let cases: Vec<(Vec<u8>, u64, Refusal)> = vec![
        (vec![], 0, Refusal::Malformed),
        (vec![0], 0, Refusal::Malformed),
        (vec![b'x'; 64], 0, Refusal::Malformed),
        (ping[..63].to_vec(), 0, Refusal::Malformed),
        (change(4, 9), 42, Refusal::Version),
        (change(6, 77), 42, Refusal::Kind),
        (long, 42, Refusal::Truncated),
        (ping.clone(), 42, Refusal::Descriptors),
        (encoded(&Request::LogNext, 42), 42, Refusal::NotFound),
    ];
    for (bytes, id, reason) in cases {
        let mut witness = Witness::new();
        pod.connection.send_raw(&bytes, &[witness.fd()]);
        let got = pod.connection.next().unwrap();
        assert_eq!((got.id, refusal(&got)), (id, reason), "{bytes:?}");
        witness.becomes_free();
    }
    assert_eq!(pod.request(&Request::Ping, 0, &[]).event, Event::Pong);
    // The control: what is kept is not closed.
    let mut witness = Witness::new();
    pod.done(&Request::Keep, 8, &[witness.fd()]);
    assert!(!witness.is_free());
    pod.done(&Request::Forget, 8, &[]);
    witness.becomes_free();
}

#[test]
fn too_many_and_too_few_descriptors_are_refused() {
    let mut pod = Pod::new();
    let birth = Birth { flags: 0, stdio: Stdio::Logged, slots: 2, target: 0, log_limit: 0, args: b"" };
    for (count, reason) in [
        (0, Refusal::Descriptors),
        (4, Refusal::Descriptors),
        (6, Refusal::Descriptors),
        (200, Refusal::Descriptors),
        (201, Refusal::Truncated),
        (253, Refusal::Truncated),
    ] {
        let mut witness = Witness::new();
        let fds = vec![witness.fd(); count];
        assert_eq!(pod.refused(&Request::Birth(birth), 5, &fds), reason, "{count}");
        witness.becomes_free();
    }
    let member = member_binary();
    let five = [member.as_raw_fd(); 5];
    let born = pod.request(&Request::Birth(birth), 5, &five);
    assert!(!matches!(born.event, Event::Refused { reason: Refusal::Descriptors, .. }));
}

#[test]
fn one_node_at_a_time() {
    let mut pod = Pod::new();
    for _ in 0..20 {
        let second = pod.connect();
        assert_eq!(second.next().map(|got| got.event), Some(Event::Busy));
        assert!(second.next().is_none());
        assert_eq!(pod.request(&Request::Ping, 0, &[]).event, Event::Pong);
    }
    pod.reconnect();
    assert_eq!(pod.request(&Request::Ping, 0, &[]).event, Event::Pong);
}

#[test]
fn a_node_that_does_not_read_blocks_nobody() {
    let mut pod = Pod::new();
    let log = log_file();
    pod.birth(1, &Ask::new(&["lines", "20000"]).log(&[&log], 0));
    let mut bytes = [0; MESSAGE_MAX];
    let n = Request::Ping.encode(1, 0, &mut bytes);
    // SAFETY: no pointers. Sending must not block the test either.
    unsafe { libc::fcntl(pod.connection.0.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) };
    let mut sent = 0;
    for _ in 0..20_000 {
        // SAFETY: the bytes are as long as said.
        let did = unsafe { libc::send(pod.connection.0.as_raw_fd(), bytes.as_ptr().cast(), n, 0) };
        sent += u32::from(did > 0);
    }
    let newlines = || contents(&log).iter().filter(|byte| **byte == b'\n').count();
    // Not its records: one that is being written is torn for whoever looks.
    eventually("the log is complete", || newlines() == 20_000);
    assert!(crate::logs::numbers(&[&log]) == crate::log_files::upto(20_000));
    let mut pongs = 0;
    let mut exits = 0;
    while pongs < sent || exits < 1 {
        match pod.connection.next().unwrap().event {
            Event::Pong => pongs += 1,
            Event::Exit(_) => exits += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((pongs, exits), (sent, 1));
}

#[test]
fn sockets_are_kept_over_a_change_of_node() {
    let mut pod = Pod::new();
    let mut witness = Witness::new();
    pod.done(&Request::Keep, 80, &[witness.fd()]);
    assert_eq!(pod.refused(&Request::Keep, 80, &[witness.fd()]), Refusal::Repeat);
    assert!(!witness.is_free());
    let (hello, _) = pod.reconnect();
    assert_eq!(hello.kept, 1);
    let given = pod.request(&Request::TakeKept, 80, &[]);
    assert_eq!(given.event, Event::Given);
    let fd = given.fd.unwrap();
    assert_eq!(
        // SAFETY: one byte is read.
        unsafe { libc::write(fd.as_raw_fd(), b"x".as_ptr().cast(), 1) },
        1
    );
    assert_eq!(pod.refused(&Request::TakeKept, 81, &[]), Refusal::NotFound);
    for key in 100..100 + KEPT_SLOTS as u64 - 1 {
        pod.done(&Request::Keep, key, &[fd.as_raw_fd()]);
    }
    assert_eq!(pod.refused(&Request::Keep, 99, &[fd.as_raw_fd()]), Refusal::TableFull);
    pod.done(&Request::Forget, 80, &[]);
    pod.done(&Request::Keep, 99, &[fd.as_raw_fd()]);
}
