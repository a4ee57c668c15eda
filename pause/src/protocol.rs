//! The protocol between a node and `pause`, the keeper of a Pod: its one written specification.
//!
//! pause and the node both include this file (`#[path]`), so it imports nothing but `core`, holds no `unsafe`, allocates
//! nothing and does no IO. pause itself works on a packet as it lies in memory (`packet.rs`). An old pause will meet a newer node, so the header and the `version` in it never move; a
//! change of meaning raises `VERSION`, and a node speaks the version that a pause's HELLO names.
//!
//! # Transport
//!
//! `AF_UNIX`, `SOCK_SEQPACKET`: one message is one packet. Descriptors travel beside it (`SCM_RIGHTS`), in the order
//! that the kind fixes. Every number is little-endian. Every packet is `SIZE` bytes; only BIRTH may be longer, by its
//! argument block.
//!
//! # Start
//!
//! The node executes pause (vfork, exec) with the arguments `pause` and `NAMESPACE/NAME`, an empty environment, and:
//!
//! | descriptor | what |
//! |---|---|
//! | 0, 1, 2 | anything; pause replaces them by `/dev/null` |
//! | 3 | a *bound, not yet listening* `SOCK_SEQPACKET` socket; pause listens on it |
//! | 4 | one end of a connected `SOCK_SEQPACKET` pair: the first connection |
//! | 5 | a memory file with a `Setup` block, read from offset 0 |
//! | 6 … | `tasks` open v1 `tasks` files, then (`Setup::CGROUP_DIR`) an open v2 cgroup folder, then (`Setup::JOIN`) a pidfd whose network, IPC and UTS namespaces are entered |
//!
//! Stage 1 enters the cgroups, clones stage 2 into the namespaces and exits with status 0. Stage 2 is pause. Its first
//! messages on 4 are HELLO … READY as on every connection; or FAILED, after which it exits with status 1 (stage 1 too,
//! when the failure is its own). Nothing is born before the Pod's walls stand.
//!
//! # A connection
//!
//! One at a time. A further connection gets BUSY and is closed; so does, for a moment, the first one after a node's
//! death, when its lock was free before its socket was closed: try again. A node sends nothing before READY. pause sends, in this order: HELLO, one
//! LIVE per member whose exit is not yet known, one EXIT per exit that is not yet acknowledged, READY. Then it answers
//! every request by exactly one message that repeats the request's `id`, in the order of the requests, and pushes EXIT
//! and ROTATED (`id` 0) whenever they happen. What a node sent before it died is still carried out, before the next
//! node gets its HELLO. The end of a connection changes nothing else.
//!
//! A node that does not read blocks nobody: its requests wait, and what was to be pushed is kept as state of the table.
//!
//! # A birth
//!
//! The node chooses `seq`, writes it down, then asks. pause refuses (`Refusal::Repeat`) every `seq` that is not
//! greater than each one it gave birth to (0 is never valid), so one birth cannot happen twice; a refused birth uses
//! up nothing. After a lost answer the next HELLO … READY tells what came of it: LIVE, EXIT, or neither (then it was
//! not born).
//!
//! Descriptors of BIRTH, in this order:
//!
//! 1. the executable (`O_RDONLY` or `O_PATH`), executed as `execveat(fd, "", AT_EMPTY_PATH)`
//! 2. the plan: descriptor 3 of the newborn
//! 3. the report file: descriptor 4 of the newborn
//! 4. `LOG_CURRENT`: the log file (`O_WRONLY|O_APPEND`); `LOG_NEXT`: the one after it, empty
//! 5. `Stdio::Direct`: three, for 0, 1 and 2; `Stdio::Terminal`: the master (kept and read by pause), then the slave
//! 6. `INTO_CGROUP`: an open v2 cgroup folder
//! 7. `slots` more: descriptors 5, 6, … of the newborn
//!
//! The newborn has exactly the descriptors 0 to 4 and its slots, every signal at its default and unblocked, an empty
//! environment, a mount namespace of its own (a copy of pause's empty root), the Pod's other namespaces, and with
//! `NEW_PID` a pid namespace of its own. With `JOIN` it is born inside the pid namespace of the living member
//! `target` (its `NEW_PID` is then meaningless and refused).
//! The argument block is NUL-terminated strings, `ARGS_MAX` bytes and `ARGV_MAX` strings at most; empty means `init`.
//!
//! # Logs
//!
//! With `Stdio::Logged` and `Stdio::Terminal` pause reads the output and writes records to the log:
//! `2026-11-25T01:02:03.123456789Z stdout F text\n`. What a read returns without a newline at its end is written at
//! once with the tag `P`, and text longer than `TEXT_MAX` is cut into `P` pieces: a reader joins the pieces of a
//! stream up to and including the next `F`, and gets the output byte for byte, also when it ends without a newline.
//! When a record would pass `log_limit` (bytes of one file; 0: none), pause goes on in the next file and pushes
//! ROTATED; the node hands over another by LOG_NEXT. As long as a node is connected that has not done so, and the file is
//! half full, the member's output is not read: it waits for a node that is late, some six seconds in all (see
//! `keeper::PATIENCE`), so that no line is lost because a machine is busy. Without a next file and without a node, or on
//! an error such as a full disk, whole records are dropped and counted; once writing works again the count becomes a
//! record of `stderr`. Without any log the output is read and dropped. A record that is larger than the limit still goes
//! into an empty file.
//!
//! # An exit
//!
//! EXIT is pushed once the member is reaped *and* its output is in the log, and again on every connection until ACK.
//! A slot is reserved at birth, and freed by ACK alone.

