//! One request in, one answer out.

use crate::birth::{Stillborn, birth};
use crate::keeper::Keeper;
use crate::log::{self, Buffers};
use crate::protocol::{self, Event, Held, Invalid, Refusal, Request};
use crate::sys::{self, Descriptors, Received};
use crate::table::Member;

/// The answer, and the descriptor that goes with it (0: none; still pause's own).
pub type Answer = Result<(Event, i32), Stillborn>;

/// Carries out what was received. Returns the answer, its id and subject, and the descriptor that goes with it.
/// Every descriptor that came and that pause does not keep is closed.
pub fn answer(keeper: &mut Keeper, got: &mut Received, buffers: &mut Buffers) -> (Event, u64, u64, i32) {
    let bytes = got.bytes.get(..got.len).unwrap_or(&[]);
    let (_, id) = protocol::peek(bytes).unwrap_or((0, 0));
    let mut subject = 0;
    let answer = match Request::decode(bytes) {
        _ if got.truncated => Err(Stillborn::refused(Refusal::Truncated)),
        Err(invalid) => Err(Stillborn::refused(reason(invalid))),
        Ok((header, request)) => {
            subject = header.subject;
            carry_out(keeper, subject, &request, &mut got.fds, buffers)
        }
    };
    got.fds.close_all();
    let (event, fd) = answer.unwrap_or_else(|refused| (refusal(&refused), 0));
    (event, id, subject, fd)
}

fn reason(invalid: Invalid) -> Refusal {
    match invalid {
        Invalid::Malformed => Refusal::Malformed,
        Invalid::Version => Refusal::Version,
        Invalid::Kind => Refusal::Kind,
    }
}

fn refusal(refused: &Stillborn) -> Event {
    Event::Refused { reason: refused.reason, operation: refused.operation, errno: u32::from(refused.errno) }
}

fn carry_out(
    keeper: &mut Keeper,
    subject: u64,
    request: &Request,
    fds: &mut Descriptors,
    buffers: &mut Buffers,
) -> Answer {
    if fds.count != request.descriptors() {
        return Err(Stillborn::refused(Refusal::Descriptors));
    }
    match request {
        Request::Birth(wanted) => birth(keeper, subject, wanted, fds),
        Request::Keep => keep(keeper, subject, fds),
        Request::TakeKept => kept(keeper, subject).map(|fd| (Event::Given, *fd)),
        Request::Forget => kept(keeper, subject).map(|fd| {
            sys::close(fd);
            (Event::Done, 0)
        }),
        Request::Ping => Ok((Event::Pong, 0)),
        Request::Take(_) | Request::CloseStdin | Request::Ack | Request::LogNext => {
            let member = keeper.find(subject).ok_or(Stillborn::refused(Refusal::NotFound))?;
            of_member(member, request, fds, buffers)
        }
    }
}

fn of_member(member: &mut Member, request: &Request, fds: &mut Descriptors, buffers: &mut Buffers) -> Answer {
    match request {
        Request::Take(held) => {
            let fd = match held {
                Held::Pidfd => member.pidfd,
                Held::Stdin => member.stdin,
                Held::Terminal if member.terminal => member.streams[0].fd,
                Held::Terminal => 0,
            };
            if fd == 0 { Err(Stillborn::refused(Refusal::NotFound)) } else { Ok((Event::Given, fd)) }
        }
        Request::CloseStdin if member.stdin == 0 => Err(Stillborn::refused(Refusal::NotFound)),
        Request::CloseStdin => {
            sys::close(&mut member.stdin);
            Ok((Event::Done, 0))
        }
        Request::LogNext => log_next(member, fds, buffers),
        _ if member.is_done() => {
            member.seq = 0;
            Ok((Event::Done, 0))
        }
        _ => Err(Stillborn::refused(Refusal::NotEnded)),
    }
}

fn log_next(member: &mut Member, fds: &mut Descriptors, buffers: &mut Buffers) -> Answer {
    if member.log.current == 0 {
        return Err(Stillborn::refused(Refusal::NotFound));
    }
    if member.log.next != 0 {
        return Err(Stillborn::refused(Refusal::Full));
    }
    member.log.next = fds.take(0);
    log::settle(member, buffers);
    Ok((Event::Done, 0))
}

/// What is kept under the key.
fn kept(keeper: &mut Keeper, key: u64) -> Result<&mut i32, Stillborn> {
    keeper
        .kept
        .iter_mut()
        .find(|kept| kept.fd != 0 && kept.key == key)
        .map(|kept| &mut kept.fd)
        .ok_or_else(|| Stillborn::refused(Refusal::NotFound))
}

fn keep(keeper: &mut Keeper, key: u64, fds: &mut Descriptors) -> Answer {
    if kept(keeper, key).is_ok() {
        return Err(Stillborn::refused(Refusal::Repeat));
    }
    let free = keeper.kept.iter_mut().find(|kept| kept.fd == 0);
    let kept = free.ok_or_else(|| Stillborn::refused(Refusal::TableFull))?;
    kept.key = key;
    kept.fd = fds.take(0);
    Ok((Event::Done, 0))
}
