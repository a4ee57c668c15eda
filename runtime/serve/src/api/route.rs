//! From a request's method, path and query to what is meant. Pure, so that the whole surface can be read and tested
//! in one place; it is Kubernetes' surface, plus a few verbs of dwell's own below `/dwell/v1`.

use dwell_spec::settings::SettingsKind;
use hyper::Method;

/// What a request means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// `GET /version`
    Version,
    /// `GET /healthz`, `/readyz`, `/livez`
    Health,
    /// `GET /dwell/v1/info`
    Info,
    /// `GET /dwell/v1/check`
    Check,
    /// `GET /dwell/v1/usage`
    Usage,
    /// `POST /dwell/v1/shutdown`
    Shutdown,
    /// `GET /api/v1[/namespaces/NS]/pods`
    List {
        /// One namespace, or all.
        namespace: Option<String>,
        /// Follow changes.
        watch: bool,
        /// `metadata.name` of the one Pod that is meant.
        name: Option<String>,
    },
    /// `GET /api/v1[/namespaces/NS]/events`
    Events {
        /// One namespace, or all.
        namespace: Option<String>,
        /// `involvedObject.name` of the one Pod that is meant.
        of: Option<String>,
    },
    /// `POST /api/v1/namespaces/NS/pods`
    Create {
        /// The namespace.
        namespace: String,
    },
    /// `PUT /api/v1/namespaces/NS/{configmaps,secrets}/NAME`: make or replace it; `DELETE`: forget it.
    Settings {
        /// Which kind.
        kind: SettingsKind,
        /// Which of them.
        key: Key,
        /// Whether it is to go.
        delete: bool,
    },
    /// `PUT /api/v1/namespaces/NS/persistentvolumeclaims/NAME`: make it, unless it is there; `DELETE`: remove it with
    /// everything in it.
    Claim {
        /// Which.
        key: Key,
        /// Whether it is to go.
        delete: bool,
    },
    /// A verb on one Pod.
    Pod {
        /// Which.
        key: Key,
        /// What.
        verb: Verb,
    },
}

/// A Pod's namespace and name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// `metadata.namespace`
    pub namespace: String,
    /// `metadata.name`
    pub name: String,
}

/// A verb on one Pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verb {
    /// The object.
    Get,
    /// Stop and forget.
    Delete,
    /// Stop and keep the record.
    Stop,
    /// Stop and start the members.
    Restart,
    /// Send a signal.
    Kill,
    /// Run a program inside (WebSocket).
    Exec,
    /// Connect to a member's stdio (WebSocket).
    Attach,
    /// Connect to a port inside (an upgrade to plain bytes).
    Connect,
    /// What is at a path of a member's.
    Look,
    /// A path of a member's, as a tar stream.
    Pack,
    /// A tar stream, into a folder of a member's.
    Unpack,
    /// Add containers to look around with.
    Add,
    /// Say something of its conditions.
    Say,
    /// Make it what the body says.
    Put,
    /// Change of it what the body says.
    Patch,
}

/// The decoded query of a request, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Splits and decodes; never fails, since an odd pair is only a value nobody asks for.
    pub fn parse(text: Option<&str>) -> Query {
        let pairs = text.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
        Query(
            pairs.map(|pair| pair.split_once('=').unwrap_or((pair, ""))).map(|(k, v)| (decode(k), decode(v))).collect(),
        )
    }

    /// The first value of that name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Every value of that name.
    pub fn all(&self, name: &str) -> Vec<String> {
        self.0.iter().filter(|(key, _)| key == name).map(|(_, value)| value.clone()).collect()
    }

    /// `1` and `true` are true.
    pub fn flag(&self, name: &str) -> bool {
        matches!(self.get(name), Some("1" | "true"))
    }
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let escaped = (first == b'%' && tail.len() >= 2).then(|| hex(tail[0]).zip(hex(tail[1]))).flatten();
        rest = if escaped.is_some() { &tail[2..] } else { tail };
        bytes.push(match (escaped, first) {
            (Some((high, low)), _) => high * 16 + low,
            (None, b'+') => b' ',
            (None, other) => other,
        });
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn hex(digit: u8) -> Option<u8> {
    (digit as char).to_digit(16).map(|value| value as u8)
}

