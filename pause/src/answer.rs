//! One request in, one answer out.
//!
//! An answer is one number: a refusal when negative, else the descriptor that goes with it (0: none). Its body and kind
//! are put into the connection's outgoing message. Numbers instead of enums, because a program of 8 KB moves values in
//! registers.

use crate::keeper::{Keeper, find};
use crate::log::{self, Buffers};
use crate::protocol::{Held, MAGIC, Operation, Refusal, SIZE, VERSION, kind};
use crate::sys::{self, Mail, Outcome};
use crate::table::Member;

/// A refusal (negative), or a descriptor.
pub type Answer = i32;

/// A refusal of pause's own.
pub const fn refused(reason: Refusal) -> Answer {
    -(reason as i32)
}

/// A refusal because a system call failed.
pub const fn failed(operation: Operation, outcome: Outcome) -> Answer {
    -(Refusal::System as i32 | (operation as i32) << 8 | (-outcome as i32) << 16)
}

impl Keeper {
    /// Carries out what was received and says the answer. Every descriptor that came and is not kept is closed.
    pub fn answer(&mut self, buffers: &mut Buffers) {
        let [first, id, subject, ..] = self.mail.words;
        let ours = self.mail.len >= SIZE && first as u32 == MAGIC;
        let answer = if self.mail.truncated {
            refused(Refusal::Truncated)
        } else if !ours {
            refused(Refusal::Malformed)
        } else if (first >> 32) as u16 != VERSION {
            refused(Refusal::Version)
        } else {
            self.carry_out((first >> 48) as u16, subject, buffers)
        };
        self.mail.close_all();
        let out = &mut self.connection.out;
        if ours {
            (out[1], out[2]) = (id, subject);
        }
        if answer < 0 {
            let code = -answer as u32;
            self.connection.kind = kind::REFUSED;
            out[3] = u64::from(code & 0xff) | u64::from(code >> 8 & 0xff) << 32;
            out[4] = u64::from(code >> 16);
        }
        if !self.connection.say(answer.max(0)) {
            // Cannot be (there was room). A new connection learns from the list what came of the request.
            sys::close(&mut self.connection.fd);
        }
    }

    fn carry_out(&mut self, kind: u16, subject: u64, buffers: &mut Buffers) -> Answer {
        self.connection.kind = kind::DONE;
        if kind == kind::BIRTH {
            return self.birth(subject, buffers);
        }
        if kind == 0 || kind > kind::PING {
            return refused(Refusal::Kind);
        }
        if self.mail.len != SIZE {
            return refused(Refusal::Malformed);
        }
        if self.mail.count != usize::from(kind == kind::LOG_NEXT || kind == kind::KEEP) {
            return refused(Refusal::Descriptors);
        }
        match kind {
            kind::PING => {
                self.connection.kind = kind::PONG;
                0
            }
            kind::KEEP..=kind::FORGET => self.kept(kind, subject),
            _ => {
                let Some(member) = find(&mut self.members, subject) else {
                    return refused(Refusal::NotFound);
                };
                if kind == kind::TAKE {
                    self.connection.kind = kind::GIVEN;
                }
                of_member(member, kind, &mut self.mail, buffers)
            }
        }
    }

    fn kept(&mut self, kind: u16, key: u64) -> Answer {
        let keep = kind == kind::KEEP;
        let mut found = None;
        for kept in &mut self.kept {
            if kept.fd != 0 && kept.key == key {
                if keep {
                    return refused(Refusal::Repeat);
                }
                found = Some(kept);
            } else if kept.fd == 0 && keep {
                found = Some(kept);
            }
        }
        let Some(kept) = found else {
            return refused(if keep { Refusal::TableFull } else { Refusal::NotFound });
        };
        if keep {
            kept.key = key;
            kept.fd = self.mail.take(0);
        } else if kind == kind::TAKE_KEPT {
            self.connection.kind = kind::GIVEN;
            return kept.fd;
        } else {
            sys::close(&mut kept.fd);
        }
        0
    }
}

fn of_member(member: &mut Member, kind: u16, mail: &mut Mail, buffers: &mut Buffers) -> Answer {
    const PIDFD: u64 = Held::Pidfd as u64;
    const STDIN: u64 = Held::Stdin as u64;
    const TERMINAL: u64 = Held::Terminal as u64;
    let refusal = match (kind, mail.words[3] as u32 as u64) {
        (kind::ACK, _) if member.is_done() => {
            member.seq = 0;
            return 0;
        }
        (kind::ACK, _) => Refusal::NotEnded,
        (kind::LOG_NEXT, _) if member.log.current == 0 => Refusal::NotFound,
        (kind::LOG_NEXT, _) if member.log.next != 0 => Refusal::Full,
        (kind::LOG_NEXT, _) => {
            member.log.next = mail.take(0);
            log::settle(member, buffers);
            return 0;
        }
        (kind::CLOSE, STDIN) if member.stdin != 0 => {
            sys::close(&mut member.stdin);
            return 0;
        }
        (kind::TAKE, PIDFD) if member.pidfd != 0 => return member.pidfd,
        (kind::TAKE, STDIN) if member.stdin != 0 => return member.stdin,
        (kind::TAKE, TERMINAL) if member.terminal && member.streams[0].fd != 0 => {
            return member.streams[0].fd;
        }
        (kind::CLOSE, STDIN) | (kind::TAKE, PIDFD | STDIN | TERMINAL) => Refusal::NotFound,
        _ => Refusal::Malformed,
    };
    refused(refusal)
}
