//! A watch: JSON events, one a line, for as long as the node lives.

use http_body_util::BodyExt;
use hyper::body::Incoming;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::WatchEvent;

use super::failure::ClientFailure;

/// Bytes of one event at most; a Pod's object is far smaller.
const EVENT_MAX: usize = 16 * 1024 * 1024;

/// One change of one Pod.
#[derive(Debug, Clone, PartialEq)]
pub enum PodEvent {
    /// It exists now, or did when the watch began.
    Added(Box<Pod>),
    /// Its spec or status changed.
    Modified(Box<Pod>),
    /// It was removed; its last state.
    Deleted(Box<Pod>),
}

impl PodEvent {
    /// The Pod after the change.
    pub fn pod(&self) -> &Pod {
        match self {
            Self::Added(pod) | Self::Modified(pod) | Self::Deleted(pod) => pod,
        }
    }
}

/// The stream of changes.
#[derive(Debug)]
pub struct PodWatch {
    what: String,
    body: Incoming,
    buffer: Vec<u8>,
}

impl PodWatch {
    pub(super) fn new(what: String, body: Incoming) -> Self {
        Self { what, body, buffer: Vec::new() }
    }

    /// The next change; `None` when the node ended the stream. Dropping the future loses nothing.
    ///
    /// # Errors
    /// The connection broke (`Kind::NoNode`), or the node reports that it cannot go on.
    pub async fn next(&mut self) -> Result<Option<PodEvent>, ClientFailure> {
        loop {
            if let Some(line) = self.take_line() {
                match self.parse(&line)? {
                    Some(event) => return Ok(Some(event)),
                    None => continue,
                }
            }
            let Some(frame) = self.body.frame().await else {
                return Ok(None);
            };
            let frame = frame.map_err(|e| ClientFailure::Broken(self.what.clone(), e))?;
            self.buffer.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
            if self.buffer.len() > EVENT_MAX {
                return Err(ClientFailure::Malformed(self.what.clone(), None));
            }
        }
    }

    fn take_line(&mut self) -> Option<Vec<u8>> {
        let at = self.buffer.iter().position(|b| *b == b'\n')?;
        let rest = self.buffer.split_off(at + 1);
        Some(std::mem::replace(&mut self.buffer, rest))
    }

    /// `None` for what concerns no Pod: bookmarks and empty lines.
    fn parse(&self, line: &[u8]) -> Result<Option<PodEvent>, ClientFailure> {
        if line.trim_ascii().is_empty() {
            return Ok(None);
        }
        let event = serde_json::from_slice(line).map_err(|e| ClientFailure::Malformed(self.what.clone(), Some(e)))?;
        match event {
            WatchEvent::Added(pod) => Ok(Some(PodEvent::Added(Box::new(pod)))),
            WatchEvent::Modified(pod) => Ok(Some(PodEvent::Modified(Box::new(pod)))),
            WatchEvent::Deleted(pod) => Ok(Some(PodEvent::Deleted(Box::new(pod)))),
            WatchEvent::Bookmark { .. } => Ok(None),
            WatchEvent::ErrorStatus(status) => Err(ClientFailure::Refused(Box::new(status))),
            WatchEvent::ErrorOther(_) => Err(ClientFailure::Refused(Box::default())),
        }
    }
}
