//! What an image says about a container before anything of it is started: its accounts, its entry point, its module.
//!
//! The same for a start, an exec and `dwell plan`, so that a plan shows what a start does. Must never run or compile
//! anything, nor follow a name out of the image.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use dwell_spec::facts::{ContainerFacts, EntryPoint};
use dwell_spec::plan::DEFAULT_PATH;
use dwell_spec::pod::{Container, EnvValue, ImageRef, MemberKind};
use rustix::fs::{Mode, OFlags};

use super::rootfs;

/// What looking found.
#[derive(Debug)]
pub struct Found {
    /// For the planner; without what only compiling tells.
    pub facts: ContainerFacts,
    /// A Wasm member's module.
    pub module: Option<Module>,
}

/// A module that was not compiled yet.
#[derive(Debug)]
pub struct Module {
    /// Its bytes.
    pub file: File,
    /// Where it is: on the host, or in the image's root file system.
    pub path: String,
}

impl Module {
    /// The name that it goes by inside: `argv[0]`.
    pub fn file_name(&self) -> String {
        Path::new(&self.path).file_name().map_or_else(|| self.path.clone(), |name| name.to_string_lossy().into_owned())
    }
}

/// Looks into a container's image; its words and variables are resolved (`plan::resolved`).
///
/// # Errors
/// The image cannot be opened, by its path.
pub fn look(container: &Container) -> io::Result<Found> {
    match &container.image {
        ImageRef::Wasm(path) => {
            let file = open_module(Path::new(path)).map_err(|error| cannot_open(path, &error))?;
            Ok(Found { facts: ContainerFacts::default(), module: Some(Module { file, path: path.clone() }) })
        }
        ImageRef::Rootfs(path) => look_into(path, container).map_err(|error| cannot_open(path, &error)),
    }
}

/// What a start would find in a container's image, but for what only compiling tells.
///
/// # Errors
/// The image cannot be opened, by its path.
pub fn facts(container: &Container) -> io::Result<ContainerFacts> {
    look(container).map(|found| found.facts)
}

/// The accounts of a container's image, none where it has none. A member could have changed its own copy.
pub fn accounts(container: &Container) -> ContainerFacts {
    let ImageRef::Rootfs(path) = &container.image else { return ContainerFacts::default() };
    rootfs::open_root(Path::new(path)).map(|root| accounts_in(&root)).unwrap_or_default()
}

fn accounts_in(root: impl AsFd) -> ContainerFacts {
    ContainerFacts {
        passwd: rootfs::account_file(root.as_fd(), "/etc/passwd"),
        group: rootfs::account_file(root.as_fd(), "/etc/group"),
        ..ContainerFacts::default()
    }
}

fn look_into(path: &str, container: &Container) -> io::Result<Found> {
    let root = rootfs::open_root(Path::new(path))?;
    let mut facts = accounts_in(&root);
    let working_dir = container.working_dir.as_deref().unwrap_or("/");
    let entry = container
        .command
        .first()
        .or(container.args.first())
        .and_then(|command| rootfs::find_command(root.as_fd(), command, working_dir, search_path(container)));
    let Some((path, file)) = entry else { return Ok(Found { facts, module: None }) };
    let wasm = rootfs::is_wasm(&file).unwrap_or(false);
    let is_module = wasm || container.kind_hint == Some(MemberKind::Wasm);
    let module = is_module.then(|| Module { file, path: path.clone() });
    facts.entry_point = Some(EntryPoint { path, wasm });
    Ok(Found { facts, module })
}

fn open_module(path: &Path) -> io::Result<File> {
    let fd = rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    rootfs::require_regular(&fd)?;
    rootfs::reopen_for_reading(fd.as_fd())
}

/// The member's own `PATH`, else the usual one.
fn search_path(container: &Container) -> &str {
    let own = container.env.iter().rev().find(|(name, _)| name == "PATH");
    match own {
        Some((_, EnvValue::Text(value))) => value,
        _ => DEFAULT_PATH,
    }
}

fn cannot_open(path: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("open the image {path}: {error}"))
}