// By its path, since others include this file by a path of theirs.
#[path = "protocol/codec.rs"]
mod codec;

#[allow(unused_imports, reason = "pause itself needs it not, a node does")]
pub use codec::peek;
use codec::{packet, u16_at, u64_at};

/// First bytes of every message.
pub const MAGIC: u32 = u32::from_le_bytes(*b"dwlP");
/// First bytes of a `Setup` block.
pub const SETUP_MAGIC: u32 = u32::from_le_bytes(*b"dwlS");
/// Version of everything in this file.
pub const VERSION: u16 = 1;
/// Bytes of every message, BIRTH's argument block aside.
pub const SIZE: usize = 64;
/// Bytes of BIRTH's argument block at most.
pub const ARGS_MAX: usize = 512;
/// Strings in BIRTH's argument block at most.
pub const ARGV_MAX: usize = 16;
/// Bytes of the longest message.
pub const MESSAGE_MAX: usize = SIZE + ARGS_MAX;
/// Descriptors beside one message at most.
pub const DESCRIPTORS_MAX: usize = 200;
/// Members, living or not yet acknowledged, at most.
pub const TABLE_SLOTS: usize = 256;
/// Sockets kept at most.
pub const KEPT_SLOTS: usize = 64;
/// Bytes of the text of one log record at most.
pub const TEXT_MAX: usize = 16 * 1024;

/// Descriptor of the socket to listen on, at the start.
pub const LISTEN_FD: i32 = 3;
/// Descriptor of the first connection, at the start.
pub const FIRST_CONNECTION_FD: i32 = 4;
/// Descriptor of the `Setup` block, at the start.
pub const SETUP_FD: i32 = 5;
/// First of the cgroup descriptors, at the start.
pub const FIRST_CGROUP_FD: i32 = 6;

/// Why bytes are not a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Invalid {
    /// Too short, wrong magic, or a field outside its range.
    Malformed,
    /// Another version.
    Version,
    /// A kind that this version does not know.
    Kind,
}

/// What every message begins with: `magic u32, version u16, kind u16, id u64, subject u64`; 40 bytes of body follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// See `kind`.
    pub kind: u16,
    /// Chosen by the node, repeated in the answer; 0 in what pause pushes.
    pub id: u64,
    /// A member's `seq`, or the key of a kept socket, or 0.
    pub subject: u64,
}

