//! A Pod and a container in which nothing was asked for: what every default is, in one place, to start from.

use super::{
    Container, Dns, Groups, Hooks, ImageRef, LastWords, Pod, Probes, Resize, Resources, RestartPolicy, Rights,
};

impl Pod {
    /// A Pod of this name in the namespace `default`, without containers.
    #[must_use]
    pub fn plain(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            namespace: "default".to_owned(),
            uid: String::new(),
            labels: Default::default(),
            annotations: Default::default(),
            hostname: name.to_owned(),
            own_names: vec![name.to_owned()],
            host_aliases: Vec::new(),
            dns: Dns::default(),
            host_network: false,
            share_process_namespace: false,
            host_pid: false,
            host_ipc: false,
            host_users: true,
            sysctls: Vec::new(),
            service_account_name: "default".to_owned(),
            restart_policy: RestartPolicy::Always,
            termination_grace_period_seconds: 30,
            active_deadline_seconds: None,
            readiness_gates: Vec::new(),
            resources: None,
            volume_group: None,
            volumes: Vec::new(),
            init_containers: Vec::new(),
            containers: Vec::new(),
            ephemeral_containers: Vec::new(),
        }
    }
}

impl Container {
    /// A container of this image that names no program.
    #[must_use]
    pub fn plain(name: &str, image: ImageRef) -> Self {
        Self {
            name: name.to_owned(),
            image,
            command: Vec::new(),
            args: Vec::new(),
            working_dir: None,
            env_from: Vec::new(),
            env: Vec::new(),
            ports: Vec::new(),
            mounts: Vec::new(),
            resources: Resources::default(),
            user: None,
            group: None,
            groups: Groups::default(),
            rights: Rights::default(),
            read_only_root: false,
            restart_policy: None,
            probes: Probes::default(),
            restart_rules: Vec::new(),
            resize: Resize::default(),
            hooks: Hooks::default(),
            stop_signal: None,
            last_words: LastWords::default(),
            stdin: false,
            stdin_once: false,
            tty: false,
            target: None,
            kind_hint: None,
        }
    }
}
