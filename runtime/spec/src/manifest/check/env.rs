//! Environment, command and arguments: names, and `$(VAR)` expanded as the kubelet does (makeEnvironmentVariables).
//!
//! A variable sees those above it; command and arguments see all. Written twice, the last one counts.

use std::collections::HashMap;

use k8s_openapi::api::core::v1::EnvVar;

use super::Problems;
use super::metadata::report;
use super::names;
use crate::expand::expand;
use crate::manifest::problem::{Cause, Problem};

/// Bytes to which the strings of one Pod may expand.
const MAX_EXPANDED: usize = 8 << 20;

/// Variables in order, each once.
#[derive(Default)]
pub struct Env {
    /// Names and values.
    pub vars: Vec<(String, String)>,
    places: HashMap<String, usize>,
}

impl Env {
    fn get(&self, name: &str) -> Option<&str> {
        self.places.get(name).map(|place| self.vars[*place].1.as_str())
    }

    fn set(&mut self, name: &str, value: String) {
        match self.places.get(name) {
            Some(place) => self.vars[*place].1 = value,
            None => {
                self.places.insert(name.to_owned(), self.vars.len());
                self.vars.push((name.to_owned(), value));
            }
        }
    }
}

/// Counts what all strings of a Pod expand to.
#[derive(Default)]
pub struct Budget {
    used: usize,
}

impl Budget {
    fn expand(&mut self, text: &str, env: &Env, path: &str, out: &mut Problems) -> String {
        if self.used > MAX_EXPANDED {
            return String::new();
        }
        let expanded = expand(text, |name| env.get(name)).unwrap_or_else(|error| {
            out.push(Problem::new(Cause::Invalid, path, format!("Too long: {error}")));
            String::new()
        });
        self.used += expanded.len();
        if self.used > MAX_EXPANDED {
            let message =
                format!("Too long: the Pod's environment and arguments expand to more than {MAX_EXPANDED} bytes");
            out.push(Problem::new(Cause::Invalid, path, message));
        }
        if expanded.contains('\0') {
            out.push(Problem::invalid(path, text, "must not contain a NUL byte"));
        }
        expanded
    }

    /// The environment, expanded.
    pub fn env(&mut self, vars: &[EnvVar], path: &str, out: &mut Problems) -> Env {
        let mut env = Env::default();
        for (n, var) in vars.iter().enumerate() {
            let path = format!("{path}.env[{n}]");
            match var.name.as_str() {
                "" => out.push(Problem::required(format!("{path}.name"), "")),
                name => report(&format!("{path}.name"), name, names::env(name), out),
            }
            let value = self.expand(var.value.as_deref().unwrap_or_default(), &env, &format!("{path}.value"), out);
            env.set(&var.name, value);
        }
        env
    }

    /// `command` or `args`, expanded.
    pub fn words(&mut self, words: Option<&[String]>, env: &Env, path: &str, out: &mut Problems) -> Vec<String> {
        let words = words.unwrap_or_default().iter().enumerate();
        words.map(|(n, word)| self.expand(word, env, &format!("{path}[{n}]"), out)).collect()
    }
}
