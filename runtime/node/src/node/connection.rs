//! A connection into a Pod, for as long as there is that Pod: a socket keeps its namespace alive, and with it the Pod's
//! device and address, so that an idle client must not hold one.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::pin;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use super::Node;
use crate::network::dial;
use crate::pod::request::Request;
use crate::sandbox::until_dead;
use crate::{NodeError, NodeErrorKind};

/// What the Pod said before its end is on its way for as long, to a client that is slow to read it.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// A connection to a port inside a Pod.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    /// A pidfd of the Pod's pause.
    keeper: OwnedFd,
}

impl Node {
    /// A connection to a TCP port inside the Pod, over its own loopback: what a member that listens on `localhost` only
    /// answers, too.
    ///
    /// # Errors
    /// `NotFound`, `Conflict` when it is not running, `BadGateway` when nobody there takes the connection.
    pub async fn connect(&self, namespace: &str, name: &str, port: u16) -> Result<Connection, NodeError> {
        let network = self.ask(namespace, name, |reply| Request::Network { reply }).await?;
        let stream = dial::loopback(network.namespace.as_fd(), port).await.map_err(|error| {
            let message = format!("Pod {namespace}/{name}: connect to port {port} inside: {error}");
            NodeError::new(NodeErrorKind::BadGateway, message)
        })?;
        // What is passed on was written by somebody who decided how.
        let _ = stream.set_nodelay(true);
        Ok(Connection { stream, keeper: network.keeper })
    }
}

impl Connection {
    /// Carries bytes both ways, unchanged, until both directions have ended, one of them fails, or the Pod is gone.
    pub async fn carry(mut self, outside: impl AsyncRead + AsyncWrite) {
        let (from_inside, to_inside) = self.stream.split();
        let (from_outside, to_outside) = tokio::io::split(outside);
        let (mut inward, mut outward) =
            (pin!(one_way(from_outside, to_inside)), pin!(one_way(from_inside, to_outside)));
        let mut gone = pin!(until_dead(self.keeper));
        let (mut inward_goes, mut outward_goes) = (true, true);
        while inward_goes || outward_goes {
            tokio::select! {
                done = &mut inward, if inward_goes => match done {
                    Ok(()) => inward_goes = false,
                    Err(_) => return,
                },
                done = &mut outward, if outward_goes => match done {
                    Ok(()) => outward_goes = false,
                    Err(_) => return,
                },
                _ = &mut gone => break,
            }
        }
        if outward_goes {
            let _ = tokio::time::timeout(LAST_WORDS, outward).await;
        }
    }
}

async fn one_way(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) -> io::Result<()> {
    tokio::io::copy(&mut from, &mut to).await?;
    to.shutdown().await
}
