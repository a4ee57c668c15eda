//! One container without a manifest: what was typed becomes the short form that the manifest part turns into a Pod.
//!
//! Here is what needs the machine: whether a word is a module, the caller's variables, environment files, a free name.
//! Every value is checked where those of manifests are.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use dwell_spec::manifest::{ShortForm, resolve_paths, short_form};
use k8s_openapi::api::core::v1::Pod;

use super::{RunArgs, ShortArgs};
use crate::failure::Failure;

/// Bytes of an environment file at most.
const ENV_FILE_MAX: u64 = 1024 * 1024;
/// Letters that Kubernetes makes names of: no vowels, no words.
const LETTERS: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// The Pod of a short form; `None` if manifests were named.
pub fn pod(args: &RunArgs) -> Result<Option<Pod>, Failure> {
    let Some((image, words)) = image_and_arguments(args) else {
        return only_with_image(&args.short).map(|()| None);
    };
    let form = form(args, image, words)?;
    let mut pod = short_form(&form).map_err(|e| Failure::new(e.to_string()))?;
    let here = std::env::current_dir().map_err(|e| Failure::new("find the working directory").caused_by(&e))?;
    resolve_paths(&mut pod, &here);
    Ok(Some(pod))
}

/// `--image IMAGE` with arguments, or a module with arguments.
fn image_and_arguments(args: &RunArgs) -> Option<(String, &[String])> {
    if let Some(image) = &args.short.image {
        return Some((image.clone(), &args.words));
    }
    let (first, rest) = args.words.split_first()?;
    is_module(Path::new(first)).then(|| (format!("wasm:{first}"), rest))
}

/// A name that says so, or the magic of a binary module.
fn is_module(path: &Path) -> bool {
    let named = path.extension().is_some_and(|e| e == "wasm" || e == "wat");
    named || read_start(path).is_ok_and(|start| start == *b"\0asm")
}

fn read_start(path: &Path) -> io::Result<[u8; 4]> {
    let mut start = [0; 4];
    if path.is_file() {
        File::open(path)?.read_exact(&mut start)?;
    }
    Ok(start)
}

fn form(args: &RunArgs, image: String, words: &[String]) -> Result<ShortForm, Failure> {
    let short = &args.short;
    Ok(ShortForm {
        name: args.name.clone().unwrap_or_else(|| name_for(&image)),
        image,
        args: words.to_vec(),
        env: environment(short)?,
        volumes: short.volumes.clone(),
        publish: short.publish.clone(),
        user: short.user.clone(),
        memory: short.memory.clone(),
        stdin: short.stdin,
        tty: short.tty,
    })
}

/// Options that make one container need one.
fn only_with_image(short: &ShortArgs) -> Result<(), Failure> {
    let lists = [("-v", &short.volumes), ("-e", &short.env), ("-p", &short.publish)];
    let list = lists.into_iter().find(|(_, values)| !values.is_empty()).map(|(option, _)| option);
    let switches = [
        ("--env-file", !short.env_files.is_empty()),
        ("-u", short.user.is_some()),
        ("-m", short.memory.is_some()),
        ("-i", short.stdin),
        ("-t", short.tty),
    ];
    match list.or_else(|| switches.into_iter().find(|(_, given)| *given).map(|(option, _)| option)) {
        None => Ok(()),
        Some(option) => Err(Failure::new(format!("{option} is for one container without a manifest"))
            .with_hint("name a .wasm file or --image, or write it in the manifest")),
    }
}

/// Files first, so that `-e` can replace what they set.
fn environment(short: &ShortArgs) -> Result<Vec<(String, String)>, Failure> {
    let mut env: Vec<(String, String)> = Vec::new();
    for file in &short.env_files {
        for assignment in lines(&read_env_file(file)?) {
            set(&mut env, &assignment);
        }
    }
    for assignment in &short.env {
        set(&mut env, assignment);
    }
    Ok(env)
}

/// Lines that are neither empty nor comments.
fn lines(text: &str) -> Vec<String> {
    let lines = text.lines().map(|line| line.trim_start().trim_end_matches('\r'));
    lines.filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned).collect()
}

/// `NAME=VALUE`, or `NAME` for our own value (nothing, if we have none: as docker does). A later one replaces.
fn set(env: &mut Vec<(String, String)>, assignment: &str) {
    let (name, value) = match assignment.split_once('=') {
        Some((name, value)) => (name, Some(value.to_owned())),
        None => (assignment, std::env::var(assignment).ok()),
    };
    env.retain(|(other, _)| other != name);
    env.extend(value.map(|value| (name.to_owned(), value)));
}

fn read_env_file(path: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(ENV_FILE_MAX).read_to_string(&mut text));
    match read {
        Ok(_) => Ok(text),
        Err(e) => Err(Failure::new(format!("read the environment file {}", path.display())).caused_by(&e)),
    }
}

/// The image's last component as a DNS label, and five letters that keep two runs apart.
fn name_for(image: &str) -> String {
    let last = image.trim_end_matches('/').rsplit(['/', ':']).next().unwrap_or_default();
    let stem = last.strip_suffix(".wasm").or_else(|| last.strip_suffix(".wat")).unwrap_or(last);
    let mapped = stem.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' });
    let label: String = mapped.take(50).collect();
    let label = label.trim_matches('-');
    let label = if label.is_empty() { "pod" } else { label };
    format!("{label}-{}", random_letters())
}

/// Five letters from the standard library's random hash keys, which the system seeds anew for each process.
fn random_letters() -> String {
    use std::hash::{BuildHasher, Hasher};
    let mut random = std::hash::RandomState::new().build_hasher().finish();
    let mut next = || {
        let letter = LETTERS[(random % 27) as usize];
        random /= 27;
        char::from(letter)
    };
    (0..5).map(|_| next()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_assignments_replace_earlier_ones() {
        let mut env = Vec::new();
        for assignment in ["A=1", "B=x=y", "A=2", "DWELL_TEST_SURELY_UNSET"] {
            set(&mut env, assignment);
        }
        assert_eq!(env, [("B".into(), "x=y".into()), ("A".into(), "2".into())]);
        set(&mut env, "PATH");
        assert_eq!(env.last().unwrap().1, std::env::var("PATH").unwrap());
    }

    #[test]
    fn environment_files_have_comments() {
        assert_eq!(lines("# x\n\nA=1\r\n  B=# kept\n"), ["A=1", "B=# kept"]);
    }

    #[test]
    fn names_are_labels_and_differ() {
        let name = name_for("wasm:./target/My_App.wasm");
        assert!(name.starts_with("my-app-") && name.len() == 12, "{name}");
        assert!(name_for("rootfs:/").starts_with("pod-") || name_for("rootfs:/").starts_with("rootfs-"));
        assert_ne!(name_for("x"), name_for("x"));
        assert!(name_for(&"x".repeat(500)).len() <= 63);
    }
}