/// Kinds of message. Those of the node are below 100.
pub mod kind {
    /// `flags u32, stdio u8, 0 u8, slots u16, target u64, log_limit u64, args u16`, then `args` bytes at offset `SIZE`.
    pub const BIRTH: u16 = 1;
    /// `what u32`; answered by GIVEN.
    pub const TAKE: u16 = 2;
    /// `what u32` (`Held::Stdin` only); answered by DONE.
    pub const CLOSE: u16 = 3;
    /// Frees the slot of an ended member; answered by DONE.
    pub const ACK: u16 = 4;
    /// One descriptor: the next log file; answered by DONE.
    pub const LOG_NEXT: u16 = 5;
    /// One descriptor, kept under the key; answered by DONE. A known key is refused (`Refusal::Repeat`).
    pub const KEEP: u16 = 6;
    /// A copy of what is kept under the key; answered by GIVEN.
    pub const TAKE_KEPT: u16 = 7;
    /// Closes what is kept under the key; answered by DONE.
    pub const FORGET: u16 = 8;
    /// Answered by PONG.
    pub const PING: u16 = 9;

    /// `living u32, exits u32, kept u32, 0 u32, last_seq u64`; one descriptor: a pidfd of pause.
    pub const HELLO: u16 = 100;
    /// Another node is connected. The connection ends.
    pub const BUSY: u16 = 101;
    /// `pid u32, flags u32, start u64, rotations u32, 0 u32, dropped_lines u64, dropped_bytes u64`; one descriptor: a
    /// pidfd (none when the member is reaped and its output still being written).
    pub const LIVE: u16 = 102;
    /// `status i32, rotations u32, start u64, end u64, dropped_lines u64, dropped_bytes u64`
    pub const EXIT: u16 = 103;
    /// The end of the list.
    pub const READY: u16 = 104;
    /// `pid u32, 0 u32, start u64`; one descriptor: a pidfd.
    pub const BORN: u16 = 105;
    /// `reason u8, op u8, errno u16`
    pub const REFUSED: u16 = 106;
    /// One descriptor.
    pub const GIVEN: u16 = 107;
    /// Done as asked.
    pub const DONE: u16 = 108;
    /// `rotations u32`
    pub const ROTATED: u16 = 109;
    /// The answer to PING.
    pub const PONG: u16 = 110;
    /// `op u32, errno u32`: pause could not set itself up, and ends.
    pub const FAILED: u16 = 111;
}

/// A birth, as asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Birth<'a> {
    /// Bits below.
    pub flags: u32,
    /// Where 0, 1 and 2 come from.
    pub stdio: Stdio,
    /// Descriptors of the newborn from 5 on.
    pub slots: u16,
    /// With `JOIN`: the `seq` of a living member; else 0.
    pub target: u64,
    /// Bytes of one log file at most; 0: no limit.
    pub log_limit: u64,
    /// The argument block.
    pub args: &'a [u8],
}

impl Birth<'_> {
    /// Bit 0 of `flags` is this bit of clone3(2)'s.
    pub const CLONE_SHIFT: u32 = 29;
    /// Those of `flags` that are clone3's own.
    pub const CLONE: u32 = Self::NEW_PID | Self::INTO_CGROUP;
    /// A pid namespace of its own, nested in the Pod's.
    pub const NEW_PID: u32 = 1;
    /// Born into the pid namespace of `target`.
    pub const JOIN: u32 = 2;
    /// A v2 cgroup folder is among the descriptors (`CLONE_INTO_CGROUP`).
    pub const INTO_CGROUP: u32 = 16;
    /// Standard input is a pipe whose other end pause keeps; else `/dev/null`. `Stdio::Logged` only.
    pub const STDIN_PIPE: u32 = 8;
    /// The log file is among the descriptors. Not with `Stdio::Direct`.
    pub const LOG_CURRENT: u32 = 4;
    /// So is the one after it. Only with `LOG_CURRENT`.
    pub const LOG_NEXT: u32 = 32;
    /// Every bit that has a meaning.
    pub const FLAGS: u32 = 63;

    /// Descriptors that must lie beside this message.
    pub fn descriptors(&self) -> usize {
        Self::slots_at(self.flags, self.stdio as u8) + usize::from(self.slots)
    }

    /// Position of the first stdio descriptor in the message: after executable, plan, report and the logs.
    pub fn stdio_at(flags: u32) -> usize {
        let bit = |flag: u32| usize::from(flags & flag != 0);
        3 + bit(Self::LOG_CURRENT) + bit(Self::LOG_NEXT)
    }

    /// Position of the first slot in the message. The cgroup folder, if there is one, stands before it.
    pub fn slots_at(flags: u32, stdio: u8) -> usize {
        let streams = if stdio == 0 { 0 } else { 4 - stdio };
        Self::stdio_at(flags) + usize::from(streams) + usize::from(flags & Self::INTO_CGROUP != 0)
    }

    /// Whether the parts agree with one another.
    pub fn is_shape(flags: u32, stdio: u8, target: u64) -> bool {
        let excluded = match stdio {
            0 => 0,
            1 => Self::STDIN_PIPE | Self::LOG_CURRENT,
            _ => Self::STDIN_PIPE,
        };
        let pid = flags & (Self::JOIN | Self::NEW_PID);
        stdio <= 2
            && flags & (!Self::FLAGS | excluded) == 0
            && pid != Self::JOIN | Self::NEW_PID
            && (flags & Self::JOIN == 0) == (target == 0)
            && flags & (Self::LOG_CURRENT | Self::LOG_NEXT) != Self::LOG_NEXT
    }
}

