//! Files of a running member's, as tar streams.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use dwell::archive::{Kind, Naming, Ownership};
use futures_core::Stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::Method;
use hyper::body::{Bytes, Frame, Incoming};
use serde_json::Value;
use tokio::sync::mpsc;

use super::failure::ClientFailure;
use super::http::{Client, described, parse};
use super::target::Target;
use crate::api::archive::{FAILURE, LEFT_OUT};

/// The pieces of an archive, as a request's body.
struct Pieces(mpsc::Receiver<io::Result<Vec<u8>>>);

impl Stream for Pieces {
    type Item = io::Result<Frame<Bytes>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(cx).map(|piece| piece.map(|piece| piece.map(|bytes| Frame::data(bytes.into()))))
    }
}

/// A path in a container of a Pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathOf {
    /// `metadata.namespace`
    pub namespace: String,
    /// `metadata.name`
    pub pod: String,
    /// The container's name.
    pub container: String,
    /// As the member would write it.
    pub path: String,
}

impl PathOf {
    fn target(&self, verb: &str) -> Target {
        let target = Target::dwell_pod(&self.namespace, &self.pod, verb);
        target.query("container", &self.container).query("path", &self.path)
    }
}

/// A tar stream that comes from a member.
#[derive(Debug)]
pub struct ArchiveReader {
    what: String,
    body: Incoming,
    left_out: Option<u64>,
}

impl ArchiveReader {
    /// The next piece; `None` when the archive is whole. Dropping the future loses nothing.
    ///
    /// # Errors
    /// The archive broke off; with the node's reason, if it had one.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ClientFailure> {
        while let Some(frame) = self.body.frame().await {
            match frame.map_err(|e| ClientFailure::Broken(self.what.clone(), e))?.into_data() {
                Ok(bytes) => return Ok(Some(bytes)),
                Err(rest) => self.trailers(&rest)?,
            }
        }
        if self.left_out.is_some() { Ok(None) } else { Err(ClientFailure::Cut(self.what.clone())) }
    }

    /// How much was left out; known once the archive is whole.
    pub fn left_out(&self) -> u64 {
        self.left_out.unwrap_or(0)
    }

    fn trailers(&mut self, frame: &Frame<Bytes>) -> Result<(), ClientFailure> {
        let text = |name: &str| {
            let trailers = frame.trailers_ref()?;
            trailers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        if let Some(why) = text(FAILURE) {
            return Err(ClientFailure::BrokeOff(why));
        }
        self.left_out = text(LEFT_OUT).and_then(|count| count.parse().ok());
        Ok(())
    }
}

impl Client {
    /// What is at the path; `None` if there is nothing.
    ///
    /// # Errors
    /// `Kind::NotFound` (no such Pod or container), `Kind::Conflict` (not running), `Kind::Invalid`; else what broke.
    pub async fn look(&self, path: &PathOf) -> Result<Option<Kind>, ClientFailure> {
        let said: Value = self.call(Method::GET, &path.target("path"), None).await?;
        Ok(match said["kind"].as_str() {
            Some("Folder") => Some(Kind::Folder),
            Some(_) => Some(Kind::File),
            None => None,
        })
    }

    /// What is at the path, as an archive whose top entry has that name.
    ///
    /// # Errors
    /// As `look`; `Kind::NotFound` also when there is nothing.
    pub async fn read_archive(&self, path: &PathOf, entry: &str) -> Result<ArchiveReader, ClientFailure> {
        let target = path.target("archive").query("entry", entry);
        let what = described(&Method::GET, &target);
        let body = self.send(Method::GET, &target, None).await?.into_body();
        Ok(ArchiveReader { what, body, left_out: None })
    }

    /// Unpacks an archive in the folder at the path. Says how much was left out. An error among the pieces ends the request;
    /// what was unpacked before it stays.
    ///
    /// # Errors
    /// As `look`; `Kind::Invalid` also when the member may not write there, or the archive is none.
    pub async fn write_archive(
        &self,
        path: &PathOf,
        naming: &Naming,
        ownership: Ownership,
        archive: mpsc::Receiver<io::Result<Vec<u8>>>,
    ) -> Result<u64, ClientFailure> {
        let target = path.target("archive").query_some("keep", (ownership == Ownership::Kept).then_some(1));
        let target = match naming {
            Naming::AsIs => target,
            Naming::Dropped => target.query("drop", "1"),
            Naming::Renamed(name) => target.query("rename", &name.to_string_lossy()),
        };
        let body = StreamBody::new(Pieces(archive)).boxed();
        let answer = self.send_body(Method::PUT, &target, Some("application/x-tar"), body).await?;
        let said: Value = parse(described(&Method::PUT, &target), answer).await?;
        Ok(said["leftOut"].as_u64().unwrap_or(0))
    }
}
