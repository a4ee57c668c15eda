//! Limits of cgroups, the device allow-list, and rlimits.
//!
//! A container without a pids limit gets 4096: a fork bomb must meet a wall before it meets the host's.
//! Devices are an allow-list of what every program expects, with mknod (`m`) for the same and for nothing else: other
//! runtimes allow mknod of anything because a node that cannot be opened does no harm, but a node left in a volume can
//! be opened by whoever is allowed more later. `/dev/console` is not on it: a member's console is its own terminal.

use std::collections::BTreeMap;

use super::container::{CgroupLimits, DeviceRule};
use super::init::Op;
use crate::facts::{ContainerFacts, HostFacts};
use crate::pod::{Container, Pod, Resources};
use crate::status;

/// Processes and threads of a container that names no limit.
pub const DEFAULT_PIDS: u64 = 4096;

/// `cpu.cfs_period_us` is 100000 everywhere: a thousandth of a CPU is 100 µs of it.
const QUOTA_US_PER_MILLI: u64 = 100;
/// What the kernel takes: less and more it refuses.
const QUOTA_US: std::ops::RangeInclusive<u64> = 1000..=(1 << 44) - 1;
/// The kernel's range of `cpu.shares`.
const SHARES: std::ops::RangeInclusive<u64> = 2..=262_144;

/// What pause may use of a CPU beyond its Pod's limit. Without it a Pod of 20 m was ended by the next node on a slow
/// machine, since pause, which writes the members' logs, had not said a word for five seconds.
const PAUSE_MILLIS: u64 = 100;
/// Memory likewise: its own pages, and those of a log that are not on the disk yet.
const PAUSE_BYTES: u64 = 2 << 20;

const OOM_GUARANTEED: i32 = -997;
const OOM_BEST_EFFORT: i32 = 1000;
const OOM_BURSTABLE_MIN: i64 = 3;

const RLIMIT_CORE: u32 = 4;
const RLIMIT_NOFILE: u32 = 7;
/// Open files as systemd and current runtimes give them: old programs that try every number stay quick, new ones
/// raise the first to the second.
const NOFILE_SOFT: u64 = 1024;
const NOFILE_HARD: u64 = 524_288;

/// Character devices: (major, minor) of null, zero, full, random, urandom, tty, ptmx, and every terminal of a devpts.
const DEVICES: [(u32, Option<u32>); 8] =
    [(1, Some(3)), (1, Some(5)), (1, Some(7)), (1, Some(8)), (1, Some(9)), (5, Some(0)), (5, Some(2)), (136, None)];

/// The allow-list of a native member: every device for one that is privileged, else the usual ones and those of its
/// volumes, to read only where the mount says so (the mount itself would not keep anybody from writing to a device). A
/// Wasm member's is empty: it opens no device.
pub fn devices(container: &Container, facts: &ContainerFacts) -> Vec<DeviceRule> {
    if container.rights.privileged {
        return [false, true].map(|block| rule(block, None, None, "rwm")).to_vec();
    }
    let mut rules = usual_devices();
    for mount in &container.mounts {
        if let Some(device) = facts.devices.get(&mount.volume) {
            let access = if mount.read_only { "r" } else { "rw" };
            rules.push(rule(device.block, Some(device.major), Some(device.minor), access));
        }
    }
    rules
}

/// What every program expects.
fn usual_devices() -> Vec<DeviceRule> {
    DEVICES.into_iter().map(|(major, minor)| rule(false, Some(major), minor, "rwm")).collect()
}

fn rule(block: bool, major: Option<u32>, minor: Option<u32>, access: &str) -> DeviceRule {
    DeviceRule { block, major, minor, access: access.to_owned() }
}

/// Limits of one container's cgroup; where it has none of its own, those of the Pod as a whole hold for it (kubelet
/// kuberuntime_container_linux.go), so that it meets its own wall before pause meets the Pod's.
pub fn container(pod: &Pod, resources: &Resources, host: &HostFacts, devices: Vec<DeviceRule>) -> CgroupLimits {
    let whole = pod.resources.clone().unwrap_or_default();
    // Where the Pod as a whole has none, its own group says so for all.
    let pages = if asks_for_huge_pages(pod) { host.huge_pages.as_slice() } else { &[] };
    CgroupLimits {
        memory: resources.memory_limit.or(whole.memory_limit),
        cpu_quota_us: resources.cpu_limit_millis.or(whole.cpu_limit_millis).map(quota),
        cpu_shares: Some(shares(resources.cpu_request_millis.or(resources.cpu_limit_millis).unwrap_or(0))),
        pids: Some(resources.pids_limit.unwrap_or(DEFAULT_PIDS)),
        huge_pages: pages.iter().map(|page| (*page, pod.huge_pages_of(resources, *page))).collect(),
        devices,
    }
}