/// Where a newborn's standard streams come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Stdio {
    /// Pipes made by pause, which reads 1 and 2 into the log.
    Logged = 0,
    /// Three descriptors of the node's. pause keeps no copy.
    Direct = 1,
    /// A terminal of the node's: the slave is 0, 1 and 2; pause keeps the master and reads it into the log as `stdout`.
    Terminal = 2,
}

/// What pause holds for a member and gives a copy of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Held {
    /// The member's pidfd, until it is reaped.
    Pidfd = 0,
    /// The write end of its standard input, until CLOSE or its end.
    Stdin = 1,
    /// The master of its terminal, until its end.
    Terminal = 2,
}

/// What a node asks for. `Header::subject` says of whom: a `seq`, or a key (`Keep`, `TakeKept`, `Forget`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request<'a> {
    /// Give birth to the member `subject`.
    Birth(Birth<'a>),
    /// Give a copy of what is held for the member.
    Take(Held),
    /// Close the kept end of the member's standard input: it reads end of file once every copy is closed.
    CloseStdin,
    /// The exit is written down: free the slot.
    Ack,
    /// The next log file (one descriptor).
    LogNext,
    /// Keep the one descriptor under the key.
    Keep,
    /// Give a copy of what is kept.
    TakeKept,
    /// Close what is kept.
    Forget,
    /// Are you there?
    Ping,
}

/// Why a request was refused. Every descriptor that came with it is closed; the connection stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Refusal {
    /// Not a message, or its fields contradict one another.
    Malformed = 1,
    /// Longer than `MESSAGE_MAX`, or more than `DESCRIPTORS_MAX` descriptors (or more than pause may open).
    Truncated = 2,
    /// Another version; HELLO names the right one.
    Version = 3,
    /// An unknown kind.
    Kind = 4,
    /// More or fewer descriptors than the message needs.
    Descriptors = 5,
    /// A `seq` that is not greater than every one before, or a key that is in use.
    Repeat = 6,
    /// No free slot.
    TableFull = 7,
    /// No such member (or it ended, or it has no such thing), or nothing under this key.
    NotFound = 8,
    /// The member has not ended, or its output is not yet written: nothing to acknowledge.
    NotEnded = 9,
    /// There is a next log file already.
    Full = 10,
    /// A system call failed: `op` and `errno` say which and why.
    System = 11,
}

/// A system call of pause, as named in `Refused` and `Failed`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Operation {
    /// None: the refusal is pause's own.
    None = 0,
    /// Read the `Setup` block (`errno` 0: it is malformed or of another version).
    ReadSetup = 1,
    /// Write `0` to a `tasks` file.
    EnterCgroup = 2,
    /// Enter the network namespace handed over.
    Join = 3,
    /// Clone stage 2 with its namespaces.
    CloneSandbox = 4,
    /// Make, attach or enter the empty root.
    EmptyRoot = 5,
    /// `sethostname`
    Hostname = 6,
    /// `setsid`
    Session = 7,
    /// `capset`, or narrowing the bounding set.
    Capabilities = 8,
    /// Signals, or the descriptor they arrive on.
    Signals = 9,
    /// `/dev/null`, or a descriptor's place.
    Descriptors = 10,
    /// `pidfd_open` of itself.
    OwnPidfd = 11,
    /// `listen`
    Listen = 12,
    /// Pipes for a newborn.
    Pipe = 13,
    /// Clone a newborn.
    Clone = 14,
    /// Enter (or leave) the pid namespace of a member.
    JoinPid = 15,
    /// Put a newborn's descriptors in place.
    Place = 16,
    /// Execute a newborn.
    Execute = 17,
}

