//! The protocol file by itself: what is encoded is decoded again, and what is not a message is not taken for one.

use crate::protocol::*;

fn encoded(request: &Request, id: u64, subject: u64) -> Vec<u8> {
    let mut bytes = [0; MESSAGE_MAX];
    let n = request.encode(id, subject, &mut bytes);
    bytes[..n].to_vec()
}

fn birth(args: &[u8]) -> Birth<'_> {
    Birth { flags: Birth::JOIN, stdio: Stdio::Direct, slots: 7, target: 9, log_limit: 1 << 40, args }
}

#[test]
fn requests_survive_the_wire() {
    let all = [
        Request::Birth(birth(b"one\0two\0")),
        Request::Birth(Birth { flags: Birth::FLAGS & !Birth::JOIN, stdio: Stdio::Logged, target: 0, ..birth(b"") }),
        Request::Take(Held::Pidfd),
        Request::Take(Held::Stdin),
        Request::Take(Held::Terminal),
        Request::CloseStdin,
        Request::Ack,
        Request::LogNext,
        Request::Keep,
        Request::TakeKept,
        Request::Forget,
        Request::Ping,
    ];
    for request in all {
        let bytes = encoded(&request, u64::MAX - 1, 1 << 63);
        let (header, decoded) = Request::decode(&bytes).unwrap();
        assert_eq!((decoded, header.id, header.subject), (request, u64::MAX - 1, 1 << 63));
    }
}

#[test]
fn events_survive_the_wire() {
    let all = [
        Event::Hello(Hello { living: 1, exits: 2, kept: 3, last_seq: u64::MAX }),
        Event::Busy,
        Event::Live(Live { pid: 1, flags: 31, start: 2, rotations: 3, dropped_lines: 4, dropped_bytes: 5 }),
        Event::Exit(Exit { status: -1, rotations: 9, start: 2, end: 3, dropped_lines: 4, dropped_bytes: 5 }),
        Event::Ready,
        Event::Born { pid: 77, start: 88 },
        Event::Refused { reason: Refusal::System, operation: Operation::Execute, errno: 2 },
        Event::Given,
        Event::Done,
        Event::Rotated { rotations: 5 },
        Event::Pong,
        Event::Failed { operation: Operation::EmptyRoot, errno: 1 },
    ];
    for event in all {
        let bytes = event.encode(3, 4);
        let (header, decoded) = Event::decode(&bytes).unwrap();
        assert_eq!((decoded, header.id, header.subject), (event, 3, 4));
    }
}

#[test]
fn a_birth_that_contradicts_itself_is_malformed() {
    let fine = birth(b"one\0");
    assert!(Request::decode(&encoded(&Request::Birth(fine), 1, 1)).is_ok());
    let bad = [
        Birth { target: 0, ..fine },
        Birth { flags: 0, ..fine },
        Birth { flags: Birth::JOIN | Birth::NEW_PID, ..fine },
        Birth { flags: Birth::JOIN | 64, ..fine },
        Birth { flags: Birth::JOIN | Birth::STDIN_PIPE, ..fine },
        Birth { flags: Birth::JOIN | Birth::LOG_CURRENT, ..fine },
        Birth { flags: Birth::JOIN | Birth::LOG_NEXT, stdio: Stdio::Logged, ..fine },
        birth(b"no end"),
    ];
    for birth in bad {
        let bytes = encoded(&Request::Birth(birth), 1, 1);
        assert_eq!(Request::decode(&bytes), Err(Invalid::Malformed), "{birth:?}");
    }
}

#[test]
fn every_prefix_and_every_foreign_header_is_refused() {
    let bytes = encoded(&Request::Birth(birth(b"one\0")), 1, 1);
    for n in 0..bytes.len() {
        assert_eq!(Request::decode(&bytes[..n]), Err(Invalid::Malformed), "{n} bytes");
    }
    let changed = |at: usize, byte: u8| {
        let mut bytes = encoded(&Request::Ping, 1, 1);
        bytes[at] = byte;
        Request::decode(&bytes).map(|_| ())
    };
    assert_eq!(changed(0, b'd'), Ok(()));
    assert_eq!(changed(0, b'x'), Err(Invalid::Malformed));
    assert_eq!(changed(4, 2), Err(Invalid::Version));
    assert_eq!(changed(6, 99), Err(Invalid::Kind));
    let mut long = encoded(&Request::Ping, 1, 1);
    long.push(0);
    assert_eq!(Request::decode(&long), Err(Invalid::Malformed));
}

#[test]
fn setup_survives_the_wire_and_refuses_contradictions() {
    let mut setup =
        Setup { flags: Setup::FLAGS & !Setup::JOIN, tasks: 9, capabilities: 5, hostname_len: 3, hostname: [0; 64] };
    setup.hostname[..3].copy_from_slice(b"pod");
    assert_eq!(Setup::decode(&setup.encode()), Ok(setup));
    assert_eq!(setup.hostname(), b"pod");
    for bad in [
        Setup { flags: Setup::NEW_NET | Setup::JOIN, ..setup },
        Setup { flags: Setup::NEW_IPC | Setup::JOIN, ..setup },
        Setup { flags: Setup::NEW_UTS | Setup::JOIN, ..setup },
        Setup { flags: 64 | Setup::NEW_UTS, ..setup },
        Setup { flags: Setup::NEW_PID, ..setup },
        Setup { hostname_len: 65, ..setup },
    ] {
        assert_eq!(Setup::decode(&bad.encode()), Err(Invalid::Malformed), "{bad:?}");
    }
}
