//! The last step: becoming the member, or saying in a plain sentence why not.

use std::ffi::{CStr, CString};
use std::os::fd::BorrowedFd;

use dwell_spec::plan::init::{Exec, STATUS_NOT_FOUND, STATUS_REFUSED, STATUS_SETUP, Slot};
use dwell_sys::exec::{exec_descriptor, exec_path};
use rustix::fs::{FileType, stat};
use rustix::io::Errno;

use crate::failure::Failure;
use crate::replay::descriptor;

/// First descriptor of those that a worker keeps.
const FIRST_KEPT: i32 = 3;

/// Returns only to say why not.
pub fn execute(exec: &Exec) -> Failure {
    let result = match exec {
        Exec::Path { argv, env, path } => by_path(argv, env, path),
        Exec::Descriptor { program, argv, env, keep } => by_descriptor(*program, argv, env, keep),
    };
    match result {
        Err(failure) => failure,
        Ok(never) => match never {},
    }
}

type Never = std::convert::Infallible;

fn by_descriptor(program: Slot, argv: &[String], env: &[String], keep: &[Slot]) -> Result<Never, Failure> {
    let refused = |errno| Failure::refused("Exec", argv.first().map_or("", String::as_str), errno);
    let (argv_c, env_c) = (strings(argv)?, strings(env)?);
    let keep: Vec<BorrowedFd<'_>> =
        keep.iter().map(|slot| descriptor(*slot)).collect::<Result<_, _>>().map_err(refused)?;
    let program = descriptor(program).map_err(refused)?;
    exec_descriptor(program, &borrowed(&argv_c), &borrowed(&env_c), &keep, FIRST_KEPT).map_err(refused)
}

fn by_path(argv: &[String], env: &[String], path: &str) -> Result<Never, Failure> {
    let (argv_c, env_c) = (strings(argv)?, strings(env)?);
    let name = argv.first().map_or("", String::as_str);
    let mut worst = Errno::NOENT;
    for candidate in candidates(name, path) {
        let file = c_string(&candidate)?;
        match exec_path(&file, &borrowed(&argv_c), &borrowed(&env_c)) {
            Ok(never) => match never {},
            Err(Errno::NOENT | Errno::NOTDIR) if stat(&candidate).is_err() => {}
            // As a shell does: something not executable on the way is remembered, the search goes on.
            Err(Errno::ACCESS) if !name.contains('/') => worst = Errno::ACCESS,
            Err(errno) => return Err(refusal(&candidate, errno)),
        }
    }
    if worst == Errno::ACCESS { Err(refusal(name, worst)) } else { Err(not_found(name, path)) }
}

fn candidates(name: &str, path: &str) -> Vec<String> {
    if name.contains('/') || name.is_empty() {
        return vec![name.to_owned()];
    }
    let folder = |folder: &str| {
        if folder.is_empty() { ".".to_owned() } else { folder.to_owned() }
    };
    path.split(':').map(|entry| format!("{}/{name}", folder(entry))).collect()
}

fn not_found(name: &str, path: &str) -> Failure {
    let message = if name.contains('/') {
        format!("{name} does not exist in the container's file system")
    } else {
        format!("{name} was not found in PATH ({path})")
    };
    failed(name, Errno::NOENT, message, STATUS_NOT_FOUND)
}

fn refusal(file: &str, errno: Errno) -> Failure {
    let is_dir = stat(file).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode).is_dir());
    let (message, status) = match errno {
        Errno::ACCESS if is_dir => (format!("{file} is a directory, not a program"), STATUS_REFUSED),
        Errno::ACCESS => (
            format!("{file} may not be executed: no execute permission for this user, or a noexec mount"),
            STATUS_REFUSED,
        ),
        Errno::NOEXEC => (format!("{file} is not a program that this machine can execute"), STATUS_REFUSED),
        Errno::NOENT => {
            (format!("{file} exists, but the interpreter or loader that it names does not"), STATUS_NOT_FOUND)
        }
        other => (format!("{file} could not be executed: {}", std::io::Error::from(other)), STATUS_REFUSED),
    };
    failed(file, errno, message, status)
}

fn failed(path: &str, errno: Errno, message: String, status: i32) -> Failure {
    Failure { op: "Exec", path: path.to_owned(), errno: Some(errno), message, status }
}

fn strings(texts: &[String]) -> Result<Vec<CString>, Failure> {
    texts.iter().map(|text| c_string(text)).collect()
}

fn c_string(text: &str) -> Result<CString, Failure> {
    let message = || format!("{text:?} holds a NUL byte");
    CString::new(text).map_err(|_| Failure { status: STATUS_SETUP, ..Failure::because("Exec", text, message()) })
}

fn borrowed(strings: &[CString]) -> Vec<&CStr> {
    strings.iter().map(CString::as_c_str).collect()
}
