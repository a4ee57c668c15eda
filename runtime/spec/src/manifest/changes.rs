//! What may become of a Pod that is there already: its labels and annotations, the images of its containers, what they
//! may use, and less time. Everything else of it stays as it was, or it would be another Pod.
//!
//! Source: ValidatePodUpdate, ValidatePodResize. Pure; must never let anything pass that a running member would not notice.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, Pod, PodSpec, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use serde_json::Value;

use super::check::huge_pages;
use super::problem::Problem;
use crate::{quantity, status};

type Quantities = BTreeMap<String, Quantity>;

const RULE: &str =
    "only images, resources, labels, annotations, tolerations and a shorter activeDeadlineSeconds may change";
const WAY_OUT: &str = "remove the Pod and run it anew";

/// The Pod as it is to be: `before` with what may change of it as in `wanted`. What the system keeps (status, identity,
/// containers that were added) is that of `before`.
///
/// # Errors
/// A problem for each thing that would change and may not.
pub fn changed(before: &Pod, wanted: &Pod) -> Result<Pod, Vec<Problem>> {
    let mut pod = before.clone();
    pod.metadata.labels.clone_from(&wanted.metadata.labels);
    pod.metadata.annotations.clone_from(&wanted.metadata.annotations);
    let (Some(spec), Some(wanted)) = (&mut pod.spec, &wanted.spec) else {
        return Err(vec![Problem::required("spec", "")]);
    };
    let mut problems = deadline(spec, wanted);
    take(spec, wanted);
    let others = others(spec, wanted);
    problems.extend(if means_the_same(before, spec, wanted) { Vec::new() } else { others });
    if problems.is_empty() {
        problems.extend(resources(before.spec.as_ref(), spec));
        problems.extend(class(before, &pod));
    }
    if problems.is_empty() { Ok(pod) } else { Err(problems) }
}

/// Whether nothing of it has changed that is asked of a Pod, however it fares.
#[must_use]
pub fn asks_the_same(one: &Pod, other: &Pod) -> bool {
    let asked = |pod: &Pod| (pod.spec.clone(), pod.metadata.labels.clone(), pod.metadata.annotations.clone());
    asked(one) == asked(other)
}

fn take(spec: &mut PodSpec, wanted: &PodSpec) {
    spec.resources.clone_from(&wanted.resources);
    spec.active_deadline_seconds = wanted.active_deadline_seconds;
    spec.tolerations.clone_from(&wanted.tolerations);
    each(&mut spec.containers, &wanted.containers);
    each(
        spec.init_containers.as_deref_mut().unwrap_or_default(),
        wanted.init_containers.as_deref().unwrap_or_default(),
    );
}

fn each(containers: &mut [Container], wanted: &[Container]) {
    for (container, wanted) in containers.iter_mut().zip(wanted).filter(|(one, other)| one.name == other.name) {
        container.image.clone_from(&wanted.image);
        container.resources.clone_from(&wanted.resources);
    }
}

/// A Pod may be given less time, not more.
fn deadline(before: &PodSpec, wanted: &PodSpec) -> Vec<Problem> {
    let path = "spec.activeDeadlineSeconds";
    match (before.active_deadline_seconds, wanted.active_deadline_seconds) {
        (Some(before), Some(wanted)) if wanted > before => {
            let why = format!("must be less than or equal to previous value {before}");
            vec![Problem::invalid_number(path, wanted, &why)]
        }
        (Some(_), None) => vec![Problem::forbidden(path, "must not update from a positive integer to nil value")],
        _ => Vec::new(),
    }
}

/// What is different although it may not be.
fn others(spec: &PodSpec, wanted: &PodSpec) -> Vec<Problem> {
    let mut wanted = wanted.clone();
    wanted.ephemeral_containers.clone_from(&spec.ephemeral_containers);
    let (Ok(before), Ok(after)) = (serde_json::to_value(spec), serde_json::to_value(&wanted)) else {
        return Vec::new();
    };
    let mut paths = Vec::new();
    differences(&before, &after, "spec", &mut paths);
    paths.iter().map(|path| Problem::forbidden(path, RULE).with_hint(WAY_OUT)).collect()
}

/// Whether both are the same Pod in other words: a default written out, `1Gi` for `1024Mi`.
fn means_the_same(of: &Pod, spec: &PodSpec, wanted: &PodSpec) -> bool {
    let checked = |spec: &PodSpec| {
        let spec = PodSpec { ephemeral_containers: None, ..spec.clone() };
        let pod = Pod { metadata: of.metadata.clone(), spec: Some(spec), ..Pod::default() };
        crate::pod::Pod::try_from(&pod).ok()
    };
    let now = checked(spec);
    now.is_some() && now == checked(wanted)
}

