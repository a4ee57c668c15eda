//! Kernel parameters of a Pod: their names, and whether they are a Pod's to set.
//!
//! Source: validateSysctls, and the kubelet's `sysctl` package (which group belongs to which namespace). A parameter of
//! the whole host is refused: no Pod may change it for the others. The kubelet's list of "safe" ones is for
//! administrators who do not know the Pod's author; here they are the same person.

use k8s_openapi::api::core::v1;

use super::Problems;
use crate::manifest::problem::Problem;
use crate::pod::separators_swapped;

const NAME_MAX: usize = 253;
/// How those of the IPC namespace begin. What follows is the rest of a word, but for a group with its dot.
const OF_IPC: [&str; 5] = ["kernel.shm", "kernel.msg", "kernel.sem", "kernel.auto_msgmni", "fs.mqueue."];
/// Those of the network namespace.
const OF_NETWORK: &str = "net.";

/// Checks `securityContext.sysctls`; names come out with dots.
pub fn check(spec: &v1::PodSpec, out: &mut Problems) -> Vec<(String, String)> {
    let listed = spec.security_context.iter().flat_map(|pod| pod.sysctls.iter().flatten());
    let mut checked: Vec<(String, String)> = Vec::new();
    for (n, sysctl) in listed.enumerate() {
        let path = format!("spec.securityContext.sysctls[{n}].name");
        let name = dotted(&sysctl.name);
        match sysctl.name.as_str() {
            "" => out.push(Problem::required(path, "")),
            text if !is_name(text) => {
                let why = "must be names of lower-case letters, digits, - and _, separated by dots or slashes";
                out.push(Problem::invalid(path, text, why));
            }
            text if checked.iter().any(|(other, _)| *other == name) => out.push(Problem::duplicate(path, text)),
            _ => out.extend(not_the_pods(&name, spec).map(|why| {
                Problem::refused(path, why).with_hint(
                    "a Pod may set net.*, fs.mqueue.*, kernel.shm*, kernel.msg* and kernel.sem*, each in its own namespaces",
                )
            })),
        }
        checked.push((name, sysctl.value.clone()));
    }
    checked
}

/// Why a parameter is not the Pod's to set, if so.
fn not_the_pods(name: &str, spec: &v1::PodSpec) -> Option<&'static str> {
    let begins = |group: &str| name.strip_prefix(group).is_some_and(|rest| group.ends_with('.') || !rest.contains('.'));
    let of_ipc = OF_IPC.into_iter().any(begins);
    match (name.starts_with(OF_NETWORK), of_ipc) {
        (true, _) if spec.host_network == Some(true) => Some("the Pod's network is the host's (hostNetwork)"),
        (_, true) if spec.host_ipc == Some(true) => Some("the Pod's IPC is the host's (hostIPC)"),
        (true, _) | (_, true) => None,
        (false, false) => Some("it is a parameter of the whole host, not of a Pod"),
    }
}

/// Source: SysctlContainSlashFmt.
fn is_name(name: &str) -> bool {
    let part = |part: &str| {
        let edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        part.starts_with(edge) && part.ends_with(edge) && part.chars().all(|c| edge(c) || c == '-' || c == '_')
    };
    name.len() <= NAME_MAX && name.split(['.', '/']).all(part)
}

/// The first separator says which of the two separates (sysctl(8)).
fn dotted(name: &str) -> String {
    let with_slashes = name.find(['.', '/']).is_some_and(|at| name[at..].starts_with('/'));
    if with_slashes { separators_swapped(name) } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(sysctls: &[&str], host_network: bool) -> (Vec<(String, String)>, Problems) {
        let sysctl = |name: &&str| v1::Sysctl { name: (*name).to_owned(), value: "1".to_owned() };
        let sysctls = Some(sysctls.iter().map(sysctl).collect());
        let security_context = Some(v1::PodSecurityContext { sysctls, ..v1::PodSecurityContext::default() });
        let spec = v1::PodSpec { security_context, host_network: Some(host_network), ..v1::PodSpec::default() };
        let mut problems = Problems::new();
        (check(&spec, &mut problems), problems)
    }

    #[test]
    fn parameters_of_namespaces_are_the_pods() {
        let fine = ["net.core.somaxconn", "kernel.shm_rmid_forced", "kernel.msgmax", "kernel.sem", "fs.mqueue.msg_max"];
        let (found, problems) = checked(&fine, false);
        assert!(problems.is_empty(), "{problems:?}");
        assert_eq!(found.len(), fine.len());
    }

    #[test]
    fn those_of_the_host_are_not() {
        for name in ["vm.swappiness", "kernel.hostname", "kernel.panic", "kernel.shm.x", "fs.file-max", "network.x"] {
            assert_eq!(checked(&[name], false).1.len(), 1, "{name}");
        }
        assert_eq!(checked(&["net.core.somaxconn"], true).1.len(), 1, "hostNetwork");
        assert_eq!(checked(&["kernel.msgmax"], true).1.len(), 0, "control");
    }

    #[test]
    fn names_are_names() {
        for name in ["", "net..core", ".net", "net.", "Net.core", "net core", "net/../core", "net.core.somaxconn\n"] {
            assert_eq!(checked(&[name], false).1.len(), 1, "{name:?}");
        }
        assert_eq!(checked(&["net.core.somaxconn", "net/core/somaxconn"], false).1.len(), 1, "twice");
        assert_eq!(checked(&["net/ipv4/conf/eth0.7/arp_filter"], false).0[0].0, "net.ipv4.conf.eth0/7.arp_filter");
    }
}
