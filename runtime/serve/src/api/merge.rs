//! From an object and a patch to the object that is wanted: the three kinds of patch that Kubernetes' clients send.
//!
//! A strategic merge knows which lists are maps in disguise: their elements are the same when their key is. Source:
//! apimachinery strategicpatch; the keys are those of the API's `patchMergeKey`. Pure; must never change what no patch names.

use json_patch::PatchOperation;
use serde_json::{Map, Value};

/// As the API server's.
const OPERATIONS_MAX: usize = 10_000;
/// Bytes of a path in the object.
const POINTER_MAX: usize = 1024;
/// Steps of a path in the object.
const DEEPEST: usize = 32;
/// Bytes that a patch may copy within the object.
const COPIED_MAX: usize = 1 << 20;

/// What a client sends, by its content type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PatchKind {
    /// `application/strategic-merge-patch+json`
    Strategic,
    /// `application/merge-patch+json` (RFC 7396)
    Merge,
    /// `application/json-patch+json` (RFC 6902)
    Operations,
}

impl PatchKind {
    /// Of a content type; `None` for what is not understood. Without one it is strategic, as `kubectl patch` has it.
    pub fn of(content_type: Option<&str>) -> Option<PatchKind> {
        match content_type.map_or("", |kind| kind.split(';').next().unwrap_or_default().trim()) {
            "" | "application/json" | "application/strategic-merge-patch+json" => Some(PatchKind::Strategic),
            "application/merge-patch+json" => Some(PatchKind::Merge),
            "application/json-patch+json" => Some(PatchKind::Operations),
            _ => None,
        }
    }
}

/// Applies it.
///
/// # Errors
/// A sentence: it is no such patch, or does not fit the object.
pub fn apply(kind: PatchKind, object: &mut Value, patch: &Value) -> Result<(), String> {
    match kind {
        PatchKind::Operations => {
            let operations: json_patch::Patch =
                serde_json::from_value(patch.clone()).map_err(|error| format!("it is no JSON patch: {error}"))?;
            operate(object, &operations)
        }
        _ if !patch.is_object() => Err("a patch of this kind is a JSON object".into()),
        PatchKind::Merge => {
            json_patch::merge(object, patch);
            Ok(())
        }
        PatchKind::Strategic => {
            strategic(object, patch);
            Ok(())
        }
    }
}

/// One after the other. What an operation copies counts: without a bound forty of them fill any memory.
fn operate(object: &mut Value, operations: &[PatchOperation]) -> Result<(), String> {
    if operations.len() > OPERATIONS_MAX {
        return Err(format!("it has {} operations, at most {OPERATIONS_MAX} are taken", operations.len()));
    }
    let mut copied = 0;
    for operation in operations {
        let place = operation.path();
        if place.len() > POINTER_MAX || place.tokens().count() > DEEPEST {
            return Err("a path of it is longer than any of a Pod's".into());
        }
        if let PatchOperation::Copy(copy) = operation {
            copied += object.pointer(copy.from.as_str()).map_or(0, |value| value.to_string().len());
            if copied > COPIED_MAX {
                return Err(format!("it copies more than {COPIED_MAX} bytes"));
            }
        }
        // What is half changed by one that fails is thrown away.
        json_patch::patch_unsafe(object, std::slice::from_ref(operation)).map_err(|error| error.to_string())?;
    }
    Ok(())
}

fn strategic(target: &mut Value, patch: &Value) {
    let Some(patch) = patch.as_object() else { return target.clone_from(patch) };
    if says(patch.get("$patch"), "replace") || !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Some(target) = target.as_object_mut() else { return };
    for (key, value) in patch {
        match (value, key.split_once('/')) {
            (Value::Array(gone), Some(("$deleteFromPrimitiveList", of))) => {
                let list = target.get_mut(of).and_then(Value::as_array_mut);
                list.into_iter().for_each(|list| list.retain(|one| !gone.contains(one)));
            }
            _ if key.starts_with('$') => {}
            (Value::Null, _) => drop(target.remove(key)),
            (Value::Object(map), _) if says(map.get("$patch"), "delete") => drop(target.remove(key)),
            (Value::Array(elements), _) => match merge_key(key, elements) {
                Some(by) => merge_list(target.entry(key).or_insert(Value::Null), elements, by),
                None => drop(target.insert(key.clone(), value.clone())),
            },
            _ => strategic(target.entry(key).or_insert(Value::Null), value),
        }
    }
}

fn says(directive: Option<&Value>, word: &str) -> bool {
    directive.is_some_and(|directive| directive == word)
}

/// By which field the elements of a list are told apart; `None`: the list is one value.
fn merge_key(list: &str, elements: &[Value]) -> Option<&'static str> {
    let key = match list {
        "containers"
        | "initContainers"
        | "ephemeralContainers"
        | "env"
        | "volumes"
        | "imagePullSecrets"
        | "resourceClaims"
        | "schedulingGates" => "name",
        "volumeMounts" => "mountPath",
        "volumeDevices" => "devicePath",
        "ports" => "containerPort",
        "hostAliases" | "podIPs" | "hostIPs" => "ip",
        "conditions" => "type",
        "ownerReferences" => "uid",
        "topologySpreadConstraints" => "topologyKey",
        _ => return None,
    };
    let told_apart = |element: &Value| element.get(key).is_some() || says(element.get("$patch"), "replace");
    elements.iter().all(told_apart).then_some(key)
}

