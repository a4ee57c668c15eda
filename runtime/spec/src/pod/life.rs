//! What a container is asked while it lives, what is done after its start and before its stop, and what follows its end.

use serde::{Deserialize, Serialize};

/// Its probes; each may be absent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probes {
    /// Says when it has started; the others wait for that.
    pub startup: Option<Probe>,
    /// Ends it when it does not answer.
    pub liveness: Option<Probe>,
    /// Says when it can take traffic.
    pub readiness: Option<Probe>,
}

/// Which of a container's probes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ProbeKind {
    /// Says when it has started.
    Startup,
    /// Ends it when it does not answer.
    Liveness,
    /// Says when it can take traffic.
    Readiness,
}

impl ProbeKind {
    /// As a sentence begins with it.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Startup => "Startup probe",
            Self::Liveness => "Liveness probe",
            Self::Readiness => "Readiness probe",
        }
    }

    /// As people call it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Startup => "startup probe",
            Self::Liveness => "liveness probe",
            Self::Readiness => "readiness probe",
        }
    }
}

impl Probes {
    /// Those that there are.
    pub fn each(&self) -> impl Iterator<Item = (ProbeKind, &Probe)> {
        let all = [
            (ProbeKind::Startup, &self.startup),
            (ProbeKind::Liveness, &self.liveness),
            (ProbeKind::Readiness, &self.readiness),
        ];
        all.into_iter().filter_map(|(kind, probe)| Some((kind, probe.as_ref()?)))
    }
}

/// One probe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// What is asked.
    pub action: Action,
    /// When, and how often it counts.
    pub timing: Timing,
    /// Seconds between the stop signal and SIGKILL when it ends its container; the Pod's when absent.
    pub grace_seconds: Option<u32>,
}

/// When a probe asks, and how many answers make a verdict. Seconds are whole, as Kubernetes has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timing {
    /// From the start to the first question.
    pub initial_delay_seconds: u32,
    /// From one question to the next; at least 1.
    pub period_seconds: u32,
    /// What an answer may take; at least 1.
    pub timeout_seconds: u32,
    /// Good answers in a row after a bad one; at least 1.
    pub success_threshold: u32,
    /// Bad answers in a row; at least 1.
    pub failure_threshold: u32,
}

/// What is done once after the start, and before the stop signal.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hooks {
    /// Beside the program; until it is through the container has not started.
    pub post_start: Option<Action>,
    /// Within the grace period.
    pub pre_stop: Option<Action>,
}

/// What a probe or a hook does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// Run a program in the container; it is well when that ends with 0.
    Exec(Vec<String>),
    /// Ask over the network.
    Ask(Question),
    /// Wait; hooks only.
    Sleep {
        /// May be 0.
        seconds: u32,
    },
}

/// What is asked over the network. Ports are numbers by now; a host is the Pod's address when absent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Question {
    /// Well when the status is 200 to 399.
    Http(HttpGet),
    /// Well when somebody takes the connection.
    Tcp {
        /// A name or an address.
        host: Option<String>,
        /// 1 to 65535
        port: u16,
    },
    /// `grpc.health.v1.Health`; well when the answer is SERVING.
    Grpc {
        /// 1 to 65535
        port: u16,
        /// Of which service; the server's own when empty.
        service: String,
    },
}

/// A GET: by HTTP/1.1, and within TLS by HTTP/2 where the server speaks it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpGet {
    /// Within TLS (`scheme: HTTPS`); whoever answers is believed, as with a kubelet.
    #[serde(default)]
    pub secure: bool,
    /// The Pod's address when absent.
    pub host: Option<String>,
    /// 1 to 65535
    pub port: u16,
    /// With a query, if it has one; begins with `/`.
    pub path: String,
    /// In the manifest's order; a name may come twice.
    pub headers: Vec<(String, String)>,
}

/// Where a container's last words are written when its manifest does not say.
pub const LAST_WORDS_PATH: &str = "/dev/termination-log";

/// `terminationMessagePath` and `terminationMessagePolicy`: what a container says of its own end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastWords {
    /// The file that it writes them to: absolute.
    pub path: String,
    /// Whether the end of its log counts as its last words when it has failed and wrote none.
    pub from_log: bool,
}

impl Default for LastWords {
    fn default() -> Self {
        Self { path: LAST_WORDS_PATH.to_owned(), from_log: false }
    }
}

/// `restartPolicyRules[]`: what follows some exit statuses, whatever the restart policy. The first that applies counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestartRule {
    /// What is started again.
    pub action: RestartAction,
    /// Whether it applies to the statuses that are listed, or to all others.
    pub listed: bool,
    /// Exit statuses.
    pub statuses: Vec<i32>,
}

impl RestartRule {
    /// What the first of these rules that applies to an exit status says; `None`: the policy decides.
    #[must_use]
    pub fn first(rules: &[RestartRule], exit_status: i32) -> Option<RestartAction> {
        let applies = |rule: &&RestartRule| rule.statuses.contains(&exit_status) == rule.listed;
        rules.iter().find(applies).map(|rule| rule.action)
    }
}

/// What a rule starts again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RestartAction {
    /// The container.
    Container,
    /// Every container of the Pod, init containers first; the others are killed.
    All,
}
