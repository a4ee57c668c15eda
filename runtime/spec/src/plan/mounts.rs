//! What a native member finds mounted, in the order in which it is mounted.
//!
//! First the kernel's file systems, then what covers parts of them, then the Pod's shared memory, then volumes (shallow
//! before deep), last the Pod's own files. Masks come before volumes so that the `/dev/null` they use is the one just
//! made (CVE-2025-31133), and nothing a volume holds can be in their way. The lists of masked and read-only paths are the
//! field's common ones. Volumes are nodev unless they are a device themselves (which the allow-list then names), but as
//! everywhere keep exec and setuid bits. For a privileged member nothing is covered, and it finds the host's devices.

use super::container::{FdSource, MountFlags};
use super::init::Op;
use super::refusal::{PlanError, Problem};
use super::steps::Steps;
use crate::facts::{ContainerFacts, DeviceNumber, HostDevice, HostFacts};
use crate::pod::{Container, LAST_WORDS_PATH, Pod, VolumeMount};

/// Bytes of `/dev` itself, which holds nodes and links.
const DEV_BYTES: u64 = 64 * 1024;
/// Bytes of the tmpfs that holds the mount points of v1 cgroups.
const CGROUP_BYTES: u64 = 64 * 1024;

/// Not made: others stand there already, or a mount of its own.
const NO_DEVICES: [&str; 5] = ["/dev/console", "/dev/ptmx", "/dev/pts", "/dev/shm", "/dev/mqueue"];

/// Character devices: name, major, minor.
const NODES: [(&str, u32, u32); 6] =
    [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];

/// Links in `/dev`.
const LINKS: [(&str, &str); 5] = [
    ("/dev/fd", "/proc/self/fd"),
    ("/dev/stdin", "/proc/self/fd/0"),
    ("/dev/stdout", "/proc/self/fd/1"),
    ("/dev/stderr", "/proc/self/fd/2"),
    ("/dev/core", "/proc/kcore"),
];

/// One for all members, as they share the other kinds of System V and POSIX communication.
const SHARED_MEMORY: &str = "/dev/shm";

/// Covered: they tell of the host or of others, and some act on it.
pub const MASKED: [&str; 12] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];

/// Read-only: switches of the whole host.
pub const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// The Pod's own files and where they belong.
const POD_FILES: [(&str, &str); 3] =
    [("hosts", "/etc/hosts"), ("hostname", "/etc/hostname"), ("resolv.conf", "/etc/resolv.conf")];

/// `/proc`, `/dev`, `/sys`, with their covers.
pub fn system(steps: &mut Steps, pod: &Pod, host: &HostFacts, container: &Container, facts: &ContainerFacts) {
    let privileged = container.rights.privileged;
    steps.then([Op::MountProc { target: "/proc".to_owned() }]);
    dev(steps, container.tty);
    if privileged {
        steps.then(facts.host_devices.iter().filter(|device| is_more(&device.path)).map(host_device));
    }
    steps.then([Op::MountSysfs { target: "/sys".to_owned(), writable: privileged }]);
    cgroup(steps, host, privileged);
    // Without users of its own it would be the host's to change.
    if privileged || container.rights.unmasked && !pod.host_users {
        return;
    }
    steps.then(MASKED.map(|path| Op::Mask { path: path.to_owned() }));
    steps.then(READ_ONLY.map(|path| Op::ReadOnly { path: path.to_owned() }));
}

fn dev(steps: &mut Steps, tty: bool) {
    steps.then([tmpfs("/dev", DEV_BYTES, 0o755)]);
    steps.then(NODES.map(|(name, major, minor)| Op::MakeDevice {
        path: format!("/dev/{name}"),
        device: DeviceNumber { block: false, major, minor },
        mode: 0o666,
        owner: (0, 0),
    }));
    steps.then(LINKS.map(|(path, to)| link(path, to)));
    terminals(steps, tty);
    steps.then([Op::MountMqueue { target: "/dev/mqueue".to_owned() }]);
}

/// Paths of the devices that every member has.
pub fn usual_devices() -> Vec<String> {
    NODES.map(|(name, ..)| format!("/dev/{name}")).to_vec()
}

