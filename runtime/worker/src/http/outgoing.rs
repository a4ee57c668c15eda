//! Requests that a guest sends: plain HTTP/1.1, names looked up in the process, and only with the network granted.
//!
//! There is no TLS yet: `https` is refused with a sentence, and never sent in the clear.

use crate::names::{LookupError, Names};
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::client::conn::http1;
use hyper::http::uri::{PathAndQuery, Scheme};
use hyper::{Request, Response, Uri};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, timeout};
use wasmtime_wasi_http::io::TokioIo;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

/// How long anything may take that the guest set no limit for.
const PATIENCE: Duration = Duration::from_secs(600);
const HTTPS: &str = "https is not offered yet for outgoing requests; use http";

type Worker = Box<dyn Future<Output = Result<(), Error>> + Send>;
type Sent = Result<(Response<WasiBody>, Worker), Error>;

/// One instance's way out.
pub struct Outgoing {
    names: Names,
    granted: bool,
}

impl Outgoing {
    /// `granted`: whether the member has a network at all.
    pub fn new(names: Names, granted: bool) -> Self {
        Self { names, granted }
    }
}

impl WasiHttpHooks for Outgoing {
    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _processing: Worker,
    ) -> Box<dyn Future<Output = Sent> + Send> {
        let (names, granted) = (self.names.clone(), self.granted);
        Box::new(async move {
            if !granted {
                return Err(Error::HttpRequestDenied);
            }
            if request.uri().scheme() == Some(&Scheme::HTTPS) {
                return Err(Error::InternalError(Some(HTTPS.to_owned())));
            }
            send(&names, request, options.unwrap_or_default()).await
        })
    }
}

async fn send(names: &Names, mut request: Request<WasiBody>, options: RequestOptions) -> Sent {
    let connecting = connect(names, request.uri());
    let stream = limited(options.connect_timeout, Error::ConnectionTimeout, connecting).await??;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // Only a proxy is told the scheme and the host in the request line.
    let path = request.uri().path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
    *request.uri_mut() = Uri::from(path);
    let mut connection = Box::pin(async move { connection.await.map_err(Error::from) });
    let answer = async {
        let answer = pin!(sender.send_request(request));
        drive(answer, connection.as_mut()).await
    };
    let response = limited(options.first_byte_timeout, Error::ConnectionReadTimeout, answer).await??;
    let between = options.between_bytes_timeout.unwrap_or(PATIENCE);
    let response = response.map(|body| Timed::new(body, between).boxed_unsync());
    Ok((response, Box::new(connection)))
}

/// Waits for the answer while moving the connection's bytes.
async fn drive<A, C>(mut answer: Pin<&mut A>, mut connection: Pin<&mut C>) -> Result<Response<Incoming>, Error>
where
    A: Future<Output = Result<Response<Incoming>, hyper::Error>>,
    C: Future<Output = Result<(), Error>>,
{
    let mut over = false;
    std::future::poll_fn(|cx| {
        if let Poll::Ready(done) = answer.as_mut().poll(cx) {
            return Poll::Ready(done.map_err(Error::from));
        }
        if over {
            return Poll::Pending;
        }
        ready!(connection.as_mut().poll(cx))?;
        over = true;
        answer.as_mut().poll(cx).map_err(Error::from)
    })
    .await
}

async fn connect(names: &Names, uri: &Uri) -> Result<TcpStream, Error> {
    let authority = uri.authority().ok_or(Error::HttpRequestUriInvalid)?;
    let port = authority.port_u16().unwrap_or(80);
    let mut last = Error::DestinationNotFound;
    for address in names.lookup(authority.host()).await.map_err(unresolved)? {
        match TcpStream::connect((address, port)).await {
            Ok(stream) => return Ok(stream),
            Err(cause) => last = Error::Connect(cause),
        }
    }
    Err(last)
}

fn unresolved(cause: LookupError) -> Error {
    match cause {
        LookupError::Denied => Error::HttpRequestDenied,
        LookupError::NotAName => Error::HttpRequestUriInvalid,
        LookupError::NotFound => Error::DnsError { rcode: Some("NXDOMAIN".to_owned()), info_code: None },
        LookupError::NoAnswer => Error::DnsTimeout,
    }
}

async fn limited<T>(limit: Option<Duration>, late: Error, work: impl Future<Output = T>) -> Result<T, Error> {
    timeout(limit.unwrap_or(PATIENCE), work).await.map_err(|_| late)
}

/// A response's body, each part of which must come in time.
struct Timed {
    body: Incoming,
    between: Duration,
    deadline: Pin<Box<Sleep>>,
}

impl Timed {
    fn new(body: Incoming, between: Duration) -> Self {
        Self { body, between, deadline: Box::pin(tokio::time::sleep(between)) }
    }
}

impl Body for Timed {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) {
            let next = Instant::now() + self.between;
            self.deadline.as_mut().reset(next);
            return Poll::Ready(frame.map(|frame| frame.map_err(Error::from)));
        }
        ready!(self.deadline.as_mut().poll(cx));
        Poll::Ready(Some(Err(Error::ConnectionReadTimeout)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
