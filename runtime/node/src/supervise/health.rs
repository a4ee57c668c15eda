//! How a member that lives is doing: what its hooks and probes have said, and whether the node has given it up.
//!
//! ```text
//! born ─postStart─► ─startup probe─► started ─readiness probe─► ready
//!        │ failed        │ failed       │ liveness probe failed
//!        └───────────────┴──────────────┴──► condemned: ends as in a stop, and its restart policy goes on
//! ```
//! Part of the journal, so that a new node goes on where the one before stopped. Must never do IO.

use dwell_spec::pod::{Container, ProbeKind};
use serde::{Deserialize, Serialize};

use super::journal::{Member, Stopping};

/// What a container says is to be waited for; the same in each of its runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wants {
    /// It has a postStart hook.
    pub post_start: bool,
    /// It has a preStop hook.
    pub pre_stop: bool,
    /// It has a startup probe.
    pub startup: bool,
    /// It has a readiness probe.
    pub readiness: bool,
}

/// Of the run that lives; nothing of it holds for another one. A hook that a node was killed in is run again by the next.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Health {
    /// Its postStart hook is through, and its startup probe has succeeded.
    pub started: bool,
    /// It is started, and its readiness probe says that it takes traffic.
    pub ready: bool,
    /// Its postStart hook is to be run, or runs.
    pub post_start_due: bool,
    /// Its preStop hook is to be run before the signal, or runs.
    pub pre_stop_due: bool,
    /// The node ends it of its own accord.
    pub condemned: Option<Condemned>,
}

/// Why and how a member is ended by the node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condemned {
    /// Since when, and when patience ends.
    pub stopping: Stopping,
    /// For people.
    pub message: String,
    /// A probe said so: it is started again, whatever its exit status, unless it never is.
    pub unhealthy: bool,
    /// It is to make room for another: that is started in any case.
    #[serde(default)]
    pub replaced: bool,
}

impl Wants {
    /// What a container asks for.
    pub fn of(container: &Container) -> Wants {
        Wants {
            post_start: container.hooks.post_start.is_some(),
            pre_stop: container.hooks.pre_stop.is_some(),
            startup: container.probes.startup.is_some(),
            readiness: container.probes.readiness.is_some(),
        }
    }
}

impl Health {
    /// That of a newborn.
    pub(super) fn newborn(wants: Wants) -> Health {
        let (post_start_due, pre_stop_due) = (wants.post_start, wants.pre_stop);
        let mut health = Health { post_start_due, pre_stop_due, ..Health::default() };
        health.go_on(wants);
        health
    }

    /// What nothing stands in the way of any more.
    fn go_on(&mut self, wants: Wants) {
        if !self.post_start_due && !wants.startup {
            self.started = true;
        }
        if self.started && !wants.readiness {
            self.ready = true;
        }
    }
}

impl Member {
    /// Its postStart hook has done its work.
    pub fn post_start_done(&mut self) {
        self.health.post_start_due = false;
        self.health.go_on(self.wants);
        self.started |= self.health.started;
    }

    /// A probe has come to a verdict; says whether that is the end of its run, which is `condemn`'s.
    #[must_use]
    pub fn probe_says(&mut self, kind: ProbeKind, good: bool) -> bool {
        match kind {
            ProbeKind::Startup if good => {
                self.health.started = true;
                self.health.ready = !self.wants.readiness;
                self.started = true;
            }
            ProbeKind::Readiness => self.health.ready = good && self.health.started,
            ProbeKind::Startup | ProbeKind::Liveness => return !good,
        }
        false
    }

    /// It makes room for another, whatever else it was to end for.
    pub fn replace(&mut self, condemned: Condemned) {
        match &mut self.health.condemned {
            Some(already) => already.replaced = true,
            None => self.condemn(condemned),
        }
    }

    /// The node gives it up, once.
    pub fn condemn(&mut self, condemned: Condemned) {
        if self.live_seq().is_some() && self.health.condemned.is_none() {
            self.health.ready = false;
            self.health.condemned = Some(condemned);
        }
    }
}
