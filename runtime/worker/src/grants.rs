//! The directories a guest is given, and where its relative paths begin.
//!
//! The planner mounted each grant at `/N` in the worker's root; here each becomes one descriptor and one preopen under
//! its guest name. What C libraries do with preopens decides the rest (wasi-libc, Go, and what builds on them):
//!
//! - the preopen whose name is the longest prefix of a path wins, so grants may nest in any order, also below `/`;
//! - of names equally long the *last* wins, and to wasi-libc `.` and `/` are the same (it strips both). A grant at `/`
//!   therefore comes last and keeps absolute paths right. Programs that look at `PWD` (Go) or `initial-cwd` resolve
//!   relative paths rightly then; a C program sees them at `/`;
//! - otherwise a relative path goes to the preopen `.`: the working directory, opened *beneath* its grant.
//!
//! A grant of single files is a directory that holds only them, under the name of the directory they are seen in; nothing
//! can be made or removed in it. (A file whose place lies in a granted directory was mounted into that.)

use dwell_spec::plan::worker::{Preopen, WorkerPlan};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, mkdirat, openat2};
use rustix::io::Errno;
use std::fmt;
use wasmtime_wasi::{FsPerms, WasiCtxBuilder};

/// Permissions of a working directory that had to be made.
const NEW_DIRECTORY: Mode = Mode::from_raw_mode(0o755);

/// One preopen to be.
pub struct Grant {
    /// Its directory (`O_PATH`).
    pub fd: OwnedFd,
    /// The name under which the guest sees it.
    pub guest: String,
    /// Whether the guest may write.
    pub writable: bool,
    /// Whether it holds single files: nothing may be made or removed in it.
    pub fixed: bool,
}

/// A grant that is not as the plan says.
#[derive(Debug)]
pub struct GrantError {
    what: String,
    cause: Errno,
}

impl fmt::Display for GrantError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for GrantError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.cause)
    }
}

/// Opens every grant, and the working directory if it lies in one.
///
/// # Errors
/// A grant is missing, or the working directory can be neither opened nor made.
pub fn open(plan: &WorkerPlan) -> Result<Vec<Grant>, GrantError> {
    let mut grants = plan.preopens.iter().map(open_one).collect::<Result<Vec<_>, _>>()?;
    let cwd = plan.working_dir.as_deref().map(|dir| working_dir(&grants, dir)).transpose()?.flatten();
    grants.extend(cwd);
    // Stable: `/` to the end, the rest as planned.
    grants.sort_by_key(|grant| grant.guest == "/");
    Ok(grants)
}

/// Gives the grants to one instance. Uses and restores the current directory, since wasmtime takes only a path and
/// there is no `/proc` to name a descriptor by.
///
/// # Errors
/// A directory can no longer be opened (its volume is gone).
pub fn give(grants: &[Grant], builder: &mut WasiCtxBuilder) -> wasmtime::Result<()> {
    for grant in grants {
        let perms = if grant.writable { FsPerms::ReadWrite } else { FsPerms::ReadOnly };
        rustix::process::fchdir(&grant.fd)?;
        builder.preopened_dir(".", &grant.guest, perms)?;
    }
    Ok(())
}

fn open_one(preopen: &Preopen) -> Result<Grant, GrantError> {
    let guest = preopen.guest.clone();
    let fd = beneath(CWD, &preopen.dir, ResolveFlags::NO_SYMLINKS)
        .map_err(|cause| GrantError { what: format!("open the grant for {guest} at {}", preopen.dir), cause })?;
    Ok(Grant { fd, guest, writable: preopen.writable, fixed: preopen.file.is_some() })
}

fn beneath(dir: impl AsFd, path: &str, how: ResolveFlags) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat2(dir, path, flags, Mode::empty(), how | ResolveFlags::NO_MAGICLINKS)
}

