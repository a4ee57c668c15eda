//! Documents that are no Pod: one plain sentence each.

use super::node::Node;
use super::problem::{Cause, Problem, quoted};
use super::suggest;
use crate::settings::SettingsKind;

/// Kind, what it is, and what to do instead.
const KINDS: &[(&str, &str, &str)] = &[
    ("Deployment", "a rule that keeps several Pods up to date", TEMPLATE),
    ("ReplicaSet", "a rule that keeps a number of Pods running", TEMPLATE),
    ("ReplicationController", "a rule that keeps a number of Pods running", TEMPLATE),
    ("StatefulSet", "a rule that keeps numbered Pods with their storage", TEMPLATE),
    ("DaemonSet", "a rule that runs a Pod on every machine of a cluster", TEMPLATE),
    ("Job", "a rule that runs Pods until enough have succeeded", JOB),
    ("CronJob", "a rule that starts Jobs at given times", JOB),
    ("Service", "a name and address for Pods", "use `hostPort` in the Pod; members of one Pod share localhost"),
    ("Ingress", "a rule for HTTP from outside", "use `hostPort` in the Pod"),
    (
        "PersistentVolume",
        "storage of a cluster",
        "use a `hostPath` volume, or a `persistentVolumeClaim`, which is a folder",
    ),
    ("StorageClass", "a kind of storage of a cluster", "use a `hostPath` volume"),
    ("Namespace", "a group of names", "write `metadata.namespace` in the Pod; it needs no Namespace"),
    ("ServiceAccount", "an identity in a cluster", NOTHING),
    ("Role", "a permission in a cluster", NOTHING),
    ("RoleBinding", "a permission in a cluster", NOTHING),
    ("ClusterRole", "a permission in a cluster", NOTHING),
    ("ClusterRoleBinding", "a permission in a cluster", NOTHING),
    ("NetworkPolicy", "a rule about which Pods may talk", NOTHING),
    ("RuntimeClass", "a choice of runtime for Pods", "dwell chooses per container, from what the image is"),
    ("CustomResourceDefinition", "a new kind of object", NOTHING),
    ("HorizontalPodAutoscaler", "a rule that changes how many Pods run", NOTHING),
    ("PodDisruptionBudget", "a rule about how many Pods may be away", NOTHING),
    ("PodTemplate", "a pattern for Pods", TEMPLATE),
];

const TEMPLATE: &str = "write its `template` as a document of its own, with `apiVersion: v1` and `kind: Pod`";
const JOB: &str =
    "write its `template` as a document of its own, with `kind: Pod` and `restartPolicy: Never` or `OnFailure`";
const NOTHING: &str = "take it out of the file";

/// What a document says it is.
#[derive(Debug, PartialEq, Eq)]
pub enum Kind {
    /// `v1` `Pod`.
    Pod,
    /// `v1` `ConfigMap` or `Secret`.
    Settings(SettingsKind),
    /// `v1` `PersistentVolumeClaim`.
    Claim,
    /// A list of documents in `items`.
    List,
}

/// The kind of a document.
///
/// # Errors
/// The sentence for a document that dwell does not run.
pub fn of(document: &Node, prefix: &str) -> Result<Kind, Box<Problem>> {
    let Some(kind) = text(document, "kind", prefix)? else {
        return Err(Box::new(missing(document, "kind", prefix)));
    };
    let Some(version) = text(document, "apiVersion", prefix)? else {
        return Err(Box::new(missing(document, "apiVersion", prefix)));
    };
    match (version, kind) {
        ("v1", "Pod") => Ok(Kind::Pod),
        ("v1", "ConfigMap") => Ok(Kind::Settings(SettingsKind::ConfigMap)),
        ("v1", "Secret") => Ok(Kind::Settings(SettingsKind::Secret)),
        ("v1", "PersistentVolumeClaim") => Ok(Kind::Claim),
        ("v1", "List" | "PodList" | "ConfigMapList" | "SecretList" | "PersistentVolumeClaimList") => Ok(Kind::List),
        (_, "Pod" | "ConfigMap" | "Secret" | "PersistentVolumeClaim" | "List" | "PodList") => {
            let problem = Problem::unsupported(format!("{prefix}apiVersion"), version, &["v1"]);
            Err(Box::new(placed(problem, document, "apiVersion")))
        }
        _ => Err(Box::new(placed(sentence(kind, prefix), document, "kind"))),
    }
}

fn text<'a>(document: &'a Node, key: &str, prefix: &str) -> Result<Option<&'a str>, Box<Problem>> {
    match document.get(key).map(|node| (node, node.text())) {
        None | Some((_, Some(""))) => Ok(None),
        Some((_, Some(text))) => Ok(Some(text)),
        Some((node, None)) => {
            let message = format!("expected a string, found {}", node.describe());
            Err(Box::new(placed(Problem::new(Cause::Type, format!("{prefix}{key}"), message), document, key)))
        }
    }
}

fn placed(mut problem: Problem, document: &Node, key: &str) -> Problem {
    let at = document.locate(key);
    problem.at = (at.line > 0).then_some(at);
    problem
}

fn missing(document: &Node, key: &str, prefix: &str) -> Problem {
    let problem = placed(Problem::required(format!("{prefix}{key}"), ""), document, key);
    if document.get("services").is_some() {
        return problem.with_hint("this looks like a Compose file; dwell runs Kubernetes Pods");
    }
    problem.with_hint("a Pod begins with `apiVersion: v1` and `kind: Pod`")
}

fn sentence(kind: &str, prefix: &str) -> Problem {
    let path = format!("{prefix}kind");
    if let Some((_, what, instead)) = KINDS.iter().find(|(name, ..)| *name == kind) {
        return Problem::new(Cause::Kind, path, format!("dwell runs Pods; `{kind}` is {what}")).with_hint(*instead);
    }
    let problem =
        Problem::new(Cause::Kind, path, format!("dwell runs Pods; it does not know the kind {}", quoted(kind)));
    match suggest::nearest(kind, ["Pod", "ConfigMap", "Secret", "PersistentVolumeClaim", "List"]) {
        Some(near) => problem.with_hint(format!("did you mean {near}?")),
        None => problem,
    }
}
