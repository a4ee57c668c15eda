//! Where the values of variables and files come from: fields of the Pod, what its containers may use, ConfigMaps and
//! Secrets. Says what is missing; whose variable or file it was for is added by whoever asked.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::refusal::Problem;
use crate::facts::{HostFacts, PodIp};
use crate::pod::{Container, Pod, PodField, ResourceAmount, ResourceField, SettingsName};
use crate::settings::Settings;

/// All that values can come from.
#[derive(Clone, Copy)]
pub struct Origin<'a> {
    /// The Pod itself.
    pub pod: &'a Pod,
    /// The host.
    pub host: &'a HostFacts,
    /// ConfigMaps and Secrets, at least those that are named.
    pub settings: &'a [Settings],
    /// The Pod's addresses.
    pub ip: PodIp,
}

impl<'a> Origin<'a> {
    /// A field of the Pod as text.
    pub fn field(&self, field: &PodField) -> String {
        let pod = self.pod;
        match field {
            PodField::Name => pod.name.clone(),
            PodField::Namespace => pod.namespace.clone(),
            PodField::Uid => pod.uid.clone(),
            PodField::Labels => lines(&pod.labels),
            PodField::Annotations => lines(&pod.annotations),
            PodField::Label(key) => pod.labels.get(key).cloned().unwrap_or_default(),
            PodField::Annotation(key) => pod.annotations.get(key).cloned().unwrap_or_default(),
            PodField::NodeName => self.host.hostname.clone(),
            PodField::ServiceAccountName => pod.service_account_name.clone(),
            PodField::HostIp => first(&self.host.addresses),
            PodField::HostIps => all(&self.host.addresses),
            PodField::PodIp => first(&self.pod_ips()),
            PodField::PodIps => all(&self.pod_ips()),
        }
    }

    /// With the host's network they are the host's.
    fn pod_ips(&self) -> Vec<IpAddr> {
        if self.pod.host_network {
            return self.host.addresses.clone();
        }
        [self.ip.v4.map(IpAddr::from), self.ip.v6.map(IpAddr::from)].into_iter().flatten().collect()
    }

    /// A ConfigMap or Secret; `None` where it may be missing and is.
    ///
    /// # Errors
    /// It is missing.
    pub fn settings_of(&self, from: &SettingsName) -> Result<Option<&'a Settings>, Problem> {
        let kind = from.kind();
        let is_it = |one: &&Settings| one.kind == kind && one.name == from.name && one.namespace == self.pod.namespace;
        match self.settings.iter().find(is_it) {
            None if !from.optional => Err(Problem::NoSettings(kind.word(), from.name.clone())),
            found => Ok(found),
        }
    }

    /// What a key of one holds; `None` where it may be missing and is.
    ///
    /// # Errors
    /// The key is missing.
    pub fn value_of<'s>(from: &SettingsName, settings: &'s Settings, key: &str) -> Result<Option<&'s [u8]>, Problem> {
        match settings.data.get(key) {
            None if !from.optional => Err(Problem::NoKey(settings.kind.word(), settings.name.clone(), key.to_owned())),
            found => Ok(found.map(Vec::as_slice)),
        }
    }

    /// An amount as text; `of` when no container is named.
    ///
    /// # Errors
    /// A container that the Pod does not have.
    pub fn resource(&self, asked: &ResourceField, of: Option<&Container>) -> Result<String, Problem> {
        let mut every = self.pod.all();
        let of = match &asked.container {
            None => of,
            Some(name) => every.find(|container| container.name == *name),
        };
        let unknown = || Problem::UnknownContainer(asked.container.clone().unwrap_or_default());
        let resources = &of.ok_or_else(unknown)?.resources;
        let amount = match asked.amount {
            ResourceAmount::CpuLimit => {
                let of_pod = || self.pod.resources.as_ref().and_then(|pod| pod.cpu_limit_millis);
                resources.cpu_limit_millis.or_else(of_pod).unwrap_or(self.host.cpus * 1000)
            }
            ResourceAmount::CpuRequest => resources.cpu_request_millis.unwrap_or(0),
            ResourceAmount::MemoryLimit => {
                let of_pod = || self.pod.resources.as_ref().and_then(|pod| pod.memory_limit);
                resources.memory_limit.or_else(of_pod).unwrap_or(self.host.memory)
            }
            ResourceAmount::MemoryRequest => resources.memory_request.unwrap_or(0),
            ResourceAmount::StorageLimit => {
                let of_pod = || self.pod.resources.as_ref().and_then(|pod| pod.storage_limit);
                resources.storage_limit.or_else(of_pod).unwrap_or(self.host.disk)
            }
            ResourceAmount::StorageRequest => resources.storage_request.unwrap_or(0),
            ResourceAmount::HugePagesLimit(page) => self.pod.huge_pages_of(resources, page),
            ResourceAmount::HugePagesRequest(page) => resources.huge_pages.get(&page).copied().unwrap_or(0),
        };
        Ok(amount.div_ceil(asked.divisor.max(1)).to_string())
    }
}

fn first(addresses: &[IpAddr]) -> String {
    addresses.first().map(IpAddr::to_string).unwrap_or_default()
}

fn all(addresses: &[IpAddr]) -> String {
    addresses.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(",")
}

/// `key="value"` in the order of the keys, as the kubelet writes labels and annotations (fieldpath.FormatMap).
fn lines(map: &BTreeMap<String, String>) -> String {
    map.iter().map(|(key, value)| format!("{key}={}", quoted(value))).collect::<Vec<_>>().join("\n")
}

/// As Go's `%q`.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{b}' => out.push_str("\\v"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            _ if is_printable(c) => out.push(c),
            '\0'..='\u{7f}' => out += &format!("\\x{:02x}", u32::from(c)),
            '\u{80}'..='\u{ffff}' => out += &format!("\\u{:04x}", u32::from(c)),
            _ => out += &format!("\\U{:08x}", u32::from(c)),
        }
    }
    out.push('"');
    out
}

/// Of spaces only the plain one.
fn is_printable(c: char) -> bool {
    c == ' ' || !c.is_whitespace() && (matches!(c, '\'') || c.escape_debug().count() == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_are_lines_with_values_as_go_quotes_them() {
        let map = [("b", "x \"y\"\\"), ("a", "one\ntwo\t\u{1}é\u{a0}'"), ("c", "")];
        let map = map.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        let expected = concat!(r#"a="one\ntwo\t\x01é\u00a0'""#, "\n", r#"b="x \"y\"\\""#, "\n", r#"c="""#);
        assert_eq!(lines(&map), expected);
    }
}