/// Finds the route; `None` is a 404.
pub fn route(method: &Method, path: &str, query: &Query) -> Option<Route> {
    let parts: Vec<String> = path.split('/').filter(|part| !part.is_empty()).map(decode).collect();
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let (get, post) = (method == Method::GET, method == Method::POST);
    match parts.as_slice() {
        ["version"] if get => Some(Route::Version),
        ["healthz" | "readyz" | "livez"] if get => Some(Route::Health),
        ["dwell", "v1", "info"] if get => Some(Route::Info),
        ["dwell", "v1", "check"] if get => Some(Route::Check),
        ["dwell", "v1", "usage"] if get => Some(Route::Usage),
        ["dwell", "v1", "shutdown"] if post => Some(Route::Shutdown),
        ["api", "v1", "pods"] if get => Some(list(None, query)),
        ["api", "v1", "events"] if get => Some(Route::Events { namespace: None, of: of(query) }),
        ["api", "v1", "namespaces", namespace, "events"] if get => {
            Some(Route::Events { namespace: Some((*namespace).into()), of: of(query) })
        }
        ["api", "v1", "namespaces", namespace, "pods"] if get => Some(list(Some(namespace), query)),
        ["api", "v1", "namespaces", namespace, "pods"] if post => {
            Some(Route::Create { namespace: (*namespace).into() })
        }
        ["api", "v1", "namespaces", namespace, kind @ ("configmaps" | "secrets"), name]
            if matches!(*method, Method::PUT | Method::DELETE) =>
        {
            let kind = if *kind == "secrets" { SettingsKind::Secret } else { SettingsKind::ConfigMap };
            let key = Key { namespace: (*namespace).into(), name: (*name).into() };
            Some(Route::Settings { kind, key, delete: method == Method::DELETE })
        }
        ["api", "v1", "namespaces", namespace, "persistentvolumeclaims", name]
            if matches!(*method, Method::PUT | Method::DELETE) =>
        {
            let key = Key { namespace: (*namespace).into(), name: (*name).into() };
            Some(Route::Claim { key, delete: method == Method::DELETE })
        }
        ["api", "v1", "namespaces", namespace, "pods", name] => {
            let verb = match method.as_str() {
                "GET" => Some(Verb::Get),
                "DELETE" => Some(Verb::Delete),
                _ => changing(method),
            };
            verb.map(|verb| pod(namespace, name, verb))
        }
        ["api", "v1", "namespaces", namespace, "pods", name, "resize"] => {
            changing(method).map(|verb| pod(namespace, name, verb))
        }
        ["api", "v1", "namespaces", namespace, "pods", name, stream] if get || post => {
            let verb = match *stream {
                "exec" => Verb::Exec,
                "attach" => Verb::Attach,
                _ => return None,
            };
            Some(pod(namespace, name, verb))
        }
        ["api", "v1", "namespaces", namespace, "pods", name, part @ ("ephemeralcontainers" | "status")]
            if matches!(*method, Method::PATCH | Method::PUT) =>
        {
            Some(pod(namespace, name, if *part == "status" { Verb::Say } else { Verb::Add }))
        }
        ["dwell", "v1", "namespaces", namespace, "pods", name, verb] => {
            let verb = match (*verb, method.as_str()) {
                ("stop", "POST") => Verb::Stop,
                ("restart", "POST") => Verb::Restart,
                ("kill", "POST") => Verb::Kill,
                ("connect", "POST") => Verb::Connect,
                ("path", "GET") => Verb::Look,
                ("archive", "GET") => Verb::Pack,
                ("archive", "PUT") => Verb::Unpack,
                _ => return None,
            };
            Some(pod(namespace, name, verb))
        }
        _ => None,
    }
}

