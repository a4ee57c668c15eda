//! Whether a Pod has taken more of the disk than it may: judged from what was measured, in the kubelet's order and words
//! (localStorageEviction). Must never do IO.

use std::collections::BTreeMap;

use dwell_spec::pod::{Container, Medium, Pod, VolumeSource};
use dwell_spec::quantity::binary;

/// Bytes on disk, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Usage {
    /// Of emptyDirs on disk.
    pub volumes: BTreeMap<String, u64>,
    /// Of writable layers and logs.
    pub containers: BTreeMap<String, u64>,
}

/// Bytes of which one more passes every limit there is; `None` where there is none, and nothing worth measuring.
pub fn largest_limit(pod: &Pod) -> Option<u64> {
    let volumes = limited_volumes(pod).map(|(_, limit)| limit);
    // No container may have more than all of them together.
    volumes.chain(pod_limit(pod)).max()
}

/// Why the Pod is to be evicted, if so.
pub fn excess(pod: &Pod, usage: &Usage) -> Option<String> {
    let volume = limited_volumes(pod).find(|(name, limit)| of(&usage.volumes, name) > *limit);
    if let Some((name, limit)) = volume {
        return Some(format!("Usage of EmptyDir volume {name:?} exceeds the limit {:?}.", binary(limit)));
    }
    let total = usage.volumes.values().chain(usage.containers.values()).fold(0u64, |sum, n| sum.saturating_add(*n));
    if let Some(limit) = pod_limit(pod).filter(|limit| total > *limit) {
        let limit = binary(limit);
        return Some(format!("Pod ephemeral local storage usage exceeds the total limit of containers {limit}."));
    }
    let over = pod.all().find_map(|container| {
        let limit = container.resources.storage_limit?;
        (of(&usage.containers, &container.name) > limit).then_some((&container.name, limit))
    });
    over.map(|(name, limit)| {
        format!("Container {name} exceeded its local ephemeral storage limit {:?}.", binary(limit))
    })
}

fn limited_volumes(pod: &Pod) -> impl Iterator<Item = (&str, u64)> {
    pod.volumes.iter().filter_map(|volume| match volume.source {
        VolumeSource::EmptyDir { medium: Medium::Disk, size_limit: Some(limit) } => Some((volume.name.as_str(), limit)),
        _ => None,
    })
}

/// What its containers may take together: of those that have a limit, once one has.
fn pod_limit(pod: &Pod) -> Option<u64> {
    let limit = |container: &Container| container.resources.storage_limit;
    let is_limited = pod.all().any(|container| limit(container).is_some());
    is_limited.then(|| pod.at_one_time(|container| limit(container).unwrap_or(0)))
}

fn of(usage: &BTreeMap<String, u64>, name: &str) -> u64 {
    usage.get(name).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use dwell_spec::pod::{ImageRef, Volume};

    fn pod(volume: Option<u64>, containers: &[Option<u64>]) -> Pod {
        let mut pod = Pod::plain("p");
        let source = VolumeSource::EmptyDir { medium: Medium::Disk, size_limit: volume };
        pod.volumes = vec![Volume { name: "v".into(), source }];
        pod.containers = (containers.iter().enumerate())
            .map(|(n, limit)| {
                let mut container = Container::plain(&format!("c{n}"), ImageRef::Rootfs("/".into()));
                container.resources.storage_limit = *limit;
                container
            })
            .collect();
        pod
    }

    fn usage(volume: u64, containers: &[u64]) -> Usage {
        let containers = containers.iter().enumerate().map(|(n, bytes)| (format!("c{n}"), *bytes));
        Usage { volumes: [("v".to_owned(), volume)].into(), containers: containers.collect() }
    }

    #[test]
    fn nothing_is_exceeded_where_there_is_no_limit_or_just_enough() {
        assert_eq!(largest_limit(&pod(None, &[None])), None);
        assert_eq!(excess(&pod(None, &[None]), &usage(u64::MAX, &[u64::MAX])), None);
        assert_eq!(largest_limit(&pod(Some(5), &[None])), Some(5));
        assert_eq!(largest_limit(&pod(Some(5), &[None, Some(6), Some(1)])), Some(7));
        assert_eq!(excess(&pod(Some(5), &[Some(9), None]), &usage(5, &[3, 1])), None);
    }

    #[test]
    fn the_first_limit_that_is_exceeded_is_named() {
        let says = |pod: &Pod, usage: &Usage| excess(pod, usage).expect("it is exceeded");
        let volume = says(&pod(Some(1 << 20), &[None]), &usage((1 << 20) + 1, &[0]));
        assert_eq!(volume, r#"Usage of EmptyDir volume "v" exceeds the limit "1Mi"."#);
        let together = says(&pod(None, &[Some(1000), None]), &usage(500, &[400, 101]));
        assert_eq!(together, "Pod ephemeral local storage usage exceeds the total limit of containers 1000.");
        let one = says(&pod(None, &[Some(1 << 10), Some(1 << 30)]), &usage(0, &[1025, 0]));
        assert_eq!(one, r#"Container c0 exceeded its local ephemeral storage limit "1Ki"."#);
    }
}
