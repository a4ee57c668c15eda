//! Starts pauses as a node does, and speaks the protocol with them.

use std::ffi::CString;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::protocol::*;

/// How long anything may take before a test gives up (it fails then; nothing is measured).
const PATIENCE_MS: i32 = 60_000;

/// The very bytes that a node carries.
pub fn pause_binary() -> PathBuf {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| dwell_tests::embedded::program("pause", dwell::embedded::PAUSE)).clone()
}

pub fn member_binary() -> File {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    let member = include_bytes!(concat!(env!("OUT_DIR"), "/member"));
    File::open(PATH.get_or_init(|| dwell_tests::embedded::program("member", member))).unwrap()
}

pub fn own(fd: libc::c_long) -> OwnedFd {
    assert!(fd >= 0, "system call: {}", std::io::Error::last_os_error());
    // SAFETY: a descriptor that a system call just made, and nobody else owns.
    unsafe { OwnedFd::from_raw_fd(fd as RawFd) }
}

pub fn memfd() -> File {
    // SAFETY: the name is NUL-terminated.
    File::from(own(unsafe { libc::memfd_create(c"test".as_ptr(), libc::MFD_CLOEXEC) }.into()))
}

/// A log file in memory, as the node opens one: appending.
pub fn log_file() -> File {
    let file = memfd();
    // SAFETY: no pointers.
    unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETFL, libc::O_APPEND) };
    file
}

pub fn contents(file: &File) -> Vec<u8> {
    let mut file = File::open(format!("/proc/self/fd/{}", file.as_raw_fd())).unwrap();
    file.seek(SeekFrom::Start(0)).unwrap();
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).unwrap();
    bytes
}

/// Waits until `condition` holds.
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    for _ in 0..PATIENCE_MS / 5 {
        if condition() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    panic!("never happened: {what}");
}

/// A connection to a pause.
pub struct Connection(pub OwnedFd);

/// What came with a message.
pub struct Received {
    pub id: u64,
    pub subject: u64,
    pub event: Event,
    pub fd: Option<OwnedFd>,
}

impl Connection {
    /// Sends raw bytes with descriptors.
    pub fn send_raw(&self, bytes: &[u8], fds: &[RawFd]) {
        let mut slice = libc::iovec { iov_base: bytes.as_ptr() as *mut _, iov_len: bytes.len() };
        let mut control = vec![0u64; 256];
        // SAFETY: an all-zero msghdr is valid; everything it points to lives until sendmsg returns.
        unsafe {
            let mut header: libc::msghdr = std::mem::zeroed();
            header.msg_iov = &mut slice;
            header.msg_iovlen = 1;
            if !fds.is_empty() {
                header.msg_control = control.as_mut_ptr().cast();
                header.msg_controllen = libc::CMSG_SPACE(4 * fds.len() as u32) as _;
                let first = libc::CMSG_FIRSTHDR(&header);
                (*first).cmsg_level = libc::SOL_SOCKET;
                (*first).cmsg_type = libc::SCM_RIGHTS;
                (*first).cmsg_len = libc::CMSG_LEN(4 * fds.len() as u32) as _;
                std::ptr::copy_nonoverlapping(fds.as_ptr(), libc::CMSG_DATA(first).cast(), fds.len());
            }
            let sent = libc::sendmsg(self.0.as_raw_fd(), &header, libc::MSG_NOSIGNAL);
            assert_eq!(sent, bytes.len() as isize, "send: {}", std::io::Error::last_os_error());
        }
    }

    pub fn send(&self, request: &Request, id: u64, subject: u64, fds: &[RawFd]) {
        let mut bytes = [0; MESSAGE_MAX];
        let n = request.encode(id, subject, &mut bytes);
        self.send_raw(&bytes[..n], fds);
    }

