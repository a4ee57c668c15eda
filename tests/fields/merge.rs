//! One object merged into another, nearly as Kubernetes merges a patch: an item of a list that has the name (or, without
//! one, the path) of an item that is there is merged into that one; others are added.

use serde_json::Value;

/// Merges `from` into `into`.
pub fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            from.iter().for_each(|(key, value)| merge(into.entry(key).or_insert(Value::Null), value));
        }
        (Value::Array(into), Value::Array(from)) => from.iter().for_each(|item| add(into, item)),
        (into, from) => into.clone_from(from),
    }
}

fn add(list: &mut Vec<Value>, item: &Value) {
    match list.iter_mut().find(|there| same(there, item)) {
        Some(there) => merge(there, item),
        None => list.push(item.clone()),
    }
}

/// A volume may be mounted in more places than one.
fn same(one: &Value, other: &Value) -> bool {
    let name = |of: &Value| of.get("name").or_else(|| of.get("path")).cloned();
    let place = |of: &Value| of.get("mountPath").cloned();
    let one_place = place(one).or_else(|| place(other)) == place(other).or_else(|| place(one));
    name(one).is_some() && name(one) == name(other) && one_place
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn items_of_one_name_become_one() {
        let mut mounts = json!({"a": [{"name": "v", "mountPath": "/x"}, {"name": "w"}]});
        merge(&mut mounts, &json!({"a": [{"name": "v", "mountPath": "/y"}, {"name": "w", "b": 1}], "c": 2}));
        let all = json!([{"name": "v", "mountPath": "/x"}, {"name": "w", "b": 1}, {"name": "v", "mountPath": "/y"}]);
        assert_eq!(mounts, json!({"a": all, "c": 2}));
    }
}
