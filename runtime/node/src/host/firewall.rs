//! A firewall of the host's that would stop Pods' packets.
//!
//! In nftables a packet must be accepted by every base chain of its hook, so a drop policy in anybody's table (ufw,
//! firewalld, docker, iptables-nft) beats the accept of ours. Such chains are found over netlink and named, with the
//! very rules that let Pods through; dwell never adds them itself. A chain is in the way when its policy is drop, or
//! its last rule drops or rejects whatever reaches it, and no rule of its table accepts our links by name.

use std::fs;

use dwell_sys::netlink::{Family, NetlinkError, Socket};
use dwell_sys::nft::expression::MetaKey;
use dwell_sys::nft::read::{BaseChain, Rule, Verdict, base_chains, rules, table_rules};

use crate::network::identity::{BRIDGE_PREFIX, TABLE_PREFIX};

use super::{CheckItem, State};

const INPUT: u32 = 1;
const FORWARD: u32 = 2;
const OUTPUT: u32 = 3;

/// A chain in the way of Pods.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Obstacle {
    /// `ip filter FORWARD`, as `nft` names it.
    pub chain: String,
    /// What does not get through.
    pub costs: &'static str,
    /// Commands that let it through, first to last.
    pub rules: Vec<String>,
}

/// Every chain in the way.
///
/// # Errors
/// When the kernel refuses to list.
pub fn obstacles(socket: &mut Socket) -> Result<Vec<Obstacle>, NetlinkError> {
    let mut found = Vec::new();
    for chain in base_chains(socket)?.iter().filter(|chain| is_relevant(chain)) {
        let stops = chain.policy == Verdict::Drop || rules(socket, chain)?.last().is_some_and(stops_everything);
        if stops {
            let accepted = table_rules(socket, chain.family, &chain.table)?;
            found.extend(obstacle(chain, &accepted));
        }
    }
    Ok(found)
}

fn is_relevant(chain: &BaseChain) -> bool {
    let hooked = matches!(chain.hook, INPUT | FORWARD | OUTPUT) && family(chain.family).is_some();
    hooked && chain.kind != "nat" && !chain.table.starts_with(TABLE_PREFIX)
}

fn stops_everything(rule: &Rule) -> bool {
    let harmless = |name: &str| matches!(name, "counter" | "log" | "immediate" | "reject");
    let all = rule.expressions.iter().all(|(name, _)| harmless(name));
    all && (rule.has("reject") || rule.verdict() == Some(Verdict::Drop))
}

fn obstacle(chain: &BaseChain, rules: &[Rule]) -> Option<Obstacle> {
    let (costs, links): (_, &[(&str, MetaKey)]) = match chain.hook {
        INPUT => ("Pods cannot reach services of the host itself", &[("iifname", MetaKey::InputName)]),
        OUTPUT => ("the host cannot reach Pods", &[("oifname", MetaKey::OutputName)]),
        _ => (
            "Pods cannot reach beyond the host, nor be reached from there",
            &[("iifname", MetaKey::InputName), ("oifname", MetaKey::OutputName)],
        ),
    };
    let name = format!("{} {} {}", family(chain.family)?, chain.table, chain.name);
    let missing = links.iter().filter(|(_, key)| !rules.iter().any(|rule| accepts_ours(rule, *key)));
    let rules: Vec<_> =
        missing.map(|(word, _)| format!("nft insert rule {name} {word} \"{BRIDGE_PREFIX}*\" accept")).collect();
    (!rules.is_empty()).then_some(Obstacle { chain: name, costs, rules })
}

/// Whether the rule accepts by a link's name that begins as our bridges do.
fn accepts_ours(rule: &Rule, key: MetaKey) -> bool {
    let named = rule.compared().iter().any(|value| value.starts_with(BRIDGE_PREFIX.as_bytes()));
    named && rule.meta_keys().contains(&(key as u32)) && rule.verdict() == Some(Verdict::Accept)
}

fn family(number: u8) -> Option<&'static str> {
    match number {
        1 => Some("inet"),
        2 => Some("ip"),
        7 => Some("bridge"),
        10 => Some("ip6"),
        _ => None,
    }
}

pub(super) fn check() -> Vec<CheckItem> {
    let listed = Socket::open(Family::Netfilter).and_then(|mut socket| obstacles(&mut socket));
    let mut items = match listed {
        Ok(found) if found.is_empty() => vec![CheckItem::ok("firewall", "nothing stands in the way of Pods")],
        Ok(found) => found.into_iter().map(item).collect(),
        Err(error) => vec![
            CheckItem::lacking("firewall", State::Degraded, format!("it could not be read: {error}"))
                .costs("a firewall that stops Pods is not noticed"),
        ],
    };
    items.extend(legacy());
    items
}

fn item(obstacle: Obstacle) -> CheckItem {
    CheckItem::lacking("firewall", State::Degraded, format!("chain {} lets nothing of Pods through", obstacle.chain))
        .costs(obstacle.costs)
        .remedy(obstacle.rules.join("; "))
}

/// The older iptables keep rules where netlink does not show them.
fn legacy() -> Option<CheckItem> {
    let used = |name| fs::read_to_string(name).is_ok_and(|text| text.lines().any(|line| line == "filter"));
    let any = used("/proc/thread-self/net/ip_tables_names") || used("/proc/thread-self/net/ip6_tables_names");
    any.then(|| {
        CheckItem::lacking("firewall", State::Degraded, "rules of iptables-legacy, which cannot be read here")
            .costs("if FORWARD drops there, Pods cannot reach beyond the host")
            .remedy(format!("look with `iptables-legacy -S FORWARD`; `iptables-legacy -I FORWARD -i {BRIDGE_PREFIX}+ -j ACCEPT; iptables-legacy -I FORWARD -o {BRIDGE_PREFIX}+ -j ACCEPT`"))
    })
}
