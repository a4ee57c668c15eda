//! Whole plans: their text against files (`DWELL_BLESS=1` rewrites them), and what must hold for every plan.

use std::path::PathBuf;

use super::container::{ContainerPlan, FdSource};
use super::init::{Exec, InitPlan, Namespace, Op, Slot};
use super::worker::ModuleKind;
use super::{ExecRequest, plan_container, plan_exec, plan_pod, samples};
use crate::facts::{ContainerFacts, EntryPoint, HostFacts, ModuleFacts, PodIp};
use crate::pod::{Container, ContainerPort, EnvValue, ImageRef, Pod, Protocol, Rights, SeccompChoice, UserRef};

const IP: PodIp = PodIp { v4: Some(std::net::Ipv4Addr::new(10, 1, 2, 3)), v6: None, host: None };

fn module(kind: ModuleKind) -> ContainerFacts {
    let module = Some(ModuleFacts { digest: "sha256:00".to_owned(), file_name: "app.wasm".to_owned(), kind });
    ContainerFacts { module, files: vec![("file".to_owned(), None)], ..ContainerFacts::default() }
}

fn hybrid() -> HostFacts {
    let names = ["cpu,cpuacct", "memory", "pids", "devices"];
    HostFacts { cgroup_v1: names.map(str::to_owned).to_vec(), ..samples::host() }
}

fn rich() -> Container {
    let mut container = samples::container("rich");
    container.mounts = vec![
        samples::mount("data", "/data/deep"),
        samples::mount("more", "/data"),
        samples::mount("file", "/etc/hosts"),
    ];
    container.mounts[1].read_only = true;
    container.user = Some(UserRef::Name("app".to_owned()));
    container.working_dir = Some("/work".to_owned());
    container.read_only_root = true;
    container.tty = true;
    container.env = vec![("A".to_owned(), EnvValue::Text("two\nlines".to_owned()))];
    container.resources.memory_limit = Some(64 << 20);
    container.resources.cpu_limit_millis = Some(250);
    container
}

fn rich_facts() -> ContainerFacts {
    ContainerFacts {
        entry_point: Some(EntryPoint { path: "/bin/app".to_owned(), wasm: false }),
        passwd: Some("root:x:0:0::/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n".to_owned()),
        group: Some("video:x:44:app\n".to_owned()),
        files: vec![("file".to_owned(), None)],
        ..ContainerFacts::default()
    }
}

fn wasm() -> Container {
    let mut container = samples::container("module");
    container.image = ImageRef::Wasm("/srv/app.wasm".to_owned());
    container.command = Vec::new();
    container.args = vec!["one".to_owned()];
    container.mounts = vec![samples::mount("data", "/data"), samples::mount("file", "/etc/app.conf")];
    container.ports = vec![ContainerPort {
        name: None,
        container_port: 8081,
        host_port: Some(80),
        host_ip: None,
        protocol: Protocol::Tcp,
    }];
    container
}

fn wasm_rootfs() -> Container {
    Container { image: ImageRef::Rootfs("/srv/image".to_owned()), command: vec!["/app.wasm".to_owned()], ..wasm() }
}

fn wasm_rootfs_facts() -> ContainerFacts {
    let entry_point = Some(EntryPoint { path: "/app.wasm".to_owned(), wasm: true });
    ContainerFacts { entry_point, ..module(ModuleKind::Preview1Command) }
}

/// Every plan the tests look at, by name.
fn plans() -> Vec<(&'static str, ContainerPlan)> {
    let pod = samples::pod();
    let plan = |container: &Container, host: &HostFacts, facts: &ContainerFacts| {
        plan_container(&pod, container, host, facts, IP).expect("plans")
    };
    vec![
        ("native-v2", plan(&samples::container("a"), &samples::host(), &ContainerFacts::default())),
        ("native-rich-hybrid", plan(&rich(), &hybrid(), &rich_facts())),
        ("wasm-http", plan(&wasm(), &samples::host(), &module(ModuleKind::HttpHandler))),
        ("wasm-rootfs-hybrid", plan(&wasm_rootfs(), &hybrid(), &wasm_rootfs_facts())),
        ("wasm-unknown", plan(&wasm(), &samples::host(), &ContainerFacts::default())),
    ]
}

fn compare(name: &str, text: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/plans").join(format!("{name}.txt"));
    if std::env::var_os("DWELL_BLESS").is_some() {
        std::fs::create_dir_all(path.parent().expect("has one")).expect("makes");
        std::fs::write(&path, text).expect("writes");
    }
    let wanted = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(wanted == text, "{} differs (DWELL_BLESS=1 rewrites it):\n{text}", path.display());
}