    /// The next message; none at the end of the connection.
    pub fn next(&self) -> Option<Received> {
        let mut wait = libc::pollfd { fd: self.0.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        assert_eq!(
            // SAFETY: one pollfd.
            unsafe { libc::poll(&mut wait, 1, PATIENCE_MS) },
            1,
            "pause says nothing"
        );
        let mut bytes = [0u8; MESSAGE_MAX];
        let mut slice = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
        let mut control = [0u64; 8];
        // SAFETY: an all-zero msghdr is valid; everything it points to lives until recvmsg returns; a descriptor in
        // the control message is ours from then on.
        unsafe {
            let mut header: libc::msghdr = std::mem::zeroed();
            header.msg_iov = &mut slice;
            header.msg_iovlen = 1;
            header.msg_control = control.as_mut_ptr().cast();
            header.msg_controllen = size_of_val(&control) as _;
            let n = libc::recvmsg(self.0.as_raw_fd(), &mut header, libc::MSG_CMSG_CLOEXEC);
            if n <= 0 {
                return None;
            }
            let first = libc::CMSG_FIRSTHDR(&header);
            let fd = (!first.is_null()).then(|| own(i64::from(*libc::CMSG_DATA(first).cast::<RawFd>())));
            let (header, event) = Event::decode(&bytes[..n as usize]).unwrap();
            Some(Received { id: header.id, subject: header.subject, event, fd })
        }
    }

    /// The answer to request `id`; what is pushed meanwhile goes into `pushed`.
    pub fn answer(&self, id: u64, pushed: &mut Vec<Received>) -> Received {
        loop {
            let got = self.next().expect("the connection ended");
            if got.id == id {
                return got;
            }
            pushed.push(got);
        }
    }

    /// HELLO to READY: the counts, and what was listed.
    pub fn greeting(&self) -> (Hello, OwnedFd, Vec<Received>) {
        self.greeting_unless_busy().expect("busy")
    }

    /// As `greeting`; none when another node is connected.
    pub fn greeting_unless_busy(&self) -> Option<(Hello, OwnedFd, Vec<Received>)> {
        let first = self.next().expect("no greeting");
        if first.event == Event::Busy {
            return None;
        }
        let Event::Hello(hello) = first.event else { panic!("{:?}", first.event) };
        let mut listed = Vec::new();
        loop {
            let got = self.next().expect("the connection ended while greeting");
            if got.event == Event::Ready {
                return Some((hello, first.fd.expect("HELLO brings a pidfd"), listed));
            }
            listed.push(got);
        }
    }
}

/// A Pod that ends with this value.
pub struct Pod {
    pub connection: Connection,
    pub pidfd: OwnedFd,
    pub dir: PathBuf,
    next: AtomicU64,
    pub pushed: Vec<Received>,
}

pub fn setup(flags: u16) -> Setup {
    Setup { flags, tasks: 0, capabilities: u64::MAX, hostname_len: 0, hostname: [0; 64] }
}

pub fn named(mut setup: Setup, name: &str) -> Setup {
    setup.hostname_len = name.len() as u8;
    setup.hostname[..name.len()].copy_from_slice(name.as_bytes());
    setup
}

pub const USUAL: u16 = Setup::NEW_NET | Setup::NEW_IPC | Setup::NEW_UTS | Setup::NEW_PID;

/// Starts pause as a node does. The first message decides whether it is a Pod.
pub fn start(block: &[u8], more: &[RawFd]) -> (Connection, PathBuf, std::process::ExitStatus) {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    // SAFETY: no pointers. What stage 1 leaves behind becomes a child of the test, which can then wait for it.
    unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1) };
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let dir = std::env::temp_dir().join(format!("dwell-pause-{}-{count}", std::process::id()));
    std::fs::create_dir(&dir).unwrap();
    let listener = bind(&dir.join("sock"));
    let (ours, theirs) = pair();
    let mut setup = memfd();
    setup.write_all(block).unwrap();
    let mut fds = vec![listener.as_raw_fd(), theirs.as_raw_fd(), setup.as_raw_fd()];
    fds.extend(more);
    let mut command = Command::new(pause_binary());
    command.arg0("pause").arg("default/test").env_clear();
    // SAFETY: between fork and exec only fcntl, dup2, close and close_range are called.
    unsafe {
        command.pre_exec(move || {
            let mut high = [0; 64];
            for (high, fd) in high.iter_mut().zip(&fds) {
                *high = libc::fcntl(*fd, libc::F_DUPFD_CLOEXEC, 200);
            }
            for (at, high) in high.iter().enumerate().take(fds.len()) {
                libc::dup2(*high, 3 + at as RawFd);
            }
            libc::close_range(3 + fds.len() as u32, u32::MAX, libc::CLOSE_RANGE_CLOEXEC as i32);
            // As of a node that has none: what pause opens first is then its descriptor 0, and once that was closed
            // by every execution, so that a newborn had no standard input and its start aborted.
            libc::close(0);
            Ok(())
        });
    }
    let status = command.status().unwrap();
    (Connection(ours), dir, status)
}

