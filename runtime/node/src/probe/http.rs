//! A GET, and the redirects that lead to the same host.

use std::net::{IpAddr, SocketAddr};

use dwell_spec::pod::HttpGet;
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::header::{ACCEPT, CONNECTION, HOST, HeaderName, HeaderValue, LOCATION, USER_AGENT};
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;

/// As many redirects as Go's client follows.
const REDIRECTS: usize = 10;

/// Where the next request goes.
struct Target {
    host: String,
    peer: SocketAddr,
    path: String,
}

/// Well when there is an answer.
pub(super) async fn tell(get: &HttpGet, address: IpAddr) -> Result<(), String> {
    request(&Target::of(get, address).await?, &get.headers).await.map(drop)
}

/// Well when the status is 200 to 399; a redirect to another host is well, and not followed.
pub(super) async fn get(get: &HttpGet, address: IpAddr) -> Result<(), String> {
    let mut target = Target::of(get, address).await?;
    for _ in 0..=REDIRECTS {
        let (status, location) = request(&target, &get.headers).await?;
        let redirected = location.filter(|_| status.is_redirection() && status != StatusCode::NOT_MODIFIED);
        match redirected.and_then(|location| target.redirected(&location)) {
            Some(next) => target = next,
            None if status.is_success() || status.is_redirection() => return Ok(()),
            None => return Err(format!("HTTP probe failed with statuscode: {}", status.as_u16())),
        }
    }
    Err(format!("stopped after {REDIRECTS} redirects"))
}

impl Target {
    async fn of(get: &HttpGet, address: IpAddr) -> Result<Target, String> {
        let peer = super::resolve(get.host.as_deref(), get.port, address).await?;
        let host = get.host.clone().unwrap_or_else(|| address.to_string());
        Ok(Target { host, peer, path: get.path.clone() })
    }

    fn authority(&self) -> String {
        let host = if self.host.contains(':') {
            format!("[{}]", self.host.trim_matches(['[', ']']))
        } else {
            self.host.clone()
        };
        format!("{host}:{}", self.peer.port())
    }

    /// A location that begins with no host is meant from the path that was asked for.
    fn absolute(&self, location: &str) -> String {
        let path = self.path.split('?').next().unwrap_or_default();
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        match location {
            other if other.starts_with("//") => format!("http:{other}"),
            whole if whole.contains("://") || whole.starts_with('/') => whole.to_owned(),
            query if query.starts_with('?') => format!("{path}{query}"),
            name => format!("{folder}/{name}"),
        }
    }

    /// The same host under another path or port; `None` for another host, and for what is no address.
    fn redirected(&self, location: &str) -> Option<Target> {
        let uri: Uri = self.absolute(location).parse().ok()?;
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let port = match (uri.host(), uri.scheme_str()) {
            (None, _) => self.peer.port(),
            (Some(host), Some("http")) if host.trim_matches(['[', ']']) == self.host => uri.port_u16().unwrap_or(80),
            _ => return None,
        };
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Some(Target { host: self.host.clone(), peer: SocketAddr::new(self.peer.ip(), port), path })
    }
}

/// One connection, one request; nothing of the body is read.
async fn request(target: &Target, headers: &[(String, String)]) -> Result<(StatusCode, Option<String>), String> {
    let request = head(target, headers)?;
    let stream = super::connect(target.peer).await?;
    let failed = |error: hyper::Error| format!("GET {} from {}: {error}", target.path, target.peer);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
    let answer = super::driven(sender.send_request(request), connection).await.map_err(failed)?;
    let location = answer.headers().get(LOCATION).and_then(|value| value.to_str().ok()).map(str::to_owned);
    Ok((answer.status(), location))
}

fn head(target: &Target, headers: &[(String, String)]) -> Result<Request<Empty<Bytes>>, String> {
    let wrong = |what: String| format!("GET {}: {what}", target.path);
    let mut request = Request::get(&target.path).body(Empty::new()).map_err(|error| wrong(error.to_string()))?;
    let map = request.headers_mut();
    for (name, value) in headers {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|error| wrong(error.to_string()))?;
        map.append(name, HeaderValue::from_str(value).map_err(|error| wrong(error.to_string()))?);
    }
    for (name, value) in [(HOST, target.authority().as_str()), (USER_AGENT, super::USER_AGENT), (ACCEPT, "*/*")] {
        if !map.contains_key(&name) {
            map.insert(name, HeaderValue::from_str(value).map_err(|error| wrong(error.to_string()))?);
        }
    }
    map.insert(CONNECTION, HeaderValue::from_static("close"));
    Ok(request)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_to_the_same_host_are_followed() {
        let peer: SocketAddr = "10.1.2.3:80".parse().expect("parses");
        let target = Target { host: "10.1.2.3".into(), peer, path: "/".into() };
        let to = |location| target.redirected(location).map(|next| format!("{}{}", next.peer, next.path));
        assert_eq!(to("/other?x=1"), Some("10.1.2.3:80/other?x=1".into()));
        assert_eq!(to("other"), Some("10.1.2.3:80/other".into()));
        assert_eq!(to("?x"), Some("10.1.2.3:80/?x".into()));
        assert_eq!(to("//example.com/"), None);
        assert_eq!(to("http://10.1.2.3:8080/a"), Some("10.1.2.3:8080/a".into()));
        assert_eq!(to("http://10.1.2.3"), Some("10.1.2.3:80/".into()));
        assert_eq!(to("http://example.com/"), None);
        assert_eq!(to("https://10.1.2.3/"), None, "no client for TLS is here");
        assert_eq!(to("a b"), None);
    }

    #[test]
    fn headers_of_the_manifest_replace_the_usual_ones() {
        let peer: SocketAddr = "[fd00::2]:80".parse().expect("parses");
        let target = Target { host: "fd00::2".into(), peer, path: "/x".into() };
        let usual = head(&target, &[]).expect("a request");
        assert_eq!(usual.headers()[HOST], "[fd00::2]:80");
        assert_eq!(usual.headers()[USER_AGENT], "kube-probe/1.35");
        let given = [("Host".to_owned(), "me.example".to_owned()), ("X-A".to_owned(), "1".to_owned())];
        let own = head(&target, &given).expect("a request");
        assert_eq!(own.headers().get_all(HOST).iter().collect::<Vec<_>>(), ["me.example"]);
        assert_eq!(own.headers()["x-a"], "1");
    }
}
