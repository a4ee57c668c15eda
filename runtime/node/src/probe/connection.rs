//! One request over one connection, which ends with it, whatever the server does.

use std::sync::{Arc, Mutex, Weak};

use hyper::body::{Body, Incoming};
use hyper::client::conn::{http1, http2};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;

type Outcome<T> = Result<T, hyper::Error>;
type Fault = Box<dyn std::error::Error + Send + Sync>;

/// Asks by HTTP/1.1 and gives back the head of the answer.
pub(super) async fn by_http1<S, B>(stream: S, request: Request<B>) -> Outcome<Response<Incoming>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    B: Body<Data: Send, Error: Into<Fault>> + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    driven(sender.send_request(request), connection).await
}

/// Asks by HTTP/2; `read` is what is done with the answer.
pub(super) async fn by_http2<S, B, F, T>(
    stream: S,
    request: Request<B>,
    read: impl FnOnce(Response<Incoming>) -> F,
) -> Outcome<T>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    B: Body<Data: Send, Error: Into<Fault>> + Send + Unpin + 'static,
    F: Future<Output = T>,
{
    let tasks = Arc::new(Mutex::new(JoinSet::new()));
    let (mut sender, connection) = http2::handshake(Tasks(Arc::downgrade(&tasks)), TokioIo::new(stream)).await?;
    let asked = async { Ok(read(sender.send_request(request).await?).await) };
    driven(asked, connection).await
}

/// What is asked over a connection, while that is driven, so that it ends with the question. A server may close it in the
/// moment that it answers: the answer counts.
async fn driven<T>(asked: impl Future<Output = T>, connection: impl Future) -> T {
    tokio::pin!(asked);
    tokio::select! {
        biased;
        said = &mut asked => said,
        _ = connection => asked.await,
    }
}

/// What drives the connection ends with the question: a server that reads no more would keep it for ever else.
#[derive(Clone)]
struct Tasks(Weak<Mutex<JoinSet<()>>>);

impl<F: Future + Send + 'static> hyper::rt::Executor<F> for Tasks {
    fn execute(&self, task: F) {
        let Some(tasks) = self.0.upgrade() else { return };
        let mut tasks = tasks.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        tasks.spawn(async move { drop(task.await) });
    }
}