impl Operation {
    const ALL: [Self; 18] = [
        Self::None,
        Self::ReadSetup,
        Self::EnterCgroup,
        Self::Join,
        Self::CloneSandbox,
        Self::EmptyRoot,
        Self::Hostname,
        Self::Session,
        Self::Capabilities,
        Self::Signals,
        Self::Descriptors,
        Self::OwnPidfd,
        Self::Listen,
        Self::Pipe,
        Self::Clone,
        Self::JoinPid,
        Self::Place,
        Self::Execute,
    ];

    fn from_code(code: u32) -> Result<Self, Invalid> {
        Self::ALL.get(code as usize).copied().ok_or(Invalid::Malformed)
    }
}

impl Refusal {
    const ALL: [Self; 11] = [
        Self::Malformed,
        Self::Truncated,
        Self::Version,
        Self::Kind,
        Self::Descriptors,
        Self::Repeat,
        Self::TableFull,
        Self::NotFound,
        Self::NotEnded,
        Self::Full,
        Self::System,
    ];

    fn from_code(code: u32) -> Result<Self, Invalid> {
        Self::ALL.get((code as usize).wrapping_sub(1)).copied().ok_or(Invalid::Malformed)
    }
}

/// What pause says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The first on every connection.
    Hello(Hello),
    /// Another node is connected.
    Busy,
    /// A member whose exit is not known yet.
    Live(Live),
    /// A member's end.
    Exit(Exit),
    /// Everything has been listed.
    Ready,
    /// The member is born and executed; `pid` as pause's pid namespace counts, `start` in nanoseconds since 1970.
    Born { pid: u32, start: u64 },
    /// The request was not carried out.
    Refused { reason: Refusal, operation: Operation, errno: u32 },
    /// The descriptor asked for.
    Given,
    /// Done.
    Done,
    /// The log went on in the next file; `rotations` counts them since birth.
    Rotated { rotations: u32 },
    /// Here.
    Pong,
    /// pause could not set itself up.
    Failed { operation: Operation, errno: u32 },
}

/// The body of HELLO: counts of that moment (a member that ends while it is being listed may appear as EXIT alone).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hello {
    /// LIVE messages that follow.
    pub living: u32,
    /// EXIT messages that follow.
    pub exits: u32,
    /// Descriptors kept.
    pub kept: u32,
    /// The greatest `seq` ever born; 0: none.
    pub last_seq: u64,
}

/// The body of LIVE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Live {
    /// As pause's pid namespace counts.
    pub pid: u32,
    /// Bits below.
    pub flags: u32,
    /// Nanoseconds since 1970.
    pub start: u64,
    /// Log files begun since birth, the first one not counted.
    pub rotations: u32,
    /// Newlines that did not reach the log.
    pub dropped_lines: u64,
    /// Bytes that did not reach the log.
    pub dropped_bytes: u64,
}

impl Live {
    /// pause writes its log.
    pub const LOGGED: u32 = 1;
    /// There is no next log file: hand one over.
    pub const NEEDS_NEXT: u32 = 2;
    /// pause keeps the write end of its standard input.
    pub const STDIN: u32 = 4;
    /// pause keeps the master of its terminal.
    pub const TERMINAL: u32 = 8;
    /// It is reaped; EXIT follows as soon as its output is in the log.
    pub const REAPED: u32 = 16;
}

/// The body of EXIT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exit {
    /// As `wait4` returns it.
    pub status: i32,
    /// Log files begun since birth, the first one not counted.
    pub rotations: u32,
    /// Nanoseconds since 1970.
    pub start: u64,
    /// Nanoseconds since 1970.
    pub end: u64,
    /// Newlines that did not reach the log.
    pub dropped_lines: u64,
    /// Bytes that did not reach the log.
    pub dropped_bytes: u64,
}

