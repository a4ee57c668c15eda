//! Ports, resources, volumes and mounts.

use serde_json::{Value as Json, json};

use super::{accepted, container, refused};
use crate::pod::{ContainerPort, HostPathKind, Medium, Protocol, VolumeSource};

#[test]
fn ports() {
    let at = "spec.containers[0].ports[0]";
    let port = |port: Json| container(json!({"ports": [port]}));
    refused(port(json!({"containerPort": 65536})), &format!("{at}.containerPort"), "between 1 and 65535");
    refused(port(json!({"hostPort": 1})), &format!("{at}.containerPort"), "Required");
    refused(port(json!({"containerPort": 1, "hostPort": -1})), &format!("{at}.hostPort"), "between 1 and 65535");
    let sctp = |more: Json| {
        let mut sctp = json!({"containerPort": 7, "protocol": "SCTP"});
        sctp.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        sctp
    };
    assert_eq!(accepted(port(sctp(json!({"hostPort": 9})))).containers[0].ports[0].protocol, Protocol::Sctp);
    let loopback = sctp(json!({"hostPort": 9, "hostIP": "127.0.0.1"}));
    refused(port(loopback), &format!("{at}.hostIP"), "nothing carries SCTP from the host's loopback");
    let module = |port: Json, host_network: bool| json!({"spec": {"hostNetwork": host_network, "containers": [{"image": "wasm:/m.wasm", "ports": [port]}]}});
    let leads = module(sctp(json!({"hostPort": 9})), false);
    refused(leads, &format!("{at}.protocol"), "WASI has no SCTP sockets");
    accepted(module(sctp(json!({})), false));
    accepted(module(sctp(json!({})), true));
    refused(port(json!({"containerPort": 1, "protocol": "tcp"})), &format!("{at}.protocol"), "supported values");
    refused(port(json!({"containerPort": 1, "hostIP": "localhost"})), &format!("{at}.hostIP"), "valid IP address");
    refused(port(json!({"containerPort": 1, "name": "Http"})), &format!("{at}.name"), "alpha-numeric");
    let pod = accepted(port(
        json!({"containerPort": 53, "hostPort": 5353, "hostIP": "::1", "protocol": "UDP", "name": "dns"}),
    ));
    let expected = ContainerPort {
        name: Some("dns".into()),
        container_port: 53,
        host_port: Some(5353),
        host_ip: Some("::1".parse().unwrap()),
        protocol: Protocol::Udp,
    };
    assert_eq!(pod.containers[0].ports, [expected]);
}

#[test]
fn host_ports_collide_by_protocol_and_address() {
    let two = |a: Json, b: Json| container(json!({"ports": [a, b]}));
    let tcp = json!({"containerPort": 1, "hostPort": 80});
    let path = "spec.containers[0].ports[1].hostPort";
    refused(two(tcp.clone(), json!({"containerPort": 2, "hostPort": 80})), path, "Duplicate value: \"TCP//80\"");
    refused(two(tcp.clone(), json!({"containerPort": 2, "hostPort": 80, "hostIP": "127.0.0.1"})), path, "Duplicate");
    accepted(two(tcp, json!({"containerPort": 2, "hostPort": 80, "protocol": "UDP"})));
    let on = |ip: &str| json!({"containerPort": 1, "hostPort": 80, "hostIP": ip});
    accepted(two(on("127.0.0.1"), on("127.0.0.2")));
    accepted(two(json!({"containerPort": 1}), json!({"containerPort": 1})));
}

#[test]
fn host_network_binds_container_ports() {
    let with = |port: Json| json!({"spec": {"hostNetwork": true, "containers": [{"ports": [port]}]}});
    assert_eq!(accepted(with(json!({"containerPort": 80}))).containers[0].ports[0].host_port, Some(80));
    let path = "spec.containers[0].ports[0].hostPort";
    refused(with(json!({"containerPort": 80, "hostPort": 81})), path, "must match `containerPort`");
}