fn changing(method: &Method) -> Option<Verb> {
    match method.as_str() {
        "PUT" => Some(Verb::Put),
        "PATCH" => Some(Verb::Patch),
        _ => None,
    }
}

fn pod(namespace: &str, name: &str, verb: Verb) -> Route {
    Route::Pod { key: Key { namespace: namespace.into(), name: name.into() }, verb }
}

fn list(namespace: Option<&str>, query: &Query) -> Route {
    let name = selected(query, "metadata.name=");
    Route::List { namespace: namespace.map(str::to_owned), watch: query.flag("watch"), name }
}

fn of(query: &Query) -> Option<String> {
    selected(query, "involvedObject.name=")
}

/// The value of a term of the field selector, `=` or `==`.
fn selected(query: &Query, term: &str) -> Option<String> {
    let selector = query.get("fieldSelector").unwrap_or_default();
    let value = selector.split(',').find_map(|one| one.strip_prefix(term))?;
    Some(value.trim_start_matches('=').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(method: Method, path: &str, query: &str) -> Option<Route> {
        route(&method, path, &Query::parse(Some(query)))
    }

    #[test]
    fn kubernetes_paths_are_understood() {
        let list = find(Method::GET, "/api/v1/namespaces/default/pods", "watch=1&fieldSelector=metadata.name%3Dweb");
        let expected = Route::List { namespace: Some("default".into()), watch: true, name: Some("web".into()) };
        assert_eq!(list, Some(expected));
        assert!(matches!(
            find(Method::DELETE, "/api/v1/namespaces/a/pods/b", ""),
            Some(Route::Pod { verb: Verb::Delete, .. })
        ));
        assert!(matches!(
            find(Method::GET, "/api/v1/namespaces/a/pods/b/exec", ""),
            Some(Route::Pod { verb: Verb::Exec, .. })
        ));
    }

    #[test]
    fn containers_are_added_by_patch_or_put() {
        for method in [Method::PATCH, Method::PUT] {
            let found = find(method, "/api/v1/namespaces/a/pods/b/ephemeralcontainers", "");
            assert!(matches!(found, Some(Route::Pod { verb: Verb::Add, .. })));
            let found = find(Method::PATCH, "/api/v1/namespaces/a/pods/b/status", "");
            assert!(matches!(found, Some(Route::Pod { verb: Verb::Say, .. })));
        }
    }

    #[test]
    fn a_pod_is_changed_by_patch_or_put() {
        for path in ["/api/v1/namespaces/a/pods/b", "/api/v1/namespaces/a/pods/b/resize"] {
            assert!(matches!(find(Method::PATCH, path, ""), Some(Route::Pod { verb: Verb::Patch, .. })));
            assert!(matches!(find(Method::PUT, path, ""), Some(Route::Pod { verb: Verb::Put, .. })));
        }
        assert_eq!(find(Method::GET, "/api/v1/namespaces/a/pods/b/resize", ""), None);
    }

    #[test]
    fn what_is_not_on_the_surface_is_not_found() {
        assert_eq!(find(Method::POST, "/api/v1/namespaces/a/pods/b", ""), None);
        assert_eq!(find(Method::GET, "/api/v1/namespaces/a/pods/b/ephemeralcontainers", ""), None);
        assert_eq!(find(Method::POST, "/dwell/v1/namespaces/a/pods/b/explode", ""), None);
        assert_eq!(find(Method::GET, "/", ""), None);
    }

    #[test]
    fn queries_decode_and_repeat() {
        let query = Query::parse(Some("command=sh&command=-c&command=echo+a%26b%zz"));
        assert_eq!(query.all("command"), ["sh", "-c", "echo a&b%zz"]);
    }
}
