//! exec and attach: a member's stdio over a WebSocket, in Kubernetes' `v5.channel.k8s.io` framing.
//!
//! Every binary message begins with a channel byte: 0 stdin, 1 stdout, 2 stderr, 3 the final `Status`, 4 resize
//! (`{"Width":80,"Height":24}`), 255 close of the channel named by the next byte. Buffers are bounded by the chunk
//! size, and a client that does not read stops being read for. Output goes straight through: nothing is kept.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use dwell::{Attached, ExecEnd, ExecRequest, ExecSession, Node};
use futures_util::SinkExt;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::header::{
    CONNECTION, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, UPGRADE,
};
use hyper::upgrade::Upgraded;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::tungstenite::{Bytes, Message};

use super::answer::{self, Answer};
use super::route::{Key, Query};

const PROTOCOL: &str = "v5.channel.k8s.io";
const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const ERROR: u8 = 3;
const RESIZE: u8 = 4;
const CLOSE: u8 = 255;
const CHUNK: usize = 32 * 1024;
/// How long output may stay quiet after the program's end before it counts as complete, if something it left behind
/// still holds the pipe.
const QUIET: Duration = Duration::from_millis(300);

type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// `…/exec`
pub async fn exec(node: &Arc<Node>, key: &Key, query: &Query, request: Request<Incoming>) -> Answer {
    let wanted = ExecRequest {
        container: query.get("container").filter(|name| !name.is_empty()).map(str::to_owned),
        command: query.all("command"),
        stdin: query.flag("stdin"),
        tty: query.flag("tty"),
        user: query.get("user").map(str::to_owned),
    };
    let Some(accept) = accept_key(&request) else {
        return answer::bad_request("exec needs a WebSocket (v5.channel.k8s.io)");
    };
    match node.exec(&key.namespace, &key.name, wanted).await {
        Ok(session) => upgrade(request, accept, |socket| Box::pin(run_exec(socket, session))),
        Err(error) => answer::failure(&error),
    }
}

/// `…/attach`: input only (a member's output is its log, which every client follows by itself).
pub async fn attach(node: &Arc<Node>, key: &Key, query: &Query, request: Request<Incoming>) -> Answer {
    let container = query.get("container").filter(|name| !name.is_empty());
    let Some(accept) = accept_key(&request) else {
        return answer::bad_request("attach needs a WebSocket (v5.channel.k8s.io)");
    };
    match node.attach(&key.namespace, &key.name, container).await {
        Ok(attached) => {
            let (node, key) = (node.clone(), key.clone());
            upgrade(request, accept, move |socket| Box::pin(run_attach(socket, node, key, attached)))
        }
        Err(error) => answer::failure(&error),
    }
}

fn accept_key(request: &Request<Incoming>) -> Option<String> {
    let upgrade = request.headers().get(UPGRADE)?.to_str().ok()?;
    let key = request.headers().get(SEC_WEBSOCKET_KEY)?;
    upgrade.eq_ignore_ascii_case("websocket").then(|| derive_accept_key(key.as_bytes()))
}

type Session = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

fn upgrade(
    request: Request<Incoming>,
    accept: String,
    session: impl FnOnce(Socket) -> Session + Send + 'static,
) -> Answer {
    let mut answer = Response::new(Empty::new().boxed());
    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = answer.headers_mut();
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    if let Ok(accept) = HeaderValue::from_str(&accept) {
        headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    }
    if request.headers().contains_key(SEC_WEBSOCKET_PROTOCOL) {
        headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(PROTOCOL));
    }
    tokio::spawn(async move {
        if let Ok(upgraded) = hyper::upgrade::on(request).await {
            let socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await;
            session(socket).await;
        }
    });
    answer
}

