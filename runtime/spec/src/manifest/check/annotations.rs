//! Annotations that mean something to dwell.
//!
//! `dwell.dev/pids-limit[.CONTAINER]`: processes and threads. `dwell.dev/user.CONTAINER`: a user by name, which
//! `runAsUser` cannot say. Any other `dwell.dev/…` is a mistake. `run.oci.handler` and `module.wasm.image/variant` are
//! crun's way to ask for Wasm; values that it would pass over are passed over here.

use std::collections::{BTreeMap, HashSet};

use super::Problems;
use crate::manifest::problem::{Cause, Problem};
use crate::manifest::suggest;
use crate::pod::MemberKind;

/// What all of dwell's own annotations begin with.
const OURS: &str = "dwell.dev/";
/// Processes and threads, of every container or of one.
const PIDS_LIMIT: &str = "dwell.dev/pids-limit";
/// A user by name, of one container.
pub const USER: &str = "dwell.dev/user";
/// The kernel's own limit of processes on 64-bit (PID_MAX_LIMIT).
const MAX_PIDS: u64 = 4 << 20;

pub type Annotations = BTreeMap<String, String>;

/// Refuses what begins with `dwell.dev/` and is not known, names no container, or has no good value.
pub fn check(annotations: &Annotations, containers: &HashSet<String>, out: &mut Problems) {
    for (key, value) in annotations.iter().filter(|(key, _)| key.starts_with(OURS)) {
        let path = format!("metadata.annotations[{key}]");
        match parse_key(key) {
            None => out.push(unknown(path, key)),
            Some((_, Some(container))) if !containers.contains(container) => {
                out.push(unknown_container(path, container, containers));
            }
            Some((PIDS_LIMIT, _)) if parse_pids(value).is_none() => {
                out.push(Problem::invalid(path, value, &format!("must be between 1 and {MAX_PIDS}, inclusive")));
            }
            Some((USER, _)) if parse_user(value).is_none() => {
                out.push(Problem::invalid(path, value, "must be `user` or `user:group`"));
            }
            Some(_) => {}
        }
    }
}

/// The annotation, and the container that it is for.
fn parse_key(key: &str) -> Option<(&'static str, Option<&str>)> {
    if key == PIDS_LIMIT {
        return Some((PIDS_LIMIT, None));
    }
    let container = |base: &'static str| Some((base, Some(key.strip_prefix(base)?.strip_prefix('.')?)));
    container(PIDS_LIMIT).or_else(|| container(USER))
}

fn parse_pids(value: &str) -> Option<u64> {
    value.parse().ok().filter(|limit| (1..=MAX_PIDS).contains(limit))
}

fn parse_user(value: &str) -> Option<&str> {
    let odd = |c: char| c.is_control() || c.is_whitespace();
    (!value.is_empty() && value.len() <= 256 && !value.contains(odd)).then_some(value)
}

fn unknown(path: String, key: &str) -> Problem {
    let problem = Problem::new(Cause::UnknownField, path, "unknown annotation of dwell's");
    match suggest::nearest(key, [PIDS_LIMIT, "dwell.dev/user.CONTAINER"]) {
        Some(near) => problem.with_hint(format!("did you mean {near}?")),
        None => problem.with_hint(format!("known are {PIDS_LIMIT}, {PIDS_LIMIT}.CONTAINER, {USER}.CONTAINER")),
    }
}

fn unknown_container(path: String, name: &str, containers: &HashSet<String>) -> Problem {
    let problem = Problem::new(Cause::NotFound, path, "there is no such container");
    match suggest::nearest(name, containers.iter().map(String::as_str)) {
        Some(near) => problem.with_hint(format!("did you mean {near}?")),
        None => problem,
    }
}

/// The limit of processes of a container: its own, else that of all.
pub fn pids_limit(annotations: &Annotations, container: &str) -> Option<u64> {
    let own = annotations.get(&format!("{PIDS_LIMIT}.{container}"));
    parse_pids(own.or_else(|| annotations.get(PIDS_LIMIT))?)
}

/// The user that was asked for by name on the command line.
pub fn user(annotations: &Annotations, container: &str) -> Option<String> {
    parse_user(annotations.get(&format!("{USER}.{container}"))?).map(str::to_owned)
}

/// What crun would make of a container: `wasm` always, `-smart` if its program is a module by name.
pub fn kind_hint(annotations: &Annotations, program: Option<&str>) -> Option<MemberKind> {
    let smart = || {
        let module = program.is_some_and(|program| program.ends_with(".wasm") || program.ends_with(".wat"));
        module.then_some(MemberKind::Wasm)
    };
    match annotations.get("run.oci.handler").map(String::as_str) {
        Some("wasm") => return Some(MemberKind::Wasm),
        Some("wasm-smart") => return smart(),
        _ => {}
    }
    match annotations.get("module.wasm.image/variant").map(String::as_str) {
        Some("compat") => Some(MemberKind::Wasm),
        Some("compat-smart") => smart(),
        _ => None,
    }
}