fn merge_list(target: &mut Value, elements: &[Value], key: &str) {
    if !target.is_array() {
        *target = Value::Array(Vec::new());
    }
    let Some(list) = target.as_array_mut() else { return };
    if elements.iter().any(|element| says(element.get("$patch"), "replace")) {
        list.clear();
    }
    for element in elements.iter().filter(|element| !says(element.get("$patch"), "replace")) {
        let at = list.iter().position(|one| one.get(key) == element.get(key));
        match (at, element.get("$patch").and_then(Value::as_str)) {
            (Some(at), Some("delete")) => drop(list.remove(at)),
            (None, Some("delete")) => {}
            (Some(at), _) => strategic(&mut list[at], element),
            (None, _) => {
                let mut fresh = Value::Null;
                strategic(&mut fresh, element);
                list.push(fresh);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn patched(kind: PatchKind, patch: Value) -> Value {
        let mut pod = json!({"metadata": {"labels": {"a": "1", "b": "2"}}, "spec": {"containers": [
            {"name": "x", "image": "one", "args": ["1", "2"]}, {"name": "y", "image": "two"}]}});
        apply(kind, &mut pod, &patch).unwrap();
        pod
    }

    #[test]
    fn containers_are_found_by_name() {
        let patch = json!({"spec": {"$setElementOrder/containers": [{"name": "y"}],
            "containers": [{"name": "y", "image": "new"}, {"name": "z", "image": "three"}]}});
        let pod = patched(PatchKind::Strategic, patch);
        let expected = json!([{"name": "x", "image": "one", "args": ["1", "2"]}, {"name": "y", "image": "new"},
            {"name": "z", "image": "three"}]);
        assert_eq!(pod["spec"]["containers"], expected);
        let gone = json!({"spec": {"containers": [{"name": "x", "$patch": "delete"}]}});
        assert_eq!(patched(PatchKind::Strategic, gone)["spec"]["containers"].as_array().unwrap().len(), 1);
        let args = json!({"spec": {"containers": [{"name": "x", "args": ["3"]}]}});
        assert_eq!(patched(PatchKind::Strategic, args)["spec"]["containers"][0]["args"], json!(["3"]));
    }

    #[test]
    fn null_takes_away_and_lists_are_whole_for_a_plain_merge() {
        let pod = patched(PatchKind::Strategic, json!({"metadata": {"labels": {"a": null, "c": "3"}}}));
        assert_eq!(pod["metadata"]["labels"], json!({"b": "2", "c": "3"}));
        let pod = patched(PatchKind::Merge, json!({"spec": {"containers": [{"name": "q"}]}}));
        assert_eq!(pod["spec"]["containers"], json!([{"name": "q"}]));
    }

    #[test]
    fn operations_must_fit() {
        let replace = json!([{"op": "replace", "path": "/spec/containers/0/image", "value": "new"}]);
        assert_eq!(patched(PatchKind::Operations, replace)["spec"]["containers"][0]["image"], "new");
        let test = json!([{"op": "test", "path": "/spec/containers/0/image", "value": "other"}]);
        assert!(apply(PatchKind::Operations, &mut json!({"spec": {"containers": [{"image": "x"}]}}), &test).is_err());
        assert!(apply(PatchKind::Operations, &mut json!({}), &json!({"a": 1})).is_err());
        assert!(apply(PatchKind::Merge, &mut json!({}), &json!([])).is_err());
    }

    #[test]
    fn directives_say_what_goes() {
        let gone = patched(PatchKind::Strategic, json!({"metadata": {"labels": {"$patch": "delete"}}}));
        assert_eq!(gone["metadata"], json!({}));
        let whole = json!({"spec": {"containers": [{"$patch": "replace"}, {"name": "q", "image": "only"}]}});
        assert_eq!(patched(PatchKind::Strategic, whole)["spec"]["containers"], json!([{"name": "q", "image": "only"}]));
        let whole = json!({"metadata": {"labels": {"$patch": "replace", "c": "3"}}});
        assert_eq!(patched(PatchKind::Strategic, whole)["metadata"]["labels"], json!({"c": "3"}));
    }

    /// Once, undoing such a move panicked, and forty copies of a map into itself filled the memory.
    #[test]
    fn hostile_operations_are_refused_and_cost_little() {
        let refused = |patch: &Value| {
            let mut object =
                json!({"metadata": {"labels": {"a": "1"}}, "a": {"x": "yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy"}});
            apply(PatchKind::Operations, &mut object, patch).expect_err("it is refused")
        };
        refused(
            &json!([{"op": "move", "from": "/metadata/labels", "path": "/metadata"}, {"op": "test", "path": "/x", "value": 1}]),
        );
        let doubling: Vec<Value> =
            (0..40).map(|n| json!({"op": "copy", "from": "/a", "path": format!("/a/b{n}")})).collect();
        assert!(refused(&json!(doubling)).contains("copies more"));
        let deep = json!([{"op": "add", "path": "/a".repeat(40), "value": 1}]);
        assert!(refused(&deep).contains("path"));
        let many: Vec<Value> = (0..10_001).map(|_| json!({"op": "test", "path": "/a/x", "value": 1})).collect();
        assert!(refused(&json!(many)).contains("operations"));
    }

    #[test]
    fn kinds_are_told_by_their_content_type() {
        assert_eq!(PatchKind::of(Some("application/json-patch+json; charset=utf-8")), Some(PatchKind::Operations));
        assert_eq!(PatchKind::of(None), Some(PatchKind::Strategic));
        assert_eq!(PatchKind::of(Some("application/apply-patch+yaml")), None);
    }
}