async fn run_exec(mut socket: Socket, session: ExecSession) {
    let Ok(mut streams) = Streams::new(session.stdin, Some(session.stdout), session.stderr) else { return };
    // A terminal has no standard error of its own.
    let errors = if streams.stderr.is_some() { STDERR } else { STDOUT };
    let mut exit = session.exit;
    let mut status = None;
    loop {
        let quiet = tokio::time::sleep(QUIET);
        let turn = tokio::select! {
            turn = streams.turn(&mut socket) => turn,
            end = &mut exit, if status.is_none() => {
                status = Some(end.unwrap_or(ExecEnd { code: 255, start_failure: None }));
                continue;
            },
            () = quiet, if status.is_some() => break,
        };
        let goes_on = match turn {
            Turn::Output(Output::Chunk(channel, bytes)) => send(&mut socket, channel, &bytes).await.is_ok(),
            Turn::Output(Output::End) => status.is_none(),
            Turn::Written => true,
            Turn::Message(message) => streams.input(message),
        };
        if !goes_on {
            break;
        }
    }
    // Without a status the client left: what reads from it sees the end of its input, as with a closed terminal.
    drop(streams);
    let Some(ExecEnd { code, start_failure }) = status else { return };
    if let Some(why) = start_failure {
        let _ = send(&mut socket, errors, format!("dwell: {}\n", why.trim_end()).as_bytes()).await;
    }
    finish(&mut socket, code).await;
}

async fn run_attach(mut socket: Socket, node: Arc<Node>, key: Key, attached: Attached) {
    let Ok(mut streams) = Streams::new(attached.input, None, None) else { return };
    loop {
        if let Turn::Message(message) = streams.turn(&mut socket).await
            && !streams.input(message)
        {
            break;
        }
    }
    if attached.stdin_once || streams.input_closed {
        node.close_stdin(&key.namespace, &key.name, &attached.container).await;
    }
    finish(&mut socket, 0).await;
}

async fn next(socket: &mut Socket) -> Option<Message> {
    use futures_util::StreamExt;
    socket.next().await?.ok()
}

async fn send(socket: &mut Socket, channel: u8, bytes: &[u8]) -> Result<(), tokio_tungstenite::tungstenite::Error> {
    let mut message = Vec::with_capacity(bytes.len() + 1);
    message.push(channel);
    message.extend_from_slice(bytes);
    socket.send(Message::Binary(Bytes::from(message))).await
}

async fn finish(socket: &mut Socket, code: i32) {
    let status = exit_status(code).to_string();
    let _ = send(socket, ERROR, status.as_bytes()).await;
    let _ = socket.close(None).await;
}

fn exit_status(code: i32) -> Value {
    if code == 0 {
        return json!({"metadata": {}, "status": "Success"});
    }
    json!({
        "metadata": {}, "status": "Failure", "reason": "NonZeroExitCode",
        "message": format!("command terminated with non-zero exit code: exit status {code}"),
        "details": {"causes": [{"reason": "ExitCode", "message": code.to_string()}]},
    })
}

enum Output {
    Chunk(u8, Vec<u8>),
    End,
}

/// What came first.
enum Turn {
    Output(Output),
    /// Some input went to the program.
    Written,
    Message(Option<Message>),
}

/// Input waits in `pending` while the program does not read it; no further message is taken until it is written. Output
/// is read meanwhile, else a program that echoes more than the pipes hold would wait for us, and we for it.
struct Streams {
    stdin: Option<pipe::Sender>,
    pending: Bytes,
    stdout: Option<pipe::Receiver>,
    stderr: Option<pipe::Receiver>,
    input_closed: bool,
}

impl Streams {
    fn new(stdin: Option<OwnedFd>, stdout: Option<OwnedFd>, stderr: Option<OwnedFd>) -> std::io::Result<Streams> {
        let receiver = |fd: OwnedFd| nonblocking(&fd).and_then(|()| pipe::Receiver::from_owned_fd_unchecked(fd));
        let sender = |fd: OwnedFd| nonblocking(&fd).and_then(|()| pipe::Sender::from_owned_fd_unchecked(fd));
        Ok(Streams {
            stdin: stdin.map(sender).transpose()?,
            pending: Bytes::new(),
            stdout: stdout.map(receiver).transpose()?,
            stderr: stderr.map(receiver).transpose()?,
            input_closed: false,
        })
    }