/// Whether a device of the host is none that a member has anyway.
fn is_more(path: &str) -> bool {
    let usual =
        NODES.iter().map(|(name, ..)| *name).chain(LINKS.iter().filter_map(|(path, _)| path.strip_prefix("/dev/")));
    let usual = usual.into_iter().any(|name| path.strip_prefix("/dev/") == Some(name));
    let elsewhere = NO_DEVICES.iter().any(|other| parts(path).starts_with(&parts(other)));
    is_plain(path) && first_component(path) == Some("dev") && !usual && !elsewhere
}

fn host_device(device: &HostDevice) -> Op {
    Op::MakeDevice { path: device.path.clone(), device: device.number, mode: device.mode, owner: device.owner }
}

/// With a terminal, its devpts is the member's and its first terminal the console (CVE-2025-52565: by descriptor).
fn terminals(steps: &mut Steps, tty: bool) {
    if !tty {
        return steps.then([Op::MountDevpts { target: "/dev/pts".to_owned() }]);
    }
    steps.attach(FdSource::Devpts, "/dev/pts", true);
    steps.then([link("/dev/ptmx", "pts/ptmx"), Op::BindConsole { target: "/dev/console".to_owned() }]);
}

/// The member's own cgroups, to read: runtimes of languages size themselves by them.
fn cgroup(steps: &mut Steps, host: &HostFacts, writable: bool) {
    let root = "/sys/fs/cgroup";
    if host.cgroup_v1.is_empty() {
        if host.cgroup_v2 {
            steps.then([Op::MountCgroup { target: root.to_owned(), v2: true, controller: None, writable }]);
        }
        return;
    }
    steps.then([tmpfs(root, CGROUP_BYTES, 0o755)]);
    for hierarchy in &host.cgroup_v1 {
        steps.then([Op::MountCgroup {
            target: format!("{root}/{hierarchy}"),
            v2: false,
            controller: Some(hierarchy.clone()),
            writable,
        }]);
        if hierarchy.contains(',') {
            steps.then(hierarchy.split(',').map(|name| link(&format!("{root}/{name}"), hierarchy)));
        }
    }
    steps.then([Op::ReadOnly { path: root.to_owned() }]);
}

/// The Pod's volumes, then its own files where no volume covers them.
///
/// # Errors
/// Paths that a native member cannot have.
pub fn pod_owned(steps: &mut Steps, pod: &Pod, container: &Container, facts: &ContainerFacts) -> Result<(), PlanError> {
    if !covered(container, SHARED_MEMORY) {
        steps.attach(FdSource::SharedMemory { flags: inert() }, SHARED_MEMORY, true);
    }
    let mut mounts: Vec<&VolumeMount> = container.mounts.iter().collect();
    mounts.sort_by_key(|mount| depth(&mount.mount_path));
    for mount in mounts {
        check(pod, container, mount)?;
        let is_device = facts.devices.contains_key(&mount.volume);
        let mut flags = volume_flags(mount, container.rights.privileged && pod.host_users || is_device);
        // Where ids are mapped, a node that the host's root made in a volume would be the member's.
        // The device is the member's to use, its name and mode are the host's; a read-only mount writes to a device.
        flags.read_only |= is_device;
        flags.device = is_device;
        flags.noexec = pod.volumes.iter().any(|volume| volume.name == mount.volume && volume.source.is_image());
        let source = FdSource::Volume { name: mount.volume.clone(), part: mount.part().map(str::to_owned), flags };
        steps.attach(source, &mount.mount_path, !facts.is_file(mount));
    }
    for (name, target) in POD_FILES.iter().filter(|(_, target)| !covered(container, target)) {
        steps.attach(FdSource::PodFile { name: (*name).to_owned(), flags: inert() }, target, false);
    }
    last_words(steps, container)
}

/// Rights of a mounted volume.
pub fn volume_flags(mount: &VolumeMount, is_device: bool) -> MountFlags {
    let (read_only, propagation) = (mount.read_only, mount.propagation);
    MountFlags { read_only, nodev: !is_device, propagation, ..MountFlags::default() }
}

