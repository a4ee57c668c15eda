//! What every Pod of a node shares, and each Pod as the rest of the node sees it.
//!
//! The descriptors and drivers of the host (cgroups, network, compiler) are opened once per node; the registry of Pods
//! hands out handles. A handle carries the last published object and the queue of the Pod's driver, nothing else:
//! whoever holds one cannot touch the Pod's processes or files.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::{Arc, Mutex};

use dwell_spec::facts::HostFacts;
use dwell_spec::pod as checked;
use k8s_openapi::api::core::v1::Pod;
use tokio::sync::{Notify, broadcast, mpsc};

use super::driver::Driver;
use super::neighbours;
use super::record;
use super::recover;
use super::request::Request;
use crate::embedded::Embedded;
use crate::image::compile::Compiler;
use crate::layout::Layout;
use crate::network::Network;
use crate::sandbox::cgroup::CgroupRoot;
use crate::settings::Store;
use crate::supervise::events::Events;
use crate::supervise::journal::Journal;
use crate::{EventKind, PodEvent};

/// The file that carries the worker and compile roles.
#[derive(Debug, Clone)]
pub struct WorkerExecutable {
    /// Opened so that whoever is executed from it cannot write it.
    ///
    /// Executed as `dwell-worker` and `dwell-compile`; as `dwell-compile --engine-key` it prints, in hexadecimal, what
    /// changes whenever compiled modules would not load any more.
    pub exe: Arc<OwnedFd>,
}

impl WorkerExecutable {
    /// The file behind a descriptor: the `dwell` binary. Members are executed from a detached read-only clone of its mount, so
    /// that not even one that gets at its own executable can write it; where no clone is to be had, from the file.
    pub fn of(file: File) -> WorkerExecutable {
        let exe = dwell_sys::mount::clone_readonly(file.as_fd(), false).unwrap_or_else(|_| OwnedFd::from(file));
        WorkerExecutable { exe: Arc::new(exe) }
    }

    /// The installed `dwell` binary.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn open(path: &Path) -> io::Result<WorkerExecutable> {
        File::open(path).map(WorkerExecutable::of)
    }
}

/// What every Pod of a node shares.
#[derive(Debug)]
pub(crate) struct Shared {
    pub layout: Layout,
    pub facts: HostFacts,
    pub boot_id: String,
    pub settings: Store,
    pub embedded: Embedded,
    pub cgroups: CgroupRoot,
    pub network: Network,
    pub compiler: Option<Compiler>,
    pub worker: Option<WorkerExecutable>,
    pub pods: Mutex<Pods>,
    pub events: broadcast::Sender<PodEvent>,
    pub changed: Notify,
    /// A Pod has come or gone, for those who know it by name.
    pub neighbours: Arc<Notify>,
    pub shutdown: Notify,
    /// A driver panicked (no thread could be started, say), and its Pod has nobody now.
    pub broken: std::sync::atomic::AtomicBool,
}

/// The Pods of a node, by namespace and name.
#[derive(Debug, Default)]
pub(crate) struct Pods {
    pub by_key: BTreeMap<(String, String), Arc<PodHandle>>,
    /// No further Pod is taken in.
    pub leaving: bool,
}

/// One Pod as the rest of the node sees it.
#[derive(Debug)]
pub(crate) struct PodHandle {
    pub uid: String,
    pub namespace: String,
    pub name: String,
    object: Mutex<Arc<Pod>>,
    events: Mutex<Events>,
    finished: std::sync::atomic::AtomicBool,
    /// 0: it has none.
    users: std::sync::atomic::AtomicU32,
    huge_pages: Mutex<BTreeMap<u64, u64>>,
    pub requests: mpsc::Sender<Request>,
}

