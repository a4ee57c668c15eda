//! Which Pods a user means: `namespace/name`, or `name` where only one namespace has it. Pure.

use dwell_spec::manifest::suggest;
use k8s_openapi::api::core::v1::Pod;

use super::records::{added, containers, key, shown};
use crate::args::{ContainerName, PodName};
use crate::failure::Failure;

/// Names listed in an error at most.
const LISTED: usize = 12;

/// The Pod of that name; `namespace` is what `-n` said.
pub fn one<'a>(pods: &'a [Pod], wanted: &str, namespace: Option<&str>) -> Result<&'a Pod, Failure> {
    let (in_namespace, name) = match wanted.split_once('/') {
        Some((namespace, name)) => (Some(namespace), name),
        None => (namespace, wanted),
    };
    let fits = |pod: &&Pod| key(pod).1 == name && in_namespace.is_none_or(|n| key(pod).0 == n);
    let found: Vec<&Pod> = pods.iter().filter(fits).collect();
    match found[..] {
        [pod] => Ok(pod),
        [] => Err(none_named(pods, &in_namespace.map_or(wanted.to_owned(), |namespace| format!("{namespace}/{name}")))),
        _ => Err(several_named(&found, name)),
    }
}

/// The Pods of those names, or all of them (of the namespace).
pub fn many<'a>(
    pods: &'a [Pod],
    wanted: &[String],
    namespace: Option<&str>,
    all: bool,
) -> Result<Vec<&'a Pod>, Failure> {
    if all {
        return Ok(pods.iter().filter(|pod| namespace.is_none_or(|n| key(pod).0 == n)).collect());
    }
    let mut chosen: Vec<&Pod> = Vec::new();
    for name in wanted {
        let pod = one(pods, name, namespace)?;
        if !chosen.iter().any(|other| key(other) == key(pod)) {
            chosen.push(pod);
        }
    }
    Ok(chosen)
}

/// The container of that name; without a name the only one of the manifest, else `None`.
pub fn container(pod: &Pod, wanted: Option<&str>) -> Result<Option<String>, Failure> {
    let mut names = containers(pod);
    let Some(wanted) = wanted else {
        return Ok(names.pop().filter(|_| names.is_empty()));
    };
    names.extend(added(pod));
    match names.iter().find(|name| *name == wanted) {
        Some(name) => Ok(Some(name.clone())),
        None => Err(no_container(&names, wanted)),
    }
}

/// The Pod and the container that were meant: with several containers the first would be a guess, so the user says which.
pub fn container_of<'a>(pods: &'a [Pod], asked: &ContainerName) -> Result<(&'a Pod, String), Failure> {
    let ContainerName { name: PodName { pod, namespace }, container: wanted } = asked;
    let found = one(pods, pod, namespace.as_deref())?;
    match container(found, wanted.as_deref())? {
        Some(name) => Ok((found, name)),
        None => Err(several_containers(found).with_hint("say which with -c CONTAINER")),
    }
}

/// What there is to choose from.
pub fn several_containers(pod: &Pod) -> Failure {
    let names: Vec<String> = containers(pod).into_iter().chain(added(pod)).collect();
    Failure::new(format!("{} has several containers: {}", shown(pod), names.join(", ")))
}

fn no_container(names: &[String], wanted: &str) -> Failure {
    let failure = Failure::new(format!("no container named {wanted}; there are: {}", listed(names)));
    with_suggestion(failure, names, wanted)
}

fn none_named(pods: &[Pod], wanted: &str) -> Failure {
    let names: Vec<String> = pods.iter().map(shown).collect();
    if names.is_empty() {
        return Failure::new(format!("no Pod named {wanted}; there are no Pods"));
    }
    with_suggestion(Failure::new(format!("no Pod named {wanted}; there are: {}", listed(&names))), &names, wanted)
}

fn several_named(found: &[&Pod], name: &str) -> Failure {
    let names: Vec<String> = found.iter().map(|pod| format!("{}/{}", key(pod).0, key(pod).1)).collect();
    Failure::new(format!("several Pods are named {name}: {}", listed(&names)))
        .with_hint("say which as NAMESPACE/NAME, or with -n NAMESPACE")
}

fn listed(names: &[String]) -> String {
    let more = names.len().saturating_sub(LISTED);
    let shown = names[..names.len() - more].join(", ");
    if more > 0 { format!("{shown} and {more} more") } else { shown }
}

fn with_suggestion(failure: Failure, names: &[String], wanted: &str) -> Failure {
    match suggest::nearest(wanted, names.iter().map(String::as_str)) {
        Some(name) => failure.with_hint(format!("did you mean {name}?")),
        None => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(namespace: &str, name: &str) -> Pod {
        let mut pod = Pod::default();
        pod.metadata.namespace = Some(namespace.into());
        pod.metadata.name = Some(name.into());
        pod
    }

    fn failure(pods: &[Pod], wanted: &str) -> String {
        format!("{:?}", one(pods, wanted, None).unwrap_err())
    }

    #[test]
    fn names_are_found_in_any_namespace_when_unique() {
        let pods = [pod("default", "web"), pod("test", "web"), pod("test", "db")];
        assert_eq!(key(one(&pods, "db", None).unwrap()), ("test", "db"));
        assert_eq!(key(one(&pods, "test/web", None).unwrap()), ("test", "web"));
        assert_eq!(key(one(&pods, "web", Some("default")).unwrap()), ("default", "web"));
        assert!(one(&pods, "db", Some("default")).is_err());
        assert!(failure(&pods, "web").contains("several Pods are named web: default/web, test/web"));
    }

    #[test]
    fn a_wrong_name_lists_and_suggests() {
        let pods = [pod("default", "web"), pod("test", "database")];
        let message = failure(&pods, "databse");
        assert!(message.contains("no Pod named databse; there are: web, test/database"), "{message}");
        assert!(failure(&pods, "wev").contains("did you mean web?"));
        assert!(failure(&pods, "wbe").contains("did you mean web?"), "two neighbours swapped are one mistake");
        assert!(!failure(&pods, "zzzz").contains("did you mean"));
        assert!(failure(&[], "x").contains("there are no Pods"));
    }

    #[test]
    fn many_are_chosen_once_each_or_all() {
        let pods = [pod("default", "a"), pod("test", "b")];
        assert_eq!(many(&pods, &["a".into(), "a".into()], None, false).unwrap().len(), 1);
        assert_eq!(many(&pods, &[], None, true).unwrap().len(), 2);
        assert_eq!(many(&pods, &[], Some("test"), true).unwrap().len(), 1);
    }

    #[test]
    fn the_only_container_needs_no_name() {
        let of = |names: &[&str], added: &[&str]| {
            let named = |name: &&str| serde_json::json!({"name": name});
            let list = |names: &[&str]| names.iter().map(named).collect::<Vec<_>>();
            let spec = serde_json::json!({"containers": list(names), "ephemeralContainers": list(added)});
            let mut made = pod("default", "web");
            made.spec = serde_json::from_value(spec).unwrap();
            made
        };
        let (one, two) = (of(&["a"], &["d"]), of(&["a", "b"], &[]));
        assert_eq!(container(&one, None).unwrap().as_deref(), Some("a"));
        assert_eq!(container(&one, Some("d")).unwrap().as_deref(), Some("d"));
        assert_eq!(container(&two, None).unwrap(), None);
        assert_eq!(container(&two, Some("b")).unwrap().as_deref(), Some("b"));
        assert!(container(&two, Some("c")).is_err());
    }
}
