//! Containers that are added to a Pod while it runs. What they may not have (ports, probes, resources, …) the table of
//! fields says; here is whom they look at, and that their names are new. Source: validateEphemeralContainers.

use k8s_openapi::api::core::v1;

use super::Problems;
use super::container::All;
use crate::manifest::problem::Problem;
use crate::manifest::suggest;
use crate::pod::Container;

/// `members`, of either list, are those that may be a target.
pub fn check(
    all: &mut All<'_>,
    containers: &[v1::EphemeralContainer],
    members: [&[Container]; 2],
    out: &mut Problems,
) -> Vec<Container> {
    let mut one = |n: usize, source: &v1::EphemeralContainer| {
        let path = format!("spec.ephemeralContainers[{n}]");
        let target = source.target_container_name.clone().filter(|name| !name.is_empty());
        if let Some(name) = &target {
            out.extend(no_target(name, members, format!("{path}.targetContainerName")));
        }
        Container { target, ..all.one(&as_container(source), &path, out) }
    };
    containers.iter().enumerate().map(|(n, source)| one(n, source)).collect()
}

fn no_target(name: &str, members: [&[Container]; 2], path: String) -> Option<Problem> {
    let names = || members.into_iter().flatten().map(|member| member.name.as_str());
    if names().any(|member| member == name) {
        return None;
    }
    let problem = Problem::not_found(path, name);
    Some(match suggest::nearest(name, names()) {
        Some(near) => problem.with_hint(format!("did you mean {near}?")),
        None => problem.with_hint(format!("the Pod's containers are: {}", names().collect::<Vec<_>>().join(", "))),
    })
}

/// The two types have the same fields, but for the target.
fn as_container(source: &v1::EphemeralContainer) -> v1::Container {
    serde_json::to_value(source).and_then(serde_json::from_value).unwrap_or_default()
}
