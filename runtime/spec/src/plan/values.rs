//! The values that a container is started with: variables from the Pod, the host and what the container may use, and
//! `$(VAR)` in variables, command and arguments, as the kubelet resolves them (makeEnvironmentVariables).
//!
//! A variable sees those above it; command and arguments see all. Written twice, the last one counts.

use std::net::IpAddr;

use super::refusal::{PlanError, Problem};
use crate::expand::Variables;
use crate::facts::{HostFacts, PodIp};
use crate::pod::{Container, EnvValue, Pod, PodField, ResourceAmount, ResourceField};

/// Bytes to which the strings of one container may expand: what the kernel takes at exec, and more.
const MAX_EXPANDED: usize = 8 << 20;

/// The same container with nothing left to resolve: its variables are texts, its words are final.
///
/// # Errors
/// A field of a container that the Pod does not have; strings that expand to more than a program can be given.
pub fn resolved(pod: &Pod, container: &Container, host: &HostFacts, ip: PodIp) -> Result<Container, PlanError> {
    let known = Known { pod, container, host, ip };
    let mut variables = Variables::default();
    let mut size = 0;
    for (name, value) in &container.env {
        let value = match value {
            EnvValue::Text(text) => expand(container, "env", &variables, text, &mut size)?,
            EnvValue::Field(field) => known.field(field),
            EnvValue::Resource(resource) => known.resource(resource)?,
        };
        variables.set(name, value);
    }
    let mut words = |field, words: &[String]| -> Result<Vec<String>, PlanError> {
        words.iter().map(|word| expand(container, field, &variables, word, &mut size)).collect()
    };
    let (command, args) = (words("command", &container.command)?, words("args", &container.args)?);
    let env = variables.into_list().into_iter().map(|(name, value)| (name, EnvValue::Text(value))).collect();
    Ok(Container { command, args, env, ..container.clone() })
}

fn expand(
    container: &Container,
    field: &'static str,
    variables: &Variables,
    text: &str,
    size: &mut usize,
) -> Result<String, PlanError> {
    let too_long = || PlanError::of(&container.name, field, Problem::TooLong);
    let expanded = variables.expand(text).map_err(|_| too_long())?;
    *size += expanded.len();
    if *size > MAX_EXPANDED { Err(too_long()) } else { Ok(expanded) }
}

/// What values can come from.
struct Known<'a> {
    pod: &'a Pod,
    container: &'a Container,
    host: &'a HostFacts,
    ip: PodIp,
}

impl Known<'_> {
    fn field(&self, field: &PodField) -> String {
        let pod = self.pod;
        match field {
            PodField::Name => pod.name.clone(),
            PodField::Namespace => pod.namespace.clone(),
            PodField::Uid => pod.uid.clone(),
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

    fn resource(&self, asked: &ResourceField) -> Result<String, PlanError> {
        let all = || self.pod.init_containers.iter().chain(&self.pod.containers);
        let of = match &asked.container {
            None => self.container,
            Some(name) => all()
                .find(|container| container.name == *name)
                .ok_or_else(|| PlanError::of(&self.container.name, "env", Problem::UnknownContainer(name.clone())))?,
        };
        let resources = &of.resources;
        let amount = match asked.amount {
            ResourceAmount::CpuLimit => resources.cpu_limit_millis.unwrap_or(self.host.cpus * 1000),
            ResourceAmount::CpuRequest => resources.cpu_request_millis.unwrap_or(0),
            ResourceAmount::MemoryLimit => resources.memory_limit.unwrap_or(self.host.memory),
            ResourceAmount::MemoryRequest => resources.memory_request.unwrap_or(0),
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

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    const IP: PodIp = PodIp { v4: Some(std::net::Ipv4Addr::new(10, 1, 2, 3)), v6: Some(std::net::Ipv6Addr::LOCALHOST) };

    fn text(value: &str) -> EnvValue {
        EnvValue::Text(value.to_owned())
    }

    fn env(pairs: Vec<(&str, EnvValue)>) -> Container {
        let env = pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Container { env, ..samples::container("a") }
    }

    fn resolve(container: &Container) -> Result<Vec<String>, PlanError> {
        let mut pod = samples::pod();
        pod.labels.insert("app".to_owned(), "web".to_owned());
        pod.containers.push(samples::container("b"));
        pod.containers[1].resources.memory_limit = Some(10 << 20);
        let resolved = resolved(&pod, container, &samples::host(), IP)?;
        let shown = |(name, value): &(String, EnvValue)| match value {
            EnvValue::Text(value) => format!("{name}={value}"),
            other => panic!("{other:?}"),
        };
        Ok(resolved.env.iter().map(shown).chain(resolved.command).chain(resolved.args).collect())
    }

    #[test]
    fn texts_see_what_is_above_them_and_words_see_all() {
        let mut container = env(vec![
            ("A", text("$(B)")),
            ("IP", EnvValue::Field(PodField::PodIp)),
            ("URL", text("http://$(IP)/$$(IP)")),
            ("B", text("b")),
        ]);
        container.command = vec!["$(B)".to_owned()];
        container.args = vec!["$(URL) $(NONE)".to_owned()];
        let expected =
            ["A=$(B)", "IP=10.1.2.3", "URL=http://10.1.2.3/$(IP)", "B=b", "b", "http://10.1.2.3/$(IP) $(NONE)"];
        assert_eq!(resolve(&container).expect("resolves"), expected);
    }

    #[test]
    fn fields_are_the_pods_and_the_hosts() {
        let field = EnvValue::Field;
        let values = resolve(&env(vec![
            ("LABEL", field(PodField::Label("app".to_owned()))),
            ("NONE", field(PodField::Annotation("x".to_owned()))),
            ("NODE", field(PodField::NodeName)),
            ("HOST", field(PodField::HostIps)),
            ("PODS", field(PodField::PodIps)),
        ]));
        let expected =
            ["LABEL=web", "NONE=", "NODE=machine", "HOST=192.0.2.7,2001:db8::7", "PODS=10.1.2.3,::1", "/bin/app"];
        assert_eq!(values.expect("resolves"), expected);
    }

    #[test]
    fn amounts_are_rounded_up_and_without_a_limit_they_are_the_hosts() {
        let resource = |container: Option<&str>, amount, divisor| {
            EnvValue::Resource(ResourceField { container: container.map(str::to_owned), amount, divisor })
        };
        let mut container = env(vec![
            ("CPU", resource(None, ResourceAmount::CpuLimit, 1000)),
            ("MILLIS", resource(None, ResourceAmount::CpuRequest, 1)),
            ("B", resource(Some("b"), ResourceAmount::MemoryLimit, 1 << 20)),
            ("FREE", resource(None, ResourceAmount::MemoryLimit, 1 << 30)),
        ]);
        container.resources.cpu_limit_millis = Some(1500);
        container.resources.cpu_request_millis = Some(1500);
        let expected = ["CPU=2", "MILLIS=1500", "B=10", "FREE=4", "/bin/app"];
        assert_eq!(resolve(&container).expect("resolves"), expected);
        let unknown = env(vec![("X", resource(Some("nobody"), ResourceAmount::CpuLimit, 1))]);
        assert!(resolve(&unknown).expect_err("refused").to_string().contains("no container \"nobody\""));
    }
}
