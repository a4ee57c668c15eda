//! A GET, in the clear or within TLS, and the redirects that lead to the same host.

use std::net::{IpAddr, SocketAddr};

use dwell_spec::pod::HttpGet;
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::header::{ACCEPT, AUTHORIZATION, CONNECTION, HOST, HeaderName, HeaderValue, LOCATION, USER_AGENT};
use hyper::{Request, StatusCode, Uri};

use super::tls::Failure;
use super::{connection, tls};

/// As many redirects as Go's client follows.
const REDIRECTS: usize = 10;

/// Where the next request goes.
#[derive(Clone)]
struct Target {
    host: String,
    peer: SocketAddr,
    path: String,
    secure: bool,
}

/// Status, and where a redirect leads.
type Head = (StatusCode, Option<String>);

/// Well when there is an answer. A hook that was meant for TLS is said in the clear to a server that has none, without
/// what would prove who asks, as a kubelet does.
pub(super) async fn tell(get: &HttpGet, address: IpAddr) -> Result<(), String> {
    let mut target = Target::of(get, address).await?;
    let said = match request(&target, &get.headers).await {
        Err(Failure::NotTls(_)) => {
            target.secure = false;
            let mut headers = get.headers.clone();
            headers.retain(|(name, _)| !name.eq_ignore_ascii_case(AUTHORIZATION.as_str()));
            request(&target, &headers).await
        }
        said => said,
    };
    said.map(drop).map_err(|failure| target.failed(&failure.text()))
}

/// Well when the status is 200 to 399; a redirect to another host is well, and not followed.
pub(super) async fn get(get: &HttpGet, address: IpAddr) -> Result<(), String> {
    let mut target = Target::of(get, address).await?;
    for _ in 0..=REDIRECTS {
        let asked = request(&target, &get.headers).await;
        let (status, location) = asked.map_err(|failure| target.failed(&failure.text()))?;
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
        Ok(Target { host, peer, path: get.path.clone(), secure: get.secure })
    }

    fn authority(&self) -> String {
        let host = if self.host.contains(':') {
            format!("[{}]", self.host.trim_matches(['[', ']']))
        } else {
            self.host.clone()
        };
        format!("{host}:{}", self.peer.port())
    }

    fn scheme(&self) -> &'static str {
        if self.secure { "https" } else { "http" }
    }

    fn failed(&self, why: &str) -> String {
        format!("GET {} from {}: {why}", self.path, self.peer)
    }

    /// A location that begins with no host is meant from the path that was asked for.
    fn absolute(&self, location: &str) -> String {
        let path = self.path.split('?').next().unwrap_or_default();
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        match location {
            other if other.starts_with("//") => format!("{}:{other}", self.scheme()),
            whole if whole.contains("://") || whole.starts_with('/') => whole.to_owned(),
            query if query.starts_with('?') => format!("{path}{query}"),
            name => format!("{folder}/{name}"),
        }
    }

    /// The same host under another path, port or scheme; `None` for another host, and for what is no address.
    fn redirected(&self, location: &str) -> Option<Target> {
        let uri: Uri = self.absolute(location).parse().ok()?;
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        let here = Target { path, ..self.clone() };
        let Some(host) = uri.host() else { return Some(here) };
        let secure = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return None,
        };
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let same = host.trim_matches(['[', ']']) == self.host;
        same.then(|| Target { peer: SocketAddr::new(self.peer.ip(), port), secure, ..here })
    }
}

/// One connection, one request; nothing of the body is read.
async fn request(target: &Target, headers: &[(String, String)]) -> Result<Head, Failure> {
    let stream = super::connect(target.peer).await.map_err(Failure::Other)?;
    let request = head(target, headers).map_err(Failure::Other)?;
    let answer = if !target.secure {
        connection::by_http1(stream, request).await
    } else {
        let stream = tls::over(stream, &target.host).await?;
        if tls::is_http2(&stream) {
            let request = addressed(request, target).map_err(Failure::Other)?;
            connection::by_http2(stream, request, std::future::ready).await
        } else {
            connection::by_http1(stream, request).await
        }
    };
    let answer = answer.map_err(|error| Failure::Other(error.to_string()))?;
    let location = answer.headers().get(LOCATION).and_then(|value| value.to_str().ok()).map(str::to_owned);
    Ok((answer.status(), location))
}

/// As HTTP/2 has it: the host is part of the address, and connections are closed by other means.
fn addressed(mut request: Request<Empty<Bytes>>, target: &Target) -> Result<Request<Empty<Bytes>>, String> {
    let host = request.headers_mut().remove(HOST);
    request.headers_mut().remove(CONNECTION);
    let host = host.as_ref().and_then(|host| host.to_str().ok()).unwrap_or_default();
    let uri = Uri::builder().scheme(target.scheme()).authority(host).path_and_query(&*target.path).build();
    *request.uri_mut() = uri.map_err(|error| format!("Host {host}: {error}"))?;
    Ok(request)
}

