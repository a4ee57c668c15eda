//! What can be learnt and made before a container's birth, beside everything else: its entry point, its accounts, its
//! compiled module. It may take long (a compilation does), and is dropped when the Pod is stopped meanwhile.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use dwell_spec::facts::{ContainerFacts, EntryPoint, ModuleFacts};
use dwell_spec::pod::{Container, ImageRef, MemberKind};

use super::driver::Driver;
use super::shared::Shared;
use crate::image::compile::CompileError;
use crate::image::rootfs;

/// After this long a container that is still being prepared says so in its status.
const SLOW: Duration = Duration::from_millis(300);

/// One container, ready to be born or not.
#[derive(Debug)]
pub(crate) enum Prepared {
    /// Everything is known.
    Done {
        /// Index of the member.
        index: usize,
        /// Facts for the planner, or why it cannot be started.
        result: Result<Ready, Failure>,
    },
    /// It takes a while.
    Slow {
        /// Index of the member.
        index: usize,
        /// What takes long.
        message: String,
    },
}

/// What the planner and the birth need.
#[derive(Debug)]
pub(crate) struct Ready {
    /// For the planner.
    pub facts: ContainerFacts,
    /// The compiled module of a Wasm member.
    pub module: Option<File>,
}

/// Why a container cannot be started: exit status, reason, sentence.
#[derive(Debug)]
pub(crate) struct Failure {
    /// 125 to 127, 134 or 137.
    pub exit_code: i32,
    /// A CamelCase word.
    pub reason: String,
    /// For people.
    pub message: String,
}

impl Driver {
    /// Begins preparing the member, unless that is under way.
    pub(super) fn prepare(&mut self, index: usize) -> bool {
        if !self.preparing.insert(index) {
            return false;
        }
        let container = self.container(index).clone();
        let message = format!("preparing {}", describe(&container));
        self.prepared.spawn(async move {
            tokio::time::sleep(SLOW).await;
            Prepared::Slow { index, message }
        });
        let shared = self.shared.clone();
        self.prepared.spawn(async move { Prepared::Done { index, result: learn(shared, container).await } });
        true
    }

    pub(super) async fn prepared(&mut self, prepared: Prepared) {
        match prepared {
            Prepared::Slow { index, message } if self.preparing.contains(&index) => {
                self.set_waiting(index, "ContainerCreating", message);
            }
            Prepared::Slow { .. } => {}
            Prepared::Done { index, .. } if !self.preparing.remove(&index) => {}
            Prepared::Done { index, result: Ok(ready) } => self.bring_to_life(index, ready).await,
            Prepared::Done { index, result: Err(failure) } => {
                self.begin_run(index);
                self.start_failed(index, &failure.reason, failure.message, failure.exit_code);
            }
        }
    }

    /// The container behind a member.
    pub(super) fn container(&self, index: usize) -> &Container {
        self.pod.init_containers.iter().chain(&self.pod.containers).nth(index).expect("a member per container")
    }
}

fn describe(container: &Container) -> String {
    match &container.image {
        ImageRef::Rootfs(path) => path.clone(),
        ImageRef::Wasm(path) => format!("{path} (compiling it, the first time)"),
    }
}

async fn learn(shared: Arc<Shared>, container: Container) -> Result<Ready, Failure> {
    match container.image.clone() {
        ImageRef::Wasm(path) => {
            let file = open_module(Path::new(&path)).map_err(|error| cannot_open(&path, &error))?;
            compile(&shared, file, file_name(&path), ContainerFacts::default()).await
        }
        ImageRef::Rootfs(path) => {
            let looked = tokio::task::spawn_blocking(move || look_into(&path, &container)).await;
            let (facts, module) = looked.map_err(|error| failed(error.to_string()))??;
            match module {
                None => Ok(Ready { facts, module: None }),
                Some((file, name)) => compile(&shared, file, name, facts).await,
            }
        }
    }
}

fn open_module(path: &Path) -> std::io::Result<File> {
    use rustix::fs::{Mode, OFlags};
    let fd = rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    rootfs::require_regular(&fd)?;
    rootfs::reopen_for_reading(fd.as_fd())
}

/// The member's own `PATH`, else the usual one.
fn search_path(container: &Container) -> String {
    let own = container.env.iter().rev().find(|(name, _)| name == "PATH").map(|(_, value)| value.clone());
    own.unwrap_or_else(|| "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned())
}

type Looked = (ContainerFacts, Option<(File, String)>);

fn look_into(path: &str, container: &Container) -> Result<Looked, Failure> {
    let root = rootfs::open_root(Path::new(path)).map_err(|error| cannot_open(path, &error))?;
    let mut facts = ContainerFacts {
        passwd: rootfs::account_file(root.as_fd(), "/etc/passwd"),
        group: rootfs::account_file(root.as_fd(), "/etc/group"),
        ..ContainerFacts::default()
    };
    let Some(command) = container.command.first().or(container.args.first()) else { return Ok((facts, None)) };
    let search = search_path(container);
    let working_dir = container.working_dir.as_deref().unwrap_or("/");
    let Some((found, file)) = rootfs::find_command(root.as_fd(), command, working_dir, &search) else {
        return Ok((facts, None));
    };
    let wasm = rootfs::is_wasm(&file).unwrap_or(false);
    let name = file_name(&found);
    facts.entry_point = Some(EntryPoint { path: found, wasm });
    let is_module = wasm || container.kind_hint == Some(MemberKind::Wasm);
    Ok((facts, is_module.then_some((file, name))))
}

async fn compile(shared: &Shared, file: File, name: String, mut facts: ContainerFacts) -> Result<Ready, Failure> {
    let Some(compiler) = &shared.compiler else {
        return Err(failed("this node was opened without a worker, so it runs no WebAssembly".into()));
    };
    let compiled = compiler.ensure_compiled(file, &name).await.map_err(|error| refused(&error))?;
    facts.module = Some(ModuleFacts { digest: compiled.digest, file_name: name, kind: compiled.entry.info.kind });
    Ok(Ready { facts, module: Some(compiled.entry.file) })
}

fn file_name(path: &str) -> String {
    Path::new(path).file_name().map_or_else(|| path.to_owned(), |name| name.to_string_lossy().into_owned())
}

fn refused(error: &CompileError) -> Failure {
    match error {
        CompileError::Refused { status, report, .. } => {
            Failure { exit_code: *status, reason: report.reason.clone(), message: error.to_string() }
        }
        CompileError::Io { source, .. } => failed(format!("{error}: {source}")),
    }
}

fn cannot_open(path: &str, error: &std::io::Error) -> Failure {
    failed(format!("open the image {path}: {error}"))
}

fn failed(message: String) -> Failure {
    Failure { exit_code: 125, reason: "CreateContainerError".into(), message }
}
