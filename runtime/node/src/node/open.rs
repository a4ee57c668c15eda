//! What a node takes when it opens, its folder's lock and its share of the host, and gives back when it leaves. What
//! fails half-way must leave nothing.

use std::fs::File;
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;
use std::sync::{Arc, Mutex};

use rustix::fs::FlockOperation;
use tokio::sync::{Notify, broadcast};

use super::NodeConfig;
use crate::blocking::blocking;
use crate::embedded::Embedded;
use crate::host;
use crate::image::compile::Compiler;
use crate::layout::Layout;
use crate::network::{Network, NetworkConfig};
use crate::pod::recover;
use crate::pod::shared::Shared;
use crate::sandbox::cgroup::CgroupRoot;
use crate::settings::Store;
use crate::tidy::tidy;
use crate::{NodeError, NodeErrorKind};

/// Makes the node's folders and takes their lock.
///
/// # Errors
/// Another node has it, or the folders cannot be used.
pub(super) fn take_lock(layout: &Layout) -> Result<File, NodeError> {
    for folder in [layout.lib(), layout.run()] {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(|error| NodeError::internal(&format!("make the folder {}", folder.display()), error))?;
    }
    let path = layout.lock();
    let lock = File::options().create(true).truncate(false).write(true).open(&path);
    let lock = lock.map_err(|error| NodeError::internal(&format!("open {}", path.display()), error))?;
    match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(lock),
        Err(rustix::io::Errno::WOULDBLOCK) => {
            Err(NodeError::new(NodeErrorKind::Conflict, format!("another node holds {}", layout.lib().display())))
        }
        Err(error) => Err(NodeError::internal(&format!("lock {}", path.display()), error)),
    }
}

/// What every Pod of the node will share.
///
/// # Errors
/// The host's cgroups or its network, or the folder, cannot be used; nothing was taken then.
pub(super) async fn shared(config: NodeConfig) -> Result<Shared, NodeError> {
    blocking(move || open_blocking(config)).await.map_err(|error| NodeError::internal("open the node", error))?
}

fn open_blocking(config: NodeConfig) -> Result<Shared, NodeError> {
    let NodeConfig { layout, worker } = config;
    for folder in [layout.pods(), layout.run_pods(), layout.cache()] {
        make_closed(&folder).map_err(|e| NodeError::internal(&format!("make the folder {}", folder.display()), e))?;
    }
    let embedded = Embedded::open().map_err(|e| NodeError::internal("make memory files of pause and init", e))?;
    let settings = Store::open(layout.settings()).map_err(|e| NodeError::internal("read ConfigMaps and Secrets", e))?;
    let facts = host::facts(layout.lib());
    let cgroups =
        CgroupRoot::open(&cgroup_name(&layout)).map_err(|e| NodeError::internal("use the host's cgroups", e))?;
    let network = Network::open(&NetworkConfig { id: layout.lib().display().to_string() }).map_err(|e| {
        tidy("remove the node's cgroup", || cgroups.remove_root_if_empty());
        NodeError::internal("use the host's network", e)
    })?;
    let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned();
    let compiler =
        worker.as_ref().map(|worker| Compiler::new(worker.exe.clone(), layout.cache(), layout.known_modules()));
    Ok(Shared {
        layout,
        facts,
        boot_id,
        settings,
        embedded,
        cgroups,
        network,
        compiler,
        worker,
        pods: Mutex::default(),
        events: broadcast::channel(1024).0,
        changed: Notify::new(),
        neighbours: Arc::new(Notify::new()),
        shutdown: Notify::new(),
        broken: false.into(),
    })
}

/// A folder that root alone enters, whoever made it and whatever lies above it: below are programs of members' with
/// set-user bits, which nobody of the host may run, and Secrets (CVE-2024-25621).
fn make_closed(folder: &Path) -> io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700))
}

/// What opening took, and whatever Pods left.
pub(super) fn give_back(shared: &Shared) {
    recover::remove_orphans(shared, &[]);
    tidy("remove the bridge and the firewall table", || shared.network.close_if_unused());
    tidy("remove the node's cgroup", || shared.cgroups.remove_root_if_empty());
}

fn cgroup_name(layout: &Layout) -> String {
    match layout.state_dir() {
        None => "dwell".to_owned(),
        Some(_) => format!("dwell-{}", layout.id()),
    }
}