#[test]
fn texts_are_as_recorded() {
    plans().iter().for_each(|(name, plan)| compare(name, &plan.to_string()));
    let mut pod = samples::pod();
    pod.containers = vec![wasm()];
    compare("pod", &plan_pod(&pod, &samples::host()).expect("plans").to_string());
    compare("exec", &exec().to_string());
}

fn exec() -> super::ExecPlan {
    let request = ExecRequest { argv: vec!["id".to_owned()], user: Some("0".to_owned()), tty: true, stdin: true };
    plan_exec(&samples::pod(), &rich(), &hybrid(), &rich_facts(), IP, &request).expect("plans")
}

fn every_init() -> Vec<(Vec<FdSource>, InitPlan)> {
    let mut all: Vec<_> = plans().into_iter().map(|(_, plan)| (plan.sources, plan.init)).collect();
    all.push((exec().sources, exec().init));
    all
}

fn position(init: &InitPlan, wanted: impl Fn(&Op) -> bool) -> Option<usize> {
    init.ops.iter().position(wanted)
}

fn slots(init: &InitPlan) -> Vec<Slot> {
    let of = |op: &Op| match op {
        Op::EnterCgroup { tasks: slot, .. }
        | Op::JoinNamespaces { pidfd: slot, .. }
        | Op::AttachRoot { mount: slot }
        | Op::Attach { mount: slot, .. } => Some(*slot),
        _ => None,
    };
    let mut found: Vec<Slot> = init.ops.iter().filter_map(of).collect();
    if let Exec::Descriptor { program, keep, .. } = &init.exec {
        found.push(*program);
        found.extend(keep);
    }
    found
}

#[test]
fn every_slot_exists_and_none_is_used_twice() {
    for (sources, init) in every_init() {
        let mut used = slots(&init);
        used.sort();
        assert!(used.iter().all(|slot| usize::from(slot.0) < sources.len()));
        let count = used.len();
        used.dedup();
        assert_eq!(used.len(), count);
    }
}

fn target(op: &Op) -> Option<&str> {
    match op {
        Op::Attach { target, .. }
        | Op::MountProc { target }
        | Op::MountSysfs { target, .. }
        | Op::MountCgroup { target, .. }
        | Op::MountTmpfs { target, .. }
        | Op::MountMqueue { target }
        | Op::MountDevpts { target }
        | Op::BindConsole { target } => Some(target),
        Op::MakeDevice { path, .. } | Op::MakeSymlink { path, .. } | Op::Mask { path } | Op::ReadOnly { path } => {
            Some(path)
        }
        _ => None,
    }
}

#[test]
fn every_target_is_absolute_and_climbs_nowhere() {
    for (_, init) in every_init() {
        for path in init.ops.iter().filter_map(target) {
            assert!(path.starts_with('/') && path.len() > 1 && !path.split('/').any(|part| part == ".."), "{path}");
        }
    }
}

#[test]
fn cgroups_before_anything_mounts_before_the_pivot_privileges_last() {
    for (_, init) in every_init() {
        let last = |wanted: fn(&Op) -> bool| init.ops.iter().rposition(wanted);
        let user = position(&init, |op| matches!(op, Op::SetUser { .. })).expect("every plan sets a user");
        let capabilities = position(&init, |op| matches!(op, Op::SetCapabilities { .. })).expect("and capabilities");
        let privileges = position(&init, |op| matches!(op, Op::NoNewPrivileges)).expect("and no_new_privs");
        assert!(user < capabilities && capabilities < privileges);
        assert!(last(|op| target(op).is_some()) < Some(user));
        if let Some(pivot) = position(&init, |op| matches!(op, Op::PivotRoot)) {
            assert!(last(|op| target(op).is_some()) < Some(pivot));
            assert!(
                last(|op| matches!(op, Op::EnterCgroup { .. }))
                    < position(&init, |op| matches!(op, Op::Unshare { .. }))
            );
            assert!(position(&init, |op| matches!(op, Op::SealRoot)).is_none_or(|seal| seal > pivot));
            assert!(position(&init, |op| matches!(op, Op::ChangeDirectory { .. })) > Some(pivot));
        }
        if let Some(seccomp) = position(&init, |op| matches!(op, Op::Seccomp { .. })) {
            assert_eq!(seccomp, init.ops.len() - 1);
        }
    }
}

#[test]
fn a_wasm_member_has_no_device_no_kernel_file_system_and_no_capability() {
    for (name, plan) in plans().into_iter().filter(|(name, _)| name.starts_with("wasm")) {
        let forbidden = |op: &Op| {
            matches!(op, Op::MountProc { .. } | Op::MountSysfs { .. } | Op::MountTmpfs { .. } | Op::MakeDevice { .. })
        };
        assert!(!plan.init.ops.iter().any(forbidden), "{name}");
        assert!(plan.init.ops.contains(&Op::SetCapabilities { bounding: 0, effective: 0 }), "{name}");
        assert!(plan.init.ops.contains(&Op::SealRoot) && plan.cgroup.devices.is_empty(), "{name}");
    }
}

