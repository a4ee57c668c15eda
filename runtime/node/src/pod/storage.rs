//! What a Pod takes of the disk, measured from time to time where it is limited, on a thread of its own: whoever takes
//! more than it may is evicted, as the kubelet does. A measure takes as long as there are files, unless a limit is passed
//! sooner, and the next waits twenty times as long.

use std::io;
use std::time::{Duration, Instant};

use dwell_spec::pod::{Medium, VolumeSource};
use dwell_sys::complain::complain;
use dwell_sys::usage::disk_usage;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::driver::Driver;
use crate::blocking::blocking;
use crate::clock::now_ns;
use crate::layout::Layout;
use crate::supervise::journal::Intent;
use crate::supervise::storage::{self, Usage};
use crate::volume::VolumeFolders;

/// Between two measures at least.
const SOONEST: Duration = Duration::from_secs(1);
/// A measure takes a twentieth of a processor at most.
const RESTS: u32 = 20;

/// Pods that are measured at once: whoever has millions of files holds up the measures of others, and nothing else.
static TURNS: Semaphore = Semaphore::const_new(2);

/// When the next measure is due, and the one under way.
#[derive(Debug, Default)]
pub(super) struct Measures {
    due_ns: Option<u64>,
    pub done: JoinSet<Measured>,
}

/// What a measure brought, and how long it took.
pub(super) type Measured = (io::Result<Usage>, Duration);

impl Driver {
    /// Begins a measure that is due; when the next one is.
    pub(super) fn measure(&mut self) -> Option<u64> {
        let runs = self.sandbox.is_some() && self.journal.intent == Intent::Run && !self.journal.finished;
        if !runs || !self.measures.done.is_empty() {
            return None;
        }
        let enough = storage::largest_limit(&self.pod)?;
        let due = *self.measures.due_ns.get_or_insert_with(|| now_ns() + nanoseconds(SOONEST));
        if due > now_ns() {
            return Some(due);
        }
        let places = Places::of(self, enough);
        self.measures.done.spawn(async move {
            let _turn = TURNS.acquire().await;
            let began = Instant::now();
            let usage = blocking(move || places.usage()).await.flatten();
            (usage, began.elapsed())
        });
        None
    }

    pub(super) fn measured(&mut self, (usage, took): Measured) {
        self.measures.due_ns = Some(now_ns() + nanoseconds((took * RESTS).max(SOONEST)));
        match usage {
            Ok(usage) => {
                if let Some(message) = storage::excess(&self.pod, &usage) {
                    self.evict(message);
                }
            }
            Err(error) => {
                let (namespace, name) = (&self.handle.namespace, &self.handle.name);
                complain(format_args!("measure what Pod {namespace}/{name} takes of the disk: {error}"));
            }
        }
    }
}

/// What is measured: names and folders.
struct Places {
    volumes: Vec<String>,
    containers: Vec<String>,
    folders: VolumeFolders,
    layout: Layout,
    uid: String,
    /// Bytes after which no limit holds.
    enough: u64,
}

impl Places {
    fn of(driver: &Driver, enough: u64) -> Places {
        let on_disk = |source: &VolumeSource| matches!(source, VolumeSource::EmptyDir { medium: Medium::Disk, .. });
        let volumes = driver.pod.volumes.iter().filter(|volume| on_disk(&volume.source));
        Places {
            volumes: volumes.map(|volume| volume.name.clone()).collect(),
            containers: driver.journal.members.iter().map(|member| member.name.clone()).collect(),
            folders: driver.volume_folders(),
            layout: driver.shared.layout.clone(),
            uid: driver.handle.uid.clone(),
            enough,
        }
    }

    fn usage(&self) -> io::Result<Usage> {
        let volume = |name: &String| Ok((name.clone(), disk_usage(&self.folders.disk.join(name), self.enough)?));
        let container = |name: &String| {
            let layers = disk_usage(&self.layout.container_dir(&self.uid, name), self.enough)?;
            let logs = disk_usage(&self.layout.logs(&self.uid, name), self.enough)?;
            Ok((name.clone(), layers.saturating_add(logs)))
        };
        Ok(Usage {
            volumes: self.volumes.iter().map(volume).collect::<io::Result<_>>()?,
            containers: self.containers.iter().map(container).collect::<io::Result<_>>()?,
        })
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
