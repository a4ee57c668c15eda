//! Files of a running member's as a tar stream: `GET …/archive` is the stream, `PUT …/archive` takes one apart, `GET …/path`
//! says what is at a path. What goes wrong in the middle of a stream stands in its trailer, [`FAILURE`], since the head is
//! gone by then; what was left out is counted in [`LEFT_OUT`].

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use dwell::Node;
use dwell::archive::{Kind, Naming, Ownership};
use futures_util::StreamExt;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, TRAILER};
use hyper::{Response, StatusCode};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe;
use tokio::sync::mpsc;

use super::answer::{self, Answer};
use super::pods::Frames;
use super::route::{Key, Query};

/// The trailer that says why a stream is not whole.
pub const FAILURE: &str = "dwell-failure";
/// The trailer that says how much was left out of a stream that is whole.
pub const LEFT_OUT: &str = "dwell-left-out";
const CHUNK: usize = 64 << 10;
/// How long a client has to hear that its archive is not wanted.
const HEARD: Duration = Duration::from_secs(10);

/// `GET …/path?path=`: `{"kind": "Folder"}`, `"File"` or null.
pub async fn look(node: &Arc<Node>, key: &Key, query: &Query) -> Answer {
    let path = query.get("path").unwrap_or("/");
    match node.look(&key.namespace, &key.name, query.get("container"), path).await {
        Ok(kind) => answer::ok(&json!({"kind": kind.map(word)})),
        Err(error) => answer::failure(&error),
    }
}

fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Folder => "Folder",
        Kind::File => "File",
    }
}

/// `GET …/archive?path=&entry=`
pub async fn pack(node: &Arc<Node>, key: &Key, query: &Query) -> Answer {
    let (Some(path), Some(entry)) = (query.get("path"), query.get("entry").filter(|entry| !entry.is_empty())) else {
        return answer::bad_request("an archive needs a path, and a name for its entry");
    };
    let entry = PathBuf::from(entry);
    let packed = node.pack(&key.namespace, &key.name, query.get("container"), path, entry).await;
    let opened = packed.map(|packed| (pipe::Receiver::from_owned_fd(OwnedFd::from(packed.stream)), packed.done));
    let (stream, done) = match opened {
        Ok((Ok(stream), done)) => (stream, done),
        Ok((Err(error), _)) => return answer::bad_request(&format!("read a pipe: {error}")),
        Err(error) => return answer::failure(&error),
    };
    let (sender, receiver) = mpsc::channel(4);
    tokio::spawn(pour(stream, done, sender));
    let mut answer = Response::new(BodyExt::boxed(StreamBody::new(Frames(receiver))));
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-tar"));
    headers.insert(TRAILER, HeaderValue::from_static("dwell-failure, dwell-left-out"));
    answer
}

async fn pour(
    mut stream: pipe::Receiver,
    done: tokio::sync::oneshot::Receiver<Result<u64, dwell::archive::ArchiveError>>,
    sender: mpsc::Sender<Frame<Bytes>>,
) {
    loop {
        let mut chunk = Vec::with_capacity(CHUNK);
        match stream.read_buf(&mut chunk).await {
            Ok(0) | Err(_) => break,
            // A client that left closes the pipe, which ends the copy.
            Ok(_) if sender.send(Frame::data(chunk.into())).await.is_err() => return,
            Ok(_) => {}
        }
    }
    let (name, value) = match done.await {
        Ok(Ok(left_out)) => (LEFT_OUT, left_out.to_string()),
        Ok(Err(error)) => (FAILURE, error.to_string()),
        Err(_) => (FAILURE, "the node failed at it; its log says why".to_owned()),
    };
    let value = HeaderValue::from_str(&value).unwrap_or(HeaderValue::from_static("a name that cannot be told"));
    let _ = sender.send(Frame::trailers(HeaderMap::from_iter([(HeaderName::from_static(name), value)]))).await;
}

/// `PUT …/archive?path=`: `rename=` or `drop=1` for the first part of every name, `keep=1` for owners and all bits.
pub async fn unpack(node: &Arc<Node>, key: &Key, query: &Query, body: Incoming) -> Answer {
    let Some(folder) = query.get("path") else { return answer::bad_request("an archive needs the path of a folder") };
    let naming = match query.get("rename") {
        _ if query.flag("drop") => Naming::Dropped,
        Some(name) => Naming::Renamed(OsString::from(name)),
        None => Naming::AsIs,
    };
    let ownership = if query.flag("keep") { Ownership::Kept } else { Ownership::Own };
    let pipe = std::io::pipe().and_then(|(read, write)| Ok((read, pipe::Sender::from_owned_fd(OwnedFd::from(write))?)));
    let (read, write) = match pipe {
        Ok(pipe) => pipe,
        Err(error) => return answer::bad_request(&format!("make a pipe: {error}")),
    };
    let whom = (key.namespace.as_str(), key.name.as_str());
    let unpacked = node.unpack(whom, query.get("container"), folder, (naming, ownership), read);
    let mut filling = tokio::spawn(fill(body, write));
    match unpacked.await {
        Ok(left_out) => match filling.await {
            Ok(true) => answer::with_status(StatusCode::OK, &json!({"leftOut": left_out})),
            _ => answer::bad_request("the archive broke off"),
        },
        Err(error) => {
            // Read on for a while: a client that is still sending may not hear an answer from who has hung up.
            tokio::spawn(async move {
                if tokio::time::timeout(HEARD, &mut filling).await.is_err() {
                    filling.abort();
                }
            });
            answer::failure(&error)
        }
    }
}

/// Whether the body came to its end.
async fn fill(body: Incoming, write: pipe::Sender) -> bool {
    let mut body = body.into_data_stream();
    let mut write = Some(write);
    while let Some(chunk) = body.next().await {
        let Ok(chunk) = chunk else { return false };
        if let Some(pipe) = &mut write
            && pipe.write_all(&chunk).await.is_err()
        {
            write = None;
        }
    }
    true
}