#[test]
fn plans_survive_their_encodings() {
    for (name, plan) in plans() {
        assert_eq!(InitPlan::decode(&plan.init.encode()), Ok(plan.init.clone()), "{name}");
        let json = serde_json::to_string(&plan).expect("encodes");
        assert_eq!(serde_json::from_str::<ContainerPlan>(&json).expect("decodes"), plan, "{name}");
    }
}

#[test]
fn refusals_name_container_and_field() {
    let pod = Pod { containers: Vec::new(), ..samples::pod() };
    let refused = |change: fn(&mut Container)| {
        let mut container = samples::container("web");
        change(&mut container);
        plan_container(&pod, &container, &samples::host(), &ContainerFacts::default(), IP)
            .expect_err("refused")
            .to_string()
    };
    let text = refused(|container| container.command.clear());
    assert!(text.starts_with("container web: command: nothing to execute"), "{text}");
    let text = refused(|container| container.user = Some(UserRef::Id(u32::MAX)));
    assert!(text.starts_with("container web: securityContext.runAsUser: 4294967295 is above"), "{text}");
    let text = refused(|container| container.mounts = vec![samples::mount("nope", "/x")]);
    assert_eq!(text, "container web: volumeMounts: the Pod has no volume \"nope\"");
}

/// Only CAP_SYS_ADMIN may install a filter without no_new_privs.
#[test]
fn who_may_gain_privileges_gets_the_filter_before_losing_its_own() {
    let order = |change: fn(&mut Rights)| {
        let mut container = samples::container("a");
        change(&mut container.rights);
        let plan = plan_container(&samples::pod(), &container, &samples::host(), &ContainerFacts::default(), IP);
        let init = plan.expect("plans").init;
        [
            position(&init, |op| matches!(op, Op::Seccomp { .. })),
            position(&init, |op| matches!(op, Op::SetUser { .. })),
            position(&init, |op| matches!(op, Op::NoNewPrivileges)),
        ]
    };
    let [filter, user, none] = order(|rights| rights.may_gain_privileges = true);
    assert!(filter < user && filter.is_some() && none.is_none());
    let [none, user, privileges] = order(|rights| rights.seccomp = SeccompChoice::Unconfined);
    assert!(none.is_none() && user < privileges);
}

#[test]
fn root_where_it_must_not_be_and_what_no_wasm_member_has_are_refused() {
    let refused = |container: &Container, facts: &ContainerFacts| {
        plan_container(&samples::pod(), container, &samples::host(), facts, IP).expect_err("refused").to_string()
    };
    let mut native = samples::container("a");
    native.rights.must_not_be_root = true;
    assert!(refused(&native, &ContainerFacts::default()).contains("securityContext.runAsNonRoot: it must not run as"));
    native.user = Some(UserRef::Id(5));
    plan_container(&samples::pod(), &native, &samples::host(), &ContainerFacts::default(), IP).expect("control");
    let mut module = wasm_rootfs();
    module.rights.capabilities = crate::capabilities::ALL;
    assert!(refused(&module, &wasm_rootfs_facts()).contains("capabilities.add: a Wasm member"));
}

#[test]
fn an_exec_joins_two_namespaces_and_beside_wasm_runs_modules_alone() {
    let beside = |facts: &ContainerFacts| {
        let request =
            ExecRequest { argv: vec!["/data/check.wasm".to_owned(), "x".to_owned()], ..ExecRequest::default() };
        plan_exec(&samples::pod(), &wasm(), &samples::host(), facts, IP, &request)
    };
    assert!(beside(&ContainerFacts::default()).is_err(), "no module");
    assert!(beside(&module(ModuleKind::HttpHandler)).is_err(), "a server has no end");
    let plan = beside(&module(ModuleKind::Preview1Command)).expect("plans");
    let worker = plan.worker.expect("a worker's plan");
    assert_eq!(worker.args[1..], ["x"], "its own arguments, not the member's");
    assert!(worker.listen.is_empty());
    let own = position(&plan.init, |op| matches!(op, Op::Unshare { namespaces } if *namespaces == [Namespace::Mount]));
    let attach = position(&plan.init, |op| matches!(op, Op::Attach { .. }));
    assert!(own < attach, "the member's own mounts stay as they are");
    let joins = exec()
        .init
        .ops
        .iter()
        .filter(|op| matches!(op, Op::JoinNamespaces { namespaces, .. } if namespaces.len() == 2))
        .count();
    assert_eq!(joins, 1);
}
