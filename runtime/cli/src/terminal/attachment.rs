//! Our standard input, connected to the one container that wants it.
//!
//! ```text
//! Waiting ─the container runs→ Connected ─the node goes→ Waiting
//!                                   └─end of input→ Done
//! ```
//! The input is read by one thread from the first connection on, and survives a node that is replaced. What a member
//! prints comes through its log like all other output, so nothing is received here but the end.

use dwell_serve::client::{Client, StreamReceiver, StreamRequest, StreamSender};
use k8s_openapi::api::core::v1::{Container, Pod};
use tokio::sync::mpsc::Receiver;
use tokio::task::JoinHandle;

use super::{input, interrupt, raw};
use crate::pods::records::{key, runs, shown, uid};

/// The connection of our standard input.
pub struct Attachment {
    uid: String,
    container: String,
    tty: bool,
    state: State,
    /// Our terminal, raw while connected only: until then Ctrl-C is still ours. Restored when dropped.
    raw: Option<raw::RawMode>,
}

enum State {
    Waiting(Option<Receiver<Vec<u8>>>),
    Connected(JoinHandle<Option<Receiver<Vec<u8>>>>),
    Done,
}

impl Attachment {
    /// For the first container of these Pods that wants standard input, if there is one.
    pub fn of(pods: &[Pod]) -> Option<Self> {
        pods.iter().find_map(|pod| wants_input(pod).map(|one| Self::with(pod, &one.name, one.tty)))
    }

    /// The containers that want standard input and are not the first: nobody sends them any, and their input has no end.
    pub fn left_out(pods: &[Pod]) -> Vec<String> {
        let wanting = pods.iter().flat_map(|pod| {
            let all = pod.spec.iter().flat_map(|spec| &spec.containers);
            all.filter(|one| one.stdin == Some(true)).map(|one| format!("{} of {}", one.name, shown(pod)))
        });
        wanting.skip(1).collect()
    }

    /// For this container, if it wants any.
    pub fn to(pod: &Pod, name: &str) -> Option<Self> {
        let spec = pod.spec.as_ref()?;
        let members = spec.init_containers.iter().flatten().chain(&spec.containers);
        let members = members.map(|one| (&one.name, one.stdin, one.tty));
        let added = spec.ephemeral_containers.iter().flatten().map(|one| (&one.name, one.stdin, one.tty));
        let (_, stdin, tty) = members.chain(added).find(|one| one.0 == name)?;
        (stdin == Some(true) || tty == Some(true)).then(|| Self::with(pod, name, tty))
    }

    fn with(pod: &Pod, name: &str, tty: Option<bool>) -> Self {
        Self {
            uid: uid(pod).to_owned(),
            container: name.to_owned(),
            tty: tty == Some(true),
            state: State::Waiting(None),
            raw: None,
        }
    }

    /// Connects, if this Pod is the one, its container runs and we are not connected. A refusal is left to the next change.
    pub async fn pod_changed(&mut self, client: &Client, pod: &Pod) {
        if uid(pod) != self.uid || !matches!(self.state, State::Waiting(_)) || !runs(pod, &self.container) {
            return;
        }
        let request = StreamRequest {
            namespace: key(pod).0.into(),
            name: key(pod).1.into(),
            container: Some(self.container.clone()),
            stdin: true,
            tty: self.tty,
            ..StreamRequest::default()
        };
        let Ok((sender, receiver)) = client.attach(&request).await else {
            return;
        };
        if let State::Waiting(pieces) = std::mem::replace(&mut self.state, State::Done) {
            let pieces = pieces.unwrap_or_else(input::pieces);
            if self.tty {
                self.raw = raw::RawMode::enter().ok().flatten();
            }
            self.state = State::Connected(tokio::spawn(pump(sender, receiver, pieces, self.tty)));
        }
    }

    /// Returns when the connection has ended, whichever side ended it. Dropping the future loses nothing.
    pub async fn ended(&mut self) {
        let State::Connected(task) = &mut self.state else {
            return std::future::pending().await;
        };
        self.state = match task.await {
            Ok(Some(pieces)) => State::Waiting(Some(pieces)),
            _ => State::Done,
        };
        self.raw = None;
    }
}

/// As `Attachment::ended`; never, where there is none.
pub async fn ended(attachment: &mut Option<Attachment>) {
    match attachment {
        Some(attachment) => attachment.ended().await,
        None => std::future::pending().await,
    }
}

fn wants_input(pod: &Pod) -> Option<&Container> {
    pod.spec.as_ref()?.containers.iter().find(|container| container.stdin == Some(true))
}

/// Sends until the input ends (`None`) or the connection does (the rest of the input).
async fn pump(
    mut sender: StreamSender,
    mut receiver: StreamReceiver,
    mut pieces: Receiver<Vec<u8>>,
    tty: bool,
) -> Option<Receiver<Vec<u8>>> {
    let (mut resizes, mut last) = (interrupt::resizes().ok().filter(|_| tty), None);
    if tty && send_size(&mut sender).await.is_none() {
        return Some(pieces);
    }
    loop {
        let sent = tokio::select! {
            piece = pieces.recv() => match piece {
                Some(piece) => {
                    last = piece.last().copied();
                    sender.stdin(&piece).await.ok()
                }
                None => {
                    if tty {
                        _ = sender.stdin(input::end_on_terminal(last)).await;
                    }
                    _ = sender.close_stdin().await;
                    return None;
                }
            },
            () = resized(&mut resizes) => send_size(&mut sender).await,
            output = receiver.next() => output.ok().map(drop),
        };
        if sent.is_none() {
            return Some(pieces);
        }
    }
}

async fn resized(resizes: &mut Option<tokio::signal::unix::Signal>) {
    match resizes {
        Some(resizes) => drop(resizes.recv().await),
        None => std::future::pending().await,
    }
}

async fn send_size(sender: &mut StreamSender) -> Option<()> {
    match raw::size() {
        Some((columns, rows)) => sender.resize(columns, rows).await.ok(),
        None => Some(()),
    }
}
