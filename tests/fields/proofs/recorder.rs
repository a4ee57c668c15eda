//! Servers in a Pod's network, or on the host's loopback, that write down what they were asked: HTTP of one request a
//! connection, the same within TLS, plain connections, and gRPC as far as a question of health needs it. They end with
//! their proof.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// A server's answer to its n-th question, from 1; none is silence.
pub type Answers = fn(usize) -> Option<&'static str>;

/// Well.
pub const GOOD: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
/// Not well.
pub const BAD: &str = "HTTP/1.1 500 Bad\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
/// Ports from here on, a hundred, are asked for the health of a service.
pub const HEALTH: u16 = 9500;
/// Ports from here on, a hundred, speak TLS.
pub const SECURE: u16 = 9600;

/// Settings of no interest and their acknowledgement; then, for stream 1: status 200, the message that says SERVING, and
/// the trailer `grpc-status: 0`.
const SERVING: &[u8] = b"\0\0\0\x04\0\0\0\0\0\0\0\0\x04\x01\0\0\0\0\0\0\x01\x01\x04\0\0\0\x01\x88\
    \0\0\x07\0\0\0\0\0\x01\0\0\0\0\x02\x08\x01\0\0\x0f\x01\x05\0\0\0\x01\0\x0bgrpc-status\x010";
/// Bytes that a client sends before its first frame.
const PREFACE: usize = 24;

/// Several servers, each on a port.
pub struct Recorder {
    seen: Arc<Mutex<BTreeMap<u16, Vec<String>>>>,
    stop: Arc<AtomicBool>,
    servers: Vec<std::thread::JoinHandle<()>>,
}

impl Recorder {
    /// In the network of a process, on all its addresses.
    pub fn inside(pid: i32, ports: &[(u16, Answers)]) -> Recorder {
        let bind = |port: u16| bound(pid, move || TcpListener::bind(("0.0.0.0", port))).expect("a port of the Pod");
        Recorder::of(ports.iter().map(|(port, answers)| (bind(*port), *answers)).collect())
    }

    /// On the host's loopback; the port is free.
    pub fn host(answers: Answers) -> (Recorder, u16) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        (Recorder::of(vec![(listener, answers)]), port)
    }

    fn of(listeners: Vec<(TcpListener, Answers)>) -> Recorder {
        let (seen, stop) = (Arc::<Mutex<BTreeMap<u16, Vec<String>>>>::default(), Arc::<AtomicBool>::default());
        let serve = |(listener, answers): (TcpListener, Answers)| {
            let (seen, stop) = (seen.clone(), stop.clone());
            std::thread::spawn(move || serve(&listener, answers, &seen, &stop))
        };
        let servers = listeners.into_iter().map(serve).collect();
        Recorder { seen, stop, servers }
    }

    /// What the port was asked, in order.
    pub fn seen(&self, port: u16) -> Vec<String> {
        self.seen.lock().expect("not poisoned").get(&port).cloned().unwrap_or_default()
    }

    /// How often.
    pub fn count(&self, port: u16) -> usize {
        self.seen(port).len()
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.servers.drain(..).for_each(|server| drop(server.join()));
    }
}

/// Makes a socket in another network; it stays there.
fn bound<T: Send + 'static>(pid: i32, bind: impl FnOnce() -> T + Send + 'static) -> T {
    let enter = move || {
        let network = File::open(format!("/proc/{pid}/ns/net")).expect("its network");
        move_into_link_name_space(std::os::fd::AsFd::as_fd(&network), Some(LinkNameSpaceType::Network))
            .expect("enter it");
        bind()
    };
    std::thread::spawn(enter).join().expect("a socket there")
}

/// A socket for datagrams in the network of a process.
pub fn datagrams(pid: i32, port: u16) -> UdpSocket {
    bound(pid, move || UdpSocket::bind(("127.0.0.1", port))).expect("a port of the Pod")
}

type Seen = Mutex<BTreeMap<u16, Vec<String>>>;

fn serve(listener: &TcpListener, answers: Answers, seen: &Seen, stop: &AtomicBool) {
    listener.set_nonblocking(true).expect("set non-blocking");
    let port = listener.local_addr().expect("an address").port();
    let mut silent = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        match listener.accept() {
            Ok((stream, _)) => silent.extend(answer(stream, port, answers, seen)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::sleep(Duration::from_millis(5)),
            Err(_) => {}
        }
    }
}

/// Writes down what is asked and answers; a connection that gets no answer is kept, so that it is not one that broke.
fn answer(mut stream: TcpStream, port: u16, answers: Answers, seen: &Seen) -> Option<TcpStream> {
    let _ = stream.set_nonblocking(false);
    let _ = stream.set_read_timeout(Some(Duration::from_millis(500)));
    if (SECURE..SECURE + 100).contains(&port) {
        let mut secure = secured(stream);
        note(port, question(&mut secure, false), seen);
        let _ = secure.write_all(GOOD.as_bytes());
        secure.conn.send_close_notify();
        let _ = secure.flush();
        return None;
    }
    let health = (HEALTH..HEALTH + 100).contains(&port);
    let number = note(port, question(&mut stream, health), seen);
    if health {
        let _ = stream.write_all(SERVING);
        return Some(stream);
    }
    let Some(answer) = answers(number) else { return Some(stream) };
    let _ = stream.write_all(answer.as_bytes());
    None
}

/// Writes down a question; the how manieth it is.
fn note(port: u16, asked: Vec<u8>, seen: &Seen) -> usize {
    let mut seen = seen.lock().expect("not poisoned");
    let list = seen.entry(port).or_default();
    list.push(String::from_utf8_lossy(&asked).into_owned());
    list.len()
}

/// The server's side of TLS: a certificate of its own making for another name, which is over since 2001.
fn secured(stream: TcpStream) -> StreamOwned<ServerConnection, TcpStream> {
    let key = PrivatePkcs8KeyDer::from(include_bytes!("server.key").as_slice());
    let certificate = CertificateDer::from(include_bytes!("server.crt").as_slice());
    let server = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions of TLS")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key.into())
        .expect("a certificate and its key");
    StreamOwned::new(ServerConnection::new(Arc::new(server)).expect("a server"), stream)
}

/// All of a request: until the head's end, the message's end, or nothing more comes.
fn question(stream: &mut impl Read, health: bool) -> Vec<u8> {
    let (mut asked, mut buffer) = (Vec::new(), [0; 4096]);
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        asked.extend_from_slice(&buffer[..count]);
        let is_all = if health { has_message(&asked) } else { asked.ends_with(b"\r\n\r\n") };
        if is_all {
            break;
        }
    }
    asked
}

/// Whether a whole DATA frame has come.
fn has_message(asked: &[u8]) -> bool {
    let mut rest = asked.get(PREFACE..).unwrap_or_default();
    while let [a, b, c, kind, ..] = *rest {
        let end = 9 + usize::from(a) * 65536 + usize::from(b) * 256 + usize::from(c);
        if rest.len() < end {
            return false;
        }
        if kind == 0 {
            return true;
        }
        rest = &rest[end..];
    }
    false
}
