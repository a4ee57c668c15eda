//! Values that the planners' tests start from.

use crate::facts::HostFacts;
use crate::pod::{Container, ImageRef, Medium, Pod, Propagation, Volume, VolumeMount, VolumeSource};

/// A native container with nothing asked for.
pub fn container(name: &str) -> Container {
    let image = ImageRef::Rootfs("/srv/image".to_owned());
    Container { command: vec!["/bin/app".to_owned()], ..Container::plain(name, image) }
}

/// A Pod `demo` with that container `a` and the volumes `data`, `more` and `file`.
pub fn pod() -> Pod {
    let source = VolumeSource::EmptyDir { medium: Medium::Disk, size_limit: None };
    let volume = |name: &str| Volume { name: name.to_owned(), source: source.clone() };
    let volumes = ["data", "more", "file"].map(volume).to_vec();
    Pod { uid: "1-2-3".to_owned(), volumes, containers: vec![container("a")], ..Pod::plain("demo") }
}

/// A mount of a volume, read-write.
pub fn mount(volume: &str, path: &str) -> VolumeMount {
    VolumeMount {
        volume: volume.to_owned(),
        mount_path: path.to_owned(),
        read_only: false,
        sub_path: None,
        propagation: Propagation::None,
    }
}

/// A pure v2 host.
pub fn host() -> HostFacts {
    HostFacts {
        cgroup_v1: Vec::new(),
        cgroup_v2: true,
        resolv_conf: "nameserver 9.9.9.9\n".to_owned(),
        hosts: "127.0.0.1\tlocalhost\n192.0.2.7\tthe-host\n".to_owned(),
        hostname: "machine".to_owned(),
        nofile_hard: 20_000,
        seccomp: true,
        capabilities: u64::MAX,
        arch: "x86_64".to_owned(),
        addresses: vec!["192.0.2.7".parse().expect("parses"), "2001:db8::7".parse().expect("parses")],
        cpus: 2,
        memory: 4 << 30,
        disk: 64 << 30,
        huge_pages: Vec::new(),
    }
}
