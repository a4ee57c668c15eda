//! What can go wrong when a node is asked for something, and the one `kind` that decides HTTP status and exit code.

use std::error::Error;
use std::fmt;

use dwell_spec::manifest::problem::Problem;
use dwell_spec::settings::SettingsObject;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};

use crate::pod::request::Refusal;

/// The kinds of failure; it alone decides what a caller does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeErrorKind {
    /// No such Pod.
    NotFound,
    /// A Pod of that name exists.
    AlreadyExists,
    /// Not possible in the Pod's present state, or another node holds the folder.
    Conflict,
    /// The Pod's own fields are wrong; `causes` says which.
    Invalid,
    /// The request itself makes no sense.
    BadRequest,
    /// Nobody in the Pod answers.
    BadGateway,
    /// Ask again: this node is leaving.
    Unavailable,
    /// dwell or the machine failed.
    Internal,
}

/// A failure of the node's.
#[derive(Debug)]
pub struct NodeError {
    kind: NodeErrorKind,
    message: String,
    causes: Vec<(String, String)>,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl NodeError {
    /// A failure without a cause.
    pub fn new(kind: NodeErrorKind, message: String) -> NodeError {
        NodeError { kind, message, causes: Vec::new(), source: None }
    }

    /// Something that should have worked; `what` completes "could not …".
    pub fn internal(what: &str, source: impl Error + Send + Sync + 'static) -> NodeError {
        let message = format!("could not {what}");
        NodeError { kind: NodeErrorKind::Internal, message, causes: Vec::new(), source: Some(Box::new(source)) }
    }

    pub(crate) fn invalid(pod: &Pod, problems: Vec<Problem>) -> NodeError {
        Self::invalid_object("Pod", pod.metadata.name.as_deref(), problems)
    }

    pub(crate) fn invalid_settings(object: &SettingsObject, problems: Vec<Problem>) -> NodeError {
        Self::invalid_object(object.kind().word(), object.metadata().name.as_deref(), problems)
    }

    pub(crate) fn invalid_claim(claim: &PersistentVolumeClaim, problems: Vec<Problem>) -> NodeError {
        Self::invalid_object("persistentvolumeclaim", claim.metadata.name.as_deref(), problems)
    }

    fn invalid_object(kind: &str, name: Option<&str>, problems: Vec<Problem>) -> NodeError {
        let name = name.unwrap_or("(unnamed)");
        let causes: Vec<_> = problems.iter().map(|problem| (problem.path.clone(), problem.message.clone())).collect();
        let sentences: Vec<_> = causes.iter().map(|(path, message)| format!("{path}: {message}")).collect();
        let message = format!("{kind} {name} is invalid: {}", sentences.join("; "));
        NodeError { kind: NodeErrorKind::Invalid, message, causes, source: None }
    }

    pub(crate) fn exists(namespace: &str, name: &str) -> NodeError {
        let message = format!("Pod {namespace}/{name} exists already");
        NodeError::new(NodeErrorKind::AlreadyExists, message)
    }

    pub(crate) fn no_pod<'a>(
        namespace: &str,
        name: &str,
        keys: impl Iterator<Item = &'a (String, String)>,
    ) -> NodeError {
        let known: Vec<String> = keys.take(20).map(|(namespace, name)| format!("{namespace}/{name}")).collect();
        let there =
            if known.is_empty() { "there is none".to_owned() } else { format!("there are: {}", known.join(", ")) };
        NodeError::new(NodeErrorKind::NotFound, format!("no Pod named {namespace}/{name}; {there}"))
    }

    pub(crate) fn refused(namespace: &str, name: &str, refusal: Refusal) -> NodeError {
        let kind = match refusal {
            Refusal::Problems(problems) => return Self::invalid_object("Pod", Some(name), problems),
            Refusal::NoContainer { .. } => NodeErrorKind::NotFound,
            Refusal::Ambiguous { .. } | Refusal::Invalid(_) => NodeErrorKind::BadRequest,
            Refusal::NotRunning { .. } | Refusal::Gone | Refusal::Conflict(_) => NodeErrorKind::Conflict,
            Refusal::Failed(_) => NodeErrorKind::Internal,
        };
        NodeError::new(kind, format!("Pod {namespace}/{name}: {refusal}"))
    }

    /// What a caller decides by.
    pub fn kind(&self) -> NodeErrorKind {
        self.kind
    }

    /// Field path and sentence of each problem (`Invalid` only).
    pub fn causes(&self) -> &[(String, String)] {
        &self.causes
    }
}

impl fmt::Display for NodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for NodeError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
