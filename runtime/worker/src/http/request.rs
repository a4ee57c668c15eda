//! One request: an instance of its own, which a trap ends alone.
//!
//! ```text
//! waiting ─place free─ running ─answer set─ streaming ─body sent─ lingering ─ returned
//!    └ client leaves: nothing ran  └ trap: 500     └ trap: the connection is cut  └ at most LINGER, then dropped
//! ```
//!
//! The guest goes on after its answer (it may log, or write a file), but not for ever: `LINGER` after the answer's body
//! is sent, or after its client left, the instance is dropped where it next waits or yields.

use super::Shared;
use crate::command;
use crate::ending;
use crate::link::P2State;
use crate::report;
use crate::stdio::Input;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::HOST;
use hyper::{Request, Response, StatusCode, Version};
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::{AbortHandle, JoinHandle};
use wasmtime::Store;
use wasmtime_wasi_http::WasiHttpView;
use wasmtime_wasi_http::p2::bindings::http::types::{ErrorCode, Scheme};
use wasmtime_wasi_http::p2::body::HyperOutgoingBody;

/// How long an instance may go on once nobody waits for it.
const LINGER: Duration = Duration::from_secs(10);
/// Bytes of a request's method and target that a line of ours repeats.
const TARGET: usize = 200;

type Answer = Result<Response<HyperOutgoingBody>, ErrorCode>;

/// The guest's answer, or one that says what became of the guest.
pub async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Response<Sent>, Infallible> {
    let what = report::printable(&format!("{} {}", request.method(), request.uri()), TARGET);
    if !has_host(&request) {
        return Ok(plain(StatusCode::BAD_REQUEST, "a request needs a Host field\n"));
    }
    let (send, receive) = oneshot::channel();
    let guest = tokio::spawn(run(shared, with_host(request), send, what.clone()));
    let lingering = Lingering(Some(guest.abort_handle()));
    match receive.await {
        Ok(Ok(response)) => Ok(response.map(|body| Sent { body, _guest: lingering })),
        Ok(Err(code)) => {
            report::say(&format!("{what}: the guest answered with an error: {code:?}"));
            Ok(plain(StatusCode::BAD_GATEWAY, "the component answered with an error\n"))
        }
        Err(_) => Ok(no_answer(guest, &what).await),
    }
}

/// Runs the guest to its end. A failure is one line, whether or not the answer was already on its way.
async fn run(shared: Arc<Shared>, request: Request<Incoming>, send: oneshot::Sender<Answer>, what: String) {
    let Ok(_place) = shared.instances.clone().acquire_owned().await else {
        return;
    };
    let mut store = match store(&shared) {
        Ok(store) => store,
        Err(cause) => return report::say(&format!("{what}: {cause:#}")),
    };
    if let Err(cause) = call(&shared, &mut store, request, send).await {
        report::say(&format!("{what}: {}", ending::brief(&cause, &store.data().limiter)));
    }
}

fn store(shared: &Shared) -> wasmtime::Result<Store<P2State>> {
    let wasi = command::context(&shared.plan, &shared.grants, Input::closed())?.build();
    let mut store = P2State::store(&shared.engine, wasi, shared.names.clone(), shared.plan.network, &shared.budget);
    store.set_epoch_deadline(1);
    store.epoch_deadline_async_yield_and_update(1);
    Ok(store)
}

async fn call(
    shared: &Shared,
    store: &mut Store<P2State>,
    request: Request<Incoming>,
    send: oneshot::Sender<Answer>,
) -> wasmtime::Result<()> {
    let proxy = shared.pre.instantiate_async(&mut *store).await?;
    let request = store.data_mut().http().new_incoming_request(Scheme::Http, request)?;
    let out = store.data_mut().http().new_response_outparam(send)?;
    proxy.wasi_http_incoming_handler().call_handle(&mut *store, request, out).await
}

/// The guest is gone without an answer: its line was said by `run`, unless it returned or panicked.
async fn no_answer(guest: JoinHandle<()>, what: &str) -> Response<Sent> {
    if guest.await.is_err() {
        report::say(&format!("{what}: the host side failed"));
    }
    plain(StatusCode::INTERNAL_SERVER_ERROR, "the component ended without an answer\n")
}

fn has_host<B>(request: &Request<B>) -> bool {
    let named = request.headers().get(HOST).is_some_and(|host| host.to_str().is_ok());
    named || request.uri().authority().is_some() || request.version() == Version::HTTP_10
}

/// HTTP/1.0 may leave the host out; the component is owed an authority.
fn with_host<B>(mut request: Request<B>) -> Request<B> {
    if request.uri().authority().is_none() && !request.headers().contains_key(HOST) {
        request.headers_mut().insert(HOST, hyper::header::HeaderValue::from_static("localhost"));
    }
    request
}

fn plain(status: StatusCode, text: &'static str) -> Response<Sent> {
    let body = Full::new(Bytes::from_static(text.as_bytes())).map_err(|never: Infallible| match never {});
    let mut response = Response::new(Sent { body: body.boxed_unsync(), _guest: Lingering(None) });
    *response.status_mut() = status;
    response
}

/// An answer's body. Dropped when it is sent, or its client gone.
pub struct Sent {
    body: HyperOutgoingBody,
    _guest: Lingering,
}

impl Body for Sent {
    type Data = Bytes;
    type Error = <HyperOutgoingBody as Body>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Ends the guest `LINGER` after it is dropped.
struct Lingering(Option<AbortHandle>);

impl Drop for Lingering {
    fn drop(&mut self) {
        let Some(guest) = self.0.take().filter(|guest| !guest.is_finished()) else {
            return;
        };
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                tokio::time::sleep(LINGER).await;
                guest.abort();
            });
        }
    }
}