impl Shared {
    pub(crate) fn pods(&self) -> std::sync::MutexGuard<'_, Pods> {
        self.pods.lock().expect("no holder of the lock panics")
    }

    pub(crate) fn write_down(&self, handle: &PodHandle, journal: &Journal) -> std::io::Result<()> {
        let folder = self.layout.pod(&handle.uid);
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        record::write(&self.layout.journal(&handle.uid), journal)?;
        record::write(&self.layout.pod_object(&handle.uid), &*handle.object())
    }

    /// Gives the Pod its driver.
    pub(crate) fn supervise(
        self: &Arc<Self>,
        handle: Arc<PodHandle>,
        requests: mpsc::Receiver<Request>,
        pod: checked::Pod,
        journal: Journal,
        found: Option<recover::Found>,
    ) {
        let driver = Driver::new(self.clone(), handle, requests, pod, journal);
        let (shared, driving) = (self.clone(), tokio::spawn(driver.drive(found)));
        tokio::spawn(async move {
            if driving.await.is_err_and(|failure| failure.is_panic()) {
                shared.broken.store(true, std::sync::atomic::Ordering::Release);
                shared.shutdown.notify_one();
            }
        });
    }

    /// Adds a Pod that was found on disk.
    pub(crate) fn adopt(&self, handle: Arc<PodHandle>) {
        self.pods().by_key.insert((handle.namespace.clone(), handle.name.clone()), handle);
    }

    /// Makes a Pod's new state known.
    pub(crate) fn publish(&self, handle: &PodHandle, object: Pod, finished: bool) {
        let object = Arc::new(object);
        let before =
            std::mem::replace(&mut *handle.object.lock().expect("no holder of the lock panics"), object.clone());
        let was_finished = handle.finished.swap(finished, std::sync::atomic::Ordering::AcqRel);
        if was_finished != finished || neighbours::address(&before) != neighbours::address(&object) {
            self.neighbours.notify_one();
        }
        self.announce(EventKind::Modified, object);
    }

    /// Forgets a Pod whose record is gone.
    pub(crate) fn forget(&self, handle: &PodHandle) {
        self.pods().by_key.remove(&(handle.namespace.clone(), handle.name.clone()));
        self.announce(EventKind::Deleted, handle.object());
    }

    pub(crate) fn announce(&self, kind: EventKind, object: Arc<Pod>) {
        // Nobody listening is no failure.
        let _ = self.events.send(PodEvent { kind, object });
        self.changed.notify_waiters();
    }
}

impl PodHandle {
    /// A handle and the queue that its driver reads. The object has a uid, a namespace and a name.
    pub(crate) fn new(pod: Pod) -> (Arc<PodHandle>, mpsc::Receiver<Request>) {
        let (requests, queue) = mpsc::channel(32);
        let handle = PodHandle {
            uid: pod.metadata.uid.clone().unwrap_or_default(),
            namespace: pod.metadata.namespace.clone().unwrap_or_default(),
            name: pod.metadata.name.clone().unwrap_or_default(),
            object: Mutex::new(Arc::new(pod)),
            events: Mutex::default(),
            finished: false.into(),
            users: 0.into(),
            huge_pages: Mutex::default(),
            requests,
        };
        (Arc::new(handle), queue)
    }

    /// The Pod as last published.
    pub(crate) fn object(&self) -> Arc<Pod> {
        self.object.lock().expect("no holder of the lock panics").clone()
    }

    /// What happened to it.
    pub(crate) fn events(&self) -> Events {
        self.events.lock().expect("no holder of the lock panics").clone()
    }

    pub(crate) fn set_events(&self, events: &Events) {
        *self.events.lock().expect("no holder of the lock panics") = events.clone();
    }

    /// Whether nothing of it will run again, for a Pod that was found on disk.
    pub(crate) fn set_finished(&self, finished: bool) {
        self.finished.store(finished, std::sync::atomic::Ordering::Release);
    }

    /// The host's id of root in its user namespace, while it has one of its own.
    pub(crate) fn users(&self) -> Option<u32> {
        Some(self.users.load(std::sync::atomic::Ordering::Acquire)).filter(|first| *first != 0)
    }

    pub(crate) fn set_users(&self, first: Option<u32>) {
        self.users.store(first.unwrap_or(0), std::sync::atomic::Ordering::Release);
    }

    /// Bytes of huge pages that are set aside for it while it has a sandbox, by the size of a page in bytes.
    pub(crate) fn huge_pages(&self) -> BTreeMap<u64, u64> {
        self.huge_pages.lock().expect("no holder of the lock panics").clone()
    }

    pub(crate) fn set_huge_pages(&self, pages: BTreeMap<u64, u64>) {
        *self.huge_pages.lock().expect("no holder of the lock panics") = pages;
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.finished.load(std::sync::atomic::Ordering::Acquire)
    }
}
