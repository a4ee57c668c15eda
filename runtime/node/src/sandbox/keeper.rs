//! The node's side of the connection to one pause (the protocol is specified in pause's `protocol.rs`).
//!
//! One request at a time, each answered by one message; what pause pushes meanwhile (exits, rotations) waits in a
//! queue that `event` empties. An end of the connection means that pause is dead. Reading an exit forgets nothing:
//! only `acknowledge` does.

use std::collections::VecDeque;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use dwell_spec::plan::pod::SandboxPlan;
use rustix::fs::{Mode, OFlags};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, SocketAddrUnix, SocketFlags, SocketType,
};
use tokio::io::Interest;
use tokio::net::UnixStream;

mod failure;
mod words;

pub use failure::KeeperError;
pub use words::{Birth, BirthStdio, Born, Event, Exit, Hello, Live, Process, Take};

use super::protocol::{self, Event as Message, Held, Request, Setup};

/// How long a pause may take for its first words; it answers in well under a millisecond.
const HELLO_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a pause may take for an answer. Longer takes one that a member has stopped while it gave birth, and that
/// will never answer again: whoever hears `Silent` ends it.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// As `HELLO_TIMEOUT`, of a pause that stands: no other Pod waits longer for it when a node begins.
const ADOPT_TIMEOUT: Duration = Duration::from_secs(5);
/// How often, and how many times, a connection is tried again while the node before still counts as connected.
const BUSY_RETRY: Duration = Duration::from_millis(10);
const BUSY_TRIES: u32 = 200;

/// A connection to pause.
#[derive(Debug)]
pub struct Keeper {
    socket: UnixStream,
    next_id: u64,
    pushed: VecDeque<Event>,
    /// An answer did not come in time; nothing is expected any more.
    silent: bool,
}

/// The block that pause reads first.
pub fn setup_block(plan: &SandboxPlan, tasks: usize, cgroup_directory: bool) -> Vec<u8> {
    let mut flags = 0;
    if plan.own_users {
        flags |= Setup::JOIN;
    }
    if !plan.host_ipc && !plan.own_users {
        flags |= Setup::NEW_IPC;
    }
    if !plan.host_pid {
        flags |= Setup::NEW_PID;
    }
    if !plan.host_network && !plan.own_users {
        flags |= Setup::NEW_NET | Setup::NEW_UTS;
    }
    if cgroup_directory {
        flags |= Setup::CGROUP_DIR;
    }
    let name = if plan.host_network { &[][..] } else { plan.hostname.as_bytes() };
    let length = name.len().min(Setup::HOSTNAME_MAX);
    let mut hostname = [0; Setup::HOSTNAME_MAX];
    hostname[..length].copy_from_slice(&name[..length]);
    let setup = Setup { flags, tasks: tasks as u16, capabilities: u64::MAX, hostname_len: length as u8, hostname };
    setup.encode().to_vec()
}

impl Keeper {
    /// Uses a connected socket.
    ///
    /// # Errors
    /// It cannot be watched.
    pub fn new(socket: OwnedFd) -> io::Result<Keeper> {
        let socket = std::os::unix::net::UnixStream::from(socket);
        socket.set_nonblocking(true)?;
        Ok(Keeper { socket: UnixStream::from_std(socket)?, next_id: 1, pushed: VecDeque::new(), silent: false })
    }

    /// Connects to a pause that an earlier node started, and hears it out.
    ///
    /// # Errors
    /// `Gone` when it is dead; `Busy` when another node holds it.
    pub async fn connect(path: &Path) -> Result<(Keeper, Hello), KeeperError> {
        for _ in 0..BUSY_TRIES {
            let mut keeper = Keeper::new(connect_socket(path)?)?;
            match keeper.hello_within(ADOPT_TIMEOUT).await {
                Err(KeeperError::Busy) => tokio::time::sleep(BUSY_RETRY).await,
                Err(error) => return Err(error),
                Ok(hello) => return Ok((keeper, hello)),
            }
        }
        Err(KeeperError::Busy)
    }

    /// pause's first words; must be the first call on a connection.
    ///
    /// # Errors
    /// `SetUp` when pause could not set itself up, `Gone`, `Busy`, or `Silent`.
    pub async fn hello(&mut self) -> Result<Hello, KeeperError> {
        self.hello_within(HELLO_TIMEOUT).await
    }

    async fn hello_within(&mut self, limit: Duration) -> Result<Hello, KeeperError> {
        tokio::time::timeout(limit, self.read_hello()).await.unwrap_or(Err(KeeperError::Silent))
    }

