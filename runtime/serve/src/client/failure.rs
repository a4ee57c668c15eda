//! What can go wrong between a command and its node.

use std::fmt;
use std::io;
use std::path::PathBuf;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;
use tokio_tungstenite::tungstenite;

/// Why a request has no answer, or has a refusal for one.
#[derive(Debug)]
pub enum ClientFailure {
    /// Nobody listens on this socket.
    NoNode(PathBuf, io::Error),
    /// The socket belongs to root.
    Denied(PathBuf),
    /// Starting a node failed before it ran, at this step.
    Start(String, io::Error),
    /// A started node ended before it listened; its exit status and the last thing it said.
    NodeDied(std::process::ExitStatus, Option<String>),
    /// A started node did not listen within this many seconds.
    NotReady(u64),
    /// The connection broke during this request.
    Broken(String, hyper::Error),
    /// The node answered with a refusal.
    Refused(Box<Status>),
    /// The answer to this request is not what it must be.
    Malformed(String, Option<serde_json::Error>),
    /// The WebSocket of this request broke.
    Stream(String, Box<tungstenite::Error>),
    /// The node closed the stream of this request before its end.
    Cut(String),
    /// A stream of files ended early, for this reason of the node's.
    BrokeOff(String),
}

/// What a failure means for the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// There is no node, or it went away: another may take over.
    NoNode,
    /// The caller has not the right.
    Denied,
    /// The object does not exist.
    NotFound,
    /// The object exists already, or is in a state that forbids the request.
    Conflict,
    /// The request or the manifest is wrong.
    Invalid,
    /// Anything else; asking again is of no use.
    Other,
}

impl ClientFailure {
    /// What it means for the caller.
    pub fn kind(&self) -> Kind {
        match self {
            Self::NoNode(..) | Self::Broken(..) | Self::Stream(..) | Self::Cut(_) => Kind::NoNode,
            Self::Denied(_) => Kind::Denied,
            Self::Refused(status) => kind_of_code(status.code.unwrap_or(0)),
            Self::Start(..) | Self::NodeDied(..) | Self::NotReady(_) | Self::Malformed(..) | Self::BrokeOff(_) => {
                Kind::Other
            }
        }
    }

    /// What the user can do, if anything is known.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Denied(_) => Some("dwell's node belongs to root: run the command as root, with sudo say"),
            Self::NotReady(_) => Some("`dwell serve` runs the node in the foreground and shows what it waits for"),
            _ => None,
        }
    }

    /// The refusal's details: field and sentence of each cause.
    pub fn causes(&self) -> Vec<String> {
        let Self::Refused(status) = self else {
            return Vec::new();
        };
        let causes = status.details.iter().flat_map(|d| d.causes.iter().flatten());
        causes
            .map(|c| [c.field.as_deref(), c.message.as_deref()].into_iter().flatten().collect::<Vec<_>>().join(": "))
            .collect()
    }
}

fn kind_of_code(code: i32) -> Kind {
    match code {
        401 | 403 => Kind::Denied,
        404 | 410 => Kind::NotFound,
        409 => Kind::Conflict,
        400 | 422 => Kind::Invalid,
        503 => Kind::NoNode,
        _ => Kind::Other,
    }
}

impl fmt::Display for ClientFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoNode(socket, _) => write!(f, "reach the node at {}", socket.display()),
            Self::Denied(socket) => write!(f, "the node's socket {} may not be opened by this user", socket.display()),
            Self::Start(step, _) => write!(f, "start a node: {step}"),
            Self::NodeDied(status, None) => write!(f, "the node ended while starting ({status})"),
            Self::NodeDied(status, Some(line)) => {
                write!(f, "the node ended while starting ({status}): {line}")
            }
            Self::NotReady(seconds) => {
                write!(f, "the node did not answer within {seconds} s of its start")
            }
            Self::Broken(request, _) => write!(f, "{request}: the connection to the node broke"),
            Self::Refused(status) => f.write_str(status.message.as_deref().unwrap_or("the node refused the request")),
            Self::Malformed(request, _) => write!(f, "{request}: the node's answer makes no sense"),
            Self::Stream(request, _) => write!(f, "{request}: the stream broke"),
            Self::BrokeOff(why) => write!(f, "the copy broke off: {why}"),
            Self::Cut(request) => write!(f, "{request}: the node closed the stream before its end"),
        }
    }
}

impl std::error::Error for ClientFailure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::NoNode(_, e) | Self::Start(_, e) => Some(e),
            Self::Broken(_, e) => Some(e),
            Self::Malformed(_, e) => e.as_ref().map(|e| e as _),
            Self::Stream(_, e) => Some(e.as_ref()),
            _ => None,
        }
    }
}
