//! What is typed, checked as the Pod that it becomes.

use super::*;
use crate::manifest::{assign_name, parse_manifests, to_yaml};
use crate::pod::{EnvValue, HostPathKind, ImageRef, Pod, RestartPolicy, UserRef, VolumeSource};

fn run() -> RunArgs {
    RunArgs { base_dir: "/home/x".into(), ..RunArgs::default() }
}

fn checked(run: &RunArgs) -> Pod {
    let mut pod = to_pod(run).unwrap();
    assign_name(&mut pod, 7);
    Pod::try_from(&pod).unwrap_or_else(|problems| panic!("{problems:?}"))
}

fn fails(run: &RunArgs) -> String {
    to_pod(run).unwrap_err().to_string()
}

#[test]
fn everything_typed_arrives() {
    let typed = RunArgs {
        wasm: Some("My_App.wasm".into()),
        args: vec!["a b".into(), "$(HOME)".into(), "$$".into(), "$x".into()],
        env: vec!["A=1".into(), "B=$(A)".into(), "FROM_HOST".into(), "NOT_THERE".into()],
        env_files: vec![("f".into(), "# note\n\nA=0\nC=x = y\n".into())],
        host_env: BTreeMap::from([("FROM_HOST".into(), "h".into())]),
        volumes: vec!["./d/../e:/data:ro".into(), "/abs:/abs".into(), "kept.1:/kept".into()],
        publish: vec!["8080:80".into(), "127.0.0.1:53:5353/udp".into(), "[::1]:81:80/tcp".into()],
        user: Some("1000:7".into()),
        memory: Some("64m".into()),
        stdin: true,
        ..run()
    };
    let pod = checked(&typed);
    assert!(pod.name.starts_with("my-app-"), "{}", pod.name);
    assert_eq!(pod.restart_policy, RestartPolicy::Never);
    let c = &pod.containers[0];
    assert_eq!((c.name.as_str(), &c.image), ("my-app", &ImageRef::Wasm("/home/x/My_App.wasm".into())));
    let started = crate::plan::resolved(
        &pod,
        c,
        &crate::plan::samples::host(),
        &Default::default(),
        crate::facts::PodIp::UNKNOWN,
    )
    .unwrap();
    let env: Vec<_> = started.env.iter().map(|(k, v)| (k.as_str(), v.clone())).collect();
    let text = |value: &str| EnvValue::Text(value.into());
    assert_eq!(env, [("A", text("1")), ("C", text("x = y")), ("B", text("$(A)")), ("FROM_HOST", text("h"))]);
    assert_eq!(started.args, ["a b", "$(HOME)", "$$", "$x"]);
    assert!(matches!(&pod.volumes[0].source, VolumeSource::HostPath { path, .. } if path == "/home/x/e"));
    assert!(c.mounts[0].read_only && !c.mounts[1].read_only);
    assert!(matches!(&pod.volumes[2].source, VolumeSource::Claim { name, .. } if name == "kept.1"));
    assert_eq!(
        c.ports.iter().map(|p| (p.host_port, p.container_port)).collect::<Vec<_>>(),
        [(Some(8080), 80), (Some(53), 5353), (Some(81), 80)]
    );
    assert_eq!(c.ports[2].host_ip, Some("::1".parse().unwrap()));
    assert_eq!((c.user.clone(), c.group), (Some(UserRef::Id(1000)), Some(7)));
    assert_eq!(c.resources.memory_limit, Some(64 << 20));
    assert!(c.stdin && c.stdin_once && !c.tty);
}

#[test]
fn a_user_by_name() {
    for user in ["www-data", "www-data:adm", "www-data:7", "7:adm"] {
        let typed =
            RunArgs { image: Some("rootfs:r".into()), name: Some("web".into()), user: Some(user.into()), ..run() };
        let pod = checked(&typed);
        assert_eq!(pod.name, "web");
        assert_eq!(pod.containers[0].user, Some(UserRef::Name(user.into())));
    }
}

#[test]
fn what_is_typed_wrongly_says_so() {
    assert!(fails(&run()).contains("run needs one of"));
    let wasm = RunArgs { wasm: Some("a.wasm".into()), ..run() };
    let with = |change: &dyn Fn(&mut RunArgs)| {
        let mut typed = wasm.clone();
        change(&mut typed);
        fails(&typed)
    };
    for volume in ["x", "Data_:/x", "/a:/b:rx", "/a:/b:ro:z"] {
        assert!(with(&|r| r.volumes = vec![volume.into()]).starts_with("-v "), "{volume}");
    }
    for port in ["80", "80:", ":80", "0:80", "1:65536", "::1:80:80", "host:80:80", "80:80/dccp", "[::1:80:80"] {
        assert!(with(&|r| r.publish = vec![port.into()]).starts_with("-p "), "{port}");
    }
    for user in ["", ":7", "a:", "a b"] {
        assert!(with(&|r| r.user = Some(user.into())).starts_with("-u "), "{user}");
    }
    for memory in ["", "x", "0", "-1m", "1x", "m"] {
        assert!(with(&|r| r.memory = Some(memory.into())).starts_with("-m "), "{memory}");
    }
    assert!(with(&|r| r.env = vec!["=x".into()]).starts_with("-e "));
    assert_eq!(with(&|r| r.env_files = vec![("f".into(), "A=1\n=x\n".into())]), "f:2: expected NAME=VALUE");
}

#[test]
fn devices_and_rights() {
    let devices = vec![("/dev/sda:/dev/disk:r".into(), true), ("/dev/ttyUSB0".into(), false)];
    let pod = checked(&RunArgs { image: Some("rootfs:/r".into()), devices, privileged: true, ..run() });
    let kinds = pod.volumes.iter().map(|volume| match &volume.source {
        VolumeSource::HostPath { path, kind } => (path.as_str(), *kind),
        other => panic!("{other:?}"),
    });
    assert_eq!(
        kinds.collect::<Vec<_>>(),
        [("/dev/sda", HostPathKind::BlockDevice), ("/dev/ttyUSB0", HostPathKind::CharDevice)]
    );
    let mounts = pod.containers[0].mounts.iter().map(|mount| (mount.mount_path.as_str(), mount.read_only));
    assert_eq!(mounts.collect::<Vec<_>>(), [("/dev/disk", true), ("/dev/ttyUSB0", false)]);
    assert!(pod.containers[0].rights.privileged);
    let wrong = RunArgs { image: Some("rootfs:/r".into()), devices: vec![("/dev/a:/b:x".into(), false)], ..run() };
    assert!(fails(&wrong).starts_with("--device "));
}

#[test]
fn the_shown_manifest_is_the_pod() {
    let typed = RunArgs {
        wasm: Some("a.wasm".into()),
        args: vec!["yes".into(), "multi\nline".into(), "#".into()],
        env: vec!["A=0644".into()],
        tty: true,
        read_only: true,
        ..run()
    };
    let pod = to_pod(&typed).unwrap();
    let text = to_yaml(&pod);
    let parsed = parse_manifests(&text, "shown").unwrap_or_else(|error| panic!("{error}\n{text}"));
    assert_eq!(parsed.pods, [pod]);
}

#[test]
fn names_from_files() {
    let rows = [
        ("wasm:/x/My_App.wasm", "my-app"),
        ("wasm:/x/.wasm", "main"),
        ("rootfs:/", "main"),
        ("h:5000/x/nginx:1.27", "nginx"),
    ];
    for (image, name) in rows {
        assert_eq!(base_name(image), name, "{image}");
    }
}
