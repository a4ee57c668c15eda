//! What Pods use, as columns: rates from two readings, sizes as `dwell stats` and kubectl's `top` show them. Pure.

use dwell::{MemberUsage, PodUsage, Usage};

/// A Pod's or a member's use over some time, none where the host does not count it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Rate {
    /// Thousandths of a processor.
    pub cpu_millis: Option<f64>,
    /// Bytes.
    pub memory: Option<u64>,
    /// Processes and threads.
    pub processes: Option<u64>,
}

/// Between two readings of one Pod.
pub fn of_pod(before: &PodUsage, after: &PodUsage) -> Rate {
    rate(before.total, after.total, after.at_ns.saturating_sub(before.at_ns))
}

/// Between two readings of one member; one that was started in between has used nothing before.
pub fn of_member(before: &PodUsage, after: &PodUsage, member: &MemberUsage) -> Rate {
    let earlier = before.containers.iter().find(|other| other.name == member.name);
    let earlier = earlier.map(|other| other.usage).unwrap_or_default();
    rate(earlier, member.usage, after.at_ns.saturating_sub(before.at_ns))
}

fn rate(before: Usage, after: Usage, elapsed_ns: u64) -> Rate {
    // A member that was started anew counts from nothing.
    let used = after.cpu_ns.map(|now| now.checked_sub(before.cpu_ns.unwrap_or(0)).unwrap_or(now));
    let cpu_millis = used.filter(|_| elapsed_ns > 0).map(|used| used as f64 * 1000.0 / elapsed_ns as f64);
    Rate { cpu_millis, memory: after.memory_bytes, processes: after.processes }
}

/// `12.5%` of one processor.
pub fn percent(cpu_millis: Option<f64>) -> String {
    cpu_millis.map_or("--".into(), |millis| format!("{:.1}%", millis / 10.0))
}

/// `125m`, as kubectl has it.
pub fn millis(cpu_millis: Option<f64>) -> String {
    cpu_millis.map_or("--".into(), |millis| format!("{}m", millis.ceil() as u64))
}

/// `3Mi`, as kubectl has it.
pub fn mebibytes(bytes: Option<u64>) -> String {
    bytes.map_or("--".into(), |bytes| format!("{}Mi", bytes >> 20))
}

/// `3.1MiB`
pub fn size(bytes: Option<u64>) -> String {
    let Some(bytes) = bytes else { return "--".into() };
    let units = [("GiB", 30), ("MiB", 20), ("KiB", 10)];
    match units.iter().find(|(_, shift)| bytes >> shift > 0) {
        Some((unit, shift)) => format!("{:.1}{unit}", bytes as f64 / f64::from(1u32 << shift)),
        None => format!("{bytes}B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(at_ns: u64, cpu_ns: u64, name: &str) -> PodUsage {
        let usage = Usage { cpu_ns: Some(cpu_ns), memory_bytes: Some(3 << 20), processes: Some(2) };
        let member = MemberUsage { name: name.into(), kind: None, memory_limit: None, usage };
        PodUsage { namespace: "n".into(), name: "p".into(), at_ns, total: usage, containers: vec![member] }
    }

    #[test]
    fn a_rate_is_the_difference_of_two_readings() {
        let (before, after) = (reading(1_000, 500, "a"), reading(3_000, 1_500, "a"));
        assert_eq!(of_pod(&before, &after).cpu_millis, Some(500.0));
        assert_eq!(of_member(&before, &after, &after.containers[0]).cpu_millis, Some(500.0));
        let (other, again) = (reading(1_000, 900, "b"), reading(2_000, 100, "a"));
        assert_eq!(of_member(&other, &again, &again.containers[0]).cpu_millis, Some(100.0), "it was not there before");
        assert_eq!(of_pod(&other, &again).cpu_millis, Some(100.0), "it was started anew");
        assert_eq!(of_pod(&before, &before).cpu_millis, None, "no time has passed");
    }

    #[test]
    fn columns_are_short() {
        assert_eq!((percent(Some(125.0)), percent(None)), ("12.5%".into(), "--".into()));
        assert_eq!((millis(Some(0.2)), mebibytes(Some(3 << 20))), ("1m".into(), "3Mi".into()));
        let sizes = [512, 2048, 3 << 20, 5 << 30].map(|bytes| size(Some(bytes)));
        assert_eq!(sizes, ["512B", "2.0KiB", "3.0MiB", "5.0GiB"]);
    }
}
