//! Manifests and facts that the tests plan from.

use dwell_spec::facts::HostFacts;
use dwell_spec::pod::{Container, ImageRef, Medium, Pod, Propagation, Volume, VolumeMount, VolumeSource};

/// A container whose program is this shell script.
pub fn scripted(script: &str) -> Container {
    let command = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
    Container { command, ..Container::plain("a", ImageRef::Rootfs("image".to_owned())) }
}

/// A mount of the one volume there is.
pub fn volume_at(path: &str, read_only: bool) -> VolumeMount {
    VolumeMount {
        volume: "data".to_owned(),
        mount_path: path.to_owned(),
        read_only,
        sub_path: None,
        propagation: Propagation::None,
    }
}

/// A Pod `demo` of that container, with the volume `data`.
pub fn pod(container: &Container) -> Pod {
    let source = VolumeSource::EmptyDir { medium: Medium::Disk, size_limit: None };
    let volumes = vec![Volume { name: "data".to_owned(), source }];
    Pod { volumes, containers: vec![container.clone()], ..Pod::plain("demo") }
}

/// A pure v2 host.
pub fn host() -> HostFacts {
    HostFacts {
        cgroup_v1: Vec::new(),
        cgroup_v2: true,
        resolv_conf: "nameserver 192.0.2.1\n".to_owned(),
        hosts: "127.0.0.1\tlocalhost\n192.0.2.7\tthe-host\n".to_owned(),
        hostname: "machine".to_owned(),
        nofile_hard: 4096,
        seccomp: true,
        capabilities: u64::MAX,
        arch: std::env::consts::ARCH.to_owned(),
        addresses: Vec::new(),
        cpus: 2,
        memory: 1 << 30,
        disk: 0,
        huge_pages: Vec::new(),
    }
}
