//! What can be learnt and made before a container's birth, beside everything else: its entry point, its accounts, its
//! compiled module. It may take long (a compilation does), and is dropped when the Pod is stopped meanwhile.

use std::collections::BTreeMap;
use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use dwell_spec::facts::{ContainerFacts, ModuleFacts, PodIp, VolumePart};
use dwell_spec::plan;
use dwell_spec::pod::{Container, ImageRef, SettingsName};
use dwell_spec::settings::Settings;

use super::driver::Driver;
use super::env_files;
use super::shared::Shared;
use crate::blocking::blocking;
use crate::clock::now_ns;
use crate::image::compile::CompileError;
use crate::image::look::{Found, Module, look};
use crate::supervise::decide;
use crate::supervise::journal::MemberState;
use crate::volume::OpenVolume;

/// After this long a container that is still being prepared says so in its status.
const SLOW: Duration = Duration::from_millis(300);

/// One container, ready to be born or not.
#[derive(Debug)]
pub(crate) enum Prepared {
    /// Everything is known.
    Done {
        /// Index of the member.
        index: usize,
        /// What was made ready.
        image: ImageRef,
        /// Facts for the planner, or why it cannot be started.
        result: Result<Box<Ready>, Failure>,
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
    /// What its mounts take of volumes; opened last.
    pub parts: Parts,
}

/// Parts of volumes, open.
pub(crate) type Parts = BTreeMap<VolumePart, OpenVolume>;

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
        // Its address is not known yet; nobody names a program by it.
        let container = self.container(index);
        let values = self.values_of(container);
        let resolved = plan::resolved(&self.pod, container, &self.shared.facts, &values, PodIp::UNKNOWN);
        let container = resolved.unwrap_or_else(|_| container.clone());
        let message = format!("preparing {}", describe(&container));
        self.prepared.spawn(async move {
            tokio::time::sleep(SLOW).await;
            Prepared::Slow { index, message }
        });
        let (shared, image) = (self.shared.clone(), container.image.clone());
        self.prepared.spawn(async move {
            Prepared::Done { index, image, result: learn(shared, container).await.map(Box::new) }
        });
        true
    }

    pub(super) async fn prepared(&mut self, prepared: Prepared) {
        match prepared {
            Prepared::Slow { index, .. } | Prepared::Done { index, .. } if self.is_given_up(index) => {
                self.preparing.remove(&index);
            }
            Prepared::Slow { index, message } if self.preparing.contains(&index) => {
                self.set_waiting(index, "ContainerCreating", message);
            }
            Prepared::Slow { .. } => {}
            // Of an image that it has no more: the right one is under way, or is to be.
            Prepared::Done { index, image, .. } if image != self.container(index).image => {}
            Prepared::Done { index, .. } if !self.preparing.remove(&index) => {}
            Prepared::Done { index, .. } if !decide::starts(&self.journal, self.rules(), index, now_ns()) => {
                self.lose_its_turn(index);
            }
            Prepared::Done { index, result: Ok(ready), .. } => self.bring_to_life(index, *ready).await,
            Prepared::Done { index, result: Err(failure), .. } => {
                self.begin_run(index);
                self.start_failed(index, &failure.reason, failure.message, failure.exit_code);
            }
        }
    }

    /// Things have changed while it was made ready (the sandbox was lost, and init containers come first; what it was added
    /// to look at has ended): it begins when `decide` says so again.
    fn lose_its_turn(&mut self, index: usize) {
        let member = &self.journal.members[index];
        if matches!(member.state, MemberState::Waiting { .. }) {
            let what = if member.target.is_some() { "target" } else { "turn" };
            self.set_waiting(index, "ContainerCreating", format!("waiting for its {what}"));
        }
    }

    /// Whether it was added and has ended: it is never begun again, whatever was made ready for it.
    fn is_given_up(&self, index: usize) -> bool {
        let member = &self.journal.members[index];
        member.added && matches!(member.state, MemberState::Terminated(_))
    }

    /// What the container's values come from, as it is now.
    pub(super) fn values_of(&self, container: &Container) -> ContainerFacts {
        let settings = self.settings(container.settings());
        ContainerFacts { settings, env_files: env_files::read(container, &self.volumes), ..ContainerFacts::default() }
    }

    /// Those of these ConfigMaps and Secrets that there are.
    pub(super) fn settings<'a>(&self, named: impl Iterator<Item = &'a SettingsName>) -> Vec<Settings> {
        self.shared.settings.named(&self.pod.namespace, named)
    }

    /// The container behind a member.
    pub(super) fn container(&self, index: usize) -> &Container {
        self.pod.all().nth(index).expect("a member per container")
    }
}

fn describe(container: &Container) -> String {
    match &container.image {
        ImageRef::Rootfs(path) => path.clone(),
        ImageRef::Wasm(path) => format!("{path} (compiling it, the first time)"),
    }
}

async fn learn(shared: Arc<Shared>, container: Container) -> Result<Ready, Failure> {
    let looked = blocking(move || look(&container)).await.flatten();
    let Found { facts, module } = looked.map_err(|error| failed(error.to_string()))?;
    match module {
        None => Ok(Ready { facts, module: None, parts: Parts::new() }),
        Some(module) => compile(&shared, module, facts).await,
    }
}

pub(super) async fn compile(shared: &Shared, module: Module, mut facts: ContainerFacts) -> Result<Ready, Failure> {
    let Some(compiler) = &shared.compiler else {
        return Err(failed("this node was opened without a worker, so it runs no WebAssembly".into()));
    };
    let file_name = module.file_name();
    let compiled = compiler.ensure_compiled(module.file, &module.path).await.map_err(|error| refused(&error))?;
    facts.module = Some(ModuleFacts { digest: compiled.digest, file_name, kind: compiled.entry.info.kind });
    Ok(Ready { facts, module: Some(compiled.entry.file), parts: Parts::new() })
}

fn refused(error: &CompileError) -> Failure {
    match error {
        CompileError::Refused { status, report, .. } => {
            Failure { exit_code: *status, reason: report.reason.clone(), message: error.to_string() }
        }
        CompileError::Io { source, .. } => failed(format!("{error}: {source}")),
    }
}

fn failed(message: String) -> Failure {
    Failure { exit_code: 125, reason: "CreateContainerError".into(), message }
}