fn pair() -> (OwnedFd, OwnedFd) {
    let mut pair = [0; 2];
    let kind = libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC;
    assert_eq!(
        // SAFETY: two descriptors are written.
        unsafe { libc::socketpair(libc::AF_UNIX, kind, 0, pair.as_mut_ptr()) },
        0
    );
    (own(pair[0].into()), own(pair[1].into()))
}

fn socket() -> OwnedFd {
    // SAFETY: no pointers.
    own(unsafe { libc::socket(libc::AF_UNIX, libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC, 0) }.into())
}

fn address(path: &Path) -> libc::sockaddr_un {
    // SAFETY: an all-zero sockaddr_un is valid.
    let mut address: libc::sockaddr_un = unsafe { std::mem::zeroed() };
    address.sun_family = libc::AF_UNIX as u16;
    let name = CString::new(path.to_str().unwrap()).unwrap();
    for (to, from) in address.sun_path.iter_mut().zip(name.as_bytes()) {
        *to = *from as libc::c_char;
    }
    address
}

fn bind(path: &Path) -> OwnedFd {
    let socket = socket();
    let address = address(path);
    // SAFETY: the address is as long as said.
    let bound = unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), size_of_val(&address) as u32) };
    assert_eq!(bound, 0);
    socket
}

/// What a birth is made with; the defaults are a logged member without a log.
pub struct Ask<'a> {
    pub args: &'a [&'a str],
    pub flags: u32,
    pub stdio: Stdio,
    pub target: u64,
    pub limit: u64,
    /// Descriptors after executable, plan and report.
    pub fds: Vec<RawFd>,
    pub slots: u16,
}

impl<'a> Ask<'a> {
    pub fn new(args: &'a [&'a str]) -> Self {
        Self { args, flags: Birth::NEW_PID, stdio: Stdio::Logged, target: 0, limit: 0, fds: vec![], slots: 0 }
    }

    pub fn flags(mut self, flags: u32) -> Self {
        self.flags = flags;
        self
    }

    pub fn stdio(mut self, stdio: Stdio) -> Self {
        self.stdio = stdio;
        self
    }

    pub fn log(mut self, files: &[&File], limit: u64) -> Self {
        self.flags |= [0, Birth::LOG_CURRENT, Birth::LOG_CURRENT | Birth::LOG_NEXT][files.len()];
        self.limit = limit;
        self.fds.splice(0..0, files.iter().map(|file| file.as_raw_fd()));
        self
    }

    pub fn fds(mut self, fds: &[RawFd]) -> Self {
        self.fds.extend(fds);
        self
    }
}

impl Pod {
    pub fn new() -> Self {
        Self::with(&named(setup(USUAL), "pod"), &[])
    }

    pub fn with(setup: &Setup, more: &[RawFd]) -> Self {
        let (connection, dir, status) = start(&setup.encode(), more);
        assert!(status.success(), "stage 1: {status}");
        let (_, pidfd, listed) = connection.greeting();
        assert!(listed.is_empty());
        Self { connection, pidfd, dir, next: AtomicU64::new(1), pushed: Vec::new() }
    }

