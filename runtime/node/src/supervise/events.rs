//! What happened to a Pod, in the kubelet's words (pkg/kubelet/events/event.go), for people who ask why it is as it is.
//!
//! Part of the journal, so that a new node tells on. The newest few; the same thing again is counted. It decides nothing, and
//! what a node that was killed had not written down yet is lost.

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

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
    pub reason: Cow<'static, str>,
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
        if WARNINGS.contains(&&*self.reason) { "Warning" } else { "Normal" }
    }
}

/// Those of one Pod, the oldest first. Copies share them until one of them is told more.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Events(Arc<Vec<Event>>);

impl Events {
    /// It happens now.
    pub fn tell(&mut self, field: Option<String>, reason: &'static str, message: String, now_ns: u64) {
        let all = Arc::make_mut(&mut self.0);
        let is_it = |known: &Event| known.reason == reason && known.field == field && known.message == message;
        let known = all.iter().position(is_it).map(|at| all.remove(at));
        let (count, first_ns) = known.map_or((1, now_ns), |known| (known.count.saturating_add(1), known.first_ns));
        if all.len() == KEPT {
            all.remove(0);
        }
        // Few Pods have more to tell than their beginning, and there are many Pods.
        all.reserve_exact(1);
        all.push(Event { field, reason: reason.into(), message, count, first_ns, last_ns: now_ns });
    }

    /// All that are kept.
    pub fn all(&self) -> &[Event] {
        &self.0
    }
}

impl Serialize for Events {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Events {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::deserialize(deserializer).map(|events| Self(Arc::new(events)))
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
        assert_eq!((&*first.reason, first.kind()), ("BackOff", "Warning"));
        assert_eq!((last.count, last.first_ns, last.last_ns, last.kind()), (2, 1, 3, "Normal"));
        (0..100).for_each(|n| events.tell(None, "Unhealthy", n.to_string(), n));
        assert_eq!(events.all().len(), KEPT);
        assert_eq!(events.all()[KEPT - 1].message, "99");
    }
}
