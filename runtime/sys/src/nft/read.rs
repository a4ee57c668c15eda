//! Reading the firewall: tables, base chains with their policies, and the rules of a chain, of any family.
//!
//! What is read belongs to others and is never changed. A rule is kept as its expressions' names and raw data,
//! since only a few shapes matter (does a chain end in a drop, does it accept our bridge).

use crate::netlink::attributes::{attributes, find, network_u32, text};
use crate::netlink::message::DUMP;
use crate::netlink::{Message, NetlinkError, Socket, socket::Reply};

use super::{INET, LIST_ELEMENT, SUBSYSTEM};

const GET_TABLE: u16 = (SUBSYSTEM << 8) | 1;
const GET_CHAIN: u16 = (SUBSYSTEM << 8) | 4;
const GET_RULE: u16 = (SUBSYSTEM << 8) | 7;
const GET_ELEMENT: u16 = (SUBSYSTEM << 8) | 13;

/// What happens to a packet at the end of a base chain, or by a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is thrown away.
    Drop,
    /// It goes on to the next base chain.
    Accept,
}

/// A base chain of anybody's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseChain {
    /// `NFPROTO_*`: 1 inet, 2 ip, 10 ip6, …
    pub family: u8,
    /// Its table.
    pub table: String,
    /// Its name.
    pub name: String,
    /// Hook number: 0 prerouting to 4 postrouting.
    pub hook: u32,
    /// Its place in the hook.
    pub priority: i32,
    /// `filter`, `nat` or `route`.
    pub kind: String,
    /// What becomes of packets that no rule decided.
    pub policy: Verdict,
}

/// A rule of anybody's: expressions in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// (name, raw attributes)
    pub expressions: Vec<(String, Vec<u8>)>,
}

impl Rule {
    /// The verdict, if an `immediate` gives one that ends the chain.
    pub fn verdict(&self) -> Option<Verdict> {
        let data = |raw| find(find(find(raw, 2)?, 2)?, 1).and_then(network_u32);
        self.expressions.iter().filter(|(name, _)| name == "immediate").find_map(|(_, raw)| match data(raw)? {
            0 => Some(Verdict::Drop),
            1 => Some(Verdict::Accept),
            _ => None,
        })
    }

    /// Whether it has an expression of that name.
    pub fn has(&self, name: &str) -> bool {
        self.expressions.iter().any(|(found, _)| found == name)
    }

    /// The key of every `meta` in it.
    pub fn meta_keys(&self) -> Vec<u32> {
        let metas = self.expressions.iter().filter(|(name, _)| name == "meta");
        metas.filter_map(|(_, raw)| find(raw, 2).and_then(network_u32)).collect()
    }

    /// The bytes compared against, of every `cmp` that tests for equality.
    pub fn compared(&self) -> Vec<Vec<u8>> {
        let equal = |raw: &[u8]| find(raw, 2).and_then(network_u32) == Some(0);
        let comparisons = self.expressions.iter().filter(|(name, raw)| name == "cmp" && equal(raw));
        comparisons.filter_map(|(_, raw)| Some(find(find(raw, 3)?, 1)?.to_vec())).collect()
    }
}

/// Whether an `inet` table of that name exists.
///
/// # Errors
/// A refusal other than ENOENT.
pub fn table_exists(socket: &mut Socket, name: &str) -> Result<bool, NetlinkError> {
    let mut message = Message::new(GET_TABLE, 0, &[INET, 0, 0, 0]);
    message.text(1, name);
    match socket.get(&message) {
        Ok(_) => Ok(true),
        Err(error) if error.errno() == Some(libc::ENOENT) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Every base chain of every family.
///
/// # Errors
/// When the kernel refuses the list.
pub fn base_chains(socket: &mut Socket) -> Result<Vec<BaseChain>, NetlinkError> {
    let message = Message::new(GET_CHAIN, DUMP, &[0; 4]);
    Ok(socket.dump(&message)?.iter().filter_map(base_chain).collect())
}

/// The rules of one chain, in order.
///
/// # Errors
/// When the kernel refuses the list.
pub fn rules(socket: &mut Socket, chain: &BaseChain) -> Result<Vec<Rule>, NetlinkError> {
    let mut message = Message::new(GET_RULE, DUMP, &[chain.family, 0, 0, 0]);
    message.text(1, &chain.table).text(2, &chain.name);
    Ok(socket.dump(&message)?.iter().filter_map(rule).collect())
}

/// A map's key and value, as the kernel lays them out.
pub type Pair = (Vec<u8>, Vec<u8>);

/// The keys and values of a map in an `inet` table, raw.
///
/// # Errors
/// When the kernel refuses the list, ENOENT without such a map.
pub fn elements(socket: &mut Socket, table: &str, map: &str) -> Result<Vec<Pair>, NetlinkError> {
    let mut message = Message::new(GET_ELEMENT, DUMP, &[INET, 0, 0, 0]);
    message.text(1, table).text(2, map);
    Ok(socket.dump(&message)?.iter().flat_map(element_list).collect())
}

fn element_list(reply: &Reply) -> Vec<(Vec<u8>, Vec<u8>)> {
    let list = reply.body.get(4..).and_then(|body| find(body, 3)).unwrap_or_default();
    let value = |raw, kind| Some(find(find(raw, kind)?, 1)?.to_vec());
    attributes(list).filter_map(|(_, raw)| Some((value(raw, 1)?, value(raw, 2)?))).collect()
}

fn base_chain(reply: &Reply) -> Option<BaseChain> {
    let body = reply.body.get(4..)?;
    let hook = find(body, 4)?;
    Some(BaseChain {
        family: reply.body[0],
        table: text(find(body, 1)?),
        name: text(find(body, 3)?),
        hook: network_u32(find(hook, 1)?)?,
        priority: network_u32(find(hook, 2)?)? as i32,
        kind: find(body, 7).map(text).unwrap_or_default(),
        policy: if network_u32(find(body, 5)?)? == 0 { Verdict::Drop } else { Verdict::Accept },
    })
}

fn rule(reply: &Reply) -> Option<Rule> {
    let list = find(reply.body.get(4..)?, 4).unwrap_or_default();
    let expressions = attributes(list).filter(|(kind, _)| *kind == LIST_ELEMENT).filter_map(|(_, element)| {
        let name = text(find(element, 1)?);
        Some((name, find(element, 2).unwrap_or_default().to_vec()))
    });
    Some(Rule { expressions: expressions.collect() })
}

/// The rules of every chain of one table.
///
/// # Errors
/// When the kernel refuses the list.
pub fn table_rules(socket: &mut Socket, family: u8, table: &str) -> Result<Vec<Rule>, NetlinkError> {
    let mut message = Message::new(GET_RULE, DUMP, &[family, 0, 0, 0]);
    message.text(1, table);
    Ok(socket.dump(&message)?.iter().filter_map(rule).collect())
}
