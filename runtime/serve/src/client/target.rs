//! Request targets: paths and queries from names, everything percent-encoded that RFC 3986 does not call unreserved.
//! Pure. A name can never add a segment or a parameter.

use std::fmt::Write;

/// A request target under construction.
#[derive(Debug, Clone)]
pub(super) struct Target {
    text: String,
    has_query: bool,
}

impl Target {
    /// `root` is written as it is; `segments` are encoded, one path segment each.
    pub fn new(root: &str, segments: &[&str]) -> Self {
        let mut text = root.to_owned();
        for segment in segments {
            text.push('/');
            encode(&mut text, segment);
        }
        Self { text, has_query: false }
    }

    /// The Pods of a namespace, or one of them.
    pub fn pods(namespace: &str, rest: &[&str]) -> Self {
        let mut segments = vec![namespace, "pods"];
        segments.extend(rest);
        Self::new("/api/v1/namespaces", &segments)
    }

    /// What dwell adds to a Pod of Kubernetes: stop, restart, kill.
    pub fn dwell_pod(namespace: &str, name: &str, verb: &str) -> Self {
        Self::new("/dwell/v1/namespaces", &[namespace, "pods", name, verb])
    }

    /// Adds `name=value`.
    pub fn query(mut self, name: &str, value: &str) -> Self {
        self.text.push(if self.has_query { '&' } else { '?' });
        self.has_query = true;
        encode(&mut self.text, name);
        self.text.push('=');
        encode(&mut self.text, value);
        self
    }

    /// Adds `name=value` if there is a value.
    pub fn query_some(self, name: &str, value: Option<impl ToString>) -> Self {
        match value {
            Some(value) => self.query(name, &value.to_string()),
            None => self,
        }
    }

    /// Path and query.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

fn encode(out: &mut String, text: &str) {
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(byte.into()),
            _ => _ = write!(out, "%{byte:02X}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_in_their_segment_and_parameter() {
        let target = Target::pods("a/../b", &["x?y", "exec"]).query("command", "a&b=c d").query("command", "é\n");
        let expected = "/api/v1/namespaces/a%2F..%2Fb/pods/x%3Fy/exec?command=a%26b%3Dc%20d&command=%C3%A9%0A";
        assert_eq!(target.as_str(), expected);
    }

    #[test]
    fn absent_parameters_leave_nothing() {
        let none: Option<u32> = None;
        let target = Target::dwell_pod("default", "web", "stop").query_some("gracePeriodSeconds", none);
        assert_eq!(target.as_str(), "/dwell/v1/namespaces/default/pods/web/stop");
        assert_eq!(
            target.query_some("gracePeriodSeconds", Some(0)).as_str().split('?').nth(1),
            Some("gracePeriodSeconds=0")
        );
    }
}
