//! Files into and out of running members, as tar streams through pipes.
//!
//! Each copy has a thread of its own, not one of those that wait for the disk: whoever is at the other end of the pipe may
//! read slowly, or never. A pipe that is closed at the other end ends its copy.

use std::io::{BufWriter, PipeReader};
use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit, oneshot};

use super::Node;
use crate::archive::{self, ArchiveError, Kind, Naming, Ownership};
use crate::pod::request::{Place, Request};
use crate::{NodeError, NodeErrorKind};

/// Copies at once.
const AT_ONCE: usize = 16;
/// How long one waits for others.
const TURN_TIMEOUT: Duration = Duration::from_secs(30);
/// As much as a pipe holds.
const BUFFER: usize = 64 << 10;
/// Between two looks at a member that is being set up, which takes a millisecond or two.
const SET_UP: Duration = Duration::from_millis(2);

static TURNS: Semaphore = Semaphore::const_new(AT_ONCE);

/// Files on their way out of a member.
#[derive(Debug)]
pub struct Packed {
    /// The tar stream; it ends early where `done` says why.
    pub stream: PipeReader,
    /// How much was left out (devices and sockets), or why the stream ended early.
    pub done: oneshot::Receiver<Result<u64, ArchiveError>>,
}

impl Node {
    /// What a path of a running member's leads to; `None` if there is nothing. A path without a leading slash begins in
    /// the member's working directory; a Wasm member has what it was granted and no more.
    ///
    /// # Errors
    /// `NotFound`, `Conflict` when it is not running, `BadRequest` when the path cannot be meant.
    pub async fn look(
        &self,
        namespace: &str,
        name: &str,
        container: Option<&str>,
        path: &str,
    ) -> Result<Option<Kind>, NodeError> {
        let place = self.place(namespace, name, container, path).await?;
        look((namespace, name), path, place).await.map(|(kind, _)| kind)
    }

    /// What is at a path of a running member's, as a tar stream whose one top entry has that name. A link at the path is
    /// followed as the member would follow it; links below stay links.
    ///
    /// # Errors
    /// As `look`; `NotFound` also when there is nothing at the path.
    pub async fn pack(
        &self,
        namespace: &str,
        name: &str,
        container: Option<&str>,
        path: &str,
        entry: PathBuf,
    ) -> Result<Packed, NodeError> {
        let place = self.place(namespace, name, container, path).await?;
        let (found, place) = look((namespace, name), path, place).await?;
        if found.is_none() {
            let message = format!("Pod {namespace}/{name}: there is no {path}");
            return Err(NodeError::new(NodeErrorKind::NotFound, message));
        }
        let turn = turn().await?;
        let (stream, into) = std::io::pipe().map_err(|error| NodeError::internal("make a pipe", error))?;
        let done = on_a_thread(turn, move || {
            archive::pack(&place.tree, place.path.as_bytes(), &entry, BufWriter::with_capacity(BUFFER, into))
        })?;
        Ok(Packed { stream, done })
    }

    /// Takes a tar stream apart in a folder of a running member's. Says how much was left out.
    ///
    /// # Errors
    /// As `look`; `BadRequest` when the member may not write there, the stream is no archive, or the folder takes no more.
    pub async fn unpack(
        &self,
        (namespace, name): (&str, &str),
        container: Option<&str>,
        folder: &str,
        (naming, ownership): (Naming, Ownership),
        stream: PipeReader,
    ) -> Result<u64, NodeError> {
        let place = self.place(namespace, name, container, folder).await?;
        if !place.writable {
            let message = format!("Pod {namespace}/{name}: {folder} is read-only for the member");
            return Err(NodeError::new(NodeErrorKind::BadRequest, message));
        }
        // As if the member had made them.
        let ownership = match ownership {
            Ownership::Own => Ownership::Of(place.owner.0, place.owner.1),
            other => other,
        };
        let done = on_a_thread(turn().await?, move || {
            if place.tree.users.is_some() {
                // Where ids are mapped, the host's own root owns nothing. If it cannot be, the first file says so.
                let _ = dwell_sys::identity::make_as(place.owner.0, place.owner.1);
            }
            archive::unpack(&place.tree, place.path.as_bytes(), &naming, ownership, stream)
        })?;
        let done = done.await.map_err(|error| NodeError::internal("copy; the node's log says why", error))?;
        done.map_err(|error| unusable((namespace, name), folder, &error))
    }

    async fn place(
        &self,
        namespace: &str,
        name: &str,
        container: Option<&str>,
        path: &str,
    ) -> Result<Place, NodeError> {
        loop {
            let (container, path) = (container.map(str::to_owned), path.to_owned());
            let place = self.ask(namespace, name, |reply| Request::Place { container, path, reply }).await?;
            match place {
                Some(place) => return Ok(place),
                None => tokio::time::sleep(SET_UP).await,
            }
        }
    }
}

fn unusable((namespace, name): (&str, &str), path: &str, error: &ArchiveError) -> NodeError {
    let kind = if error.is_missing() { NodeErrorKind::NotFound } else { NodeErrorKind::BadRequest };
    NodeError::new(kind, format!("Pod {namespace}/{name}: {path}: {error}"))
}

/// On a thread, too: a volume may be of a server that is gone.
async fn look(whose: (&str, &str), path: &str, place: Place) -> Result<(Option<Kind>, Place), NodeError> {
    let looked = on_a_thread(turn().await?, move || (place.tree.look(place.path.as_bytes()), place))?;
    let (found, place) = looked.await.map_err(|error| NodeError::internal("look; the node's log says why", error))?;
    found.map(|kind| (kind, place)).map_err(|error| unusable(whose, path, &error))
}

async fn turn() -> Result<SemaphorePermit<'static>, NodeError> {
    let turn = tokio::time::timeout(TURN_TIMEOUT, TURNS.acquire()).await;
    turn.ok().and_then(Result::ok).ok_or_else(|| {
        let message = format!("{AT_ONCE} copies are going on already; try again when one has ended");
        NodeError::new(NodeErrorKind::Conflict, message)
    })
}

fn on_a_thread<T: Send + 'static>(
    turn: SemaphorePermit<'static>,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<oneshot::Receiver<T>, NodeError> {
    let (tell, told) = oneshot::channel();
    let started = std::thread::Builder::new().name("copy".into()).spawn(move || {
        // Whoever waited may be gone.
        let _ = tell.send(work());
        drop(turn);
    });
    started.map(|_| told).map_err(|error| NodeError::internal("start a thread", error))
}