    async fn read_hello(&mut self) -> Result<Hello, KeeperError> {
        let mut hello: Option<Hello> = None;
        loop {
            let (header, message, fds) = self.receive().await?;
            let seq = header.subject;
            match (message, &mut hello) {
                (Message::Hello(said), None) => {
                    let pidfd = one(fds)?;
                    hello = Some(Hello { pidfd, last_seq: said.last_seq, live: Vec::new(), exits: Vec::new() });
                }
                (Message::Live(live), Some(hello)) => hello.live.push(listed(seq, &live)),
                (Message::Exit(exit), Some(hello)) => hello.exits.push(ended(seq, &exit)),
                // A log went on while nobody listened, or while pause speaks.
                (Message::Rotated { .. }, Some(_)) => self.queue(seq, &message),
                (Message::Ready, Some(_)) => return hello.take().ok_or(KeeperError::Nonsense("READY without HELLO")),
                (Message::Busy, _) => return Err(KeeperError::Busy),
                (Message::Failed { operation, errno }, _) => return Err(KeeperError::SetUp { operation, errno }),
                _ => return Err(KeeperError::Nonsense("an unexpected message before READY")),
            }
        }
    }

    /// Gives birth.
    ///
    /// # Errors
    /// `Refused` with pause's reason, or `Gone`: then the next HELLO tells whether it happened.
    pub async fn birth(&mut self, birth: Birth) -> Result<Born, KeeperError> {
        let seq = birth.seq;
        let (request, args, fds) = birth_message(birth);
        let request = protocol::Birth { args: args.as_bytes(), ..request };
        let borrowed: Vec<BorrowedFd<'_>> = fds.iter().map(|fd| fd.as_fd()).collect();
        match self.call(&Request::Birth(request), seq, &borrowed).await? {
            (Message::Born { start, .. }, fds) => Ok(Born { started_ns: start, pidfd: one(fds)? }),
            _ => Err(KeeperError::Nonsense("an unexpected answer to BIRTH")),
        }
    }

    /// Tells pause that an exit is written down.
    ///
    /// # Errors
    /// As `birth`.
    pub async fn acknowledge(&mut self, seq: u64) -> Result<(), KeeperError> {
        self.call(&Request::Ack, seq, &[]).await.map(drop)
    }

    /// A copy of what pause keeps for a member.
    ///
    /// # Errors
    /// `Refused` when there is no such thing.
    pub async fn take(&mut self, seq: u64, what: Take) -> Result<OwnedFd, KeeperError> {
        let held = match what {
            Take::Pidfd => Held::Pidfd,
            Take::Stdin => Held::Stdin,
            Take::Terminal => Held::Terminal,
        };
        let (_, fds) = self.call(&Request::Take(held), seq, &[]).await?;
        one(fds)
    }

    /// Closes the kept end of a member's standard input.
    ///
    /// # Errors
    /// As `birth`.
    pub async fn close_stdin(&mut self, seq: u64) -> Result<(), KeeperError> {
        self.call(&Request::CloseStdin, seq, &[]).await.map(drop)
    }

    /// Hands over the next log file.
    ///
    /// # Errors
    /// As `birth`.
    pub async fn log_next(&mut self, seq: u64, file: OwnedFd) -> Result<(), KeeperError> {
        self.call(&Request::LogNext, seq, &[file.as_fd()]).await.map(drop)
    }

    /// The next thing that happened; cancel-safe.
    ///
    /// # Errors
    /// `Gone` when pause died.
    pub async fn event(&mut self) -> Result<Event, KeeperError> {
        loop {
            if let Some(event) = self.pushed.pop_front() {
                return Ok(event);
            }
            if self.silent {
                return Err(KeeperError::Silent);
            }
            let (header, message, _) = self.receive().await?;
            self.queue(header.subject, &message);
        }
    }

    fn queue(&mut self, seq: u64, message: &Message) {
        match message {
            Message::Exit(exit) => self.pushed.push_back(Event::Exited(ended(seq, exit))),
            Message::Rotated { rotations } => self.pushed.push_back(Event::Rotated { seq, rotations: *rotations }),
            _ => {}
        }
    }

