//! exec and attach: a WebSocket whose first byte of each message is the channel.
//!
//! Subprotocol `v5.channel.k8s.io` (KEP-4006): 0 standard input, 1 standard output, 2 standard error, 3 the end as a
//! `metav1.Status`, 4 the terminal's size, 255 closes the channel named by the next byte. Sender and receiver are two
//! halves, so that a full pipe in one direction never stops the other.

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use hyper::Method;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;
use tokio::net::UnixStream;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Bytes, ClientRequestBuilder, Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::failure::ClientFailure;
use super::http::{Client, described, refused};
use super::target::Target;

const PROTOCOL: &str = "v5.channel.k8s.io";
/// Bytes of one message at most.
const MESSAGE_MAX: usize = 1024 * 1024;

const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const END: u8 = 3;
const RESIZE: u8 = 4;
const CLOSE: u8 = 255;

/// Which streams of which program.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StreamRequest {
    /// `metadata.namespace`
    pub namespace: String,
    /// `metadata.name`
    pub name: String,
    /// The container; the node decides when there is but one.
    pub container: Option<String>,
    /// Program and arguments (exec); empty for attach.
    pub command: Vec<String>,
    /// Who runs it (exec): `UID`, `UID:GID` or a name of the image.
    pub user: Option<String>,
    /// Connect standard input.
    pub stdin: bool,
    /// Connect standard output.
    pub stdout: bool,
    /// Connect standard error.
    pub stderr: bool,
    /// A terminal (exec); the member's own is a terminal (attach).
    pub tty: bool,
}

/// What comes back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Bytes of standard output.
    Stdout(Bytes),
    /// Bytes of standard error.
    Stderr(Bytes),
    /// The program ended, with this exit status; nothing follows.
    End(u8),
}

/// The half that writes.
pub struct StreamSender {
    what: String,
    sink: SplitSink<WebSocketStream<UnixStream>, Message>,
}

/// The half that reads.
pub struct StreamReceiver {
    what: String,
    stream: SplitStream<WebSocketStream<UnixStream>>,
}

impl Client {
    /// Runs a program in a running member.
    ///
    /// # Errors
    /// `Kind::NotFound`, `Kind::Conflict` (not running), `Kind::Invalid`; else what broke.
    pub async fn exec(&self, request: &StreamRequest) -> Result<(StreamSender, StreamReceiver), ClientFailure> {
        self.open(request, "exec").await
    }

    /// Connects to a member's own streams.
    ///
    /// # Errors
    /// As `exec`.
    pub async fn attach(&self, request: &StreamRequest) -> Result<(StreamSender, StreamReceiver), ClientFailure> {
        self.open(request, "attach").await
    }

    async fn open(&self, request: &StreamRequest, verb: &str) -> Result<(StreamSender, StreamReceiver), ClientFailure> {
        let target = target_of(request, verb);
        let what = described(&Method::GET, &target);
        let uri = format!("ws://dwell{}", target.as_str()).parse().expect("an encoded target is a valid URI");
        let upgrade = ClientRequestBuilder::new(uri).with_sub_protocol(PROTOCOL);
        let config = WebSocketConfig::default().max_message_size(Some(MESSAGE_MAX)).max_frame_size(Some(MESSAGE_MAX));
        let connected = client_async_with_config(upgrade, self.stream().await?, Some(config)).await;
        let (socket, _) = connected.map_err(|e| handshake_failure(&what, e))?;
        let (sink, stream) = socket.split();
        Ok((StreamSender { what: what.clone(), sink }, StreamReceiver { what, stream }))
    }
}

fn target_of(request: &StreamRequest, verb: &str) -> Target {
    let mut target = Target::pods(&request.namespace, &[&request.name, verb]);
    for word in &request.command {
        target = target.query("command", word);
    }
    target = target.query_some("container", request.container.as_deref());
    target = target.query_some("user", request.user.as_deref());
    let switches =
        [("stdin", request.stdin), ("stdout", request.stdout), ("stderr", request.stderr), ("tty", request.tty)];
    switches.into_iter().fold(target, |target, (name, on)| target.query(name, if on { "true" } else { "false" }))
}

/// A refusal comes as an ordinary answer in place of the upgrade.
fn handshake_failure(what: &str, error: Error) -> ClientFailure {
    match error {
        Error::Http(response) => {
            refused(what, response.status().as_u16(), response.body().as_deref().unwrap_or_default())
        }
        other => ClientFailure::Stream(what.to_owned(), Box::new(other)),
    }
}

