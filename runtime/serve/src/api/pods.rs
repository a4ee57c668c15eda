//! Pods over HTTP: create, read, list, watch, stop, restart, kill, delete. Each handler turns a request into one call
//! of the node and its result into an answer; nothing is decided here.

use std::sync::Arc;

use dwell::{EventKind, Node, PodEvent};
use http_body_util::{BodyExt, Limited, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::{Response, StatusCode};
use k8s_openapi::api::core::v1::{Event, Pod};
use serde_json::json;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::answer::{self, Answer};
use super::route::{Key, Query, Verb};

/// Bytes of a manifest at most.
const BODY_MAX: usize = 4 << 20;

/// `POST …/pods`
pub async fn create(node: &Arc<Node>, namespace: String, body: Incoming) -> Answer {
    let json = match json(body).await {
        Ok(json) => json,
        Err(refused) => return *refused,
    };
    let mut pod = match dwell::read_pod(&json) {
        Ok(pod) => pod,
        Err(error) => return answer::failure(&error),
    };
    pod.metadata.namespace.get_or_insert(namespace.clone());
    if pod.metadata.namespace.as_deref() != Some(&namespace) {
        return answer::bad_request("the Pod's namespace is not that of the request");
    }
    match node.run(pod).await {
        Ok(pod) => answer::with_status(StatusCode::CREATED, &*pod),
        Err(error) => answer::failure(&error),
    }
}

/// `PATCH …/pods/NAME/ephemeralcontainers` (a merge, strategic or not) and `PUT`: of the body only the list of these
/// containers counts, and none that the Pod has is ever changed or taken away.
pub async fn add(node: &Arc<Node>, key: &Key, body: Incoming) -> Answer {
    let json = match json(body).await {
        Ok(json) => json,
        Err(refused) => return *refused,
    };
    answered(match dwell::read_added(&json) {
        Ok(added) => node.add_containers(&key.namespace, &key.name, added).await,
        Err(error) => Err(error),
    })
}

/// `PATCH …/pods/NAME/status` (a merge, strategic or not) and `PUT`: of the body only the conditions count, each in place of
/// what was said of its type before.
pub async fn say(node: &Arc<Node>, key: &Key, body: Incoming) -> Answer {
    let json = match json(body).await {
        Ok(json) => json,
        Err(refused) => return *refused,
    };
    answered(match dwell::read_conditions(&json) {
        Ok(said) => node.set_conditions(&key.namespace, &key.name, said).await,
        Err(error) => Err(error),
    })
}

pub(super) fn answered(result: Result<Arc<Pod>, dwell::NodeError>) -> Answer {
    match result {
        Ok(pod) => answer::ok(&*pod),
        Err(error) => answer::failure(&error),
    }
}

/// A request's body as JSON, or the answer that refuses it.
pub(super) async fn json(body: Incoming) -> Result<serde_json::Value, Box<Answer>> {
    serde_json::from_slice(&whole(body).await?)
        .map_err(|error| Box::new(answer::bad_request(&format!("read a Pod from the request's body: {error}"))))
}

/// A request's body, or the answer that refuses it.
pub(super) async fn whole(body: Incoming) -> Result<Bytes, Box<Answer>> {
    let collected = Limited::new(body, BODY_MAX).collect().await;
    collected.map(|collected| collected.to_bytes()).map_err(|error| {
        Box::new(answer::bad_request(&format!("read the request's body (at most {BODY_MAX} bytes): {error}")))
    })
}

/// `GET …/pods`
pub fn list(node: &Arc<Node>, namespace: Option<&str>, name: Option<&str>) -> Answer {
    let items: Vec<_> = node.list(namespace).into_iter().filter(|pod| matches_name(pod, name)).collect();
    let items: Vec<&Pod> = items.iter().map(|pod| &**pod).collect();
    answer::ok(&json!({"kind": "PodList", "apiVersion": "v1", "metadata": {"resourceVersion": "0"}, "items": items}))
}

/// `GET …/events`
pub fn events(node: &Arc<Node>, namespace: Option<&str>, of: Option<&str>) -> Answer {
    let is_meant = |event: &Event| of.is_none_or(|name| event.involved_object.name.as_deref() == Some(name));
    let items: Vec<_> = node.events(namespace).into_iter().filter(is_meant).collect();
    answer::ok(&json!({"kind": "EventList", "apiVersion": "v1", "metadata": {"resourceVersion": "0"}, "items": items}))
}

/// `GET …/pods?watch=1`: what there is as ADDED, then every change, one JSON object a line, until the client leaves.
pub fn watch(node: &Arc<Node>, namespace: Option<String>, name: Option<String>) -> Answer {
    let (present, changes) = node.watch();
    let wanted = move |pod: &Pod| {
        namespace.as_deref().is_none_or(|ns| pod.metadata.namespace.as_deref() == Some(ns))
            && matches_name(pod, name.as_deref())
    };
    let (sender, receiver) = tokio::sync::mpsc::channel::<Frame<Bytes>>(16);
    tokio::spawn(async move {
        for pod in present.into_iter().filter(|pod| wanted(pod)) {
            if sender.send(line(EventKind::Added, &pod)).await.is_err() {
                return;
            }
        }
        forward(changes, wanted, sender).await;
    });
    let mut answer = Response::new(BodyExt::boxed(StreamBody::new(Frames(receiver))));
    answer.headers_mut().insert("content-type", hyper::header::HeaderValue::from_static("application/json"));
    answer
}

async fn forward(
    mut changes: Receiver<PodEvent>,
    wanted: impl Fn(&Pod) -> bool,
    sender: tokio::sync::mpsc::Sender<Frame<Bytes>>,
) {
    loop {
        let event = tokio::select! {
            event = changes.recv() => event,
            () = sender.closed() => return,
        };
        match event {
            Ok(event) if wanted(&event.object) => {
                if sender.send(line(event.kind, &event.object)).await.is_err() {
                    return;
                }
            }
            Ok(_) => {}
            // A client that reads too slowly starts again from the list, as with Kubernetes' "resource version too old".
            Err(RecvError::Lagged(_) | RecvError::Closed) => return,
        }
    }
}

/// What an answer's body consists of, as it comes.
pub(super) struct Frames(pub tokio::sync::mpsc::Receiver<Frame<Bytes>>);

impl futures_core::Stream for Frames {
    type Item = Result<Frame<Bytes>, std::convert::Infallible>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        self.0.poll_recv(cx).map(|frame| frame.map(Ok))
    }
}