fn head(target: &Target, headers: &[(String, String)]) -> Result<Request<Empty<Bytes>>, String> {
    let mut request = Request::get(&target.path).body(Empty::new()).map_err(|error| error.to_string())?;
    let map = request.headers_mut();
    for (name, value) in headers {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|error| error.to_string())?;
        map.append(name, HeaderValue::from_str(value).map_err(|error| error.to_string())?);
    }
    for (name, value) in [(HOST, target.authority().as_str()), (USER_AGENT, super::USER_AGENT), (ACCEPT, "*/*")] {
        if !map.contains_key(&name) {
            map.insert(name, HeaderValue::from_str(value).map_err(|error| error.to_string())?);
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
        let target = Target { host: "10.1.2.3".into(), peer, path: "/".into(), secure: false };
        let to = |location| {
            target.redirected(location).map(|next| format!("{}://{}{}", next.scheme(), next.peer, next.path))
        };
        assert_eq!(to("/other?x=1"), Some("http://10.1.2.3:80/other?x=1".into()));
        assert_eq!(to("other"), Some("http://10.1.2.3:80/other".into()));
        assert_eq!(to("?x"), Some("http://10.1.2.3:80/?x".into()));
        assert_eq!(to("//example.com/"), None);
        assert_eq!(to("http://10.1.2.3:8080/a"), Some("http://10.1.2.3:8080/a".into()));
        assert_eq!(to("http://10.1.2.3"), Some("http://10.1.2.3:80/".into()));
        assert_eq!(to("http://example.com/"), None);
        assert_eq!(to("https://10.1.2.3/"), Some("https://10.1.2.3:443/".into()));
        assert_eq!(to("ftp://10.1.2.3/"), None);
        assert_eq!(to("a b"), None);
    }

    #[test]
    fn headers_of_the_manifest_replace_the_usual_ones() {
        let peer: SocketAddr = "[fd00::2]:80".parse().expect("parses");
        let target = Target { host: "fd00::2".into(), peer, path: "/x".into(), secure: true };
        let usual = head(&target, &[]).expect("a request");
        assert_eq!(usual.headers()[HOST], "[fd00::2]:80");
        assert_eq!(usual.headers()[USER_AGENT], "kube-probe/1.35");
        let given = [("Host".to_owned(), "me.example".to_owned()), ("X-A".to_owned(), "1".to_owned())];
        let own = head(&target, &given).expect("a request");
        assert_eq!(own.headers().get_all(HOST).iter().collect::<Vec<_>>(), ["me.example"]);
        assert_eq!(own.headers()["x-a"], "1");
        assert_eq!(addressed(usual, &target).expect("an address").uri(), "https://[fd00::2]:80/x");
        let named = addressed(own, &target).expect("an address");
        assert_eq!(named.uri(), "https://me.example/x");
        assert!(!named.headers().contains_key(HOST) && !named.headers().contains_key(CONNECTION));
    }

    /// Answers each connection with one of these, and gives back what it was asked.
    fn serve(listener: std::net::TcpListener, answers: [&'static str; 2]) -> std::thread::JoinHandle<Vec<Vec<u8>>> {
        use std::io::{Read, Write};
        let answer = move |text: &str| {
            let (mut stream, _) = listener.accept().expect("a connection");
            let mut asked = vec![0; 4096];
            let count = stream.read(&mut asked).expect("a question");
            asked.truncate(count);
            stream.write_all(text.as_bytes()).expect("answered");
            asked
        };
        std::thread::spawn(move || answers.map(answer).to_vec())
    }

    /// As a kubelet does: such hooks were once said in the clear whatever they asked for, and servers rely on it.
    #[test]
    fn a_hook_is_said_in_the_clear_to_a_server_without_tls_and_a_probe_is_not() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let (bad, good) = ("HTTP/1.1 400 Bad Request\r\n\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
        let headers = vec![("Authorization".to_owned(), "secret".to_owned()), ("X-A".to_owned(), "1".to_owned())];
        let of = |port| HttpGet { secure: true, host: None, port, path: "/x".into(), headers: headers.clone() };
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let asked = of(listener.local_addr().expect("an address").port());
        let address = "127.0.0.1".parse().expect("parses");
        let server = serve(listener.try_clone().expect("a second"), [bad, good]);
        runtime.block_on(tell(&asked, address)).expect("said");
        let seen = server.join().expect("served");
        assert_eq!(seen[0][..2], [22, 3], "TLS comes first");
        let second = String::from_utf8_lossy(&seen[1]).to_lowercase();
        assert!(second.starts_with("get /x http/1.1\r\n") && second.contains("x-a: 1"), "{second}");
        assert!(!second.contains("secret"), "{second}");
        let server = serve(listener, [bad, bad]);
        for _ in 0..2 {
            let failed = runtime.block_on(get(&asked, address)).expect_err("not well");
            assert!(failed.contains("not in TLS"), "{failed}");
        }
        assert!(server.join().expect("served").iter().all(|asked| asked[..2] == [22, 3]));
    }
}
