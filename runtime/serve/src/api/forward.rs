//! A connection to a port inside a Pod: an upgraded request (`Upgrade: tcp`) whose bytes go there and back unchanged.
//!
//! One request is one connection; each direction ends by itself, as in TCP, and both with the Pod. Nothing is kept, and a
//! side that does not read stops being read for.

use std::sync::Arc;

use dwell::Node;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderValue, UPGRADE};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;

use super::answer::{self, Answer};
use super::route::{Key, Query};

/// What the upgrade is called.
pub const PROTOCOL: &str = "tcp";

/// `…/connect?port=N`
pub async fn connect(node: &Arc<Node>, key: &Key, query: &Query, request: Request<Incoming>) -> Answer {
    let Some(port) = query.get("port").and_then(|port| port.parse().ok()).filter(|port| *port > 0) else {
        return answer::bad_request("connect needs a port, 1 to 65535");
    };
    if request.headers().get(UPGRADE).is_none_or(|to| !to.as_bytes().eq_ignore_ascii_case(PROTOCOL.as_bytes())) {
        return answer::bad_request("connect needs an upgrade to tcp");
    }
    let inside = match node.connect(&key.namespace, &key.name, port).await {
        Ok(inside) => inside,
        Err(error) => return answer::failure(&error),
    };
    tokio::spawn(async move {
        if let Ok(upgraded) = hyper::upgrade::on(request).await {
            inside.carry(TokioIo::new(upgraded)).await;
        }
    });
    switching()
}

fn switching() -> Answer {
    let mut answer = Response::new(Empty::new().boxed());
    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    answer.headers_mut().insert(UPGRADE, HeaderValue::from_static(PROTOCOL));
    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    answer
}
