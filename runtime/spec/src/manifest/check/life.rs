//! Probes, lifecycle hooks, the stop signal and last words.
//!
//! Source: validateProbe, validateHandler, validateLifecycle, validateInitContainers; defaults SetDefaults_Probe,
//! SetDefaults_HTTPGetAction. Beyond them, a port's name must be one of the container's: Kubernetes finds out each time
//! it asks.

use k8s_openapi::api::core::v1;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{Problems, names, path_fault, ports, tidy};
use crate::manifest::problem::{Cause, Problem, quoted};
use crate::manifest::suggest;
use crate::pod::{Action, ContainerPort, Hooks, HttpGet, ImageRef, LastWords, Probe, Probes, Question, Timing};
use crate::signal::SignalName;

const NONE_FOR_INIT: &str = "may not be set for init containers without restartPolicy=Always";

/// A container whose probes and hooks are checked.
pub struct Checked<'a> {
    pub source: &'a v1::Container,
    pub ports: &'a [ContainerPort],
    /// `spec.containers[0]`
    pub path: &'a str,
    /// An init container that runs to its end.
    pub passes: bool,
    /// The Pod's grace period, seconds.
    pub grace_seconds: u32,
    /// `spec.os.name`
    pub os: Option<&'a str>,
}

impl Checked<'_> {
    pub fn probes(&self, out: &mut Problems) -> Probes {
        let each = |probe: &Option<v1::Probe>, name: &str, out: &mut Problems| {
            let probe = probe.as_ref()?;
            let path = format!("{}.{name}", self.path);
            if self.passes {
                out.push(Problem::forbidden(&path, NONE_FOR_INIT));
            }
            self.probe(probe, name, &path, out)
        };
        Probes {
            startup: each(&self.source.startup_probe, "startupProbe", out),
            liveness: each(&self.source.liveness_probe, "livenessProbe", out),
            readiness: each(&self.source.readiness_probe, "readinessProbe", out),
        }
    }

    pub fn hooks(&self, out: &mut Problems) -> Hooks {
        let Some(lifecycle) = &self.source.lifecycle else { return Hooks::default() };
        let path = format!("{}.lifecycle", self.path);
        if self.passes && (lifecycle.post_start.is_some() || lifecycle.pre_stop.is_some()) {
            out.push(Problem::forbidden(&path, NONE_FOR_INIT));
        }
        let hook = |hook: &Option<v1::LifecycleHandler>, name: &str, out: &mut Problems| {
            let hook = hook.as_ref()?;
            let given = Given {
                exec: hook.exec.as_ref(),
                http: hook.http_get.as_ref(),
                tcp: hook.tcp_socket.as_ref(),
                grpc: None,
                sleep: hook.sleep.as_ref(),
            };
            self.action(&given, &format!("{path}.{name}"), out)
        };
        Hooks {
            post_start: hook(&lifecycle.post_start, "postStart", out),
            pre_stop: hook(&lifecycle.pre_stop, "preStop", out),
        }
    }

    pub fn stop_signal(&self, image: &ImageRef, out: &mut Problems) -> Option<String> {
        let signal = self.source.lifecycle.as_ref()?.stop_signal.as_ref()?;
        let path = format!("{}.lifecycle.stopSignal", self.path);
        if self.os.is_none() {
            out.push(Problem::forbidden(&path, "may not be set for containers of a Pod without spec.os.name"));
        }
        if matches!(image, ImageRef::Wasm(_)) {
            out.push(Problem::forbidden(&path, "a Wasm member has no signals: SIGTERM ends it, or lets it drain"));
        }
        // The API server takes names in capitals with their prefix only.
        if !signal.starts_with("SIG") || signal.to_ascii_uppercase() != *signal || signal.parse::<SignalName>().is_err()
        {
            out.push(Problem::invalid(&path, signal, "must be the name of a signal, such as SIGTERM or SIGRTMIN+3"));
        }
        Some(signal.clone())
    }

    pub fn last_words(&self, out: &mut Problems) -> LastWords {
        let usual = LastWords::default();
        let path = self.source.termination_message_path.clone().filter(|path| !path.is_empty());
        if let Some((path, fault)) = path.as_deref().and_then(|path| Some((path, path_fault(path)?))) {
            out.push(Problem::invalid(format!("{}.terminationMessagePath", self.path), path, fault));
        }
        let from_log = match self.source.termination_message_policy.as_deref() {
            None | Some("" | "File") => false,
            Some("FallbackToLogsOnError") => true,
            Some(other) => {
                let path = format!("{}.terminationMessagePolicy", self.path);
                out.push(Problem::unsupported(path, other, &["File", "FallbackToLogsOnError"]));
                false
            }
        };
        LastWords { path: path.map_or(usual.path, |path| tidy(&path)), from_log }
    }

    fn probe(&self, probe: &v1::Probe, name: &str, path: &str, out: &mut Problems) -> Option<Probe> {
        let given = Given {
            exec: probe.exec.as_ref(),
            http: probe.http_get.as_ref(),
            tcp: probe.tcp_socket.as_ref(),
            grpc: probe.grpc.as_ref(),
            sleep: None,
        };
        let timing = timing(probe, path, out);
        if name != "readinessProbe" && timing.success_threshold != 1 {
            let path = format!("{path}.successThreshold");
            out.push(Problem::invalid_number(path, i64::from(timing.success_threshold), "must be 1"));
        }
        let grace_seconds = grace(probe.termination_grace_period_seconds, name, path, out);
        Some(Probe { action: self.action(&given, path, out)?, timing, grace_seconds })
    }

    /// Exactly one.
    fn action(&self, given: &Given<'_>, path: &str, out: &mut Problems) -> Option<Action> {
        let mut actions = Vec::new();
        if let Some(exec) = given.exec {
            actions.push(("exec", command(exec, path, out)));
        }
        if let Some(http) = given.http {
            actions.push(("httpGet", self.http(http, &format!("{path}.httpGet"), out)));
        }
        if let Some(tcp) = given.tcp {
            let port = self.port(&tcp.port, &format!("{path}.tcpSocket.port"), out);
            actions.push(("tcpSocket", port.map(|port| Action::Ask(Question::Tcp { host: some(&tcp.host), port }))));
        }
        if let Some(grpc) = given.grpc {
            let port = ports::number(grpc.port, &format!("{path}.grpc.port"), out);
            let service = grpc.service.clone().unwrap_or_default();
            actions.push(("grpc", port.map(|port| Action::Ask(Question::Grpc { port, service }))));
        }
        if let Some(sleep) = given.sleep {
            actions.push(("sleep", self.seconds(sleep.seconds, &format!("{path}.sleep.seconds"), out)));
        }
        for (name, _) in actions.iter().skip(1) {
            out.push(Problem::forbidden(format!("{path}.{name}"), "may not specify more than 1 handler type"));
        }
        if actions.is_empty() {
            out.push(Problem::required(path, "must specify a handler type"));
        }
        actions.into_iter().next().and_then(|(_, action)| action)
    }

    fn http(&self, http: &v1::HTTPGetAction, path: &str, out: &mut Problems) -> Option<Action> {
        let secure = match http.scheme.as_deref() {
            None | Some("" | "HTTP") => false,
            Some("HTTPS") => true,
            Some(other) => {
                out.push(Problem::unsupported(format!("{path}.scheme"), other, &["HTTP", "HTTPS"]));
                false
            }
        };
        let mut headers = Vec::new();
        for (n, header) in http.http_headers.iter().flatten().enumerate() {
            let path = format!("{path}.httpHeaders[{n}]");
            match header_fault(&header.name, &header.value) {
                Some((field, text, why)) => out.push(Problem::invalid(format!("{path}.{field}"), text, why)),
                None => headers.push((header.name.clone(), header.value.clone())),
            }
        }
        let port = self.port(&http.port, &format!("{path}.port"), out)?;
        let asked = http.path.clone().unwrap_or_default();
        if asked.chars().any(|c| c.is_control() || c == ' ') {
            let why = "must not contain spaces or control characters; write %20 for a space";
            out.push(Problem::invalid(format!("{path}.path"), &asked, why));
        }
        let slash = if asked.starts_with('/') { "" } else { "/" };
        let path = format!("{slash}{asked}");
        Some(Action::Ask(Question::Http(HttpGet { secure, host: some(&http.host), port, path, headers })))
    }

    fn seconds(&self, value: i64, path: &str, out: &mut Problems) -> Option<Action> {
        match u32::try_from(value) {
            Ok(seconds) if seconds <= self.grace_seconds => Some(Action::Sleep { seconds }),
            _ => {
                let grace = self.grace_seconds;
                let why = format!("must be non-negative and less than terminationGracePeriodSeconds ({grace})");
                out.push(Problem::invalid_number(path, value, &why));
                None
            }
        }
    }

    fn port(&self, port: &IntOrString, path: &str, out: &mut Problems) -> Option<u16> {
        match port {
            IntOrString::Int(value) => ports::number(*value, path, out),
            IntOrString::String(name) => self.named(name, path, out),
        }
    }

    fn named(&self, name: &str, path: &str, out: &mut Problems) -> Option<u16> {
        let faults = names::port(name);
        if let Some(fault) = faults.first() {
            out.push(Problem::invalid(path, name, fault));
            return None;
        }
        let port = self.ports.iter().find(|port| port.name.as_deref() == Some(name));
        if port.is_none() {
            let names = self.ports.iter().filter_map(|port| port.name.as_deref());
            let near = suggest::nearest(name, names).map(|near| format!("did you mean {near}?"));
            let message = format!("{}: the container has no port of this name", quoted(name));
            let problem = Problem::new(Cause::NotFound, path, message);
            out.push(Problem { hint: near, ..problem });
        }
        port.map(|port| port.container_port)
    }
}

