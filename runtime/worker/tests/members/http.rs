//! HTTP members: one instance a request, and one request's trouble is nobody else's.

use crate::guest::web;
use crate::member::{Ended, Member, Running, wait_for};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

struct Server {
    _member: Member,
    running: Running,
    address: SocketAddr,
}

impl Server {
    fn start(change: impl Fn(&mut Member)) -> Self {
        let mut member = Member::of(&web());
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        member.plan.listen = vec![address];
        member.plan.network = true;
        change(&mut member);
        let running = member.start(&[]);
        wait_for("the server", || TcpStream::connect(address).ok());
        Self { _member: member, running, address }
    }

    fn get(&self, path: &str) -> (u16, String) {
        read(&mut self.ask(path))
    }

    fn ask(&self, path: &str) -> TcpStream {
        let (stream, sent) = self.try_to_ask(path);
        sent.unwrap();
        stream
    }

    /// Whether all of the request could be sent is the caller's matter.
    fn try_to_ask(&self, path: &str) -> (TcpStream, io::Result<()>) {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let sent = write!(stream, "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.address);
        (stream, sent)
    }

    fn stop(self) -> Ended {
        self.running.signal("TERM");
        self.running.wait()
    }
}

fn read(stream: &mut TcpStream) -> (u16, String) {
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let body =
        if head.to_ascii_lowercase().contains("transfer-encoding: chunked") { unchunk(body) } else { body.to_owned() };
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body)
}

fn unchunk(mut text: &str) -> String {
    let mut out = String::new();
    while let Some((size, rest)) = text.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        out.push_str(&rest[..size]);
        text = &rest[(size + 2).min(rest.len())..];
    }
    out
}

#[test]
fn answers_and_stops_in_order() {
    let server = Server::start(|_| ());
    assert_eq!(server.get("/"), (200, "hello\n".to_owned()));
    let ended = server.stop();
    assert_eq!((ended.status, &*ended.err), (0, ""));
}

#[test]
fn a_trap_is_a_500_for_that_request_alone() {
    let server = Server::start(|_| ());
    assert_eq!(server.get("/trap").0, 500);
    assert_eq!(server.get("/quiet").0, 500);
    assert_eq!(server.get("/").0, 200);
    let ended = server.stop();
    assert_eq!(ended.status, 0);
    let line = ended.err.lines().next().unwrap();
    assert!(line.starts_with("dwell: GET /trap: wasm trap: ") && line.contains("at boom"), "{line}");
}

#[test]
fn fifty_at_once_are_all_answered() {
    let server = Server::start(|_| ());
    let mut streams: Vec<_> = (0..50).map(|_| server.ask("/")).collect();
    assert!(streams.iter_mut().all(|stream| read(stream) == (200, "hello\n".to_owned())));
}

#[test]
fn more_than_there_are_instances_wait_their_turn() {
    let server = Server::start(|_| ());
    let mut streams: Vec<_> = (0..150).map(|_| server.ask("/wait")).collect();
    assert!(streams.iter_mut().all(|stream| read(stream).0 == 200));
}

#[test]
fn a_request_that_loops_for_ever_holds_nobody_up() {
    let server = Server::start(|member| member.plan.drain_seconds = 1);
    let spinning: Vec<_> = (0..3).map(|_| server.ask("/spin")).collect();
    for _ in 0..5 {
        assert_eq!(server.get("/").0, 200);
    }
    let ended = server.stop();
    assert_eq!(ended.status, 0);
    assert!(ended.err.contains("still running 1 s after SIGTERM"), "{}", ended.err);
    drop(spinning);
}

#[test]
fn what_has_begun_is_finished_after_sigterm() {
    let server = Server::start(|_| ());
    let mut waiting = server.ask("/wait");
    server.get("/");
    server.running.signal("TERM");
    wait_for("the listener's end", || TcpStream::connect(server.address).is_err().then_some(()));
    assert_eq!(read(&mut waiting), (200, "hello\n".to_owned()));
    assert_eq!(server.running.wait().status, 0);
}

#[test]
fn memory_is_bounded_over_all_requests_and_given_back() {
    let server = Server::start(|member| member.plan.memory_limit = Some(16 << 20));
    for _ in 0..3 {
        assert_eq!(server.get("/memory").0, 500);
        assert_eq!(server.get("/").0, 200);
    }
    assert!(server.stop().err.contains("memory limit"));
}

#[test]
fn a_taken_port_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut member = Member::of(&web());
    member.plan.listen = vec![taken.local_addr().unwrap()];
    let ended = member.run(&[]);
    assert_eq!((ended.status, ended.reason()), (1, "ListenFailed"));
    assert!(ended.message().contains(&taken.local_addr().unwrap().to_string()));
}

#[test]
fn both_families_serve_and_http_1_0_needs_no_host() {
    let server = Server::start(|member| {
        let port = member.plan.listen[0].port();
        member.plan.listen = vec![([0, 0, 0, 0], port).into(), (std::net::Ipv6Addr::UNSPECIFIED, port).into()];
    });
    assert_eq!(server.get("/").0, 200);
    let mut stream = TcpStream::connect(("::1", server.address.port())).unwrap();
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    assert_eq!(read(&mut stream).0, 200);
}

#[test]
fn oversized_heads_are_refused() {
    let server = Server::start(|_| ());
    // The server may hang up before it has read it all, and then the rest cannot be sent.
    let (mut stream, sent) = server.try_to_ask(&format!("/{}", "a".repeat(100 << 10)));
    let hung_up = [ErrorKind::BrokenPipe, ErrorKind::ConnectionReset];
    assert!(sent.as_ref().err().is_none_or(|error| hung_up.contains(&error.kind())), "{sent:?}");
    let mut text = String::new();
    drop(stream.read_to_string(&mut text));
    assert!(!text.starts_with("HTTP/1.1 200"), "{text}");
    assert_eq!(server.get("/").0, 200);
}
