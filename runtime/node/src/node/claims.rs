//! The folders of claims (`persistentVolumeClaim`): made when a Pod or a document first names one, kept over Pods, nodes
//! and boots, until somebody removes it, which no Pod that may still run lets happen.
//!
//! One that is removed goes by its name first, at once, and then by its contents: whoever claims the name meanwhile has an
//! empty folder, and what a node that was killed left of the contents is removed by the next one.

use std::sync::atomic::{AtomicU64, Ordering};

use k8s_openapi::api::core::v1::Pod;

use super::failure::{NodeError, NodeErrorKind};
use crate::blocking::{begin, blocking};
use crate::clock::now_ns;
use crate::pod::shared::Shared;
use crate::tidy::tidy;

static REMOVALS: AtomicU64 = AtomicU64::new(0);

/// Removes one with everything in it.
///
/// # Errors
/// `NotFound`; `Conflict` while a Pod may use it; `Internal` when the file system does not want to.
pub(crate) async fn remove(shared: &Shared, namespace: &str, name: &str) -> Result<(), NodeError> {
    if let Some(user) = user_of(shared, namespace, name) {
        let message = format!("the Pod {namespace}/{user} uses the claim {name}; `dwell stop {user}` first");
        return Err(NodeError::new(NodeErrorKind::Conflict, message));
    }
    let aside = shared.layout.removed_claims();
    let to = aside.join(format!("{}.{}", now_ns(), REMOVALS.fetch_add(1, Ordering::Relaxed)));
    let folder = shared.layout.claim(namespace, name);
    if std::fs::symlink_metadata(&folder).is_err() {
        let message = format!("no persistentvolumeclaim named {namespace}/{name}");
        return Err(NodeError::new(NodeErrorKind::NotFound, message));
    }
    // In one go with the look at who uses it.
    let set_aside = std::fs::create_dir_all(&aside).and_then(|()| std::fs::rename(&folder, &to));
    set_aside.map_err(|error| NodeError::internal("remove the claim", error))?;
    let removed = blocking(move || {
        let parent = folder.parent().unwrap_or(&folder);
        [&aside, parent].into_iter().try_for_each(|folder| std::fs::File::open(folder)?.sync_all())?;
        dwell_sys::remove::remove_tree(&to)
    });
    removed.await.flatten().map_err(|error| NodeError::internal("remove what was in the claim", error))
}

/// Makes one, unless it is there already.
///
/// # Errors
/// `Internal` when the file system does not want to.
pub(crate) async fn keep(shared: &Shared, namespace: &str, name: &str) -> Result<(), NodeError> {
    let folder = shared.layout.claim(namespace, name);
    let made = blocking(move || crate::volume::make_claim(&folder)).await.flatten();
    made.map_err(|error| NodeError::internal("make the folder of the claim", error))
}

/// Begins to remove what was left of claims that were being removed when the node before ended.
pub(crate) fn remove_rest(shared: &Shared) {
    let left = std::fs::read_dir(shared.layout.removed_claims()).into_iter().flatten().flatten();
    let left: Vec<_> = left.map(|entry| entry.path()).collect();
    if !left.is_empty() {
        begin(move || {
            let remove = || left.iter().try_for_each(|folder| dwell_sys::remove::remove_tree(folder));
            tidy("remove what is left of removed claims", remove);
        });
    }
}

/// The name of a Pod that may still use the claim.
fn user_of(shared: &Shared, namespace: &str, name: &str) -> Option<String> {
    let pods = shared.pods();
    let uses = |pod: &Pod| {
        let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
        volumes.filter_map(|volume| volume.persistent_volume_claim.as_ref()).any(|claim| claim.claim_name == name)
    };
    let mut living = pods.by_key.values().filter(|pod| pod.namespace == namespace && !pod.is_finished());
    living.find(|pod| uses(&pod.object())).map(|pod| pod.name.clone())
}
