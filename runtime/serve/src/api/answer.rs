//! Answers: JSON objects, lists, and failures as Kubernetes' `Status`, with the HTTP status that its clients expect.

use std::convert::Infallible;

use dwell::{NodeError, NodeErrorKind, chain};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::{Response, StatusCode};
use serde::Serialize;
use serde_json::{Value, json};

/// Every answer's type.
pub type Answer = Response<BoxBody<Bytes, Infallible>>;

/// A JSON value with status 200.
pub fn ok(value: &impl Serialize) -> Answer {
    with_status(StatusCode::OK, value)
}

/// A JSON value with the given status.
pub fn with_status(status: StatusCode, value: &impl Serialize) -> Answer {
    let bytes = serde_json::to_vec(value).unwrap_or_else(|error| format!("{{\"message\":\"{error}\"}}").into_bytes());
    let mut answer = Response::new(Full::new(Bytes::from(bytes)).boxed());
    *answer.status_mut() = status;
    answer.headers_mut().insert("content-type", hyper::header::HeaderValue::from_static("application/json"));
    answer
}

/// A plain success, as a `Status`.
pub fn success() -> Answer {
    ok(&json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}))
}

/// A failure of the node's.
pub fn failure(error: &NodeError) -> Answer {
    let (code, reason) = code_and_reason(error.kind());
    with_status(code, &status(code, reason, &chain(error), error.causes()))
}

/// No such path.
pub fn not_found(path: &str) -> Answer {
    with_status(StatusCode::NOT_FOUND, &status(StatusCode::NOT_FOUND, "NotFound", &format!("nothing at {path}"), &[]))
}

/// A kind of patch that is not understood.
pub fn unsupported_patch() -> Answer {
    let code = StatusCode::UNSUPPORTED_MEDIA_TYPE;
    let message =
        "send a strategic merge, a merge (RFC 7396) or a JSON patch (RFC 6902), and say which in content-type";
    with_status(code, &status(code, "UnsupportedMediaType", message, &[]))
}

/// A request that cannot be understood.
pub fn bad_request(message: &str) -> Answer {
    with_status(StatusCode::BAD_REQUEST, &status(StatusCode::BAD_REQUEST, "BadRequest", message, &[]))
}

fn code_and_reason(kind: NodeErrorKind) -> (StatusCode, &'static str) {
    match kind {
        NodeErrorKind::NotFound => (StatusCode::NOT_FOUND, "NotFound"),
        NodeErrorKind::AlreadyExists => (StatusCode::CONFLICT, "AlreadyExists"),
        NodeErrorKind::Conflict => (StatusCode::CONFLICT, "Conflict"),
        NodeErrorKind::Invalid => (StatusCode::UNPROCESSABLE_ENTITY, "Invalid"),
        NodeErrorKind::BadRequest => (StatusCode::BAD_REQUEST, "BadRequest"),
        NodeErrorKind::BadGateway => (StatusCode::BAD_GATEWAY, "BadGateway"),
        NodeErrorKind::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable"),
        NodeErrorKind::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "InternalError"),
    }
}

fn status(code: StatusCode, reason: &str, message: &str, causes: &[(String, String)]) -> Value {
    let causes: Vec<Value> = causes
        .iter()
        .map(|(field, message)| json!({"reason": "FieldValueInvalid", "field": field, "message": message}))
        .collect();
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code.as_u16(), "details": {"kind": "pods", "causes": causes},
    })
}
