//! One request in, one answer out.
//!
//! An answer is one number: a refusal when negative, else the descriptor that goes with it (0: none). Its body and kind
//! are put into the connection's outgoing message. Numbers instead of enums, because a program of 8 KB moves values in
//! registers.

use crate::connection::Connection;
use crate::keeper::{Keeper, find};
use crate::log::{self, Buffers};
use crate::packet::Packet;
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
    -(Refusal::System as i32 | (operation as i32) << 8 | -outcome << 16)
}

impl Keeper {
    /// Carries out what was received and says the answer. Every descriptor that came and is not kept is closed.
    pub fn answer(&mut self, buffers: &mut Buffers) {
        let Mail { len, truncated, ref packet, .. } = self.mail;
        let Packet { version, id, subject, .. } = *packet;
        let ours = len >= SIZE && packet.magic == MAGIC;
        let answer = if truncated {
            refused(Refusal::Truncated)
        } else if !ours {
            refused(Refusal::Malformed)
        } else if version != VERSION {
            refused(Refusal::Version)
        } else {
            self.carry_out(buffers)
        };
        self.mail.close_all();
        let out = &mut self.connection.out;
        if ours {
            (out.id, out.subject) = (id, subject);
        }
        if answer < 0 {
            out.kind = kind::REFUSED;
            out.body[0] = -answer as u64;
        }
        if !self.connection.say(answer.max(0)) {
            // Cannot be (there was room). A new connection learns from the list what came of the request.
            sys::close(&mut self.connection.fd);
        }
    }

    fn carry_out(&mut self, buffers: &mut Buffers) -> Answer {
        let Packet { kind, subject, .. } = self.mail.packet;
        self.connection.out.kind = kind::DONE;
        if kind == kind::BIRTH {
            return self.birth(buffers);
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
                self.connection.out.kind = kind::PONG;
                0
            }
            kind::KEEP..=kind::FORGET => self.kept(kind, subject),
            _ => {
                // 0 is what a free slot bears.
                let found = if subject == 0 { None } else { find(&mut self.members, subject) };
                let Some(member) = found else {
                    return refused(Refusal::NotFound);
                };
                of_member(member, &mut self.connection, &mut self.mail, buffers, kind)
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
            self.connection.out.kind = kind::GIVEN;
            return kept.fd;
        } else {
            sys::close(&mut kept.fd);
        }
        0
    }
}

#[inline(never)]
fn of_member(
    member: &mut Member,
    connection: &mut Connection,
    mail: &mut Mail,
    buffers: &mut Buffers,
    asked: u16,
) -> Answer {
    if asked == kind::ACK {
        if !member.is_done() {
            return refused(Refusal::NotEnded);
        }
        member.seq = 0;
        return 0;
    }
    if asked == kind::LOG_NEXT {
        if member.log.current == 0 {
            return refused(Refusal::NotFound);
        }
        if member.log.next != 0 {
            return refused(Refusal::Full);
        }
        connection.waited = 0;
        member.log.next = mail.take(0);
        log::settle(member, buffers);
        return 0;
    }
    let what = mail.packet.body[0] as u32;
    let mut held = member.stdin;
    if what != Held::Stdin as u32 {
        if asked == kind::CLOSE || what > Held::Terminal as u32 {
            return refused(Refusal::Malformed);
        }
        held = member.pidfd;
        if what == Held::Terminal as u32 {
            held = member.streams[0].fd * i32::from(member.streams[0].terminal);
        }
    }
    if held == 0 {
        return refused(Refusal::NotFound);
    }
    if asked == kind::TAKE {
        connection.out.kind = kind::GIVEN;
        return held;
    }
    sys::close(&mut member.stdin);
    0
}
