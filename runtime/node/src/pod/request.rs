//! What can be asked of a Pod that is under supervision, and a pure function that says which request is allowed in
//! which state. A request reaches the Pod's one driver through a queue; nothing else touches a Pod.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use dwell_spec::manifest::Problem;
use dwell_spec::status::SaidCondition;
use k8s_openapi::api::core::v1::{self, EphemeralContainer};
use tokio::sync::oneshot;

use super::usage::PodUsage;

use crate::archive::Tree;
use crate::supervise::journal::{Journal, Member, MemberState};

/// One request to a Pod's driver.
#[derive(Debug)]
pub enum Request {
    /// Stop every member in order; with `remove`, forget the Pod afterwards.
    Stop {
        /// Seconds of patience; the Pod's own when absent.
        grace_seconds: Option<u32>,
        /// Whether the record goes as well.
        remove: bool,
        /// Answered when it is on disk.
        reply: Reply<()>,
    },
    /// Send a signal to one member or to all.
    Kill {
        /// A container's name; every living one when absent.
        container: Option<String>,
        /// Signal number.
        signal: i32,
        /// Answered when sent.
        reply: Reply<()>,
    },
    /// Stop the members and start them again, in the same sandbox.
    Restart {
        /// Answered when it is on disk.
        reply: Reply<()>,
    },
    /// Run a program inside a living member.
    Exec {
        /// What to run.
        request: ExecRequest,
        /// Answered when it is born.
        reply: Reply<ExecSession>,
    },
    /// A copy of a member's terminal or standard input.
    Attach {
        /// A container's name; the only one, or the one with `stdin: true`, when absent.
        container: Option<String>,
        /// Answered with the descriptors.
        reply: Reply<Attached>,
    },
    /// Where a path of a member's is.
    Place {
        /// A container's name; the only one when absent.
        container: Option<String>,
        /// As the member would write it; without a leading slash it begins in its working directory.
        path: String,
        /// Answered with nothing while the member is being set up.
        reply: Reply<Option<Place>>,
    },
    /// The Pod's network namespace.
    Network {
        /// Answered with two descriptors.
        reply: Reply<PodNetwork>,
    },
    /// What the Pod and its members use.
    Usage {
        /// Answered with nothing when nobody lives.
        reply: Reply<Option<PodUsage>>,
    },
    /// Add containers to look around with.
    Add {
        /// Those that are there already may be among them, unchanged.
        containers: Vec<EphemeralContainer>,
        /// Answered when it is on disk.
        reply: Reply<()>,
    },
    /// Take down what somebody says of the Pod's conditions.
    Hear {
        /// In place of what was said of the same types before.
        said: Vec<SaidCondition>,
        /// Answered when it is on disk.
        reply: Reply<()>,
    },
    /// Make of the Pod what it is to be now.
    Change {
        /// The whole of it.
        wanted: Box<v1::Pod>,
        /// What it must still be, but for its status.
        based_on: Option<Arc<v1::Pod>>,
        /// Answered when it is on disk, and limits hold.
        reply: Reply<()>,
    },
    /// A ConfigMap or Secret has changed: fill the volumes that hold one anew.
    Refresh,
    /// Close a member's standard input for good (`stdinOnce`, or the end of a pipe).
    CloseStdin {
        /// The container's name.
        container: String,
    },
}

/// Where an answer goes. A driver that ends drops it, and the asker hears that the Pod is gone.
pub type Reply<T> = oneshot::Sender<Result<T, Refusal>>;

/// A path in a tree that a member sees, as it sees it: read-only mounts are read-only.
#[derive(Debug)]
pub struct Place {
    /// The member's root, or what a Wasm one was granted.
    pub tree: Tree,
    /// The path in it.
    pub path: String,
    /// Whether the member itself may write there at all.
    pub writable: bool,
    /// User and group of the member's first process.
    pub owner: (u32, u32),
}

/// A Pod's network, and how long there is one.
#[derive(Debug)]
pub struct PodNetwork {
    /// The namespace. Whoever holds it, or a socket in it, keeps it alive.
    pub namespace: OwnedFd,
    /// A pidfd of the Pod's pause: its end is the Pod's.
    pub keeper: OwnedFd,
}

/// A program to run inside a living member.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExecRequest {
    /// A container's name; the only one when absent.
    pub container: Option<String>,
    /// Program and arguments.
    pub command: Vec<String>,
    /// Whether standard input is connected.
    pub stdin: bool,
    /// Whether it gets a terminal.
    pub tty: bool,
    /// `user`, `uid` or `user:group`, as of the image; the container's own when absent.
    pub user: Option<String>,
}