/// Limits of the Pod's cgroup, above its containers'. On top comes what pause has for itself, which lives in the same group:
/// members that use up all that is theirs must not silence it. Devices are a container's matter.
pub fn pod(pod: &Pod, host: &HostFacts) -> CgroupLimits {
    let (memory, cpu) =
        (pod.limit(|resources| resources.memory_limit), pod.limit(|resources| resources.cpu_limit_millis));
    CgroupLimits {
        memory: memory.map(|bytes| bytes.saturating_add(PAUSE_BYTES)),
        cpu_quota_us: cpu.map(|millis| quota(millis.saturating_add(PAUSE_MILLIS))),
        cpu_shares: Some(shares(requested(pod))),
        pids: None,
        huge_pages: huge_pages(pod, host),
        devices: Vec::new(),
    }
}

/// None of a size that nobody asks for, as the kubelet does.
fn huge_pages(pod: &Pod, host: &HostFacts) -> BTreeMap<u64, u64> {
    let asked = pod.huge_pages();
    host.huge_pages.iter().map(|page| (*page, asked.get(page).copied().unwrap_or(0))).collect()
}

fn asks_for_huge_pages(pod: &Pod) -> bool {
    pod.huge_pages().values().any(|bytes| *bytes > 0)
}

fn quota(millis: u64) -> u64 {
    millis.saturating_mul(QUOTA_US_PER_MILLI).clamp(*QUOTA_US.start(), *QUOTA_US.end())
}

/// Who asks for nothing has least, beside those who do, as with a kubelet.
fn shares(millis: u64) -> u64 {
    (millis.saturating_mul(1024) / 1000).clamp(*SHARES.start(), *SHARES.end())
}

/// Thousandths of a CPU that the Pod asks for.
fn requested(pod: &Pod) -> u64 {
    let of = |resources: &Resources| resources.cpu_request_millis.or(resources.cpu_limit_millis);
    if let Some(own) = pod.resources.as_ref().and_then(of) {
        return own;
    }
    let each = pod.sidecars().chain(&pod.containers).filter_map(|container| of(&container.resources));
    each.fold(0, u64::saturating_add)
}

/// `oom_score_adj` of a member, by its Pod's class and its share of the host's memory: whom the kernel ends first when the
/// host runs out of it. Source: kubelet pkg/kubelet/qos/policy.go.
pub fn oom_score(pod: &Pod, container: &Container, host: &HostFacts) -> i32 {
    match status::qos_class(pod) {
        "Guaranteed" => OOM_GUARANTEED,
        "BestEffort" => OOM_BEST_EFFORT,
        _ => burstable(pod, container, host.memory.max(1)),
    }
}

/// Before anything of the member's runs, and while init may still look at `/proc`.
pub fn score(pod: &Pod, container: &Container, host: &HostFacts) -> Op {
    Op::SetOomScore { score: oom_score(pod, container, host) }
}

fn burstable(pod: &Pod, container: &Container, memory: u64) -> i32 {
    let request = |container: &Container| container.resources.memory_request.unwrap_or(0);
    // What the Pod has beyond its containers is shared out.
    let sum = pod.at_one_time(request);
    let rest = pod.resources.as_ref().and_then(|own| own.memory_request).unwrap_or(0).saturating_sub(sum);
    let extra = rest / (pod.init_containers.len() + pod.containers.len()).max(1) as u64;
    let score = |bytes: u64| 1000 - i64::try_from(u128::from(bytes) * 1000 / u128::from(memory)).unwrap_or(1000);
    let own = score(request(container).saturating_add(extra));
    let is_sidecar = pod.sidecars().any(|sidecar| sidecar.name == container.name);
    // A sidecar goes no sooner than the members.
    let least = pod.containers.iter().map(request).min().filter(|_| is_sidecar);
    let capped = least.map_or(own, |least| own.min(score(least.saturating_add(extra))));
    capped.clamp(OOM_BURSTABLE_MIN, i64::from(OOM_BEST_EFFORT) - 1) as i32
}

