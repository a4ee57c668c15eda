//! Values that the planners' tests start from.

use crate::facts::HostFacts;
use crate::pod::{
    Container, Dns, Groups, ImageRef, Pod, Resources, RestartPolicy, Rights, Volume, VolumeMount, VolumeSource,
};

/// A native container with nothing asked for.
pub fn container(name: &str) -> Container {
    Container {
        name: name.to_owned(),
        image: ImageRef::Rootfs("/srv/image".to_owned()),
        command: vec!["/bin/app".to_owned()],
        args: Vec::new(),
        working_dir: None,
        env: Vec::new(),
        ports: Vec::new(),
        mounts: Vec::new(),
        resources: Resources::default(),
        user: None,
        group: None,
        groups: Groups::default(),
        rights: Rights::default(),
        read_only_root: false,
        stdin: false,
        stdin_once: false,
        tty: false,
        kind_hint: None,
    }
}

/// A Pod `demo` with that container `a` and the volumes `data`, `more` and `file`.
pub fn pod() -> Pod {
    let source = VolumeSource::EmptyDir { memory: false, size_limit: None };
    let volume = |name: &str| Volume { name: name.to_owned(), source: source.clone() };
    Pod {
        name: "demo".to_owned(),
        namespace: "default".to_owned(),
        uid: "1-2-3".to_owned(),
        service_account_name: "default".to_owned(),
        labels: Default::default(),
        annotations: Default::default(),
        hostname: "demo".to_owned(),
        own_names: vec!["demo".to_owned()],
        host_aliases: Vec::new(),
        dns: Dns::default(),
        host_network: false,
        share_process_namespace: false,
        restart_policy: RestartPolicy::Always,
        termination_grace_period_seconds: 30,
        volumes: ["data", "more", "file"].map(volume).to_vec(),
        init_containers: Vec::new(),
        containers: vec![container("a")],
    }
}

/// A mount of a volume, read-write.
pub fn mount(volume: &str, path: &str) -> VolumeMount {
    VolumeMount { volume: volume.to_owned(), mount_path: path.to_owned(), read_only: false }
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
        arch: "x86_64".to_owned(),
        addresses: vec!["192.0.2.7".parse().expect("parses"), "2001:db8::7".parse().expect("parses")],
        cpus: 2,
        memory: 4 << 30,
    }
}