/// The file for last words, last, since its place may lie in a volume. Where a volume brings its own `/dev`, the usual file
/// is left out rather than made there: the volume may be the host's.
fn last_words(steps: &mut Steps, container: &Container) -> Result<(), PlanError> {
    let path = &container.last_words.path;
    check_place(path).map_err(|problem| PlanError::of(&container.name, "terminationMessagePath", problem))?;
    if !has_own_last_words(container) && (path != LAST_WORDS_PATH || !covered(container, path)) {
        steps.attach(last_words_source(), path, false);
    }
    Ok(())
}

/// Whether the place for last words is a mount of the container's own, which is left alone.
pub fn has_own_last_words(container: &Container) -> bool {
    let path = parts(&container.last_words.path);
    container.mounts.iter().any(|mount| parts(&mount.mount_path) == path)
}

/// Whoever runs in the member writes to it; nobody executes it.
pub fn last_words_source() -> FdSource {
    FdSource::LastWords { flags: inert() }
}

/// Data, and nothing else.
fn inert() -> MountFlags {
    MountFlags { nodev: true, nosuid: true, noexec: true, ..MountFlags::default() }
}

/// Components of a path.
fn depth(path: &str) -> usize {
    path.split('/').filter(|part| !part.is_empty()).count()
}

/// Whether `path` is absolute, has no `..` and no NUL.
pub fn is_plain(path: &str) -> bool {
    path.starts_with('/') && !path.contains('\0') && path.split('/').all(|part| part != "..")
}

fn check(pod: &Pod, container: &Container, mount: &VolumeMount) -> Result<(), PlanError> {
    check_place(&mount.mount_path).map_err(|problem| PlanError::of(&container.name, "volumeMounts", problem))?;
    known_volume(pod, container, mount)
}

/// # Errors
/// Where a native member has nothing mounted for it.
fn check_place(path: &str) -> Result<(), Problem> {
    if !is_plain(path) {
        return Err(Problem::PathSyntax(path.to_owned()));
    }
    if depth(path) == 0 {
        return Err(Problem::AtRoot);
    }
    if first_component(path) == Some("proc") {
        return Err(Problem::InsideProc(path.to_owned()));
    }
    Ok(())
}

/// # Errors
/// When the Pod has no such volume.
pub fn known_volume(pod: &Pod, container: &Container, mount: &VolumeMount) -> Result<(), PlanError> {
    if pod.volumes.iter().any(|volume| volume.name == mount.volume) {
        return Ok(());
    }
    Err(PlanError::of(&container.name, "volumeMounts", Problem::UnknownVolume(mount.volume.clone())))
}

fn first_component(path: &str) -> Option<&str> {
    path.split('/').find(|part| !part.is_empty() && *part != ".")
}

/// Whether a volume is mounted at `path` or above it.
fn covered(container: &Container, path: &str) -> bool {
    container.mounts.iter().any(|mount| parts(path).starts_with(&parts(&mount.mount_path)))
}

fn parts(path: &str) -> Vec<&str> {
    path.split('/').filter(|part| !part.is_empty() && *part != ".").collect()
}

fn tmpfs(target: &str, size: u64, mode: u32) -> Op {
    Op::MountTmpfs { target: target.to_owned(), size, mode, noexec: true }
}