/// A running exec.
#[derive(Debug)]
pub struct ExecSession {
    /// Write end of its standard input.
    pub stdin: Option<OwnedFd>,
    /// Read end of its standard output (or the terminal's master).
    pub stdout: OwnedFd,
    /// Read end of its standard error; none with a terminal.
    pub stderr: Option<OwnedFd>,
    /// Its end, once; dropped without one when the Pod ends first.
    pub exit: oneshot::Receiver<ExecEnd>,
    /// The process, to signal it.
    pub pidfd: OwnedFd,
}

/// How a program that ran beside a member ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecEnd {
    /// 0 to 255; 128 + signal when a signal ended it.
    pub code: i32,
    /// Why it could not be executed at all; no control characters but newlines.
    pub start_failure: Option<String>,
}

/// What a client that attaches gets.
#[derive(Debug)]
pub struct Attached {
    /// The container that was meant.
    pub container: String,
    /// Write end of its standard input, or the terminal's master.
    pub input: Option<OwnedFd>,
    /// Whether `input` is a terminal.
    pub tty: bool,
    /// Whether standard input closes when this client leaves.
    pub stdin_once: bool,
}

/// Why a request was not carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The Pod has no such container.
    NoContainer {
        /// What was asked for.
        asked: String,
        /// What there is.
        names: Vec<String>,
    },
    /// Several containers, none was named.
    Ambiguous {
        /// What there is.
        names: Vec<String>,
    },
    /// It is not in a state for this.
    NotRunning {
        /// The container, or the Pod.
        what: String,
        /// Where it stands.
        state: String,
    },
    /// The request itself makes no sense for this container.
    Invalid(String),
    /// It is otherwise by now, or uses what would be taken from it.
    Conflict(String),
    /// What the Pod would become is no Pod that can be run.
    Problems(Vec<Problem>),
    /// dwell failed.
    Failed(String),
    /// The Pod went away meanwhile.
    Gone,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Refusal::NoContainer { asked, names } => {
                write!(f, "no container named {asked:?}; there are: {}", names.join(", "))
            }
            Refusal::Ambiguous { names } => write!(f, "name one of the containers: {}", names.join(", ")),
            Refusal::NotRunning { what, state } => write!(f, "{what} is not running but {state}"),
            Refusal::Invalid(why) | Refusal::Failed(why) | Refusal::Conflict(why) => f.write_str(why),
            Refusal::Problems(problems) => {
                let sentences: Vec<_> = problems.iter().map(|one| format!("{}: {}", one.path, one.message)).collect();
                f.write_str(&sentences.join("; "))
            }
            Refusal::Gone => f.write_str("the Pod is gone"),
        }
    }
}

impl std::error::Error for Refusal {}

/// Picks the member a request means. With no name: the only regular container.
///
/// # Errors
/// `NoContainer` or `Ambiguous`.
pub fn pick(journal: &Journal, asked: Option<&str>) -> Result<usize, Refusal> {
    let names = || journal.members.iter().map(|member| member.name.clone()).collect::<Vec<_>>();
    let Some(asked) = asked else {
        let mut regular = journal.members.iter().enumerate().filter(|(_, member)| !member.init && !member.added);
        return match (regular.next(), regular.next()) {
            (Some((index, _)), None) => Ok(index),
            _ => Err(Refusal::Ambiguous { names: names() }),
        };
    };
    let found = journal.members.iter().position(|member| member.name == asked);
    found.ok_or_else(|| Refusal::NoContainer { asked: asked.to_owned(), names: names() })
}

/// The sequence number of the member's living run.
///
/// # Errors
/// `NotRunning` with where it stands.
pub fn require_running(member: &Member) -> Result<u64, Refusal> {
    match &member.state {
        MemberState::Running { seq, .. } => Ok(*seq),
        other => Err(Refusal::NotRunning { what: format!("container {}", member.name), state: describe(other) }),
    }
}

fn describe(state: &MemberState) -> String {
    match state {
        MemberState::Waiting { reason, .. } => format!("waiting ({reason})"),
        MemberState::Starting { .. } => "starting".into(),
        MemberState::Running { .. } => "running".into(),
        MemberState::Terminated(end) => format!("terminated with status {} ({})", end.exit_code, end.reason),
    }
}