/// The preopen `.`, or none if the directory is `/` itself or in no grant.
fn working_dir(grants: &[Grant], dir: &str) -> Result<Option<Grant>, GrantError> {
    let Some((grant, rest)) = holder(grants, dir) else {
        return Ok(None);
    };
    if grant.guest == "/" && rest.is_empty() {
        return Ok(None);
    }
    let fd = open_or_make(grant, rest)
        .map_err(|cause| GrantError { what: format!("open the working directory {dir}"), cause })?;
    Ok(Some(Grant { fd, guest: ".".to_owned(), writable: grant.writable, fixed: false }))
}

/// The grant with the longest name that holds `dir`, and the way from there.
fn holder<'a, 'b>(grants: &'a [Grant], dir: &'b str) -> Option<(&'a Grant, &'b str)> {
    let inside = |grant: &'a Grant| {
        let name = grant.guest.trim_end_matches('/');
        let rest = dir.strip_prefix(name)?;
        (rest.is_empty() || rest.starts_with('/')).then(|| (grant, rest.trim_matches('/')))
    };
    grants.iter().filter(|grant| !grant.fixed).filter_map(inside).max_by_key(|(grant, _)| grant.guest.len())
}

/// Links inside the grant are followed as if the grant were the root; nothing leads out of it.
fn open_or_make(grant: &Grant, rest: &str) -> Result<OwnedFd, Errno> {
    let path = if rest.is_empty() { "." } else { rest };
    match beneath(&grant.fd, path, ResolveFlags::IN_ROOT) {
        Err(Errno::NOENT) if grant.writable => make(grant, rest),
        other => other,
    }
}

fn make(grant: &Grant, rest: &str) -> Result<OwnedFd, Errno> {
    let mut at = beneath(&grant.fd, ".", ResolveFlags::BENEATH)?;
    for name in rest.split('/').filter(|name| !name.is_empty() && *name != ".") {
        at = match beneath(&at, name, ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS) {
            Err(Errno::NOENT) => {
                mkdirat(&at, name, NEW_DIRECTORY)?;
                beneath(&at, name, ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS)?
            }
            other => other?,
        };
    }
    Ok(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(guest: &str) -> Grant {
        let fd = beneath(CWD, "/", ResolveFlags::empty()).unwrap();
        Grant { fd, guest: guest.to_owned(), writable: false, fixed: false }
    }

    #[test]
    fn longest_name_holds_and_only_at_a_slash() {
        let grants = [grant("/"), grant("/data"), grant("/data/deep")];
        let held = |dir| holder(&grants, dir).map(|(grant, rest)| (grant.guest.clone(), rest));
        assert_eq!(held("/data/deep/x/y"), Some(("/data/deep".to_owned(), "x/y")));
        assert_eq!(held("/data/deeper"), Some(("/data".to_owned(), "deeper")));
        assert_eq!(held("/datax"), Some(("/".to_owned(), "datax")));
        assert!(holder(&grants[1..], "/datax").is_none());
    }

    #[test]
    fn a_link_in_the_way_to_the_working_directory_stays_inside() {
        let dir = std::env::temp_dir().join(format!("dwell-cwd-{}", std::process::id()));
        std::fs::create_dir_all(dir.join("grant/in")).unwrap();
        std::fs::create_dir_all(dir.join("out")).unwrap();
        std::os::unix::fs::symlink("/in", dir.join("grant/abs")).unwrap();
        std::os::unix::fs::symlink("../out", dir.join("grant/up")).unwrap();
        let fd = rustix::fs::open(dir.join("grant"), OFlags::PATH, Mode::empty()).unwrap();
        let grant = Grant { fd, guest: "/g".to_owned(), writable: false, fixed: false };
        assert!(open_or_make(&grant, "in").is_ok());
        assert!(open_or_make(&grant, "abs").is_ok());
        assert!(matches!(open_or_make(&grant, "up"), Err(Errno::NOENT)));
        std::fs::remove_dir_all(dir).unwrap();
    }
}
