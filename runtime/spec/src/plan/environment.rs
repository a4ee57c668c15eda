//! A member's environment, in a fixed order: `PATH`, `HOSTNAME`, `TERM` on a terminal, then the manifest's variables,
//! then `HOME`. What the manifest names replaces a default where it stands; of two with one name the later counts.

use super::refusal::{PlanError, Problem};
use crate::pod::{Container, EnvValue};

/// Where programs are looked for unless the manifest says otherwise (as every container runtime has it).
pub const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Variables of a native member as (name, value).
///
/// # Errors
/// A name or value that the kernel cannot carry.
pub fn native(
    container: &Container,
    hostname: &str,
    home: &str,
    tty: bool,
) -> Result<Vec<(String, String)>, PlanError> {
    let mut env = vec![pair("PATH", DEFAULT_PATH), pair("HOSTNAME", hostname)];
    if tty {
        env.push(pair("TERM", "xterm"));
    }
    merge(&mut env, container)?;
    if !env.iter().any(|(name, _)| name == "HOME") {
        env.push(pair("HOME", home));
    }
    Ok(env)
}

/// Variables of a Wasm member: the manifest's and `HOSTNAME`; there are no programs to find and no home.
///
/// # Errors
/// As `native`.
pub fn wasm(container: &Container, hostname: &str) -> Result<Vec<(String, String)>, PlanError> {
    let mut env = vec![pair("HOSTNAME", hostname)];
    merge(&mut env, container)?;
    Ok(env)
}

/// `NAME=value`, as the kernel takes them.
pub fn joined(env: &[(String, String)]) -> Vec<String> {
    env.iter().map(|(name, value)| format!("{name}={value}")).collect()
}

/// The value of a variable.
pub fn value<'a>(env: &'a [(String, String)], wanted: &str) -> Option<&'a str> {
    env.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str())
}

fn pair(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

/// Variables come resolved (see `values`): they are texts.
fn text((name, value): &(String, EnvValue)) -> Option<(&String, &String)> {
    match value {
        EnvValue::Text(value) => Some((name, value)),
        _ => None,
    }
}

fn merge(env: &mut Vec<(String, String)>, container: &Container) -> Result<(), PlanError> {
    for (name, value) in container.env.iter().filter_map(text) {
        check(container, name, value)?;
        match env.iter_mut().find(|(known, _)| known == name) {
            Some(known) => known.1.clone_from(value),
            None => env.push((name.clone(), value.clone())),
        }
    }
    Ok(())
}

fn check(container: &Container, name: &str, value: &str) -> Result<(), PlanError> {
    if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
        return Err(PlanError::of(&container.name, "env", Problem::EnvironmentName(name.to_owned())));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::samples::container;
    use super::*;

    fn with(env: &[(&str, &str)]) -> Container {
        let env = env.iter().map(|(name, value)| ((*name).to_owned(), EnvValue::Text((*value).to_owned()))).collect();
        Container { env, ..container("a") }
    }

    #[test]
    fn defaults_come_first_and_are_replaced_in_place() {
        let container = with(&[("A", "1"), ("PATH", "/x"), ("A", "2"), ("HOME", "/h")]);
        let env = joined(&native(&container, "pod", "/root", true).expect("merges"));
        assert_eq!(env, ["PATH=/x", "HOSTNAME=pod", "TERM=xterm", "A=2", "HOME=/h"]);
    }

    #[test]
    fn home_is_last_and_term_only_on_a_terminal() {
        let env = joined(&native(&with(&[]), "pod", "/root", false).expect("merges"));
        assert_eq!(env, [&format!("PATH={DEFAULT_PATH}"), "HOSTNAME=pod", "HOME=/root"]);
    }

    #[test]
    fn names_the_kernel_would_read_otherwise_are_refused() {
        for (name, value) in [("", "v"), ("A=B", "v"), ("A\0", "v"), ("A", "v\0w")] {
            assert!(native(&with(&[(name, value)]), "pod", "/", false).is_err(), "{name:?}");
        }
    }
}