#[test]
fn resources() {
    let at = "spec.containers[0].resources";
    let with = |resources: Json| container(json!({"resources": resources}));
    let pod = accepted(with(json!({"limits": {"cpu": "1.5", "memory": "64Mi"}, "requests": {"cpu": "250m"}})));
    let found = &pod.containers[0].resources;
    assert_eq!((found.cpu_limit_millis, found.cpu_request_millis), (Some(1500), Some(250)));
    assert_eq!((found.memory_limit, found.memory_request), (Some(64 << 20), Some(64 << 20)));
    let none = accepted(with(json!({"limits": {"cpu": 0, "memory": "0"}}))).containers[0].resources.clone();
    assert_eq!((none.cpu_limit_millis, none.memory_limit), (None, None));
    let over = json!({"limits": {"cpu": "100m"}, "requests": {"cpu": 1}});
    refused(with(over), &format!("{at}.requests[cpu]"), "must be less than or equal to cpu limit of 100m");
    refused(with(json!({"limits": {"memory": "-1"}})), &format!("{at}.limits[memory]"), "greater than or equal to 0");
    refused(with(json!({"limits": {"memory": "512m"}})), &format!("{at}.limits[memory]"), "fractional byte value");
    refused(with(json!({"limits": {"memory": "64MB"}})), &format!("{at}.limits[memory]"), "regular expression");
    refused(with(json!({"limits": {"memory": "9Ei"}})), &format!("{at}.limits[memory]"), "at most 9223372036854775807");
    let storage = accepted(with(json!({"limits": {"ephemeral-storage": "1Gi"}}))).containers[0].resources.clone();
    assert_eq!(storage.storage_limit, Some(1 << 30));
    let over = json!({"limits": {"ephemeral-storage": "1"}, "requests": {"ephemeral-storage": "2"}});
    refused(with(over), &format!("{at}.requests[ephemeral-storage]"), "must be less than or equal");
    refused(with(json!({"limits": {"memroy": 1}})), &format!("{at}.limits[memroy]"), "standard resource type");
}

#[test]
fn volumes_and_mounts() {
    let volume = |volume: Json| json!({"spec": {"volumes": [volume]}});
    let source = |v: Json| accepted(volume(v)).volumes.remove(0).source;
    assert_eq!(source(json!({"name": "v"})), VolumeSource::EmptyDir { medium: Medium::Disk, size_limit: None });
    let memory = json!({"name": "v", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}});
    assert_eq!(source(memory), VolumeSource::EmptyDir { medium: Medium::Memory, size_limit: Some(1 << 20) });
    let disk = json!({"name": "v", "emptyDir": {"sizeLimit": "1Gi"}});
    assert_eq!(source(disk), VolumeSource::EmptyDir { medium: Medium::Disk, size_limit: Some(1 << 30) });
    let host = json!({"name": "v", "hostPath": {"path": "/a//b/", "type": "Directory"}});
    assert_eq!(source(host), VolumeSource::HostPath { path: "/a/b".into(), kind: HostPathKind::Directory });
    let device = json!({"name": "v", "hostPath": {"path": "/dev/x", "type": "BlockDevice"}});
    assert_eq!(source(device), VolumeSource::HostPath { path: "/dev/x".into(), kind: HostPathKind::BlockDevice });
    let claim = json!({"name": "v", "persistentVolumeClaim": {"claimName": "c", "readOnly": true}});
    assert_eq!(source(claim), VolumeSource::Claim { name: "c".into(), read_only: true });
    let ephemeral = json!({"name": "v", "ephemeral": {"volumeClaimTemplate": {"spec": {}}}});
    assert_eq!(source(ephemeral), VolumeSource::Ephemeral);
    let at = "spec.volumes[0]";
    let claim = |name: &str| volume(json!({"name": "v", "persistentVolumeClaim": {"claimName": name}}));
    refused(claim(""), &format!("{at}.persistentVolumeClaim.claimName"), "Required");
    refused(claim("../x"), &format!("{at}.persistentVolumeClaim.claimName"), "subdomain");
    refused(volume(json!({"name": "v", "ephemeral": {}})), &format!("{at}.ephemeral.volumeClaimTemplate"), "Required");
    refused(volume(json!({"name": "v", "hostPath": {"path": "a"}})), &format!("{at}.hostPath.path"), "absolute");
    refused(volume(json!({"name": "v", "hostPath": {"path": "/a/../b"}})), &format!("{at}.hostPath.path"), "'..'");
    refused(
        volume(json!({"name": "v", "hostPath": {"path": "/a", "type": "Dir"}})),
        &format!("{at}.hostPath.type"),
        "supported",
    );
    refused(volume(json!({"name": "v", "emptyDir": {"medium": "RAM"}})), &format!("{at}.emptyDir.medium"), "supported");
    refused(
        volume(json!({"name": "v", "emptyDir": {"sizeLimit": "x"}})),
        &format!("{at}.emptyDir.sizeLimit"),
        "regular",
    );
    refused(volume(json!({"name": "v", "configMap": {"name": ""}})), &format!("{at}.configMap.name"), "Required");
    refused(
        volume(json!({"name": "v", "emptyDir": {}, "hostPath": {"path": "/a"}})),
        &format!("{at}.hostPath"),
        "more than 1",
    );
    refused(json!({"spec": {"volumes": [{"name": "v"}, {"name": "v"}]}}), "spec.volumes[1].name", "Duplicate");

    let mount = |mount: Json| json!({"spec": {"volumes": [{"name": "v"}], "containers": [{"volumeMounts": [mount]}]}});
    let at = "spec.containers[0].volumeMounts[0]";
    refused(mount(json!({"name": "w", "mountPath": "/a"})), &format!("{at}.name"), "Not found: \"w\"");
    refused(mount(json!({"name": "v", "mountPath": "a"})), &format!("{at}.mountPath"), "absolute");
    refused(mount(json!({"name": "v", "mountPath": "/a/../b"})), &format!("{at}.mountPath"), "'..'");
    refused(mount(json!({"name": "v", "mountPath": "/a:b"})), &format!("{at}.mountPath"), "':'");
    refused(mount(json!({"name": "v"})), &format!("{at}.mountPath"), "Required");
    accepted(mount(json!({"name": "v", "mountPath": "/", "readOnly": true})));
    let recursive = |how: &str, only: bool| {
        mount(json!({"name": "v", "mountPath": "/a", "readOnly": only, "recursiveReadOnly": how}))
    };
    accepted(recursive("Enabled", true));
    accepted(recursive("Disabled", false));
    refused(recursive("IfPossible", false), &format!("{at}.recursiveReadOnly"), "when readOnly is true");
    refused(recursive("Yes", true), &format!("{at}.recursiveReadOnly"), "\"IfPossible\"");
    let twice = json!({"spec": {"volumes": [{"name": "v"}], "containers": [{"volumeMounts": [
        {"name": "v", "mountPath": "/a"}, {"name": "v", "mountPath": "/a/"}]}]}});
    refused(twice, "spec.containers[0].volumeMounts[1].mountPath", "must be unique");
}