fn link(path: &str, to: &str) -> Op {
    Op::MakeSymlink { path: path.to_owned(), to: to.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;
    use crate::pod::LastWords;

    fn planned(paths: &[&str]) -> Result<Vec<String>, PlanError> {
        let pod = samples::pod();
        let mounts = paths.iter().map(|path| samples::mount("data", path));
        let container = Container { mounts: mounts.collect(), ..samples::container("a") };
        let mut steps = Steps::default();
        pod_owned(&mut steps, &pod, &container, &ContainerFacts::default())?;
        Ok(steps
            .ops
            .iter()
            .map(|op| if let Op::Attach { target, .. } = op { target.clone() } else { String::new() })
            .collect())
    }

    #[test]
    fn shallow_before_deep_and_pod_files_unless_covered() {
        let files = ["/etc/hosts", "/etc/hostname", "/etc/resolv.conf", LAST_WORDS_PATH];
        assert_eq!(
            planned(&["/a/b", "/a"]).expect("plans"),
            [[SHARED_MEMORY, "/a", "/a/b"].as_slice(), &files].concat()
        );
        assert_eq!(planned(&["/etc/hosts"]).expect("plans").len(), 5, "the volume is the hosts file");
        assert_eq!(planned(&["//etc/"]).expect("plans").len(), 3, "all three are the volume's");
        assert_eq!(planned(&["/dev"]).expect("plans").len(), 4, "nothing is made in what may be the host's /dev");
        assert_eq!(planned(&["/dev/termination-log"]).expect("plans").len(), 5, "that is the volume's, too");
        assert_eq!(planned(&["/dev/shm"]).expect("plans").len(), 5, "so is that");
    }

    #[test]
    fn last_words_have_their_place_also_in_a_volume() {
        let asked = |path: &str| {
            let last_words = LastWords { path: path.to_owned(), from_log: false };
            let mounts = vec![samples::mount("data", "/data")];
            let container = Container { mounts, last_words, ..samples::container("a") };
            let mut steps = Steps::default();
            pod_owned(&mut steps, &samples::pod(), &container, &ContainerFacts::default()).map(|()| steps.ops)
        };
        let ops = asked("/data/end").expect("plans");
        assert!(matches!(ops.last(), Some(Op::Attach { target, is_dir: false, .. }) if target == "/data/end"));
        assert_eq!(asked("/data").expect("plans").len(), 5, "the volume is left alone");
        for path in ["/", "/proc/x", "relative", "/a/../b"] {
            assert!(asked(path).is_err(), "{path}");
        }
    }

    #[test]
    fn proc_root_and_climbing_are_refused() {
        for path in ["/proc", "/proc/sys", "//proc//x", "/./proc", "/", "//", "/a/../b", "relative", ""] {
            assert!(planned(&[path]).is_err(), "{path:?}");
        }
        assert!(planned(&["/process"]).is_ok(), "control");
    }

    #[test]
    fn volumes_are_nodev_unless_they_are_a_device() {
        let pod = samples::pod();
        let container = Container { mounts: vec![samples::mount("data", "/d")], ..samples::container("a") };
        let planned = |facts: &ContainerFacts| {
            let mut steps = Steps::default();
            pod_owned(&mut steps, &pod, &container, facts).expect("plans");
            steps
        };
        let steps = planned(&ContainerFacts::default());
        let nodev = |source: &FdSource| match source {
            FdSource::Volume { flags, .. }
            | FdSource::PodFile { flags, .. }
            | FdSource::SharedMemory { flags }
            | FdSource::LastWords { flags } => flags.nodev,
            _ => false,
        };
        assert!(steps.sources.iter().all(nodev));
        let number = DeviceNumber { block: false, major: 188, minor: 0 };
        let facts = ContainerFacts { devices: [("data".to_owned(), number)].into(), ..ContainerFacts::default() };
        assert_eq!(planned(&facts).sources.iter().filter(|source| !nodev(source)).count(), 1);
    }

    #[test]
    fn a_privileged_member_finds_the_hosts_devices_and_nothing_covered() {
        let of_host = |path: &str| HostDevice {
            path: path.to_owned(),
            number: DeviceNumber { block: true, major: 8, minor: 0 },
            mode: 0o660,
            owner: (0, 6),
        };
        let host_devices =
            ["/dev/sda", "/dev/snd/timer", "/dev/null", "/dev/pts/0", "/dev/console", "/dev/a/../../x", "/etc/x"];
        let facts = ContainerFacts { host_devices: host_devices.map(of_host).to_vec(), ..ContainerFacts::default() };
        let planned = |privileged: bool| {
            let mut container = samples::container("a");
            container.rights.privileged = privileged;
            let mut steps = Steps::default();
            system(&mut steps, &samples::pod(), &samples::host(), &container, &facts);
            steps.ops
        };
        let made =
            |ops: &[Op]| ops.iter().filter(|op| matches!(op, Op::MakeDevice { device, .. } if device.block)).count();
        let covered = |ops: &[Op]| ops.iter().any(|op| matches!(op, Op::Mask { .. } | Op::ReadOnly { .. }));
        assert_eq!((made(&planned(true)), covered(&planned(true))), (2, false));
        assert_eq!((made(&planned(false)), covered(&planned(false))), (0, true), "control");
    }
}