/// Paths of what is not the same; lists of another length are different as a whole.
fn differences(before: &Value, after: &Value, path: &str, out: &mut Vec<String>) {
    match (before, after) {
        (Value::Object(one), Value::Object(other)) => {
            let keys = one.keys().chain(other.keys().filter(|key| !one.contains_key(*key)));
            for key in keys {
                let of = |map: &serde_json::Map<String, Value>| map.get(key).cloned().unwrap_or(Value::Null);
                differences(&of(one), &of(other), &format!("{path}.{key}"), out);
            }
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            let pairs = one.iter().zip(other).enumerate();
            pairs.for_each(|(n, (one, other))| differences(one, other, &format!("{path}[{n}]"), out));
        }
        _ if before == after || is_nothing(before) && is_nothing(after) => {}
        _ => out.push(path.to_owned()),
    }
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.values().all(is_nothing),
        _ => false,
    }
}

/// A limit that is there may be another one, unless it is of huge pages, and may not go: members that count on it would not
/// notice.
fn resources(before: Option<&PodSpec>, after: &PodSpec) -> Vec<Problem> {
    let Some(before) = before else { return Vec::new() };
    let inits = |spec: &PodSpec| spec.init_containers.clone().unwrap_or_default();
    let mut problems = gone(before.resources.as_ref(), after.resources.as_ref(), "spec.resources");
    problems.extend(other_pages(before, after));
    for (list, before, after) in [
        ("containers", before.containers.clone(), after.containers.clone()),
        ("initContainers", inits(before), inits(after)),
    ] {
        for (n, (one, other)) in before.iter().zip(&after).enumerate() {
            let path = format!("spec.{list}[{n}].resources");
            problems.extend(gone(one.resources.as_ref(), other.resources.as_ref(), &path));
        }
    }
    problems
}

/// Pages that a member has mapped cannot be taken from it.
fn other_pages(before: &PodSpec, after: &PodSpec) -> Option<Problem> {
    let of = |spec: &PodSpec| {
        let containers = spec.init_containers.iter().flatten().chain(&spec.containers).map(|one| one.resources.clone());
        let huge = |list: Option<Quantities>| {
            let pages = list.into_iter().flatten().filter(|(name, _)| huge_pages::is_resource(name));
            pages.map(|(name, amount)| (name, quantity::Quantity::parse(&amount.0).ok())).collect::<Vec<_>>()
        };
        let each = containers.chain([spec.resources.clone()]);
        each.map(|one| one.map(|one| huge(one.limits)).unwrap_or_default()).collect::<Vec<_>>()
    };
    let problem = || Problem::forbidden("spec", "only cpu and memory resources are mutable").with_hint(WAY_OUT);
    (of(before) != of(after)).then(problem)
}

fn gone(before: Option<&ResourceRequirements>, after: Option<&ResourceRequirements>, path: &str) -> Vec<Problem> {
    let limits = |of: Option<&ResourceRequirements>| of.and_then(|one| one.limits.clone()).unwrap_or_default();
    let requests = |of: Option<&ResourceRequirements>| of.and_then(|one| one.requests.clone()).unwrap_or_default();
    let missing = [("limits", limits(before), limits(after)), ("requests", requests(before), requests(after))];
    let of_one = |(list, before, after): (&str, Quantities, Quantities)| {
        let problem = |name: &String| {
            Problem::forbidden(format!("{path}.{list}[{name}]"), &format!("resource {list} cannot be removed"))
        };
        // 0 is none, too.
        let is_none = |amount: &Quantity| quantity::Quantity::parse(&amount.0).is_ok_and(|amount| amount.units() == 0);
        let gone =
            |name: &&String| after.get(*name).is_none_or(|now| is_none(now) && !before.get(*name).is_some_and(is_none));
        before.keys().filter(gone).map(problem).collect::<Vec<_>>()
    };
    missing.into_iter().flat_map(of_one).collect()
}

