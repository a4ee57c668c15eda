//! Name look-up inside the worker: the Pod's `hosts`, read anew for each name, and `resolv.conf`, handed in as text.
//!
//! The C library's resolver needs files and a thread, and a worker has neither. Order as everywhere: an address is
//! itself, then `hosts`, then the name servers with the search list. `localhost` is never asked of a server (RFC 6761):
//! where `hosts` lacks it, it is both loopback addresses.

use crate::trusted;
use dwell_spec::plan::worker::{HOSTS_MAX, WORKER_HOSTS_FD, WorkerPlan};
use hickory_resolver::config::{LookupIpStrategy, ResolveHosts};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::{Resolver, TokioResolver, system_conf};
use std::fmt;
use std::fs::File;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// Bytes of a name at most (RFC 1035), with a final dot.
const NAME_MAX: usize = 254;

/// Why a name has no addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LookupError {
    /// The member has no network.
    Denied,
    /// The text cannot be a host name.
    NotAName,
    /// The name servers say there is none.
    NotFound,
    /// No name server answered.
    NoAnswer,
}

impl fmt::Display for LookupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Denied => "name look-up is not granted",
            Self::NotAName => "not a host name",
            Self::NotFound => "no such host",
            Self::NoAnswer => "no name server answered",
        })
    }
}

impl std::error::Error for LookupError {}

/// The Pod's names; cheap to clone.
#[derive(Clone)]
pub struct Names(Arc<Known>);

struct Known {
    granted: bool,
    hosts: Option<File>,
    servers: Option<TokioResolver>,
}

impl Names {
    /// Those of the Pod, for a worker. A plan whose `hosts` did not come knows no names of its own.
    pub fn of(plan: &WorkerPlan) -> Self {
        Self::new(plan.network, trusted::inherited(WORKER_HOSTS_FD).ok(), &plan.resolv_conf)
    }

    /// Looks names up as these two files say, or not at all without `granted`.
    fn new(granted: bool, hosts: Option<File>, resolv_conf: &str) -> Self {
        let servers = if granted { servers(resolv_conf) } else { None };
        Self(Arc::new(Known { granted, hosts, servers }))
    }

    /// Look-ups (and other holders) that share this at the moment.
    pub fn pending(&self) -> usize {
        Arc::strong_count(&self.0)
    }

    /// The answer, if no server need be asked.
    pub fn at_once(&self, name: &str) -> Option<Result<Vec<IpAddr>, LookupError>> {
        if !self.0.granted {
            return Some(Err(LookupError::Denied));
        }
        if let Some(address) = literal(name) {
            return Some(Ok(vec![address]));
        }
        if !is_name(name) {
            return Some(Err(LookupError::NotAName));
        }
        self.local(name).map(Ok)
    }

    /// The addresses of `name`, IPv4 first.
    ///
    /// # Errors
    /// See `LookupError`.
    pub async fn lookup(&self, name: &str) -> Result<Vec<IpAddr>, LookupError> {
        if let Some(answer) = self.at_once(name) {
            return answer;
        }
        let servers = self.0.servers.as_ref().ok_or(LookupError::NotFound)?;
        let found = servers.lookup_ip(name).await.map_err(|cause| why(&cause))?;
        Ok(ipv4_first(found.iter().map(|address| address.to_canonical()).collect()))
    }

    fn local(&self, name: &str) -> Option<Vec<IpAddr>> {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        let hosts = parse_hosts(&self.0.hosts.as_ref().map(read).unwrap_or_default());
        let found: Vec<_> = hosts.iter().filter(|(host, _)| *host == name).map(|(_, ip)| *ip).collect();
        if !found.is_empty() {
            return Some(ipv4_first(found));
        }
        let loopback = name == "localhost" || name.ends_with(".localhost");
        loopback.then(|| vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()])
    }
}

fn why(cause: &NetError) -> LookupError {
    if cause.is_no_records_found() { LookupError::NotFound } else { LookupError::NoAnswer }
}

fn servers(resolv_conf: &str) -> Option<TokioResolver> {
    let (config, mut options) = system_conf::parse_resolv_conf(resolv_conf).ok()?;
    options.use_hosts_file = ResolveHosts::Never;
    options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    Resolver::builder_with_config(config, TokioRuntimeProvider::default()).with_options(options).build().ok()
}

/// As it is now; every member of the Pod may have written to it.
fn read(file: &File) -> String {
    let mut bytes = vec![0; HOSTS_MAX];
    let length = file.read_at(&mut bytes, 0).unwrap_or(0);
    String::from_utf8_lossy(&bytes[..length]).into_owned()
}

/// hosts(5): an address, then its names; `#` begins a comment.
fn parse_hosts(text: &str) -> Vec<(String, IpAddr)> {
    let mut hosts = Vec::new();
    for line in text.lines() {
        let mut words = line.split('#').next().unwrap_or("").split_whitespace();
        let Some(address) = words.next().and_then(literal) else {
            continue;
        };
        hosts.extend(words.map(|name| (name.trim_end_matches('.').to_ascii_lowercase(), address)));
    }
    hosts
}

fn literal(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    bare.parse().ok()
}

fn is_name(name: &str) -> bool {
    let labels = name.strip_suffix('.').unwrap_or(name);
    let label = |l: &str| {
        !l.is_empty() && l.len() <= 63 && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    name.len() <= NAME_MAX && labels.split('.').all(label)
}

fn ipv4_first(mut addresses: Vec<IpAddr>) -> Vec<IpAddr> {
    addresses.sort_by_key(IpAddr::is_ipv6);
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTS: &str =
        "# the Pod's\n127.0.0.1\tlocalhost\n::1 localhost ip6-localhost\n10.0.0.9 Web.example web # x\n";

    fn file(text: &str) -> Option<File> {
        Some(File::from(dwell_sys::memfd::sealed("hosts", text.as_bytes()).unwrap()))
    }

    #[test]
    fn hosts_come_first_and_case_does_not_matter() {
        let names = Names::new(true, file(HOSTS), "");
        assert_eq!(names.at_once("web"), Some(Ok(vec!["10.0.0.9".parse().unwrap()])));
        assert_eq!(names.at_once("WEB.Example."), Some(Ok(vec!["10.0.0.9".parse().unwrap()])));
        assert_eq!(names.at_once("x"), None);
    }

    #[test]
    fn localhost_is_loopback_with_and_without_hosts() {
        let both = vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
        assert_eq!(Names::new(true, file(HOSTS), "").at_once("localhost"), Some(Ok(both.clone())));
        assert_eq!(Names::new(true, None, "").at_once("localhost"), Some(Ok(both.clone())));
        assert_eq!(Names::new(true, file("127.0.0.5 localhost"), "").at_once("localhost").unwrap().unwrap().len(), 1);
    }

    #[test]
    fn nothing_is_answered_without_the_grant() {
        assert_eq!(Names::new(false, file(HOSTS), "").at_once("localhost"), Some(Err(LookupError::Denied)));
    }

    #[test]
    fn addresses_are_themselves_and_nonsense_is_refused() {
        let names = Names::new(true, None, "");
        assert_eq!(names.at_once("[::1]"), Some(Ok(vec![Ipv6Addr::LOCALHOST.into()])));
        assert_eq!(names.at_once("a b"), Some(Err(LookupError::NotAName)));
        assert_eq!(names.at_once(&"a".repeat(300)), Some(Err(LookupError::NotAName)));
    }
}
