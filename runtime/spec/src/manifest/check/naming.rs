//! What the Pod is called and which names it can look up: host name, `/etc/hosts`, `/etc/resolv.conf`.
//!
//! Sources: GeneratePodHostNameAndDomain, GetNodenameForKernel, validatePodDNSConfig, validateHostAliases. Without a
//! cluster its domain is `cluster.local`, as where nobody chose another.

use std::net::IpAddr;

use k8s_openapi::api::core::v1;

use super::metadata::report;
use super::{Problems, names};
use crate::manifest::problem::{Cause, Problem};
use crate::pod::{Dns, HostAlias};

const DOMAIN: &str = "svc.cluster.local";
const POLICIES: [&str; 4] = ["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];
/// The resolvers of C libraries read no more.
const MAX_SERVERS: usize = 3;
const MAX_SEARCHES: usize = 32;
const MAX_SEARCH_BYTES: usize = 2048;
/// `HOST_NAME_MAX`
const MAX_HOSTNAME: usize = 64;

/// What the Pod is called.
pub struct Naming {
    /// In its UTS namespace.
    pub hostname: String,
    /// In its `/etc/hosts`, the first one being the canonical one.
    pub own_names: Vec<String>,
}

/// `hostname`, `subdomain`, `setHostnameAsFQDN`, `hostnameOverride`; the name of the Pod where none is given.
pub fn names_of(spec: &v1::PodSpec, pod: &str, namespace: &str, out: &mut Problems) -> Naming {
    if let Some(name) = given(&spec.hostname_override) {
        return overridden(spec, name, out);
    }
    let short = short_name(given(&spec.hostname), pod, out);
    let Some(subdomain) = given(&spec.subdomain) else {
        return Naming { hostname: short.clone(), own_names: vec![short] };
    };
    report("spec.subdomain", subdomain, names::label(subdomain), out);
    let full = format!("{short}.{subdomain}.{namespace}.{DOMAIN}");
    let hostname = if spec.set_hostname_as_fqdn == Some(true) { full.clone() } else { short.clone() };
    if hostname.len() > MAX_HOSTNAME {
        let message = format!("Too long: {hostname} would be the host name, which has at most {MAX_HOSTNAME} bytes");
        out.push(Problem::new(Cause::Invalid, "spec.setHostnameAsFQDN", message));
    }
    Naming { hostname, own_names: vec![full, short] }
}

fn overridden(spec: &v1::PodSpec, name: &str, out: &mut Problems) -> Naming {
    let path = "spec.hostnameOverride";
    report(path, name, names::subdomain(name), out);
    if name.len() > MAX_HOSTNAME {
        out.push(Problem::invalid(path, name, &format!("must be no more than {MAX_HOSTNAME} bytes")));
    }
    let forbidden = [("hostNetwork", spec.host_network), ("setHostnameAsFQDN", spec.set_hostname_as_fqdn)];
    for (field, _) in forbidden.iter().filter(|(_, set)| *set == Some(true)) {
        out.push(Problem::forbidden(path, &format!("must not be set with {field}")));
    }
    Naming { hostname: name.to_owned(), own_names: vec![name.to_owned()] }
}

/// `spec.hostname`, else the Pod's name cut as the kubelet cuts it (truncatePodHostnameIfNeeded).
fn short_name(given: Option<&str>, pod: &str, out: &mut Problems) -> String {
    match given {
        Some(hostname) => {
            report("spec.hostname", hostname, names::label(hostname), out);
            hostname.to_owned()
        }
        None => pod.chars().take(63).collect::<String>().trim_end_matches(['-', '.']).to_owned(),
    }
}

fn given(text: &Option<String>) -> Option<&str> {
    text.as_deref().filter(|text| !text.is_empty())
}

/// `hostAliases`.
pub fn aliases(listed: Option<&[v1::HostAlias]>, out: &mut Problems) -> Vec<HostAlias> {
    let listed = listed.unwrap_or_default().iter().enumerate();
    listed.filter_map(|(n, one)| alias(one, &format!("spec.hostAliases[{n}]"), out)).collect()
}

fn alias(source: &v1::HostAlias, path: &str, out: &mut Problems) -> Option<HostAlias> {
    let ip = address(&source.ip, &format!("{path}.ip"), out);
    let names_listed = source.hostnames.clone().unwrap_or_default();
    for (n, name) in names_listed.iter().enumerate() {
        report(&format!("{path}.hostnames[{n}]"), name, names::subdomain(name), out);
    }
    Some(HostAlias { ip: ip?, names: names_listed })
}

/// As the API server takes them: no leading zeros, no zone.
fn address(text: &str, path: &str, out: &mut Problems) -> Option<IpAddr> {
    let parsed = text.parse().ok();
    if parsed.is_none() {
        let words = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
        out.push(Problem::invalid(path, text, words));
    }
    parsed
}

/// `dnsPolicy` and `dnsConfig`.
pub fn dns(spec: &v1::PodSpec, out: &mut Problems) -> Dns {
    let policy = given(&spec.dns_policy).unwrap_or("ClusterFirst");
    if !POLICIES.contains(&policy) {
        out.push(Problem::unsupported("spec.dnsPolicy", policy, &POLICIES));
    }
    let none = v1::PodDNSConfig::default();
    let config = spec.dns_config.as_ref().unwrap_or(&none);
    let dns = Dns {
        from_host: policy != "None",
        servers: servers(config.nameservers.as_deref().unwrap_or_default(), out),
        searches: searches(config.searches.as_deref().unwrap_or_default(), out),
        options: options(config.options.as_deref().unwrap_or_default(), out),
    };
    if policy == "None" && config.nameservers.iter().flatten().next().is_none() {
        let detail = "must provide at least one DNS nameserver when `dnsPolicy` is None";
        out.push(Problem::required("spec.dnsConfig.nameservers", detail));
    }
    dns
}

fn check_number(listed: &[String], most: usize, path: &str, out: &mut Problems) {
    if listed.len() > most {
        out.push(Problem::new(Cause::Invalid, path, format!("Too many: must have at most {most} items")));
    }
}

fn servers(listed: &[String], out: &mut Problems) -> Vec<IpAddr> {
    let path = "spec.dnsConfig.nameservers";
    check_number(listed, MAX_SERVERS, path, out);
    listed.iter().enumerate().filter_map(|(n, text)| address(text, &format!("{path}[{n}]"), out)).collect()
}

fn searches(listed: &[String], out: &mut Problems) -> Vec<String> {
    let path = "spec.dnsConfig.searches";
    check_number(listed, MAX_SEARCHES, path, out);
    if listed.join(" ").len() > MAX_SEARCH_BYTES {
        let message = format!("Too long: must have at most {MAX_SEARCH_BYTES} bytes with the spaces between");
        out.push(Problem::new(Cause::Invalid, path, message));
    }
    for (n, text) in listed.iter().enumerate().filter(|(_, text)| *text != ".") {
        // Underscores are allowed in a search path (RelaxedDNSSearchValidation).
        let plain = text.strip_suffix('.').unwrap_or(text).replace('_', "a");
        report(&format!("{path}[{n}]"), text, names::subdomain(&plain), out);
    }
    listed.to_vec()
}

fn options(listed: &[v1::PodDNSConfigOption], out: &mut Problems) -> Vec<(String, Option<String>)> {
    let mut checked = Vec::new();
    for (n, option) in listed.iter().enumerate() {
        let path = format!("spec.dnsConfig.options[{n}]");
        let name = option.name.clone().unwrap_or_default();
        if name.is_empty() {
            out.push(Problem::required(format!("{path}.name"), "must not be empty"));
        }
        let odd = |text: &str| text.chars().any(|c| c.is_whitespace() || c.is_control());
        if odd(&name) || option.value.as_deref().is_some_and(odd) {
            let words = "must not contain white space, which begins another option";
            out.push(Problem::invalid(&path, &name, words));
        }
        checked.push((name, option.value.clone().filter(|value| !value.is_empty())));
    }
    checked
}
