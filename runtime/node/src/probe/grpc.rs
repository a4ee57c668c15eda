//! The gRPC health protocol, `grpc.health.v1.Health/Check`: one message of one field each way, so written by hand.

use std::net::SocketAddr;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::{HeaderMap, Request, Response};

use super::connection;

/// Bytes of an answer that are read; a right one has seven.
const ANSWER_MAX: usize = 4096;
/// `HealthCheckResponse.ServingStatus`
const STATUSES: [&str; 4] = ["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"];
const SERVING: u8 = 1;

/// Well when the server says SERVING of the service.
pub(super) async fn check(peer: SocketAddr, service: &str) -> Result<(), String> {
    let failed = |error: &dyn std::fmt::Display| format!("ask {peer} for its health: {error}");
    let stream = super::connect(peer).await?;
    let request = request(peer, service).map_err(|error| failed(&error))?;
    let read = async |answer: Response<Incoming>| {
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, ANSWER_MAX).collect().await.map_err(|error| failed(&error))?;
        let trailers = body.trailers().cloned().unwrap_or(head.headers);
        verdict(&trailers, &body.to_bytes())
    };
    connection::by_http2(stream, request, read).await.map_err(|error| failed(&error))?
}

fn request(peer: SocketAddr, service: &str) -> Result<Request<Full<Bytes>>, hyper::http::Error> {
    Request::post(format!("http://{peer}/grpc.health.v1.Health/Check"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("user-agent", super::USER_AGENT)
        .body(Full::new(message(service)))
}

/// Length-prefixed, as gRPC frames it; field 1 is the service.
fn message(service: &str) -> Bytes {
    let mut field = Vec::new();
    if !service.is_empty() {
        field.push(0x0a);
        let mut length = service.len();
        while length > 0x7f {
            field.push(length as u8 | 0x80);
            length >>= 7;
        }
        field.push(length as u8);
        field.extend(service.as_bytes());
    }
    let mut framed = vec![0];
    framed.extend((field.len() as u32).to_be_bytes());
    framed.extend(field);
    framed.into()
}

fn verdict(trailers: &HeaderMap, body: &[u8]) -> Result<(), String> {
    let text = |name: &str| trailers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    match text("grpc-status") {
        "0" => {}
        "" => return Err("the server does not speak gRPC".to_owned()),
        "12" => return Err("the server does not implement the grpc health protocol (grpc.health.v1.Health)".to_owned()),
        code => {
            return Err(format!(
                "gRPC status {code}: {}",
                text("grpc-message").chars().take(200).collect::<String>().escape_debug()
            ));
        }
    }
    // An empty message is one with its default value, UNKNOWN.
    let status = match body.get(5..) {
        Some([0x08, status, ..]) => *status,
        _ => 0,
    };
    if status == SERVING {
        return Ok(());
    }
    let name = STATUSES.get(usize::from(status)).unwrap_or(&"an unknown status");
    Err(format!("service unhealthy (responded with {name:?})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trailers(status: &'static str) -> HeaderMap {
        HeaderMap::from_iter([("grpc-status".parse().expect("a name"), status.parse().expect("a value"))])
    }

    #[test]
    fn messages_are_framed() {
        assert_eq!(&message("")[..], [0, 0, 0, 0, 0]);
        assert_eq!(&message("ab")[..], [0, 0, 0, 0, 4, 0x0a, 2, b'a', b'b']);
        assert_eq!(&message(&"x".repeat(200))[..8], [0, 0, 0, 0, 203, 0x0a, 0xc8, 1]);
    }

    /// A server that knows one service.
    async fn serve(listener: tokio::net::TcpListener) {
        use http_body_util::StreamBody;
        use hyper::body::Frame;
        use hyper::service::service_fn;
        use hyper_util::rt::{TokioExecutor, TokioIo};

        let answer = async |request: Request<Incoming>| {
            assert_eq!(request.uri().path(), "/grpc.health.v1.Health/Check");
            let asked = request.into_body().collect().await.expect("a body").to_bytes();
            let status = if asked == message("known") { 1 } else { 2 };
            let body = Frame::data(Bytes::from(vec![0, 0, 0, 0, 2, 8, status]));
            let frames = [Ok::<_, std::convert::Infallible>(body), Ok(Frame::trailers(trailers("0")))];
            Ok::<_, std::convert::Infallible>(Response::new(StreamBody::new(futures_util::stream::iter(frames))))
        };
        while let Ok((stream, _)) = listener.accept().await {
            let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            let _ = connection.serve_connection(TokioIo::new(stream), service_fn(answer)).await;
        }
    }

    #[test]
    fn a_server_is_asked_over_http_2() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let peer = listener.local_addr().expect("an address");
            tokio::spawn(serve(listener));
            assert_eq!(check(peer, "known").await, Ok(()));
            assert!(check(peer, "unknown").await.is_err_and(|why| why.contains("NOT_SERVING")));
        });
    }

    #[test]
    fn only_serving_is_well() {
        assert_eq!(verdict(&trailers("0"), &[0, 0, 0, 0, 2, 8, 1]), Ok(()));
        assert!(verdict(&trailers("0"), &[0, 0, 0, 0, 2, 8, 2]).is_err_and(|why| why.contains("NOT_SERVING")));
        assert!(verdict(&trailers("0"), &[]).is_err_and(|why| why.contains("UNKNOWN")));
        assert!(verdict(&trailers("12"), &[]).is_err_and(|why| why.contains("implement")));
        assert!(verdict(&HeaderMap::new(), &[]).is_err());
    }
}