fn class(before: &Pod, after: &Pod) -> Option<Problem> {
    let of = |pod: &Pod| crate::pod::Pod::try_from(pod).ok().map(|pod| status::qos_class(&pod));
    let (before, after) = (of(before)?, of(after)?);
    let why = format!("Pod QOS Class may not change as a result of resizing: {before} would become {after}");
    (before != after).then(|| Problem::invalid("spec", after, &why).with_hint(WAY_OUT))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(edit: impl FnOnce(&mut Value)) -> Pod {
        let mut value = json!({"metadata": {"name": "p", "uid": "1"}, "spec": {
            "activeDeadlineSeconds": 60,
            "containers": [
                {"name": "a", "image": "wasm:/a", "resources": {"limits": {"memory": "64Mi"}}},
                {"name": "b", "image": "wasm:/b", "env": [{"name": "X", "value": "1"}]}]}});
        edit(&mut value);
        serde_json::from_value(value).unwrap()
    }

    fn refused(edit: impl FnOnce(&mut Value)) -> Vec<String> {
        let problems = changed(&pod(|_| {}), &pod(edit)).unwrap_err();
        problems.into_iter().map(|problem| problem.path).collect()
    }

    #[test]
    fn images_resources_and_words_about_it_may_change() {
        let wanted = pod(|pod| {
            pod["metadata"] = json!({"name": "p", "labels": {"a": "b"}});
            pod["spec"]["containers"][0]["image"] = json!("wasm:/new");
            pod["spec"]["containers"][0]["resources"]["limits"]["memory"] = json!("128Mi");
            pod["spec"]["activeDeadlineSeconds"] = json!(30);
            pod["spec"]["restartPolicy"] = Value::Null;
        });
        let now = changed(&pod(|_| {}), &wanted).unwrap();
        assert_eq!(now.spec, wanted.spec);
        assert_eq!(now.metadata.uid.as_deref(), Some("1"), "who it is stays");
        assert_eq!(now.metadata.labels, wanted.metadata.labels);
    }

    #[test]
    fn what_may_not_change_is_named() {
        let image = |pod: &mut Value| pod["spec"]["containers"][1]["env"][0]["value"] = json!("2");
        assert_eq!(refused(image), ["spec.containers[1].env[0].value"]);
        assert_eq!(refused(|pod| pod["spec"]["activeDeadlineSeconds"] = json!(61)), ["spec.activeDeadlineSeconds"]);
        let fewer = |pod: &mut Value| drop(pod["spec"]["containers"].as_array_mut().unwrap().pop());
        assert_eq!(refused(fewer), ["spec.containers"]);
        let renamed = |pod: &mut Value| pod["spec"]["containers"][0]["name"] = json!("z");
        assert_eq!(refused(renamed), ["spec.containers[0].name"]);
        assert_eq!(refused(|pod| pod["spec"]["hostNetwork"] = json!(true)), ["spec.hostNetwork"]);
        let unlimited = |pod: &mut Value| pod["spec"]["containers"][0]["resources"] = json!({});
        assert_eq!(refused(unlimited)[0], "spec.containers[0].resources.limits[memory]");
    }

    #[test]
    fn huge_pages_stay_as_they_are() {
        let with = |amount: &'static str| {
            move |pod: &mut Value| {
                let limits = json!({"memory": "64Mi", "hugepages-2Mi": amount});
                pod["spec"]["containers"][0] =
                    json!({"name": "a", "image": "rootfs:/a", "resources": {"limits": limits}});
            }
        };
        let change = |amount| changed(&pod(with("4Mi")), &pod(with(amount)));
        let problems = change("8Mi").unwrap_err();
        assert!(problems[0].message.contains("only cpu and memory resources are mutable"), "{problems:?}");
        assert!(change("4096Ki").is_ok(), "control: the same in other words");
        assert!(
            changed(&pod(|pod| pod["spec"]["containers"][0]["image"] = json!("rootfs:/a")), &pod(with("4Mi"))).is_err()
        );
    }

    #[test]
    fn a_class_is_for_life() {
        let all = |pod: &mut Value| {
            for n in 0..2 {
                pod["spec"]["containers"][n]["resources"] = json!({"limits": {"memory": "64Mi", "cpu": "1"}});
            }
        };
        assert_eq!(refused(all), ["spec"]);
    }

    #[test]
    fn what_was_added_stays() {
        let mut before = pod(|_| {});
        let added = serde_json::from_value(json!([{"name": "d", "image": "wasm:/d"}])).unwrap();
        before.spec.as_mut().unwrap().ephemeral_containers = Some(added);
        let now = changed(&before, &pod(|pod| pod["spec"]["containers"][0]["image"] = json!("wasm:/z"))).unwrap();
        assert_eq!(now.spec.unwrap().ephemeral_containers.unwrap().len(), 1);
    }
}