impl StreamSender {
    /// Writes to the program's standard input. Waits while it does not read.
    ///
    /// # Errors
    /// The connection broke.
    pub async fn stdin(&mut self, bytes: &[u8]) -> Result<(), ClientFailure> {
        self.send(STDIN, bytes).await
    }

    /// Ends the program's standard input.
    ///
    /// # Errors
    /// The connection broke.
    pub async fn close_stdin(&mut self) -> Result<(), ClientFailure> {
        self.send(CLOSE, &[STDIN]).await
    }

    /// Tells the terminal's size, in characters.
    ///
    /// # Errors
    /// The connection broke.
    pub async fn resize(&mut self, width: u16, height: u16) -> Result<(), ClientFailure> {
        let size = format!(r#"{{"Width":{width},"Height":{height}}}"#);
        self.send(RESIZE, size.as_bytes()).await
    }

    async fn send(&mut self, channel: u8, bytes: &[u8]) -> Result<(), ClientFailure> {
        let message = Message::binary([&[channel], bytes].concat());
        self.sink.send(message).await.map_err(|e| ClientFailure::Stream(self.what.clone(), Box::new(e)))
    }
}

impl StreamReceiver {
    /// The next piece of output, or the end. Dropping the future loses nothing.
    ///
    /// # Errors
    /// The connection broke or ended without an exit status, or the program could not be run (`Refused`).
    pub async fn next(&mut self) -> Result<Output, ClientFailure> {
        loop {
            let message = match self.stream.next().await {
                None | Some(Ok(Message::Close(_))) => {
                    return Err(ClientFailure::Cut(self.what.clone()));
                }
                Some(Err(e)) => return Err(ClientFailure::Stream(self.what.clone(), Box::new(e))),
                Some(Ok(Message::Binary(bytes))) => bytes,
                Some(Ok(_)) => continue,
            };
            if let Some(output) = self.decode(message)? {
                return Ok(output);
            }
        }
    }

    fn decode(&self, message: Bytes) -> Result<Option<Output>, ClientFailure> {
        match message.first() {
            Some(&STDOUT) => Ok(Some(Output::Stdout(message.slice(1..)))),
            Some(&STDERR) => Ok(Some(Output::Stderr(message.slice(1..)))),
            Some(&END) => exit_status(&self.what, &message[1..]).map(|status| Some(Output::End(status))),
            _ => Ok(None),
        }
    }
}

/// The exit status that the last message tells.
fn exit_status(what: &str, json: &[u8]) -> Result<u8, ClientFailure> {
    let status: Status =
        serde_json::from_slice(json).map_err(|e| ClientFailure::Malformed(what.to_owned(), Some(e)))?;
    if status.status.as_deref() == Some("Success") {
        return Ok(0);
    }
    let causes = status.details.iter().flat_map(|d| d.causes.iter().flatten());
    let code =
        causes.filter(|c| c.reason.as_deref() == Some("ExitCode")).find_map(|c| c.message.as_deref()?.parse().ok());
    code.ok_or_else(|| ClientFailure::Refused(Box::new(status)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_target_names_every_stream() {
        let request = StreamRequest {
            namespace: "default".into(),
            name: "web".into(),
            command: vec!["sh".into(), "-c".into(), "a b".into()],
            stdout: true,
            ..StreamRequest::default()
        };
        let expected = "/api/v1/namespaces/default/pods/web/exec?command=sh&command=-c&command=a%20b\
                        &stdin=false&stdout=true&stderr=false&tty=false";
        assert_eq!(target_of(&request, "exec").as_str(), expected);
    }

    #[test]
    fn the_end_tells_the_exit_status_or_the_reason() {
        let end = |json: &str| exit_status("x", json.as_bytes());
        assert_eq!(end(r#"{"status":"Success"}"#).unwrap(), 0);
        let nonzero = r#"{"status":"Failure","reason":"NonZeroExitCode",
            "details":{"causes":[{"reason":"ExitCode","message":"42"}]}}"#;
        assert_eq!(end(nonzero).unwrap(), 42);
        let refused = end(r#"{"status":"Failure","message":"no such program"}"#).unwrap_err();
        assert_eq!(refused.to_string(), "no such program");
        assert!(matches!(end("junk"), Err(ClientFailure::Malformed(..))));
    }
}
