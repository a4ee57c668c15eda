//! Environment, command and arguments: names, and whether `$(VAR)` expands to what the kernel takes.
//!
//! They are expanded for good when the container is planned (see `plan::environment`), as the kubelet does
//! (makeEnvironmentVariables): a variable sees those above it; command and arguments see all. Here values that only a
//! running Pod has count as empty.

use k8s_openapi::api::core::v1::EnvVar;

use super::metadata::report;
use super::{Problems, env_source, names};
use crate::expand::{MAX_TOGETHER, Variables};
use crate::manifest::problem::{Cause, Problem};
use crate::pod::EnvValue;

/// The environment of one container.
#[derive(Default)]
pub struct Env {
    /// As it is written.
    pub written: Vec<(String, EnvValue)>,
    variables: Variables,
}

/// Counts what all strings of a Pod expand to: `MAX_TOGETHER` at most.
#[derive(Default)]
pub struct Budget {
    used: usize,
}

impl Budget {
    fn expand(&mut self, text: &str, env: &Env, path: &str, out: &mut Problems) -> String {
        if self.used > MAX_TOGETHER {
            return String::new();
        }
        let expanded = env.variables.expand(text).unwrap_or_else(|error| {
            out.push(Problem::new(Cause::Invalid, path, format!("Too long: {error}")));
            String::new()
        });
        self.used += expanded.len();
        if self.used > MAX_TOGETHER {
            let message =
                format!("Too long: the Pod's environment and arguments expand to more than {MAX_TOGETHER} bytes");
            out.push(Problem::new(Cause::Invalid, path, message));
        }
        if expanded.contains('\0') {
            out.push(Problem::invalid(path, text, "must not contain a NUL byte"));
        }
        expanded
    }

    /// The environment.
    pub fn env(&mut self, vars: &[EnvVar], path: &str, out: &mut Problems) -> Env {
        let mut env = Env::default();
        for (n, var) in vars.iter().enumerate() {
            let path = format!("{path}.env[{n}]");
            match var.name.as_str() {
                "" => out.push(Problem::required(format!("{path}.name"), "")),
                name => report(&format!("{path}.name"), name, names::env(name), out),
            }
            let value = env_source::check(var, &path, out);
            let expanded = match &value {
                EnvValue::Text(text) => self.expand(text, &env, &format!("{path}.value"), out),
                _ => String::new(),
            };
            env.variables.set(&var.name, expanded);
            env.written.push((var.name.clone(), value));
        }
        env
    }

    /// `command` or `args`.
    pub fn words(&mut self, words: &[String], env: &Env, path: &str, out: &mut Problems) {
        for (n, word) in words.iter().enumerate() {
            self.expand(word, env, &format!("{path}[{n}]"), out);
        }
    }
}
