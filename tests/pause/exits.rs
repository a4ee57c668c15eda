//! Exits: none is lost, none is told twice after its acknowledgement, and nothing stays behind.

use std::os::fd::AsRawFd;

use crate::births::{children, descriptors};
use crate::harness::*;
use crate::logs::{output, output_so_far};
use crate::protocol::*;

#[test]
fn the_status_is_the_kernels() {
    let mut pod = Pod::new();
    assert_eq!(pod.run(1, &Ask::new(&["exit", "0"])).status, 0);
    let exit = pod.run(2, &Ask::new(&["exit", "7"]));
    assert_eq!(exit.status, 7 << 8);
    assert!(exit.start > 1_600_000_000_000_000_000 && exit.end >= exit.start);
    let pidfd = pod.birth(3, &Ask::new(&["sleep"]));
    kill(&pidfd, libc::SIGKILL);
    assert_eq!(pod.exit(3).status, libc::SIGKILL);
    pod.birth(4, &Ask::new(&["abort"]).flags(0));
    assert_eq!(pod.exit(4).status & 0x7f, libc::SIGABRT);
}

#[test]
fn an_exit_is_told_until_it_is_acknowledged() {
    let mut pod = Pod::new();
    pod.birth(3, &Ask::new(&["exit", "3"]));
    pod.birth(9, &Ask::new(&["sleep"]));
    assert_eq!(pod.refused(&Request::Ack, 9, &[]), Refusal::NotEnded);
    assert_eq!(pod.exit(3).status, 3 << 8);
    for _ in 0..5 {
        let (hello, listed) = pod.reconnect();
        assert_eq!((hello.living, hello.exits, hello.last_seq), (1, 1, 9));
        let exits: Vec<u64> =
            listed.iter().filter(|got| matches!(got.event, Event::Exit(_))).map(|got| got.subject).collect();
        let living: Vec<u64> =
            listed.iter().filter(|got| matches!(got.event, Event::Live(_))).map(|got| got.subject).collect();
        assert_eq!((exits, living), (vec![3], vec![9]));
    }
    pod.done(&Request::Ack, 3, &[]);
    assert_eq!(pod.refused(&Request::Ack, 3, &[]), Refusal::NotFound);
    let (hello, listed) = pod.reconnect();
    assert_eq!((hello.living, hello.exits, listed.len()), (1, 0, 1));
    assert!(listed[0].fd.is_some(), "LIVE brings a pidfd");
}

#[test]
fn what_a_dying_node_asked_for_still_happens() {
    let mut pod = Pod::new();
    let member = member_binary();
    let fds = [member.as_raw_fd(); 3];
    for seq in 1..=20 {
        let args = b"member\0exit\x005\0";
        let birth = Birth { flags: 1, stdio: Stdio::Logged, slots: 0, target: 0, log_limit: 0, args };
        pod.connection.send(&Request::Birth(birth), 1, seq, &fds);
        let (_, listed) = pod.reconnect();
        let known: Vec<u64> = listed.iter().map(|got| got.subject).collect();
        assert!(known.contains(&seq), "{known:?}");
    }
}

#[test]
fn a_full_table_refuses_and_one_acknowledgement_makes_room() {
    let mut pod = Pod::new();
    for seq in 1..=TABLE_SLOTS as u64 {
        pod.birth(seq, &Ask::new(&["exit", "1"]));
    }
    let over = TABLE_SLOTS as u64 + 1;
    assert_eq!(refusal(&pod.ask(over, &Ask::new(&["exit", "1"]))), Refusal::TableFull);
    for seq in 1..=TABLE_SLOTS as u64 {
        assert_eq!(pod.exit(seq).status, 1 << 8);
    }
    let (hello, listed) = pod.reconnect();
    assert_eq!((hello.living, hello.exits, listed.len()), (0, 256, 256));
    assert_eq!(refusal(&pod.ask(over, &Ask::new(&["exit", "1"]))), Refusal::TableFull);
    pod.done(&Request::Ack, 100, &[]);
    pod.run(over, &Ask::new(&["exit", "2"]));
}

#[test]
fn a_thousand_orphans_are_reaped_and_forgotten() {
    let mut pod = Pod::new();
    let log = log_file();
    let pidfd = pod.birth(1, &Ask::new(&["orphans", "1000"]).flags(0).log(&[&log], 0));
    eventually("all are made", || output_so_far(&[&log], false) == b"made 1000\n");
    let member = pid_of(&pidfd);
    eventually("only the member is left", || children(pod.pid()) == [member]);
    assert!(children(member).is_empty());
    kill(&pidfd, libc::SIGKILL);
    assert_eq!(pod.exit(1).status, 9);
    assert!(children(pod.pid()).is_empty());
}

#[test]
fn nothing_stays_of_a_member_that_ended() {
    let mut pod = Pod::new();
    let before = descriptors(&pod);
    let (log, next) = (log_file(), log_file());
    for seq in 1..=50 {
        let ask = Ask::new(&["exit", "0"]).flags(Birth::NEW_PID | Birth::STDIN_PIPE);
        pod.run(seq, &ask.log(&[&log, &next], 0));
    }
    assert_eq!(descriptors(&pod), before);
    assert!(children(pod.pid()).is_empty());
}

#[test]
fn who_inherited_the_output_does_not_hold_back_the_exit() {
    let mut pod = Pod::new();
    let log = log_file();
    pod.birth(1, &Ask::new(&["inheritor"]).flags(0).log(&[&log], 0));
    assert_eq!(pod.exit(1).status, 0);
    assert_eq!(output(&[&log], false), b"leaving\n");
    assert_eq!(children(pod.pid()).len(), 1, "the control: the heir is still there");
}

#[test]
fn members_end_with_their_pause() {
    let mut pod = Pod::new();
    let nested = pod.birth(1, &Ask::new(&["sleep"]));
    let shared = pod.birth(2, &Ask::new(&["sleep"]).flags(0));
    let mut join = Ask::new(&["sleep"]).flags(Birth::JOIN);
    join.target = 1;
    let joined = pod.birth(3, &join);
    let ended = |pidfd: &std::os::fd::OwnedFd, wait: i32| {
        let mut poll = libc::pollfd { fd: pidfd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one pollfd.
        unsafe { libc::poll(&mut poll, 1, wait) == 1 }
    };
    for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGCHLD, libc::SIGXFSZ] {
        kill(&pod.pidfd, signal);
    }
    assert_eq!(pod.request(&Request::Ping, 0, &[]).event, Event::Pong);
    for member in [&nested, &shared, &joined] {
        assert!(!ended(member, 0));
    }
    pod.kill();
    for member in [&nested, &shared, &joined] {
        assert!(ended(member, 60_000));
    }
}
