//! The host: what planning must know of it (`facts`), and what it offers, lacks and costs (`check`).
//!
//! Looking changes nothing: what can only be known by trying is tried in a network namespace that is thrown away.
//! The list of settings that dwell itself changes is `network::forwarding::changes`, and is part of `check`.

mod cgroups;
mod facts;
pub mod firewall;
mod huge_pages;
mod kernel;
mod network;
mod storage;

use serde::{Deserialize, Serialize};

use crate::layout::Layout;

pub use facts::facts;

/// How one thing stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// As dwell needs it.
    Ok,
    /// It works, with something less.
    Degraded,
    /// Some Pods, or all, cannot run.
    Missing,
}

/// One thing looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckItem {
    /// What: two or three words.
    pub name: String,
    /// How it stands.
    pub state: State,
    /// What was found.
    pub found: String,
    /// What the lack costs; empty when nothing.
    pub costs: String,
    /// What to do; empty when nothing.
    pub remedy: String,
}

impl CheckItem {
    fn ok(name: &str, found: impl Into<String>) -> Self {
        let (costs, remedy) = (String::new(), String::new());
        Self { name: name.into(), state: State::Ok, found: found.into(), costs, remedy }
    }

    fn lacking(name: &str, state: State, found: impl Into<String>) -> Self {
        Self { state, ..Self::ok(name, found) }
    }

    fn costs(self, costs: impl Into<String>) -> Self {
        Self { costs: costs.into(), ..self }
    }

    fn remedy(self, remedy: impl Into<String>) -> Self {
        Self { remedy: remedy.into(), ..self }
    }
}

/// Everything, in the order in which people read it. Takes some ten milliseconds; blocks.
pub fn check(layout: &Layout) -> Vec<CheckItem> {
    let mut items = kernel::check();
    items.extend(cgroups::check());
    items.extend(storage::check(layout.lib()));
    items.extend(network::check());
    items
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_lacking_has_a_cost() {
        let items = check(&Layout::at(Some(std::env::temp_dir())));
        for item in &items {
            println!("{item:?}");
            assert!(item.state == State::Ok || !item.costs.is_empty(), "{item:?}");
        }
        assert!(items.iter().any(|item| item.name == "Pod network" && item.state == State::Ok), "this host runs Pods");
        let names = |name: &str| items.iter().any(|item| item.name == name);
        assert!(["kernel", "cgroups", "state folder", "IPv6", "forwarding", "firewall"].into_iter().all(names));
    }
}
