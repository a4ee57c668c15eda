//! The node's face over HTTP/1.1 on a root-only unix socket, shaped as Kubernetes shapes it. The commands speak it
//! today; kubectl's port will be this one grown.

pub mod answer;
pub mod archive;
pub mod change;
pub mod forward;
mod merge;
pub mod pods;
pub mod route;
pub mod settings;
pub mod stream;

use std::convert::Infallible;
use std::sync::Arc;

use dwell::Node;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, server};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::{UnixListener, UnixStream};

use answer::Answer;
use route::{Query, Route, Verb};

/// Serves every connection until the future is dropped; connections in progress are dropped with it.
pub async fn serve(listener: UnixListener, node: Arc<Node>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) if is_root(&stream) => drop(tokio::spawn(serve_connection(stream, node.clone()))),
            Ok(_) => {}
            // Out of descriptors, say: others must finish first.
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
        }
    }
}

/// The socket is in a folder of root's, and yet a member whose root is nobody here may come to see it, by a hostPath above it
/// with its ids mapped.
fn is_root(stream: &UnixStream) -> bool {
    stream.peer_cred().is_ok_and(|peer| peer.uid() == 0)
}

async fn serve_connection(stream: UnixStream, node: Arc<Node>) {
    let service = service_fn(move |request| answer(node.clone(), request));
    let connection =
        server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).with_upgrades();
    // A client that went away in the middle is no event of ours.
    let _ = connection.await;
}

async fn answer(node: Arc<Node>, request: Request<Incoming>) -> Result<Answer, Infallible> {
    let query = Query::parse(request.uri().query());
    let Some(route) = route::route(request.method(), request.uri().path(), &query) else {
        return Ok(answer::not_found(request.uri().path()));
    };
    Ok(match route {
        Route::Version => answer::ok(&version()),
        Route::Health => answer::ok(&"ok"),
        Route::Info => answer::ok(&node.info()),
        Route::Check => answer::ok(&node.check().await),
        Route::Usage => answer::ok(&node.stats().await),
        Route::Shutdown => {
            node.shutdown();
            answer::success()
        }
        Route::List { namespace, watch: true, name } => pods::watch(&node, namespace, name),
        Route::List { namespace, name, .. } => pods::list(&node, namespace.as_deref(), name.as_deref()),
        Route::Events { namespace, of } => pods::events(&node, namespace.as_deref(), of.as_deref()),
        Route::Create { namespace } => pods::create(&node, namespace, request.into_body()).await,
        Route::Settings { kind, key, delete: true } => settings::remove(&node, kind, &key).await,
        Route::Settings { kind, key, .. } => settings::put(&node, kind, &key, request.into_body()).await,
        Route::Claim { key, delete: true } => settings::remove_claim(&node, &key).await,
        Route::Claim { key, .. } => settings::put_claim(&node, &key, request.into_body()).await,
        Route::Pod { key, verb: Verb::Exec } => stream::exec(&node, &key, &query, request).await,
        Route::Pod { key, verb: Verb::Connect } => forward::connect(&node, &key, &query, request).await,
        Route::Pod { key, verb: Verb::Attach } => stream::attach(&node, &key, &query, request).await,
        Route::Pod { key, verb: Verb::Look } => archive::look(&node, &key, &query).await,
        Route::Pod { key, verb: Verb::Pack } => archive::pack(&node, &key, &query).await,
        Route::Pod { key, verb: Verb::Unpack } => archive::unpack(&node, &key, &query, request.into_body()).await,
        Route::Pod { key, verb: Verb::Put } => change::put(&node, &key, request.into_body()).await,
        Route::Pod { key, verb: Verb::Patch } => change::patch(&node, &key, request).await,
        Route::Pod { key, verb: Verb::Add } => pods::add(&node, &key, request.into_body()).await,
        Route::Pod { key, verb: Verb::Say } => pods::say(&node, &key, request.into_body()).await,
        Route::Pod { key, verb } => pods::verb(&node, &key, &verb, &query).await,
    })
}

fn version() -> serde_json::Value {
    json!({
        "major": "1", "minor": "35", "gitVersion": concat!("v1.35.0+dwell.", env!("CARGO_PKG_VERSION")),
        "platform": format!("linux/{}", std::env::consts::ARCH), "dwell": env!("CARGO_PKG_VERSION"),
    })
}