    pub fn id(&self) -> u64 {
        1000 + self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// Another connection, which need not be the one that pause talks to.
    pub fn connect(&self) -> Connection {
        let socket = socket();
        let address = address(&self.dir.join("sock"));
        // SAFETY: the address is as long as said.
        let done =
            unsafe { libc::connect(socket.as_raw_fd(), (&raw const address).cast(), size_of_val(&address) as u32) };
        assert_eq!(done, 0, "connect: {}", std::io::Error::last_os_error());
        Connection(socket)
    }

    /// The node dies.
    pub fn disconnect(&mut self) {
        let (dead, _) = pair();
        self.connection = Connection(dead);
    }

    /// The node dies and the next one comes.
    pub fn reconnect(&mut self) -> (Hello, Vec<Received>) {
        self.disconnect();
        let (hello, _, listed) = loop {
            self.connection = self.connect();
            // A test that starts a process just now holds a copy of the dead node's socket until it executes.
            if let Some(greeting) = self.connection.greeting_unless_busy() {
                break greeting;
            }
        };
        self.pushed.clear();
        (hello, listed)
    }

    pub fn request(&mut self, request: &Request, subject: u64, fds: &[RawFd]) -> Received {
        let id = self.id();
        self.connection.send(request, id, subject, fds);
        self.connection.answer(id, &mut self.pushed)
    }

    pub fn ask(&mut self, seq: u64, ask: &Ask) -> Received {
        let member = member_binary();
        let (plan, report) = (memfd(), memfd());
        let mut args = String::from("member\0");
        ask.args.iter().for_each(|arg| args.extend([arg, "\0"]));
        let birth = Birth {
            flags: ask.flags,
            stdio: ask.stdio,
            slots: ask.slots,
            target: ask.target,
            log_limit: ask.limit,
            args: args.as_bytes(),
        };
        let mut fds = vec![member.as_raw_fd(), plan.as_raw_fd(), report.as_raw_fd()];
        fds.extend(&ask.fds);
        self.request(&Request::Birth(birth), seq, &fds)
    }

    /// Gives birth; the pidfd.
    pub fn birth(&mut self, seq: u64, ask: &Ask) -> OwnedFd {
        let born = self.ask(seq, ask);
        assert!(matches!(born.event, Event::Born { .. }), "{:?}", born.event);
        assert_eq!(born.subject, seq);
        born.fd.expect("BORN brings a pidfd")
    }

    /// Waits for a message that was pushed.
    pub fn pushed<T>(&mut self, mut wanted: impl FnMut(&Received) -> Option<T>) -> T {
        let mut at = 0;
        loop {
            while at < self.pushed.len() {
                if let Some(found) = wanted(&self.pushed[at]) {
                    self.pushed.remove(at);
                    return found;
                }
                at += 1;
            }
            let got = self.connection.next().expect("the connection ended");
            self.pushed.push(got);
        }
    }

    pub fn exit(&mut self, seq: u64) -> Exit {
        self.pushed(|got| match got.event {
            Event::Exit(exit) if got.subject == seq => Some(exit),
            _ => None,
        })
    }

    /// Runs to the end, acknowledges, and returns the exit.
    pub fn run(&mut self, seq: u64, ask: &Ask) -> Exit {
        self.birth(seq, ask);
        let exit = self.exit(seq);
        self.done(&Request::Ack, seq, &[]);
        exit
    }

    pub fn done(&mut self, request: &Request, subject: u64, fds: &[RawFd]) {
        let got = self.request(request, subject, fds);
        assert_eq!(got.event, Event::Done);
    }

    /// The refusal of a request.
    pub fn refused(&mut self, request: &Request, subject: u64, fds: &[RawFd]) -> Refusal {
        refusal(&self.request(request, subject, fds))
    }

    /// pause's pid as the test counts.
    pub fn pid(&self) -> i32 {
        pid_of(&self.pidfd)
    }

    pub fn kill(&self) {
        kill(&self.pidfd, libc::SIGKILL);
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        kill(&self.pidfd, libc::SIGKILL);
        // SAFETY: an all-zero siginfo is valid and gets written. It fails when the test has waited already.
        unsafe {
            let mut info: libc::siginfo_t = std::mem::zeroed();
            libc::waitid(libc::P_PIDFD, self.pidfd.as_raw_fd() as u32, &mut info, libc::WEXITED);
        }
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

pub fn kill(pidfd: &OwnedFd, signal: i32) {
    // SAFETY: a null siginfo means the usual one.
    unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, 0, 0) };
}

pub fn pid_of(pidfd: &OwnedFd) -> i32 {
    let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd())).unwrap();
    let line = info.lines().find_map(|line| line.strip_prefix("Pid:")).unwrap();
    line.trim().parse().unwrap()
}

pub fn refusal(got: &Received) -> Refusal {
    match got.event {
        Event::Refused { reason, .. } => reason,
        ref other => panic!("not refused: {other:?}"),
    }
}