/// What the sandbox is to be: the block behind `SETUP_FD`.
///
/// `magic u32, version u16, flags u16, tasks u16, hostname length u8, 0 (5 bytes), capabilities u64, hostname`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setup {
    /// Bits below.
    pub flags: u16,
    /// How many open v1 `tasks` files lie from `FIRST_CGROUP_FD` on.
    pub tasks: u16,
    /// The bounding set of pause and all its members (bit n: capability n): the union of what `init` needs to set a
    /// member up and what members may keep. `u64::MAX`: narrow nothing.
    pub capabilities: u64,
    /// Length of the name in `hostname`; 0: leave the name alone.
    pub hostname_len: u8,
    /// The name, then zeros.
    pub hostname: [u8; Setup::HOSTNAME_MAX],
}

impl Setup {
    /// Bytes of the block.
    pub const SIZE: usize = 88;
    /// Bytes of the name at most (the kernel's limit).
    pub const HOSTNAME_MAX: usize = 64;
    /// Bit 0 of `flags` is this bit of clone3(2)'s.
    pub const CLONE_SHIFT: u32 = 26;
    /// A UTS namespace of its own; without it the host name must not be set.
    pub const NEW_UTS: u16 = 1;
    /// An IPC namespace of its own.
    pub const NEW_IPC: u16 = 2;
    /// A pidfd follows, whose network, IPC and UTS namespaces are entered. Not with new ones of these kinds.
    pub const JOIN: u16 = 4;
    /// A pid namespace of its own: pause is its PID 1, and every member ends with it.
    pub const NEW_PID: u16 = 8;
    /// A network namespace of its own.
    pub const NEW_NET: u16 = 16;
    /// An open v2 cgroup folder follows the `tasks` files (`CLONE_INTO_CGROUP`).
    pub const CGROUP_DIR: u16 = 128;
    /// Those that are clone3's own.
    pub const CLONE: u16 = Self::NEW_UTS | Self::NEW_IPC | Self::NEW_PID | Self::NEW_NET | Self::CGROUP_DIR;
    /// Every bit that has a meaning.
    pub const FLAGS: u16 = Self::CLONE | Self::JOIN;

    /// The name as bytes.
    pub fn hostname(&self) -> &[u8] {
        &self.hostname[..usize::from(self.hostname_len).min(Self::HOSTNAME_MAX)]
    }

    /// The block.
    pub fn encode(&self) -> [u8; Self::SIZE] {
        let first = SETUP_MAGIC as u64 | u64::from(VERSION) << 32 | u64::from(self.flags) << 48;
        let second = u64::from(self.tasks) | u64::from(self.hostname_len) << 16;
        let mut bytes = [0; Self::SIZE];
        for (place, word) in bytes.chunks_exact_mut(8).zip([first, second, self.capabilities]) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        bytes[24..].copy_from_slice(&self.hostname);
        bytes
    }

    /// Whether the first two words are those of a block of this version whose parts agree with one another.
    pub fn is_head(first: u64, second: u64) -> bool {
        let flags = (first >> 48) as u16;
        let length = (second >> 16) as u8;
        let new = flags & (Self::NEW_NET | Self::NEW_IPC | Self::NEW_UTS);
        first << 16 == (SETUP_MAGIC as u64 | u64::from(VERSION) << 32) << 16
            && flags & !Self::FLAGS == 0
            && (flags & Self::JOIN == 0 || new == 0)
            && (length == 0 || flags & (Self::NEW_UTS | Self::JOIN) != 0)
            && usize::from(length) <= Self::HOSTNAME_MAX
    }

    /// Reads the block.
    ///
    /// # Errors
    /// `Malformed` for anything that `is_head` refuses.
    pub fn decode(bytes: &[u8; Self::SIZE]) -> Result<Self, Invalid> {
        let fixed = packet(bytes)?;
        let mut hostname = [0; Self::HOSTNAME_MAX];
        hostname.copy_from_slice(&bytes[24..]);
        let setup = Self {
            flags: u16_at(fixed, 6),
            tasks: u16_at(fixed, 8),
            capabilities: u64_at(fixed, 16),
            hostname_len: fixed[10],
            hostname,
        };
        if Self::is_head(u64_at(fixed, 0), u64_at(fixed, 8)) { Ok(setup) } else { Err(Invalid::Malformed) }
    }
}
