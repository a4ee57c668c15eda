//! Manifests and facts that the tests plan from.

use dwell_spec::facts::HostFacts;
use dwell_spec::pod::{
    Container, Dns, Groups, ImageRef, Pod, Resources, RestartPolicy, Rights, Volume, VolumeMount, VolumeSource,
};

/// A container whose program is this shell script.
pub fn scripted(script: &str) -> Container {
    Container {
        name: "a".to_owned(),
        image: ImageRef::Rootfs("image".to_owned()),
        command: ["/bin/sh", "-c", script].map(str::to_owned).to_vec(),
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

/// A mount of the one volume there is.
pub fn volume_at(path: &str, read_only: bool) -> VolumeMount {
    VolumeMount { volume: "data".to_owned(), mount_path: path.to_owned(), read_only }
}

/// A Pod `demo` of that container, with the volume `data`.
pub fn pod(container: &Container) -> Pod {
    let source = VolumeSource::EmptyDir { memory: false, size_limit: None };
    Pod {
        name: "demo".to_owned(),
        namespace: "default".to_owned(),
        labels: Default::default(),
        annotations: Default::default(),
        hostname: "demo".to_owned(),
        uid: String::new(),
        own_names: vec!["demo".to_owned()],
        host_aliases: Vec::new(),
        dns: Dns::default(),
        service_account_name: "default".to_owned(),
        host_network: false,
        share_process_namespace: false,
        restart_policy: RestartPolicy::Never,
        termination_grace_period_seconds: 30,
        volumes: vec![Volume { name: "data".to_owned(), source }],
        init_containers: Vec::new(),
        containers: vec![container.clone()],
    }
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
        arch: std::env::consts::ARCH.to_owned(),
        addresses: Vec::new(),
        cpus: 2,
        memory: 1 << 30,
    }
}
