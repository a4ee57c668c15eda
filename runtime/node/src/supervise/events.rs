//! What happened to a Pod, in the kubelet's words (pkg/kubelet/events/event.go), for people who ask why it is as it is.
//!
//! Part of the journal, so that a new node tells on. The newest few; the same thing again is counted. It decides nothing, and
//! what a node that was killed had not written down yet is lost.

use serde::{Deserialize, Serialize};

/// Events of one Pod that are kept.
const KEPT: usize = 40;

/// Reasons that say that something went wrong.
const WARNINGS: [&str; 8] = [
    "Failed",
    "FailedCreatePodSandBox",
    "FailedPostStartHook",
    "FailedPreStopHook",
    "BackOff",
    "Unhealthy",
    "Evicted",
    "DeadlineExceeded",
];

/// Something that happened, once or often.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// The container it is about, with the list it stands in: `spec.containers{main}`.
    pub field: Option<String>,
    /// One word.
    pub reason: String,
    /// The same for people.
    pub message: String,
    /// How often.
    pub count: u32,
    /// The first time, nanoseconds since the epoch.
    pub first_ns: u64,
    /// The last time.
    pub last_ns: u64,
}

impl Event {
    /// `Normal` or `Warning`.
    pub fn kind(&self) -> &'static str {
        if WARNINGS.contains(&self.reason.as_str()) { "Warning" } else { "Normal" }
    }
}

/// Those of one Pod, the oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Events(Vec<Event>);

impl Events {
    /// It happens now.
    pub fn tell(&mut self, field: Option<String>, reason: &str, message: String, now_ns: u64) {
        let is_it = |known: &Event| known.reason == reason && known.field == field && known.message == message;
        let known = self.0.iter().position(is_it).map(|at| self.0.remove(at));
        let (count, first_ns) = known.map_or((1, now_ns), |known| (known.count.saturating_add(1), known.first_ns));
        if self.0.len() == KEPT {
            self.0.remove(0);
        }
        self.0.push(Event { field, reason: reason.to_owned(), message, count, first_ns, last_ns: now_ns });
    }

    /// All that are kept.
    pub fn all(&self) -> &[Event] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_again_is_counted_and_the_oldest_go() {
        let mut events = Events::default();
        events.tell(None, "Started", "a".into(), 1);
        events.tell(None, "BackOff", "b".into(), 2);
        events.tell(None, "Started", "a".into(), 3);
        let [first, last] = events.all() else { panic!("{events:?}") };
        assert_eq!((first.reason.as_str(), first.kind()), ("BackOff", "Warning"));
        assert_eq!((last.count, last.first_ns, last.last_ns, last.kind()), (2, 1, 3, "Normal"));
        (0..100).for_each(|n| events.tell(None, "Unhealthy", n.to_string(), n));
        assert_eq!(events.all().len(), KEPT);
        assert_eq!(events.all()[KEPT - 1].message, "99");
    }
}