/// Open files within what this host can give; no core files unless the program asks for them.
pub fn rlimits(host: &HostFacts) -> [Op; 2] {
    let hard = host.nofile_hard.min(NOFILE_HARD);
    [
        Op::SetRlimit { resource: RLIMIT_NOFILE, soft: hard.min(NOFILE_SOFT), hard },
        Op::SetRlimit { resource: RLIMIT_CORE, soft: 0, hard: u64::MAX },
    ]
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;
    use crate::facts::DeviceNumber;

    #[test]
    fn units_are_the_kernels() {
        let resources = Resources { cpu_limit_millis: Some(500), memory_limit: Some(1 << 20), ..Resources::default() };
        let limits = container(&samples::pod(), &resources, &samples::host(), Vec::new());
        assert_eq!((limits.cpu_quota_us, limits.cpu_shares, limits.memory), (Some(50_000), Some(512), Some(1 << 20)));
        assert_eq!(limits.pids, Some(DEFAULT_PIDS));
        let tiny = Resources { cpu_limit_millis: Some(1), ..Resources::default() };
        assert_eq!(container(&samples::pod(), &tiny, &samples::host(), Vec::new()).cpu_quota_us, Some(1000));
        assert_eq!(container(&samples::pod(), &tiny, &samples::host(), Vec::new()).cpu_shares, Some(2));
    }

    #[test]
    fn a_pod_is_bounded_only_if_every_container_is() {
        let mut pod = samples::pod();
        pod.containers = vec![samples::container("a"), samples::container("b")];
        pod.containers[0].resources.memory_limit = Some(10);
        assert_eq!(super::pod(&pod, &samples::host()).memory, None);
        pod.containers[1].resources.memory_limit = Some(20);
        assert_eq!(super::pod(&pod, &samples::host()).memory, Some(30 + PAUSE_BYTES));
        pod.init_containers = vec![samples::container("i")];
        pod.init_containers[0].resources.memory_limit = Some(50);
        assert_eq!(super::pod(&pod, &samples::host()).memory, Some(50 + PAUSE_BYTES));
        pod.init_containers.insert(0, samples::container("s"));
        pod.init_containers[0].restart_policy = Some(crate::pod::RestartPolicy::Always);
        assert_eq!(super::pod(&pod, &samples::host()).memory, None, "a sidecar without a limit");
        pod.init_containers[0].resources.memory_limit = Some(5);
        assert_eq!(
            super::pod(&pod, &samples::host()).memory,
            Some(55 + PAUSE_BYTES),
            "the init container, beside the sidecar"
        );
        pod.init_containers[1].resources.memory_limit = Some(1);
        assert_eq!(
            super::pod(&pod, &samples::host()).memory,
            Some(35 + PAUSE_BYTES),
            "the members, beside the sidecar"
        );
    }

    #[test]
    fn huge_pages_are_those_that_were_asked_for_and_none_else() {
        const MI: u64 = 1 << 20;
        let host = HostFacts { huge_pages: vec![2 * MI, 1 << 30], ..samples::host() };
        let mut pod = samples::pod();
        pod.containers = vec![samples::container("a"), samples::container("b")];
        let none = [(2 * MI, 0), (1 << 30, 0)];
        let of = |pod: &Pod, n: usize| container(pod, &pod.containers[n].resources, &host, Vec::new()).huge_pages;
        assert_eq!(super::pod(&pod, &host).huge_pages, none.into());
        assert!(of(&pod, 0).is_empty(), "the Pod's group says it for all");
        pod.containers[0].resources.huge_pages = [(2 * MI, 4 * MI)].into();
        pod.containers[1].resources.huge_pages = [(2 * MI, 2 * MI)].into();
        pod.init_containers = vec![samples::container("i")];
        pod.init_containers[0].resources.huge_pages = [(1 << 30, 1 << 30)].into();
        assert_eq!(super::pod(&pod, &host).huge_pages, [(2 * MI, 6 * MI), (1 << 30, 1 << 30)].into());
        assert_eq!(of(&pod, 0), [(2 * MI, 4 * MI), (1 << 30, 0)].into());
        pod.resources = Some(Resources { huge_pages: [(2 * MI, 8 * MI)].into(), ..Resources::default() });
        pod.containers[1].resources.huge_pages.clear();
        assert_eq!(super::pod(&pod, &host).huge_pages[&(2 * MI)], 8 * MI);
        assert_eq!(of(&pod, 1)[&(2 * MI)], 8 * MI, "who says nothing may have the Pod's");
    }

    #[test]
    fn a_pods_own_limits_are_above_its_containers() {
        let mut pod = samples::pod();
        pod.containers = vec![samples::container("a"), samples::container("b")];
        pod.containers[0].resources.memory_limit = Some(10);
        pod.resources =
            Some(Resources { memory_limit: Some(100), cpu_request_millis: Some(500), ..Resources::default() });
        let limits = super::pod(&pod, &samples::host());
        assert_eq!((limits.memory, limits.cpu_shares), (Some(100 + PAUSE_BYTES), Some(512)));
        assert_eq!(limits.cpu_quota_us, None, "of this it says nothing, and neither do all containers");
        let of = |n: usize| container(&pod, &pod.containers[n].resources, &samples::host(), Vec::new()).memory;
        assert_eq!((of(0), of(1)), (Some(10), Some(100)), "who has no limit has the Pod's");
    }

    /// Rows of policy_test.go: what is asked of 16 GB, and the score.
    #[test]
    fn scores_are_the_kubelets() {
        let host = HostFacts { memory: 16_000_000_000, ..samples::host() };
        let mut pod = samples::pod();
        pod.containers = vec![samples::container("a"), samples::container("b")];
        let score = |pod: &Pod, n: usize| oom_score(pod, &pod.containers[n], &host);
        assert_eq!(score(&pod, 0), 1000, "best effort");
        pod.containers[0].resources.memory_request = Some(4_000_000_000);
        assert_eq!((score(&pod, 0), score(&pod, 1)), (750, 999), "burstable");
        pod.containers[0].resources.memory_request = Some(16_000_000_000);
        assert_eq!(score(&pod, 0), 3);
        pod.containers[1].resources.memory_request = Some(8_000_000_000);
        pod.init_containers = vec![samples::container("s")];
        pod.init_containers[0].restart_policy = Some(crate::pod::RestartPolicy::Always);
        assert_eq!(oom_score(&pod, &pod.init_containers[0], &host), 500, "a sidecar no sooner than the members");
        let full = Resources {
            cpu_limit_millis: Some(1),
            cpu_request_millis: Some(1),
            memory_limit: Some(1),
            memory_request: Some(1),
            ..Resources::default()
        };
        pod.init_containers.clear();
        pod.resources = Some(full.clone());
        assert_eq!(score(&pod, 0), -997, "the Pod's own resources decide its class");
        pod.resources = Some(Resources { memory_limit: None, memory_request: Some(24_000_000_000), ..full });
        pod.containers.iter_mut().for_each(|container| container.resources = Resources::default());
        assert_eq!(score(&pod, 1), 250, "and are shared out");
        pod.init_containers = vec![samples::container("i")];
        pod.init_containers[0].resources.memory_request = Some(12_000_000_000);
        assert_eq!(score(&pod, 1), 750, "but for what an init container has at one time");
    }

    #[test]
    fn no_block_device_and_no_wildcard_but_terminals() {
        let rules = devices(&samples::container("a"), &ContainerFacts::default());
        assert!(rules.iter().all(|rule| !rule.block && rule.major.is_some()));
        assert_eq!(rules.iter().filter(|rule| rule.minor.is_none()).count(), 1);
    }

    #[test]
    fn a_volume_that_is_a_device_allows_exactly_that() {
        let usual = usual_devices().len();
        let mut facts = ContainerFacts::default();
        facts.devices.insert("data".into(), DeviceNumber { block: false, major: 188, minor: 0 });
        facts.devices.insert("more".into(), DeviceNumber { block: true, major: 7, minor: 3 });
        let mut container = samples::container("a");
        assert_eq!(devices(&container, &facts).len(), usual, "the Pod has them, this member does not mount them");
        container.mounts = vec![samples::mount("data", "/dev/ttyUSB0"), samples::mount("more", "/dev/disk")];
        container.mounts[1].read_only = true;
        let rules = devices(&container, &facts);
        assert_eq!(rules[usual..], [rule(false, Some(188), Some(0), "rw"), rule(true, Some(7), Some(3), "r")]);
        container.rights.privileged = true;
        assert_eq!(devices(&container, &facts), [false, true].map(|block| rule(block, None, None, "rwm")));
    }
}
