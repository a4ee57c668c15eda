//! Pods find one another by name: each Pod's `/etc/hosts` names the node's other Pods, and is brought up to date a moment
//! after one of them comes or goes. No server is asked, so names go on without the node.
//!
//! What members may write to is read as theirs: bounded, and a file that is not what was written is left alone.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::Duration;

use dwell_spec::plan::neighbours::{Edit, Neighbour, edits};
use dwell_spec::plan::worker::HOSTS_MAX;
use k8s_openapi::api::core::v1::Pod;
use tokio::sync::Notify;

use super::files;
use super::shared::{PodHandle, Shared};
use crate::blocking::blocking;

/// Many Pods may come at once.
const COLLECTING: Duration = Duration::from_millis(10);
/// How often to look whether the node is gone.
const LOOK: Duration = Duration::from_secs(30);
/// Until the next try, where there was no thread for it.
const AGAIN: Duration = Duration::from_secs(1);

/// Brings all files up to date whenever it is told to, until the node is gone.
pub(crate) async fn keep(shared: Weak<Shared>, changed: Arc<Notify>) {
    loop {
        let told = tokio::time::timeout(LOOK, changed.notified()).await.is_ok();
        if told {
            tokio::time::sleep(COLLECTING).await;
        }
        let Some(shared) = shared.upgrade() else { return };
        if told && blocking(move || settle(&shared)).await.is_err() {
            changed.notify_one();
            tokio::time::sleep(AGAIN).await;
        }
    }
}

/// Where a Pod that may be asked for something is.
pub(crate) fn address(pod: &Pod) -> Option<&str> {
    pod.status.as_ref()?.pod_ip.as_deref()
}

/// Every Pod that others may ask for something.
pub(super) fn all(shared: &Shared) -> Vec<Neighbour> {
    living(shared).iter().filter_map(|pod| neighbour(pod)).collect()
}

fn living(shared: &Shared) -> Vec<Arc<PodHandle>> {
    shared.pods().by_key.values().filter(|pod| !pod.is_finished()).cloned().collect()
}

fn neighbour(pod: &PodHandle) -> Option<Neighbour> {
    let object = pod.object();
    let spec = object.spec.as_ref()?;
    let subdomain = spec.subdomain.clone().filter(|subdomain| !subdomain.is_empty());
    let hostname = spec.hostname.clone().filter(|hostname| !hostname.is_empty()).unwrap_or_else(|| pod.name.clone());
    Some(Neighbour {
        namespace: pod.namespace.clone(),
        name: pod.name.clone(),
        full: subdomain.map(|subdomain| (hostname, subdomain)),
        address: address(&object)?.parse().ok()?,
    })
}

fn settle(shared: &Shared) {
    let all = all(shared);
    for pod in living(shared) {
        let path = files::folder(&shared.layout, &pod.uid).join("hosts");
        // One that is going away has no file any more.
        let _ = settle_one(&path, &pod, &all);
    }
}

fn settle_one(path: &Path, pod: &PodHandle, all: &[Neighbour]) -> io::Result<()> {
    let flags = (rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK).bits() as i32;
    let file = File::options().read(true).write(true).custom_flags(flags).open(path)?;
    let mut text = String::new();
    (&file).take(HOSTS_MAX as u64).read_to_string(&mut text)?;
    if text.len() == HOSTS_MAX {
        return Ok(());
    }
    let mut end = text.len() as u64;
    for edit in edits(&text, &pod.namespace, &pod.name, all) {
        match edit {
            Edit::Strike(at) => file.write_all_at(b"#", at)?,
            Edit::Append(lines) => {
                file.write_all_at(lines.as_bytes(), end)?;
                end += lines.len() as u64;
            }
            Edit::Rewrite(whole) => {
                file.write_all_at(whole.as_bytes(), 0)?;
                file.set_len(whole.len() as u64)?;
            }
        }
    }
    Ok(())
}