fn line(kind: EventKind, pod: &Pod) -> Frame<Bytes> {
    let mut line = serde_json::to_vec(&json!({"type": kind.word(), "object": pod})).unwrap_or_default();
    line.push(b'\n');
    Frame::data(Bytes::from(line))
}

fn matches_name(pod: &Pod, name: Option<&str>) -> bool {
    name.is_none_or(|name| pod.metadata.name.as_deref() == Some(name))
}

/// Verbs on one Pod that answer at once.
pub async fn verb(node: &Arc<Node>, key: &Key, verb: &Verb, query: &Query) -> Answer {
    let grace = match query.get("gracePeriodSeconds").map(str::parse::<u32>).transpose() {
        Ok(grace) => grace,
        Err(error) => return answer::bad_request(&format!("gracePeriodSeconds: {error}")),
    };
    let (namespace, name) = (key.namespace.as_str(), key.name.as_str());
    let done = match verb {
        Verb::Get => return get(node, key),
        Verb::Delete => node.remove(namespace, name, grace).await,
        Verb::Stop => node.stop(namespace, name, grace).await,
        Verb::Restart => node.restart(namespace, name).await,
        Verb::Kill => match query.get("signal").unwrap_or("KILL").parse::<dwell::SignalName>() {
            Ok(signal) => node.kill(namespace, name, query.get("container"), signal).await,
            Err(error) => return answer::bad_request(&error.to_string()),
        },
        Verb::Exec
        | Verb::Attach
        | Verb::Connect
        | Verb::Look
        | Verb::Pack
        | Verb::Unpack
        | Verb::Add
        | Verb::Say
        | Verb::Put
        | Verb::Patch => {
            return answer::bad_request("a WebSocket is needed here");
        }
    };
    match done {
        Ok(Some(pod)) => answer::ok(&*pod),
        Ok(None) => answer::success(),
        Err(error) => answer::failure(&error),
    }
}

fn get(node: &Arc<Node>, key: &Key) -> Answer {
    answered(node.get(&key.namespace, &key.name))
}