    /// One answer, in time; after one that did not come there is none.
    async fn call(
        &mut self,
        request: &Request<'_>,
        subject: u64,
        fds: &[BorrowedFd<'_>],
    ) -> Result<(Message, Vec<OwnedFd>), KeeperError> {
        if self.silent {
            return Err(KeeperError::Silent);
        }
        let answered = tokio::time::timeout(CALL_TIMEOUT, self.ask(request, subject, fds)).await;
        self.silent = answered.is_err();
        answered.unwrap_or(Err(KeeperError::Silent))
    }

    async fn ask(
        &mut self,
        request: &Request<'_>,
        subject: u64,
        fds: &[BorrowedFd<'_>],
    ) -> Result<(Message, Vec<OwnedFd>), KeeperError> {
        let id = self.next_id;
        self.next_id += 1;
        let mut bytes = [0; protocol::MESSAGE_MAX];
        let length = request.encode(id, subject, &mut bytes);
        self.send(&bytes[..length], fds).await?;
        loop {
            let (header, message, fds) = self.receive().await?;
            match message {
                _ if header.id != id => self.queue(header.subject, &message),
                Message::Refused { reason, operation, errno } => {
                    return Err(KeeperError::Refused { reason, operation, errno });
                }
                message => return Ok((message, fds)),
            }
        }
    }

    async fn send(&self, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> Result<(), KeeperError> {
        let mut space = vec![MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(fds.len()))];
        loop {
            self.socket.writable().await?;
            let mut control = SendAncillaryBuffer::new(&mut space);
            if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
                return Err(KeeperError::Nonsense("too many descriptors for one message"));
            }
            let iov = [io::IoSlice::new(bytes)];
            let sent = self.socket.try_io(Interest::WRITABLE, || {
                Ok(rustix::net::sendmsg(&self.socket, &iov, &mut control, SendFlags::NOSIGNAL)?)
            });
            match sent {
                Ok(_) => return Ok(()),
                Err(error) if again(&error) => {}
                Err(error) if hung_up(&error) => return Err(KeeperError::Gone),
                Err(error) => return Err(KeeperError::Io(error)),
            }
        }
    }

    async fn receive(&self) -> Result<(protocol::Header, Message, Vec<OwnedFd>), KeeperError> {
        let mut bytes = [0; protocol::SIZE];
        let (length, fds) = loop {
            self.socket.readable().await?;
            match self.socket.try_io(Interest::READABLE, || receive_packet(&self.socket, &mut bytes)) {
                Ok(received) => break received,
                Err(error) if again(&error) => {}
                Err(error) if hung_up(&error) => return Err(KeeperError::Gone),
                Err(error) => return Err(KeeperError::Io(error)),
            }
        };
        if length == 0 {
            return Err(KeeperError::Gone);
        }
        match Message::decode(&bytes[..length]) {
            Ok((header, message)) => Ok((header, message, fds)),
            Err(protocol::Invalid::Version) => {
                Err(KeeperError::Version(protocol::peek(&bytes).map_or(0, |(version, _)| version)))
            }
            Err(_) => Err(KeeperError::Nonsense("not a message of pause's")),
        }
    }
}

fn again(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

fn hung_up(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe)
}

fn receive_packet(socket: &UnixStream, bytes: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut iov = [io::IoSliceMut::new(bytes)];
    let received = rustix::net::recvmsg(socket, &mut iov, &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let mut fds = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            fds.extend(rights);
        }
    }
    Ok((received.bytes, fds))
}

fn connect_socket(path: &Path) -> Result<OwnedFd, KeeperError> {
    let (folder, name) = (path.parent().unwrap_or(Path::new("/")), path.file_name().unwrap_or_default());
    let folder = rustix::fs::open(folder, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let address = format!("/proc/self/fd/{}/{}", folder.as_raw_fd(), name.to_string_lossy());
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    match rustix::net::connect(&socket, &SocketAddrUnix::new(address)?) {
        Err(rustix::io::Errno::CONNREFUSED | rustix::io::Errno::NOENT) => Err(KeeperError::Gone),
        Err(error) => Err(KeeperError::Io(error.into())),
        Ok(()) => Ok(socket),
    }
}

fn one(fds: Vec<OwnedFd>) -> Result<OwnedFd, KeeperError> {
    fds.into_iter().next().ok_or(KeeperError::Nonsense("a descriptor is missing"))
}

fn listed(seq: u64, live: &protocol::Live) -> Live {
    let needs_log = live.flags & protocol::Live::LOGGED != 0 && live.flags & protocol::Live::NEEDS_NEXT != 0;
    Live { seq, started_ns: live.start, rotations: live.rotations, needs_log }
}

fn ended(seq: u64, exit: &protocol::Exit) -> Exit {
    Exit { seq, wait_status: exit.status, started_ns: exit.start, finished_ns: exit.end }
}

/// The fixed part, the argument block, and the descriptors in the protocol's order.
fn birth_message(birth: Birth) -> (protocol::Birth<'static>, String, Vec<OwnedFd>) {
    let Birth { own_pid_namespace, join, log_limit, argument, process, stdio, .. } = birth;
    let mut flags = if own_pid_namespace { protocol::Birth::NEW_PID } else { 0 };
    flags |= if join.is_some() { protocol::Birth::JOIN } else { 0 };
    let mut fds = vec![process.executable, process.plan, process.report];
    let stdio = match stdio {
        BirthStdio::Logged { log, next, input } => {
            flags |= protocol::Birth::LOG_CURRENT | protocol::Birth::LOG_NEXT;
            flags |= if input { protocol::Birth::STDIN_PIPE } else { 0 };
            fds.extend([log, next]);
            protocol::Stdio::Logged
        }
        BirthStdio::Terminal { log, next, master, slave } => {
            flags |= protocol::Birth::LOG_CURRENT | protocol::Birth::LOG_NEXT;
            fds.extend([log, next, master, slave]);
            protocol::Stdio::Terminal
        }
        BirthStdio::Direct(streams) => {
            fds.extend(streams);
            protocol::Stdio::Direct
        }
    };
    if let Some(cgroup) = process.cgroup {
        flags |= protocol::Birth::INTO_CGROUP;
        fds.push(cgroup);
    }
    let slots = process.slots.len() as u16;
    fds.extend(process.slots);
    let target = join.unwrap_or(0);
    let request = protocol::Birth { flags, stdio, slots, target, log_limit, args: &[] };
    (request, format!("{argument}\0"), fds)
}
