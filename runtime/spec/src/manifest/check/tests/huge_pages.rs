//! Huge pages: as resources, and as the medium of an emptyDir.

use serde_json::{Value as Json, json};

use super::{accepted, container, refused};
use crate::pod::{EnvValue, Medium, ResourceAmount, VolumeSource};

const MI: u64 = 1 << 20;

fn with(limits: Json, requests: Json) -> Json {
    container(json!({"resources": {"limits": limits, "requests": requests}}))
}

#[test]
fn a_limit_and_its_request_are_one() {
    let at = "spec.containers[0].resources";
    let limits = json!({"memory": "64Mi", "hugepages-2Mi": "4Mi", "hugepages-1Gi": "0"});
    let pod = accepted(with(limits.clone(), json!({"hugepages-2Mi": "4096Ki"})));
    assert_eq!(pod.containers[0].resources.huge_pages, [(2 * MI, 4 * MI), (1024 * MI, 0)].into());
    assert_eq!(crate::status::qos_class(&pod), "Burstable", "only cpu and memory count");
    let requests = |amount: &str| json!({ "hugepages-2Mi": amount });
    let path = format!("{at}.requests[hugepages-2Mi]");
    refused(with(limits, requests("2Mi")), &path, "must be equal to hugepages-2Mi limit of 4Mi");
    let none = with(json!({"memory": "64Mi"}), requests("2Mi"));
    refused(none, &format!("{at}.limits[hugepages-2Mi]"), "Limit must be set for non overcommitable resources");
    refused(with(requests("2Mi"), json!({})), at, "HugePages require cpu or memory");
    accepted(with(requests("2Mi"), json!({"cpu": "1m"})));
    let part = json!({"memory": "64Mi", "hugepages-2Mi": "3Mi"});
    let why = "3Mi is not positive integer multiple of hugepages-2Mi";
    refused(with(part, json!({})), &format!("{at}.limits[hugepages-2Mi]"), why);
    for name in ["hugepages-", "hugepages-0", "hugepages-big"] {
        refused(with(json!({"memory": "64Mi", name: "2Mi"}), json!({})), &format!("{at}.limits[{name}]"), "multiple");
    }
}

#[test]
fn a_pod_has_enough_for_its_containers() {
    let pod = |whole: Json| {
        let own = json!({"limits": {"cpu": "1", "hugepages-2Mi": "4Mi"}});
        json!({"spec": {"resources": whole, "containers": [{"resources": own}]}})
    };
    let path = "spec.resources.requests[hugepages-2Mi]";
    let small = json!({"limits": {"cpu": "2", "hugepages-2Mi": "2Mi"}});
    refused(pod(small), path, "must be greater than or equal to aggregate container requests of 4Mi");
    let enough = accepted(pod(json!({"limits": {"cpu": "2", "hugepages-2Mi": "8Mi"}})));
    assert_eq!(enough.huge_pages(), [(2 * MI, 8 * MI)].into());
    let silent = accepted(pod(json!({"limits": {"cpu": "2"}})));
    assert_eq!(silent.huge_pages(), [(2 * MI, 4 * MI)].into(), "the sum, where the Pod says nothing of them");
    refused(pod(json!({"limits": {"hugepages-2Mi": "8Mi"}})), "spec.resources", "HugePages require cpu or memory");
}

#[test]
fn a_medium_is_of_a_size_that_was_asked_for() {
    let pod = |medium: &str, size: Json, pages: Json| {
        let volume = json!({"name": "v", "emptyDir": {"medium": medium, "sizeLimit": size}});
        json!({"spec": {"volumes": [volume], "containers": [{"resources": {"limits": pages}}]}})
    };
    let (one, two) =
        (json!({"cpu": 1, "hugepages-2Mi": "4Mi"}), json!({"cpu": 1, "hugepages-2Mi": "4Mi", "hugepages-1Gi": "1Gi"}));
    let lies = |medium: &str, pages: &Json| match accepted(pod(medium, json!("4Mi"), pages.clone()))
        .volumes
        .remove(0)
        .source
    {
        VolumeSource::EmptyDir { medium: Medium::HugePages { page }, size_limit: Some(_) } => page,
        other => panic!("{other:?}"),
    };
    assert_eq!((lies("HugePages", &one), lies("HugePages-2Mi", &two)), (2 * MI, 2 * MI));
    let at = "spec.volumes[0].emptyDir.medium";
    refused(pod("HugePages", Json::Null, two), at, "can't be used if container requests multiple huge page sizes");
    let none = "there is no resource request for huge pages";
    refused(pod("HugePages", Json::Null, json!({})), at, none);
    for medium in ["HugePages-1Gi", "HugePages-", "HugePages-x"] {
        refused(pod(medium, Json::Null, one.clone()), at, none);
    }
    refused(pod("HugePagesX", Json::Null, one.clone()), at, "supported values");
    refused(pod("HugePages", json!("1Mi"), one), "spec.volumes[0].emptyDir.sizeLimit", "at least one page of 2Mi");
}

#[test]
fn a_wasm_member_has_none_and_no_files_in_them() {
    let limits = json!({"limits": {"cpu": 1, "hugepages-2Mi": "4Mi"}});
    let module = |more: Json| {
        let mut module = json!({"name": "w", "image": "wasm:/m.wasm"});
        module.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let native = json!({"name": "n", "image": "rootfs:/r", "resources": limits, "volumeMounts": [{"name": "v", "mountPath": "/v"}]});
        json!({"spec": {"volumes": [{"name": "v", "emptyDir": {"medium": "HugePages"}}], "containers": [native, module]}})
    };
    let path = "spec.containers[1].resources.limits";
    refused(module(json!({"resources": limits})), path, "a Wasm member's memory never lies in huge pages");
    let mounts = json!({"volumeMounts": [{"name": "v", "mountPath": "/v"}]});
    refused(module(mounts), "spec.containers[1].volumeMounts[0].name", "a Wasm member cannot use files in huge pages");
    accepted(module(json!({})));
}

#[test]
fn variables_carry_them() {
    let variable = |resource: &str, divisor: &str| {
        let from = json!({"resourceFieldRef": {"resource": resource, "divisor": divisor}});
        container(json!({"env": [{"name": "X", "valueFrom": from}]}))
    };
    for (text, expected) in [
        ("limits.hugepages-2Mi", ResourceAmount::HugePagesLimit(2 * MI)),
        ("requests.hugepages-1Gi", ResourceAmount::HugePagesRequest(1024 * MI)),
    ] {
        let pod = accepted(variable(text, "1Mi"));
        let EnvValue::Resource(found) = &pod.containers[0].env[0].1 else { panic!("{:?}", pod.containers[0].env) };
        assert_eq!((found.amount, found.divisor), (expected, MI));
    }
    let at = "spec.containers[0].env[0].valueFrom.resourceFieldRef";
    refused(
        variable("limits.hugepages-2Mi", "2"),
        &format!("{at}.divisor"),
        "supported with the hugepages-2Mi resource",
    );
    refused(variable("limits.hugepages-x", "1"), &format!("{at}.resource"), "supported values");
}
