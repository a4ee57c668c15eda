//! Declared ports and host ports.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use k8s_openapi::api::core::v1;

use super::metadata::report;
use super::{Problems, names};
use crate::manifest::problem::{Cause, Problem};
use crate::plan::NO_SCTP;
use crate::pod::{Container, ContainerPort, Protocol};

const RANGE: &str = "must be between 1 and 65535, inclusive";

pub fn check(ports: &[v1::ContainerPort], path: &str, host_network: bool, out: &mut Problems) -> Vec<ContainerPort> {
    let (mut checked, mut names_seen) = (Vec::new(), HashSet::new());
    for (n, port) in ports.iter().enumerate() {
        let path = format!("{path}.ports[{n}]");
        check_name(port.name.as_deref(), &mut names_seen, &format!("{path}.name"), out);
        checked.push(check_one(port, &path, host_network, out));
    }
    checked
}

fn check_name<'a>(name: Option<&'a str>, before: &mut HashSet<&'a str>, path: &str, out: &mut Problems) {
    let Some(name) = name.filter(|name| !name.is_empty()) else {
        return;
    };
    report(path, name, names::port(name), out);
    if !before.insert(name) {
        out.push(Problem::duplicate(path, name));
    }
}

fn check_one(port: &v1::ContainerPort, path: &str, host_network: bool, out: &mut Problems) -> ContainerPort {
    let container_path = format!("{path}.containerPort");
    let container_port = match port.container_port {
        0 => {
            out.push(Problem::required(container_path, ""));
            1
        }
        given => number(given, &container_path, out).unwrap_or(1),
    };
    let given = port.host_port.filter(|port| *port != 0);
    let mut host_port = given.and_then(|given| number(given, &format!("{path}.hostPort"), out));
    if host_network && host_port.unwrap_or(container_port) != container_port {
        let why = "must match `containerPort` when `hostNetwork` is true";
        out.push(Problem::invalid_number(format!("{path}.hostPort"), i64::from(host_port.unwrap_or(0)), why));
    } else if host_network {
        host_port = Some(container_port);
    }
    let host_ip = host_ip(port.host_ip.as_deref(), &format!("{path}.hostIP"), out);
    let protocol = protocol(port.protocol.as_deref(), &format!("{path}.protocol"), out);
    if protocol == Protocol::Sctp && host_port.is_some() && host_ip.is_some_and(|ip| ip.is_loopback()) {
        let why = "nothing carries SCTP from the host's loopback into a Pod";
        out.push(Problem::refused(format!("{path}.hostIP"), why));
    }
    ContainerPort {
        name: port.name.clone().filter(|name| !name.is_empty()),
        container_port,
        host_port,
        host_ip,
        protocol,
    }
}

/// 1 to 65535.
pub fn number(value: i32, path: &str, out: &mut Problems) -> Option<u16> {
    match u16::try_from(value) {
        Ok(port) if port > 0 => Some(port),
        _ => {
            out.push(Problem::invalid_number(path, i64::from(value), RANGE));
            None
        }
    }
}

fn host_ip(text: Option<&str>, path: &str, out: &mut Problems) -> Option<IpAddr> {
    let text = text.filter(|text| !text.is_empty())?;
    text.parse()
        .map_err(|_| {
            let why = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
            out.push(Problem::invalid(path, text, why));
        })
        .ok()
}

fn protocol(text: Option<&str>, path: &str, out: &mut Problems) -> Protocol {
    match text {
        None | Some("" | "TCP") => return Protocol::Tcp,
        Some("UDP") => return Protocol::Udp,
        Some("SCTP") => return Protocol::Sctp,
        Some(other) => {
            let problem = Problem::unsupported(path, other, &["SCTP", "TCP", "UDP"]);
            let upper = other.to_uppercase();
            let known = matches!(upper.as_str(), "SCTP" | "TCP" | "UDP");
            out.push(if known { problem.with_hint(format!("in capitals: {upper}")) } else { problem });
        }
    }
    Protocol::Tcp
}

/// Of a Wasm member's ports, unless they are the host's own; `path` is that of the container.
pub fn not_for_wasm(ports: &[ContainerPort], path: &str) -> Option<Problem> {
    let n = ports.iter().position(ContainerPort::leads_sctp)?;
    let path = format!("{path}.ports[{n}].protocol");
    Some(Problem::refused(path, NO_SCTP))
}

/// Each host port once among members and sidecars, which run at the same time, and within each other init container.
///
/// The API server compares literally; here all addresses (`hostIP` absent) also collide with any one, since binding
/// both would fail.
pub fn check_host_ports(init: &[Container], regular: &[Container], out: &mut Problems) {
    let init = init.iter().enumerate().map(|(n, container)| (format!("spec.initContainers[{n}]"), container));
    let (mut together, alone): (Vec<_>, Vec<_>) = init.partition(|(_, container)| container.is_sidecar());
    alone.into_iter().for_each(|container| check_together(&[container], out));
    together.extend(regular.iter().enumerate().map(|(n, c)| (format!("spec.containers[{n}]"), c)));
    check_together(&together, out);
}

fn check_together(containers: &[(String, &Container)], out: &mut Problems) {
    let mut taken: HashMap<(Protocol, u16), HashSet<Option<IpAddr>>> = HashMap::new();
    for (path, container) in containers {
        for (n, port) in container.ports.iter().enumerate() {
            let Some(host_port) = port.host_port else {
                continue;
            };
            let addresses = taken.entry((port.protocol, host_port)).or_default();
            if collides(addresses, port.host_ip) {
                out.push(collision(format!("{path}.ports[{n}].hostPort"), port));
            }
            addresses.insert(port.host_ip);
        }
    }
}

fn collision(path: String, port: &ContainerPort) -> Problem {
    let protocol = port.protocol.name();
    let address = port.host_ip.map(|ip| ip.to_string()).unwrap_or_default();
    let message = format!("Duplicate value: \"{protocol}/{address}/{}\"", port.host_port.unwrap_or_default());
    Problem::new(Cause::Duplicate, path, message)
}

/// `None` is every address.
fn collides(taken: &HashSet<Option<IpAddr>>, address: Option<IpAddr>) -> bool {
    taken.contains(&None) || taken.contains(&address) || (address.is_none() && !taken.is_empty())
}
