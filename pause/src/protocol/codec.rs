//! Messages to bytes and back: how the node writes and reads what `protocol.rs` specifies, and the tests both sides.
//!
//! pause itself reads a packet as it lies in memory (`packet.rs`). As its parent: nothing but `core`, no `unsafe`, no IO.
//! Whatever is not exactly a message is an error; nothing here may panic, whatever the bytes are.

use super::*;

type Packet = [u8; SIZE];

#[inline(always)]
pub(super) fn u16_at(bytes: &Packet, at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

#[inline(always)]
fn u32_at(bytes: &Packet, at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[inline(always)]
pub(super) fn u64_at(bytes: &Packet, at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

#[inline(always)]
fn put<const N: usize>(bytes: &mut Packet, at: usize, value: [u8; N]) {
    if let Some(place) = bytes.get_mut(at..).and_then(|rest| rest.first_chunk_mut()) {
        *place = value;
    }
}

#[inline(always)]
fn put_u32(bytes: &mut Packet, at: usize, value: u32) {
    put(bytes, at, value.to_le_bytes());
}

#[inline(always)]
fn put_u64(bytes: &mut Packet, at: usize, value: u64) {
    put(bytes, at, value.to_le_bytes());
}

/// The fixed part of a message.
///
/// # Errors
/// `Malformed` when it is too short; the magic and the version are not looked at.
pub(super) fn packet(bytes: &[u8]) -> Result<&Packet, Invalid> {
    bytes.first_chunk().ok_or(Invalid::Malformed)
}

/// The header, also of a message whose kind or version is unknown.
///
/// # Errors
/// `Malformed` when it is too short or has another magic; `Version` for another version.
pub fn decode_header(bytes: &[u8]) -> Result<Header, Invalid> {
    let bytes = packet(bytes)?;
    if u32_at(bytes, 0) != MAGIC {
        return Err(Invalid::Malformed);
    }
    if u16_at(bytes, 4) != VERSION {
        return Err(Invalid::Version);
    }
    Ok(Header { kind: u16_at(bytes, 6), id: u64_at(bytes, 8), subject: u64_at(bytes, 16) })
}

/// The version in a message's header, and the `id` that its answer repeats; none when it is not a message of ours.
pub fn peek(bytes: &[u8]) -> Option<(u16, u64)> {
    let bytes = packet(bytes).ok()?;
    (u32_at(bytes, 0) == MAGIC).then(|| (u16_at(bytes, 4), u64_at(bytes, 8)))
}

/// The first word of every message.
pub const fn first_word(kind: u16) -> u64 {
    MAGIC as u64 | (VERSION as u64) << 32 | (kind as u64) << 48
}

fn header(kind: u16, id: u64, subject: u64) -> Packet {
    let mut bytes = [0; SIZE];
    put_u64(&mut bytes, 0, first_word(kind));
    put_u64(&mut bytes, 8, id);
    put_u64(&mut bytes, 16, subject);
    bytes
}

impl<'a> Request<'a> {
    /// Writes the message, and says how many bytes of `out` it is.
    pub fn encode(&self, id: u64, subject: u64, out: &mut [u8; MESSAGE_MAX]) -> usize {
        let (kind, args) = match self {
            Self::Birth(birth) => (kind::BIRTH, birth.args),
            Self::Take(_) => (kind::TAKE, &[][..]),
            Self::CloseStdin => (kind::CLOSE, &[][..]),
            Self::Ack => (kind::ACK, &[][..]),
            Self::LogNext => (kind::LOG_NEXT, &[][..]),
            Self::Keep => (kind::KEEP, &[][..]),
            Self::TakeKept => (kind::TAKE_KEPT, &[][..]),
            Self::Forget => (kind::FORGET, &[][..]),
            Self::Ping => (kind::PING, &[][..]),
        };
        let mut bytes = header(kind, id, subject);
        match self {
            Self::Birth(birth) => birth.encode(&mut bytes),
            Self::Take(held) => put_u32(&mut bytes, 24, *held as u32),
            Self::CloseStdin => put_u32(&mut bytes, 24, Held::Stdin as u32),
            _ => {}
        }
        let args = &args[..args.len().min(ARGS_MAX)];
        out[..SIZE].copy_from_slice(&bytes);
        out[SIZE..SIZE + args.len()].copy_from_slice(args);
        SIZE + args.len()
    }

    /// Reads a message of a node.
    ///
    /// # Errors
    /// As `Invalid` says. A message longer than its kind needs is malformed.
    pub fn decode(bytes: &'a [u8]) -> Result<(Header, Self), Invalid> {
        let header = decode_header(bytes)?;
        let fixed = packet(bytes)?;
        let rest = bytes.get(SIZE..).unwrap_or(&[]);
        let what = u32_at(fixed, 24);
        let request = match header.kind {
            kind::BIRTH => {
                return Birth::decode(fixed, rest).map(|birth| (header, Self::Birth(birth)));
            }
            kind::TAKE => match what {
                0 => Self::Take(Held::Pidfd),
                1 => Self::Take(Held::Stdin),
                2 => Self::Take(Held::Terminal),
                _ => return Err(Invalid::Malformed),
            },
            kind::CLOSE if what == Held::Stdin as u32 => Self::CloseStdin,
            kind::CLOSE => return Err(Invalid::Malformed),
            kind::ACK => Self::Ack,
            kind::LOG_NEXT => Self::LogNext,
            kind::KEEP => Self::Keep,
            kind::TAKE_KEPT => Self::TakeKept,
            kind::FORGET => Self::Forget,
            kind::PING => Self::Ping,
            _ => return Err(Invalid::Kind),
        };
        if rest.is_empty() { Ok((header, request)) } else { Err(Invalid::Malformed) }
    }

    /// Descriptors that must lie beside this message, no more and no fewer.
    pub fn descriptors(&self) -> usize {
        match self {
            Self::Birth(birth) => birth.descriptors(),
            Self::LogNext | Self::Keep => 1,
            _ => 0,
        }
    }
}

impl<'a> Birth<'a> {
    fn encode(&self, bytes: &mut Packet) {
        put_u32(bytes, 24, self.flags);
        put(bytes, 28, [self.stdio as u8]);
        put(bytes, 30, self.slots.to_le_bytes());
        put_u64(bytes, 32, self.target);
        put_u64(bytes, 40, self.log_limit);
        put(bytes, 48, (self.args.len() as u16).to_le_bytes());
    }

    fn decode(bytes: &Packet, args: &'a [u8]) -> Result<Self, Invalid> {
        let stdio = match bytes[28] {
            0 => Stdio::Logged,
            1 => Stdio::Direct,
            2 => Stdio::Terminal,
            _ => return Err(Invalid::Malformed),
        };
        let birth = Self {
            flags: u32_at(bytes, 24),
            stdio,
            slots: u16_at(bytes, 30),
            target: u64_at(bytes, 32),
            log_limit: u64_at(bytes, 40),
            args,
        };
        let strings = args.iter().filter(|byte| **byte == 0).count();
        let whole = usize::from(u16_at(bytes, 48)) == args.len()
            && args.len() <= ARGS_MAX
            && strings <= ARGV_MAX
            && args.last().is_none_or(|last| *last == 0);
        if whole && Self::is_shape(birth.flags, bytes[28], birth.target) { Ok(birth) } else { Err(Invalid::Malformed) }
    }
}

impl Event {
    fn kind(&self) -> u16 {
        match self {
            Self::Hello(_) => kind::HELLO,
            Self::Busy => kind::BUSY,
            Self::Live(_) => kind::LIVE,
            Self::Exit(_) => kind::EXIT,
            Self::Ready => kind::READY,
            Self::Born { .. } => kind::BORN,
            Self::Refused { .. } => kind::REFUSED,
            Self::Given => kind::GIVEN,
            Self::Done => kind::DONE,
            Self::Rotated { .. } => kind::ROTATED,
            Self::Pong => kind::PONG,
            Self::Failed { .. } => kind::FAILED,
        }
    }

    /// The body as five words; two numbers of 32 bits share one, the first in the lower half.
    fn body(&self) -> [u64; 5] {
        let pair = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
        match self {
            Self::Hello(hello) => [pair(hello.living, hello.exits), u64::from(hello.kept), hello.last_seq, 0, 0],
            Self::Live(live) => [
                pair(live.pid, live.flags),
                live.start,
                u64::from(live.rotations),
                live.dropped_lines,
                live.dropped_bytes,
            ],
            Self::Exit(exit) => {
                [pair(exit.status as u32, exit.rotations), exit.start, exit.end, exit.dropped_lines, exit.dropped_bytes]
            }
            Self::Born { pid, start } => [u64::from(*pid), *start, 0, 0, 0],
            Self::Refused { reason, operation, errno } => {
                [u64::from(*reason as u32 | (*operation as u32) << 8 | *errno << 16), 0, 0, 0, 0]
            }
            Self::Rotated { rotations } => [u64::from(*rotations), 0, 0, 0, 0],
            Self::Failed { operation, errno } => [pair(*operation as u32, *errno), 0, 0, 0, 0],
            Self::Busy | Self::Ready | Self::Given | Self::Done | Self::Pong => [0; 5],
        }
    }

    /// The message. `id` is the request's, or 0; `subject` is a `seq`, a key, or 0.
    pub fn encode(&self, id: u64, subject: u64) -> [u8; SIZE] {
        let mut bytes = header(self.kind(), id, subject);
        let (words, _) = bytes.as_chunks_mut::<8>();
        for (place, word) in words.iter_mut().skip(3).zip(self.body()) {
            *place = word.to_le_bytes();
        }
        bytes
    }

    /// Reads a message of pause.
    ///
    /// # Errors
    /// As `Invalid` says.
    pub fn decode(bytes: &[u8]) -> Result<(Header, Self), Invalid> {
        let header = decode_header(bytes)?;
        let b = packet(bytes)?;
        let event = match header.kind {
            kind::HELLO => Self::Hello(Hello {
                living: u32_at(b, 24),
                exits: u32_at(b, 28),
                kept: u32_at(b, 32),
                last_seq: u64_at(b, 40),
            }),
            kind::BUSY => Self::Busy,
            kind::LIVE => Self::Live(Live {
                pid: u32_at(b, 24),
                flags: u32_at(b, 28),
                start: u64_at(b, 32),
                rotations: u32_at(b, 40),
                dropped_lines: u64_at(b, 48),
                dropped_bytes: u64_at(b, 56),
            }),
            kind::EXIT => Self::Exit(Exit {
                status: u32_at(b, 24) as i32,
                rotations: u32_at(b, 28),
                start: u64_at(b, 32),
                end: u64_at(b, 40),
                dropped_lines: u64_at(b, 48),
                dropped_bytes: u64_at(b, 56),
            }),
            kind::READY => Self::Ready,
            kind::BORN => Self::Born { pid: u32_at(b, 24), start: u64_at(b, 32) },
            kind::REFUSED => Self::Refused {
                reason: Refusal::from_code(u32::from(b[24]))?,
                operation: Operation::from_code(u32::from(b[25]))?,
                errno: u32::from(u16_at(b, 26)),
            },
            kind::GIVEN => Self::Given,
            kind::DONE => Self::Done,
            kind::ROTATED => Self::Rotated { rotations: u32_at(b, 24) },
            kind::PONG => Self::Pong,
            kind::FAILED => Self::Failed { operation: Operation::from_code(u32_at(b, 24))?, errno: u32_at(b, 28) },
            _ => return Err(Invalid::Kind),
        };
        Ok((header, event))
    }
}
