//! The text of a `resolv.conf` as settings that can be added to: the kubelet's rules for `dnsConfig`
//! (appendDNSConfig): servers and domains join the host's, each once; an option replaces the host's of that name.

use std::fmt;
use std::net::IpAddr;

use crate::pod::Dns;

/// C libraries read no more servers.
const MAX_SERVERS: usize = 3;

/// A resolver's settings.
#[derive(Debug, Default)]
pub struct Resolver {
    servers: Vec<String>,
    searches: Vec<String>,
    options: Vec<(String, Option<String>)>,
}

impl Resolver {
    /// Those of these lines.
    pub fn of<'a>(lines: impl Iterator<Item = &'a str>) -> Self {
        let mut resolver = Self::default();
        for line in lines {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") => resolver.servers.extend(words.next().map(str::to_owned)),
                // Of several the last one counts.
                Some("search" | "domain") => resolver.searches = words.map(str::to_owned).collect(),
                Some("options") => words.for_each(|word| resolver.written_option(word)),
                _ => {}
            }
        }
        resolver
    }

    fn written_option(&mut self, word: &str) {
        match word.split_once(':') {
            Some((name, value)) => self.option(name, Some(value.to_owned())),
            None => self.option(word, None),
        }
    }

    fn option(&mut self, name: &str, value: Option<String>) {
        self.options.retain(|(known, _)| known != name);
        self.options.push((name.to_owned(), value));
    }

    /// The same with what a manifest adds.
    #[must_use]
    pub fn with(mut self, dns: &Dns) -> Self {
        self.servers.extend(dns.servers.iter().map(IpAddr::to_string));
        self.searches.extend(dns.searches.iter().cloned());
        dns.options.iter().for_each(|(name, value)| self.option(name, value.clone()));
        (self.servers, self.searches) = (once_each(self.servers), once_each(self.searches));
        self.servers.truncate(MAX_SERVERS);
        self
    }
}

impl fmt::Display for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.servers.iter().try_for_each(|server| writeln!(f, "nameserver {server}"))?;
        let option = |(name, value): &(String, Option<String>)| match value {
            Some(value) => format!("{name}:{value}"),
            None => name.clone(),
        };
        line(f, "search", &self.searches)?;
        line(f, "options", &self.options.iter().map(option).collect::<Vec<_>>())
    }
}

fn line(f: &mut fmt::Formatter<'_>, keyword: &str, words: &[String]) -> fmt::Result {
    match words.is_empty() {
        true => Ok(()),
        false => writeln!(f, "{keyword} {}", words.join(" ")),
    }
}

fn once_each(list: Vec<String>) -> Vec<String> {
    let mut seen = std::collections::HashSet::new();
    list.into_iter().filter(|item| seen.insert(item.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_manifest_says_joins_the_hosts_or_stands_alone() {
        let host = "# by hand\nnameserver 9.9.9.9\nsearch a b\noptions ndots:2 edns0\n";
        let address = |text: &str| text.parse().expect("parses");
        let dns = Dns {
            from_host: true,
            servers: vec![address("1.1.1.1"), address("9.9.9.9")],
            searches: vec!["b".to_owned(), "c".to_owned()],
            options: vec![("ndots".to_owned(), Some("5".to_owned())), ("rotate".to_owned(), None)],
        };
        let joined = "nameserver 9.9.9.9\nnameserver 1.1.1.1\nsearch a b c\noptions edns0 ndots:5 rotate\n";
        assert_eq!(Resolver::of(host.lines()).with(&dns).to_string(), joined);
        let alone = "nameserver 1.1.1.1\nnameserver 9.9.9.9\nsearch b c\noptions ndots:5 rotate\n";
        assert_eq!(Resolver::default().with(&dns).to_string(), alone);
    }
}
