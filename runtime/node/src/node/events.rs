//! A Pod's events as the objects that Kubernetes' clients know. Pure.

use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use k8s_openapi::jiff::Timestamp;

use crate::pod::shared::PodHandle;
use crate::supervise::events;

/// Each with when it last happened.
pub(super) fn objects(pod: &PodHandle, host: &str) -> Vec<(u64, Event)> {
    pod.events().all().iter().map(|event| (event.last_ns, object(pod, event, host))).collect()
}

fn object(pod: &PodHandle, event: &events::Event, host: &str) -> Event {
    let involved = ObjectReference {
        api_version: Some("v1".into()),
        kind: Some("Pod".into()),
        namespace: Some(pod.namespace.clone()),
        name: Some(pod.name.clone()),
        uid: Some(pod.uid.clone()),
        field_path: event.field.clone(),
        ..ObjectReference::default()
    };
    Event {
        metadata: ObjectMeta {
            // As the API server's clients name them: the object, and when it first happened.
            name: Some(format!("{}.{:x}", pod.name, event.first_ns)),
            namespace: Some(pod.namespace.clone()),
            ..ObjectMeta::default()
        },
        involved_object: involved,
        reason: Some(event.reason.clone().into_owned()),
        message: Some(event.message.clone()),
        type_: Some(event.kind().into()),
        count: Some(i32::try_from(event.count).unwrap_or(i32::MAX)),
        first_timestamp: time(event.first_ns),
        last_timestamp: time(event.last_ns),
        source: Some(EventSource { component: Some("dwell".into()), host: Some(host.to_owned()) }),
        ..Event::default()
    }
}

fn time(ns: u64) -> Option<Time> {
    Timestamp::from_second((ns / 1_000_000_000) as i64).ok().map(Time)
}