/// What a probe or hook says that it does.
struct Given<'a> {
    exec: Option<&'a v1::ExecAction>,
    http: Option<&'a v1::HTTPGetAction>,
    tcp: Option<&'a v1::TCPSocketAction>,
    grpc: Option<&'a v1::GRPCAction>,
    sleep: Option<&'a v1::SleepAction>,
}

fn command(exec: &v1::ExecAction, path: &str, out: &mut Problems) -> Option<Action> {
    let command = exec.command.clone().unwrap_or_default();
    if command.is_empty() {
        out.push(Problem::required(format!("{path}.exec.command"), ""));
        return None;
    }
    Some(Action::Exec(command))
}

fn some(text: &Option<String>) -> Option<String> {
    text.clone().filter(|text| !text.is_empty())
}

fn timing(probe: &v1::Probe, path: &str, out: &mut Problems) -> Timing {
    let mut at_least_0 = |value: Option<i32>, field: &str, default: u32| match value {
        None | Some(0) => default,
        Some(value) => u32::try_from(value).unwrap_or_else(|_| {
            let why = "must be greater than or equal to 0";
            out.push(Problem::invalid_number(format!("{path}.{field}"), i64::from(value), why));
            default
        }),
    };
    Timing {
        initial_delay_seconds: at_least_0(probe.initial_delay_seconds, "initialDelaySeconds", 0),
        period_seconds: at_least_0(probe.period_seconds, "periodSeconds", 10),
        timeout_seconds: at_least_0(probe.timeout_seconds, "timeoutSeconds", 1),
        success_threshold: at_least_0(probe.success_threshold, "successThreshold", 1),
        failure_threshold: at_least_0(probe.failure_threshold, "failureThreshold", 3),
    }
}

fn grace(value: Option<i64>, probe: &str, path: &str, out: &mut Problems) -> Option<u32> {
    let value = value?;
    let path = format!("{path}.terminationGracePeriodSeconds");
    if probe == "readinessProbe" {
        out.push(Problem::invalid_number(path, value, "must not be set for readinessProbes"));
        return None;
    }
    if value < 1 {
        out.push(Problem::invalid_number(path, value, "must be greater than 0"));
        return None;
    }
    Some(u32::try_from(value).unwrap_or(u32::MAX))
}

/// Which of name and value will not do, and why.
fn header_fault<'a>(name: &'a str, value: &'a str) -> Option<(&'static str, &'a str, &'static str)> {
    let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    if name.is_empty() || !name.chars().all(token) {
        return Some((
            "name",
            name,
            "a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name')",
        ));
    }
    let bad = value.chars().any(|c| c.is_control() && c != '\t');
    bad.then_some(("value", value, "must not contain control characters"))
}