#[test]
fn resources_of_the_pod() {
    let with = |own: Json, container: Json| {
        let container = json!({"name": "a", "image": "wasm:/m", "resources": container});
        json!({"spec": {"resources": own, "containers": [container]}})
    };
    let at = "spec.resources";
    let pod = accepted(with(json!({"limits": {"cpu": 1, "memory": "64Mi"}}), json!({"requests": {"cpu": "250m"}})));
    let own = pod.resources.unwrap();
    assert_eq!((own.cpu_limit_millis, own.memory_limit), (Some(1000), Some(64 << 20)));
    assert_eq!((own.cpu_request_millis, own.memory_request), (Some(250), Some(64 << 20)), "the sum, else the limit");
    assert_eq!(accepted(with(json!({}), json!({}))).resources, None);
    assert_eq!(accepted(with(json!({"limits": {}}), json!({}))).resources, None);
    let few = with(json!({"requests": {"memory": "1Mi"}}), json!({"requests": {"memory": "2Mi"}}));
    refused(few, &format!("{at}.requests[memory]"), "aggregate container requests of 2097152");
    let much = with(json!({"limits": {"cpu": 1}}), json!({"requests": {"cpu": "1500m"}}));
    refused(much, &format!("{at}.requests[cpu]"), "less than or equal to cpu limit of 1000m");
    let above = with(json!({"limits": {"cpu": 1}}), json!({"limits": {"cpu": 2}, "requests": {"cpu": 1}}));
    refused(above, "spec.containers[0].resources.limits[cpu]", "less than or equal to pod limits of 1000m");
    refused(
        with(json!({"limits": {"cpu": -1}}), json!({})),
        &format!("{at}.limits[cpu]"),
        "greater than or equal to 0",
    );
    let storage = with(json!({"limits": {"ephemeral-storage": "1Gi"}}), json!({}));
    refused(storage, &format!("{at}.limits[ephemeral-storage]"), "supported values");
}

#[test]
fn runtime_classes_promise_what_dwell_does() {
    let with = |name: &str| json!({"spec": {"runtimeClassName": name}});
    ["wasmtime", "crun", ""].into_iter().for_each(|name| drop(accepted(with(name))));
    refused(with("kata"), "spec.runtimeClassName", "supported values: \"dwell\"");
}
