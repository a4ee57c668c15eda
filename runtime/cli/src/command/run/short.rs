//! One container without a manifest: what was typed, for the pure part that makes a Pod of it (`dwell_spec::short_form`).
//!
//! Here is only what needs the machine: whether a word is a module, our own variables, environment files.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use dwell_spec::short_form;
use k8s_openapi::api::core::v1::Pod;

use super::source::{prepare, working_directory};
use super::{RunArgs, ShortArgs};
use crate::failure::Failure;
use crate::output::sanitise::printable;

/// Bytes of an environment file at most.
const ENV_FILE_MAX: u64 = 1024 * 1024;

/// The Pod of a short form; `None` if manifests were named.
pub fn pod(args: &RunArgs) -> Result<Option<Pod>, Failure> {
    let Some(typed) = typed(args)? else {
        return only_with_image(&args.short).map(|()| None);
    };
    let mut pod = short_form::to_pod(&typed).map_err(|e| {
        let failure = Failure::of(&e);
        e.hint().into_iter().fold(failure, Failure::with_hint)
    })?;
    prepare(&mut pod, &typed.base_dir);
    Ok(Some(pod))
}

/// `--image IMAGE` with arguments, or a module with arguments.
fn typed(args: &RunArgs) -> Result<Option<short_form::RunArgs>, Failure> {
    let (wasm, words) = match (&args.short.image, args.words.split_first()) {
        (Some(_), _) => (None, &args.words[..]),
        (None, Some((first, rest))) if is_module(Path::new(first)) => (Some(first.clone()), rest),
        _ => return Ok(None),
    };
    let short = &args.short;
    Ok(Some(short_form::RunArgs {
        image: short.image.clone(),
        wasm,
        name: args.name.clone(),
        namespace: None,
        args: words.to_vec(),
        env: short.env.clone(),
        env_files: env_files(short)?,
        host_env: own_variables(),
        volumes: short.volumes.clone(),
        devices: short.devices.iter().map(|flag| device(flag)).collect::<Result<_, _>>()?,
        privileged: short.privileged,
        publish: short.publish.clone(),
        user: short.user.clone(),
        memory: short.memory.clone(),
        workdir: short.workdir.clone(),
        stdin: short.stdin,
        tty: short.tty,
        read_only: short.read_only,
        base_dir: working_directory()?,
    }))
}

/// Our own variables, those that are text.
pub fn own_variables() -> BTreeMap<String, String> {
    let text = |(name, value): (OsString, OsString)| Some((name.into_string().ok()?, value.into_string().ok()?));
    std::env::vars_os().filter_map(text).collect()
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

/// With what is on this machine: a block device, or a character device.
fn device(flag: &str) -> Result<(String, bool), Failure> {
    let path = flag.split(':').next().unwrap_or_default();
    let failed = || Failure::new(format!("--device {}", printable(flag)));
    let meta = std::fs::metadata(path).map_err(|error| failed().caused_by(&error))?;
    let kind = meta.file_type();
    if !kind.is_block_device() && !kind.is_char_device() {
        return Err(failed()
            .caused_by(&io::Error::other(format!("{} is no device", printable(path))))
            .with_hint("-v mounts files and directories"));
    }
    Ok((flag.to_owned(), kind.is_block_device()))
}

/// Options that make one container need one.
fn only_with_image(short: &ShortArgs) -> Result<(), Failure> {
    let given = [
        ("-v", !short.volumes.is_empty()),
        ("--device", !short.devices.is_empty()),
        ("--privileged", short.privileged),
        ("-e", !short.env.is_empty()),
        ("-p", !short.publish.is_empty()),
        ("--env-file", !short.env_files.is_empty()),
        ("-u", short.user.is_some()),
        ("-m", short.memory.is_some()),
        ("-w", short.workdir.is_some()),
        ("-i", short.stdin),
        ("-t", short.tty),
        ("--read-only", short.read_only),
    ];
    match given.into_iter().find(|(_, given)| *given) {
        None => Ok(()),
        Some((option, _)) => Err(Failure::new(format!("{option} is for one container without a manifest"))
            .with_hint("name a .wasm file or --image, or write it in the manifest")),
    }
}

fn env_files(short: &ShortArgs) -> Result<Vec<(String, String)>, Failure> {
    short.env_files.iter().map(|path| Ok((path.display().to_string(), read_env_file(path)?))).collect()
}

fn read_env_file(path: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(ENV_FILE_MAX).read_to_string(&mut text));
    match read {
        Ok(_) => Ok(text),
        Err(e) => Err(Failure::new(format!("read the environment file {}", path.display())).caused_by(&e)),
    }
}
