//! The Pods of a state folder, from the objects that the node keeps current there: no node is asked, none is started.
//!
//! An object is replaced atomically, so it is whole; one that vanishes while we look was removed, and is skipped.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use dwell::layout::Layout;
use dwell_sys::complain::complain;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};

use crate::failure::Failure;
use crate::output::sanitise::printable;

/// Bytes of one object at most.
const OBJECT_MAX: u64 = 16 * 1024 * 1024;

/// All Pods, by namespace and name. An object that makes no sense is named on standard error and left out.
pub fn read_all(layout: &Layout) -> Result<Vec<Pod>, Failure> {
    let uids = uids(layout)?;
    let mut pods = Vec::with_capacity(uids.len());
    for uid in uids {
        match read_newest(layout, &uid) {
            Ok(pod) => pods.extend(pod),
            Err(e) => complain(format_args!(
                "warning: the record of the Pod with uid {}: {}",
                printable(&uid),
                printable(&e.to_string())
            )),
        }
    }
    sort(&mut pods);
    Ok(pods)
}

/// By namespace and name.
pub fn sort(pods: &mut [Pod]) {
    // In place: a Pod is large, and no two have the same key.
    pods.sort_unstable_by(|a, b| key(a).cmp(&key(b)));
}

/// One Pod; `None` if its record is gone.
pub fn read_one(layout: &Layout, uid: &str) -> Result<Option<Pod>, Failure> {
    let path = layout.pod_object(uid);
    read_newest(layout, uid).map_err(|e| Failure::new(format!("read the record {}", path.display())).caused_by(&e))
}

fn uids(layout: &Layout) -> Result<Vec<String>, Failure> {
    let dir = layout.pods();
    let failed = |e: io::Error| Failure::new(format!("read the state folder {}", dir.display())).caused_by(&e);
    let entries = match std::fs::read_dir(&dir) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(failed)?,
    };
    let mut uids = Vec::new();
    for entry in entries {
        uids.extend(entry.map_err(failed)?.file_name().into_string().ok());
    }
    Ok(uids)
}

/// A Pod that is not finished has its newest object in the run folder.
fn read_newest(layout: &Layout, uid: &str) -> io::Result<Option<Pod>> {
    match read_object(&layout.run_object(uid))? {
        Some(pod) => Ok(Some(pod)),
        None => read_object(&layout.pod_object(uid)),
    }
}

fn read_object(path: &Path) -> io::Result<Option<Pod>> {
    let file = match File::open(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    let mut json = Vec::with_capacity(8 * 1024);
    file.take(OBJECT_MAX).read_to_end(&mut json)?;
    serde_json::from_slice(&json).map(Some).map_err(io::Error::other)
}

/// Namespace and name.
pub fn key(pod: &Pod) -> (&str, &str) {
    (namespace(pod), name(pod))
}

/// `metadata.namespace`, `default` if there is none.
pub fn namespace(pod: &Pod) -> &str {
    pod.metadata.namespace.as_deref().unwrap_or("default")
}

/// `metadata.name`, empty if there is none.
pub fn name(pod: &Pod) -> &str {
    pod.metadata.name.as_deref().unwrap_or_default()
}

/// `metadata.uid`, empty if there is none.
pub fn uid(pod: &Pod) -> &str {
    pod.metadata.uid.as_deref().unwrap_or_default()
}

/// `name`, or `namespace/name` outside the default namespace.
pub fn shown(pod: &Pod) -> String {
    let (namespace, name) = key(pod);
    qualified(namespace, name)
}

/// The same of a Pod that is known by its names.
pub fn qualified(namespace: &str, name: &str) -> String {
    if namespace == "default" { name.to_owned() } else { format!("{namespace}/{name}") }
}

/// Names of the containers that were added while it ran.
pub fn added(pod: &Pod) -> Vec<String> {
    let added = pod.spec.iter().flat_map(|spec| spec.ephemeral_containers.iter().flatten());
    added.map(|one| one.name.clone()).collect()
}

/// Names of the init containers and the containers, in order.
pub fn containers(pod: &Pod) -> Vec<String> {
    let Some(spec) = &pod.spec else {
        return Vec::new();
    };
    let init = spec.init_containers.iter().flatten();
    init.chain(&spec.containers).map(|c| c.name.clone()).collect()
}

/// Whether this container, of any list, runs as the record says.
pub fn runs(pod: &Pod, container: &str) -> bool {
    let state = status_of(pod, container).and_then(|one| one.state.as_ref());
    state.is_some_and(|state| state.running.is_some())
}

/// What the record says of this container, of any list.
pub fn status_of<'a>(pod: &'a Pod, container: &str) -> Option<&'a ContainerStatus> {
    let status = pod.status.as_ref()?;
    let members = status.init_container_statuses.iter().chain(&status.container_statuses);
    let mut all = members.chain(&status.ephemeral_container_statuses).flatten();
    all.find(|one| one.name == container)
}

/// Whether the Pod has ended for good.
pub fn is_finished(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|s| s.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}
