//! One question to a server in a Pod, as its probes and hooks ask it: over HTTP, HTTPS, gRPC, or by connecting alone.
//!
//! Asked from the host to the Pod's address, as the kubelet does, so that a server which listens on its own loopback
//! alone is not reached. What answers is a member, and hostile: nothing of an answer is kept but its status, and the
//! caller bounds the time. Must never decide what an answer means for the Pod.

mod connection;
mod grpc;
mod http;
mod tls;

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};

use dwell_spec::pod::Question;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use crate::blocking::blocking;

/// What clients call themselves, as the kubelet's probes do: servers leave them out of their logs by it.
const USER_AGENT: &str = "kube-probe/1.35";
/// Names that are looked up at once, of all Pods.
static LOOK_UPS: Semaphore = Semaphore::const_new(4);

/// Asks it, of the host that it names, else of `address`.
///
/// # Errors
/// Why the answer was not good, for people.
pub(crate) async fn ask(question: &Question, address: IpAddr) -> Result<(), String> {
    match question {
        Question::Http(get) => http::get(get, address).await,
        Question::Grpc { port, service } => grpc::check(SocketAddr::new(address, *port), service).await,
        Question::Tcp { host, port } => {
            let peer = resolve(host.as_deref(), *port, address).await?;
            connect(peer).await.map(drop)
        }
    }
}

/// Says it, as a hook does: over HTTP any answer will do.
///
/// # Errors
/// Why there was none, for people.
pub(crate) async fn tell(question: &Question, address: IpAddr) -> Result<(), String> {
    match question {
        Question::Http(get) => http::tell(get, address).await,
        other => ask(other, address).await,
    }
}

async fn connect(peer: SocketAddr) -> Result<TcpStream, String> {
    TcpStream::connect(peer).await.map_err(|error| format!("connect to {peer}: {error}"))
}

/// The first address of a host. A resolver that does not answer keeps few of the node's threads.
async fn resolve(host: Option<&str>, port: u16, otherwise: IpAddr) -> Result<SocketAddr, String> {
    let Some(host) = host else { return Ok(SocketAddr::new(otherwise, port)) };
    if let Ok(address) = host.trim_matches(['[', ']']).parse() {
        return Ok(SocketAddr::new(address, port));
    }
    let name = host.to_owned();
    let turn = LOOK_UPS.acquire().await.map_err(|error| error.to_string())?;
    let look_up = move || {
        let found = (name.as_str(), port).to_socket_addrs().map(|mut all| all.next());
        drop(turn);
        found
    };
    let found = blocking(look_up).await.flatten();
    match found {
        Ok(Some(address)) => Ok(address),
        Ok(None) => Err(format!("look up {host}: no address")),
        Err(error) => Err(format!("look up {host}: {error}")),
    }
}
