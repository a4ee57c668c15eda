//! What `dwell wait --for` asks of a Pod: a condition of its status, or a value somewhere in it. Pure.
//!
//! The words are kubectl's: `condition=Ready`, `condition=Ready=False`, `jsonpath={.status.phase}=Running`. A path is
//! kubectl's with its braces, or JSONPath as RFC 9535 has it, which are the same for what people write.

use k8s_openapi::api::core::v1::Pod;
use serde_json::Value;
use serde_json_path::JsonPath;

/// What must be the case.
#[derive(Debug, Clone, PartialEq)]
pub enum Condition {
    /// `status.conditions` has one of this type with this status, whatever the letters' case.
    Status {
        /// `Ready`, `Initialized`, …
        kind: String,
        /// `True` when none was given.
        status: String,
    },
    /// Something is at this path; with a value, exactly that.
    At {
        /// Where.
        path: Box<JsonPath>,
        /// As text, if it matters.
        value: Option<String>,
    },
}

impl Eq for Condition {}

impl Condition {
    /// That the one of this type is `True`.
    pub fn named(kind: &str) -> Condition {
        Self::Status { kind: kind.to_owned(), status: "True".to_owned() }
    }

    /// From `condition=…` or `jsonpath=…`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Condition, String> {
        match text.split_once('=') {
            Some(("condition", rest)) if !rest.is_empty() && !rest.starts_with('=') => {
                let (kind, status) = rest.split_once('=').unwrap_or((rest, "True"));
                Ok(Self::Status { kind: kind.to_owned(), status: status.to_owned() })
            }
            Some(("jsonpath", rest)) => at(rest),
            _ => Err("expected delete, condition=TYPE[=STATUS] or jsonpath={.PATH}[=VALUE]".into()),
        }
    }

    /// Whether the Pod is so.
    pub fn is_met(&self, pod: &Pod) -> bool {
        match self {
            Self::Status { kind, status } => {
                let all = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
                let mut of_kind = all.filter(|condition| condition.type_.eq_ignore_ascii_case(kind));
                of_kind.any(|condition| condition.status.eq_ignore_ascii_case(status))
            }
            Self::At { path, value } => {
                let object = serde_json::to_value(pod).unwrap_or_default();
                path.query(&object).iter().any(|found| value.as_deref().is_none_or(|value| text_of(found) == value))
            }
        }
    }
}

/// `{.a.b}`, `{.a.b}=VALUE`, or `$.a.b` likewise.
fn at(text: &str) -> Result<Condition, String> {
    if text.is_empty() {
        return Err("the path is missing, as in jsonpath={.status.phase}=Running".into());
    }
    let (path, value) = match text.strip_prefix('{').map(|rest| rest.split_once('}').ok_or("a } is missing")) {
        Some(split) => match split? {
            (path, "") => (path, None),
            (path, rest) => (path, Some(rest.strip_prefix('=').ok_or("after the } comes nothing, or = and a value")?)),
        },
        None => text.split_once('=').map_or((text, None), |(path, value)| (path, Some(value))),
    };
    let path = if path.starts_with('$') { path.to_owned() } else { format!("${path}") };
    let parsed = JsonPath::parse(&path).map_err(|error| format!("the path {path}: {error}"))?;
    let value = value.map(|value| value.trim_matches('"').to_owned());
    Ok(Condition::At { path: Box::new(parsed), value })
}

fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod() -> Pod {
        serde_json::from_str(
            r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"x"},"status":{"phase":"Running","conditions":[
            {"type":"Initialized","status":"True"},{"type":"Ready","status":"False"}],
            "containerStatuses":[{"name":"a","image":"","imageID":"","ready":true,"restartCount":3}]}}"#,
        )
        .unwrap()
    }

    fn is_met(text: &str) -> bool {
        Condition::parse(text).unwrap_or_else(|why| panic!("{text}: {why}")).is_met(&pod())
    }

    #[test]
    fn conditions_have_a_status() {
        assert!(
            is_met("condition=Initialized") && is_met("condition=initialized=true") && is_met("condition=Ready=False")
        );
        assert!(!is_met("condition=Ready") && !is_met("condition=Initialized=False") && !is_met("condition=Other"));
    }

    #[test]
    fn paths_are_kubectls() {
        for met in [
            "jsonpath={.status.phase}=Running",
            "jsonpath={.status.phase}",
            "jsonpath={.status.containerStatuses[0].ready}=true",
            "jsonpath={.status.containerStatuses[*].restartCount}=3",
            "jsonpath={.status.conditions[?(@.type==\"Ready\")].status}=False",
            "jsonpath=$.metadata.name=x",
        ] {
            assert!(is_met(met), "{met}");
        }
        for not in ["jsonpath={.status.phase}=Pending", "jsonpath={.status.podIP}", "jsonpath={.spec.x[3]}=1"] {
            assert!(!is_met(not), "{not}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_said() {
        for wrong in [
            "",
            "ready",
            "condition",
            "condition=",
            "condition==x",
            "jsonpath=",
            "jsonpath={.a",
            "jsonpath={.a} =1",
            "jsonpath={a b}",
        ] {
            assert!(Condition::parse(wrong).is_err(), "{wrong}");
        }
    }
}