    /// The next thing that happens; cancel-safe.
    async fn turn(&mut self, socket: &mut Socket) -> Turn {
        let Streams { stdin, pending, stdout, stderr, .. } = self;
        tokio::select! {
            output = output(stdout, stderr) => Turn::Output(output),
            () = write_some(stdin, pending), if !pending.is_empty() => Turn::Written,
            message = next(socket), if pending.is_empty() => Turn::Message(message),
        }
    }

    /// Handles one message of the client's; `false` when it left.
    fn input(&mut self, message: Option<Message>) -> bool {
        let Some(message) = message else { return false };
        let bytes = match message {
            Message::Binary(bytes) => bytes,
            Message::Close(_) => return false,
            _ => return true,
        };
        match bytes.split_first() {
            Some((&STDIN, _)) => self.pending = bytes.slice(1..),
            Some((&CLOSE, [STDIN])) => {
                self.stdin = None;
                self.input_closed = true;
            }
            Some((&RESIZE, size)) => self.resize(size),
            _ => {}
        }
        true
    }

    fn resize(&self, size: &[u8]) {
        let Ok(size) = serde_json::from_slice::<Value>(size) else { return };
        let side = |name: &str| size[name].as_u64().and_then(|n| u16::try_from(n).ok());
        let (Some(columns), Some(rows)) = (side("Width"), side("Height")) else { return };
        let window = rustix::termios::Winsize { ws_col: columns, ws_row: rows, ws_xpixel: 0, ws_ypixel: 0 };
        if let Some(terminal) = &self.stdin {
            let _ = rustix::termios::tcsetwinsize(terminal.as_fd(), window);
        }
    }
}

/// The next chunk of output; cancel-safe. Pends for ever once both streams have ended and `End` was given.
async fn output(stdout: &mut Option<pipe::Receiver>, stderr: &mut Option<pipe::Receiver>) -> Output {
    let (mut out, mut err) = (vec![0u8; CHUNK], vec![0u8; CHUNK]);
    if stdout.is_none() && stderr.is_none() {
        return std::future::pending().await;
    }
    let (channel, read, mut bytes) = tokio::select! {
        read = read_from(stdout, &mut out) => (STDOUT, read, out),
        read = read_from(stderr, &mut err) => (STDERR, read, err),
    };
    // A terminal's master reports EIO when its last user is gone.
    if let Some(read) = read.ok().filter(|read| *read > 0) {
        bytes.truncate(read);
        return Output::Chunk(channel, bytes);
    }
    let ended = if channel == STDOUT { &mut *stdout } else { &mut *stderr };
    *ended = None;
    if stdout.is_none() && stderr.is_none() { Output::End } else { Output::Chunk(channel, Vec::new()) }
}

/// Writes a part of what is pending; all of it is dropped when nobody can read it any more. Cancel-safe.
async fn write_some(stdin: &mut Option<pipe::Sender>, pending: &mut Bytes) {
    let written = match stdin {
        Some(stdin) => stdin.write(pending).await.ok(),
        None => None,
    };
    match written {
        Some(count) => drop(pending.split_to(count)),
        None => (*stdin, *pending) = (None, Bytes::new()),
    }
}

async fn read_from(stream: &mut Option<pipe::Receiver>, buffer: &mut [u8]) -> std::io::Result<usize> {
    match stream {
        Some(stream) => stream.read(buffer).await,
        None => std::future::pending().await,
    }
}

fn nonblocking(fd: &OwnedFd) -> std::io::Result<()> {
    let flags = rustix::fs::fcntl_getfl(fd)?;
    Ok(rustix::fs::fcntl_setfl(fd, flags | rustix::fs::OFlags::NONBLOCK)?)
}
