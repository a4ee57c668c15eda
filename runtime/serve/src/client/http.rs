//! One request, one connection: connect, hyper's handshake, send, read the answer.

use std::cell::RefCell;
use std::io;
use std::path::{Path, PathBuf};

use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONNECTION, HeaderValue, UPGRADE};
use hyper::upgrade::Upgraded;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use super::failure::ClientFailure;
use super::target::Target;

/// What a request brings along.
pub(super) type Body = BoxBody<Bytes, io::Error>;

/// Speaks to the node of one state folder. Not `Sync`: it belongs to one current-thread runtime.
#[derive(Debug)]
pub struct Client {
    socket: PathBuf,
    /// The connection that proved that a node listens; the first request uses it up.
    spare: RefCell<Option<UnixStream>>,
}

impl Client {
    pub(super) fn over(socket: PathBuf, stream: UnixStream) -> Self {
        Self { socket, spare: RefCell::new(Some(stream)) }
    }

    /// A new connection, or the one that is left from the start.
    pub(super) async fn stream(&self) -> Result<UnixStream, ClientFailure> {
        let spare = self.spare.borrow_mut().take();
        match spare {
            Some(stream) => Ok(stream),
            None => dial(&self.socket).await,
        }
    }

    /// Sends a request and parses the JSON of its answer.
    pub(super) async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        target: &Target,
        body: Option<Vec<u8>>,
    ) -> Result<T, ClientFailure> {
        let what = described(&method, target);
        let response = self.send(method, target, body).await?;
        parse(what, response).await
    }

    /// Sends a request and hands back the answer's head, if it is a success.
    pub(super) async fn send(
        &self,
        method: Method,
        target: &Target,
        body: Option<Vec<u8>>,
    ) -> Result<Response<Incoming>, ClientFailure> {
        let kind = body.is_some().then_some("application/json");
        self.send_body(method, target, kind, whole(body.unwrap_or_default())).await
    }

    /// As `send`, with a body of any kind.
    pub(super) async fn send_body(
        &self,
        method: Method,
        target: &Target,
        kind: Option<&'static str>,
        body: Body,
    ) -> Result<Response<Incoming>, ClientFailure> {
        let what = described(&method, target);
        let broken = |e| ClientFailure::Broken(what.clone(), e);
        let io = TokioIo::new(self.stream().await?);
        let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.map_err(broken)?;
        tokio::spawn(connection);
        let response = sender.send_request(request(method, target, kind, body)).await.map_err(broken)?;
        if response.status().is_success() {
            return Ok(response);
        }
        Err(refusal(&what, response).await)
    }
}

impl Client {
    /// Sends a request that asks for plain bytes both ways, and hands back the connection.
    pub(super) async fn upgrade(&self, target: &Target, to: &'static str) -> Result<TokioIo<Upgraded>, ClientFailure> {
        let what = described(&Method::POST, target);
        let broken = |e| ClientFailure::Broken(what.clone(), e);
        let io = TokioIo::new(self.stream().await?);
        let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.map_err(broken)?;
        tokio::spawn(connection.with_upgrades());
        let mut request = request(Method::POST, target, None, whole(Vec::new()));
        request.headers_mut().insert(UPGRADE, HeaderValue::from_static(to));
        request.headers_mut().insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        let response = sender.send_request(request).await.map_err(broken)?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Err(refusal(&what, response).await);
        }
        hyper::upgrade::on(response).await.map(TokioIo::new).map_err(broken)
    }
}

fn request(method: Method, target: &Target, kind: Option<&'static str>, body: Body) -> Request<Body> {
    let builder = Request::builder().method(method).uri(target.as_str()).header("host", "dwell");
    let builder = kind.into_iter().fold(builder, |builder, kind| builder.header("content-type", kind));
    builder.header("te", "trailers").body(body).expect("an encoded target and fixed headers are valid")
}

/// Connects to the socket.
pub(super) async fn dial(socket: &Path) -> Result<UnixStream, ClientFailure> {
    UnixStream::connect(socket).await.map_err(|e| match e.kind() {
        io::ErrorKind::PermissionDenied => ClientFailure::Denied(socket.to_owned()),
        _ => ClientFailure::NoNode(socket.to_owned(), e),
    })
}

fn whole(body: Vec<u8>) -> Body {
    Full::new(body.into()).map_err(|never| match never {}).boxed()
}

/// The JSON of an answer.
pub(super) async fn parse<T: DeserializeOwned>(what: String, response: Response<Incoming>) -> Result<T, ClientFailure> {
    let bytes = read_body(&what, response).await?;
    serde_json::from_slice(&bytes).map_err(|e| ClientFailure::Malformed(what, Some(e)))
}

async fn read_body(what: &str, response: Response<Incoming>) -> Result<Bytes, ClientFailure> {
    let collected = response.into_body().collect().await;
    Ok(collected.map_err(|e| ClientFailure::Broken(what.to_owned(), e))?.to_bytes())
}

async fn refusal(what: &str, response: Response<Incoming>) -> ClientFailure {
    let code = response.status().as_u16();
    match read_body(what, response).await {
        Ok(body) => refused(what, code, &body),
        Err(failure) => failure,
    }
}

/// A `metav1.Status`, or one made up from the HTTP status when the body is none.
pub(super) fn refused(what: &str, code: u16, body: &[u8]) -> ClientFailure {
    let plain =
        || Status { message: Some(format!("{what}: the node answered with HTTP status {code}")), ..Status::default() };
    let mut status: Status = serde_json::from_slice(body).unwrap_or_else(|_| plain());
    status.code.get_or_insert(code.into());
    ClientFailure::Refused(Box::new(status))
}

/// `GET /path`, for messages.
pub(super) fn described(method: &Method, target: &Target) -> String {
    let path = target.as_str().split('?').next().unwrap_or_default();
    format!("{method} {path}")
}
