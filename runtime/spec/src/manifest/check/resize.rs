//! `resizePolicy`: whether a member begins anew when what it may use changes.
//!
//! Source: validateResizePolicy.

use k8s_openapi::api::core::v1;

use super::Problems;
use crate::manifest::problem::Problem;
use crate::pod::{Resize, RestartPolicy};

pub fn check(source: &v1::Container, of_the_pod: Option<&str>, path: &str, out: &mut Problems) -> Resize {
    let mut resize = Resize::default();
    let policies = source.resize_policy.as_deref().unwrap_or_default();
    for (n, policy) in policies.iter().enumerate() {
        let path = format!("{path}.resizePolicy[{n}]");
        let name = policy.resource_name.as_str();
        if policies[..n].iter().any(|other| other.resource_name == name) {
            out.push(Problem::duplicate(format!("{path}.resourceName"), name));
        }
        let restarts = match policy.restart_policy.as_str() {
            "NotRequired" => false,
            "RestartContainer" => true,
            other => {
                out.push(Problem::unsupported(
                    format!("{path}.restartPolicy"),
                    other,
                    &["NotRequired", "RestartContainer"],
                ));
                false
            }
        };
        if restarts && never_restarts(source, of_the_pod) {
            let why = "must be 'NotRequired' when `restartPolicy` is 'Never'";
            out.push(Problem::invalid(format!("{path}.restartPolicy"), "RestartContainer", why));
        }
        match name {
            "cpu" => resize.cpu_restarts = restarts,
            "memory" => resize.memory_restarts = restarts,
            "" => out.push(Problem::required(format!("{path}.resourceName"), "")),
            other => out.push(Problem::unsupported(format!("{path}.resourceName"), other, &["cpu", "memory"])),
        }
    }
    resize
}

fn never_restarts(source: &v1::Container, of_the_pod: Option<&str>) -> bool {
    let own = source.restart_policy.as_deref().filter(|policy| !policy.is_empty());
    own.or(of_the_pod).is_some_and(|policy| policy == format!("{:?}", RestartPolicy::Never))
}
