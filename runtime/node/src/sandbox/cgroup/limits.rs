//! Limits as text for the files of either version. Pure.

use std::borrow::Cow;

use dwell_spec::plan::container::{CgroupLimits, DeviceRule};
use dwell_sys::cgroup::device_filter::{MAKE, READ, Rule, WRITE};

const PERIOD_US: u64 = 100_000;

/// A file of a group, and what is written to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// File name.
    pub file: Cow<'static, str>,
    /// Text.
    pub value: String,
    /// Whether a kernel without that file is fine.
    pub optional: bool,
}

fn setting(file: impl Into<Cow<'static, str>>, value: impl ToString) -> Setting {
    Setting { file: file.into(), value: value.to_string(), optional: false }
}

fn optional(file: impl Into<Cow<'static, str>>, value: impl ToString) -> Setting {
    Setting { optional: true, ..setting(file, value) }
}

/// Version 1: what `controller` is told where a limit that there was is there no more.
pub fn v1_lifted(controller: &str, limits: &CgroupLimits) -> Vec<Setting> {
    match controller {
        "memory" if limits.memory.is_none() => {
            vec![optional("memory.memsw.limit_in_bytes", -1), setting("memory.limit_in_bytes", -1)]
        }
        "cpu" if limits.cpu_quota_us.is_none() => vec![setting("cpu.cfs_quota_us", -1)],
        _ => Vec::new(),
    }
}

/// The same for version 2.
pub fn v2_lifted(controllers: &[String], limits: &CgroupLimits) -> Vec<Setting> {
    let of = |controller: &String| match controller.as_str() {
        "memory" if limits.memory.is_none() => Some(setting("memory.max", "max")),
        "cpu" if limits.cpu_quota_us.is_none() => Some(setting("cpu.max", format!("max {PERIOD_US}"))),
        _ => None,
    };
    controllers.iter().filter_map(of).collect()
}

/// Version 1: what `controller` is told. Swap counts as memory where the kernel counts it at all.
pub fn v1(controller: &str, limits: &CgroupLimits) -> Vec<Setting> {
    match controller {
        "memory" => limits.memory.map_or_else(Vec::new, |bytes| {
            vec![setting("memory.limit_in_bytes", bytes), optional("memory.memsw.limit_in_bytes", bytes)]
        }),
        "cpu" => {
            let shares = limits.cpu_shares.map(|shares| setting("cpu.shares", shares));
            let quota = limits.cpu_quota_us.map(|quota| setting("cpu.cfs_quota_us", quota));
            let period = quota.is_some().then(|| setting("cpu.cfs_period_us", PERIOD_US));
            shares.into_iter().chain(period).chain(quota).collect()
        }
        "pids" => limits.pids.map(|pids| setting("pids.max", pids)).into_iter().collect(),
        "hugetlb" => huge_pages(limits, "limit_in_bytes"),
        _ => Vec::new(),
    }
}

/// Pages in use, and (since 5.7) pages that are set aside for whoever has mapped them: without the second a member would
/// be killed when it touches what it was given.
fn huge_pages(limits: &CgroupLimits, file: &str) -> Vec<Setting> {
    let both = limits.huge_pages.iter().flat_map(|(page, bytes)| {
        let size = page_name(*page);
        let reserved = optional(format!("hugetlb.{size}.rsvd.{file}"), bytes);
        // A size too small for the controller has no files; none of it is what such a group asks for.
        let used = Setting { optional: *bytes == 0, ..setting(format!("hugetlb.{size}.{file}"), bytes) };
        [reserved, used]
    });
    both.collect()
}

/// The kernel's name of a size (mem_fmt in mm/hugetlb_cgroup.c).
fn page_name(bytes: u64) -> String {
    let units = [("GB", 30), ("MB", 20), ("KB", 10)];
    let (unit, bits) = units.into_iter().find(|(_, bits)| bytes >> bits > 0).unwrap_or(("KB", 10));
    format!("{}{unit}", bytes >> bits)
}

/// Version 2, whose group has these controllers enabled.
pub fn v2(controllers: &[String], limits: &CgroupLimits) -> Vec<Setting> {
    controllers.iter().flat_map(|controller| v2_of(controller, limits)).collect()
}

fn v2_of(controller: &str, limits: &CgroupLimits) -> Vec<Setting> {
    match controller {
        "memory" => limits
            .memory
            .map_or_else(Vec::new, |bytes| vec![setting("memory.max", bytes), optional("memory.swap.max", 0)]),
        "cpu" => {
            let weight = limits.cpu_shares.map(|shares| setting("cpu.weight", weight(shares)));
            let quota = limits.cpu_quota_us.map(|quota| setting("cpu.max", format!("{quota} {PERIOD_US}")));
            weight.into_iter().chain(quota).collect()
        }
        "pids" => limits.pids.map(|pids| setting("pids.max", pids)).into_iter().collect(),
        "hugetlb" => huge_pages(limits, "max"),
        _ => Vec::new(),
    }
}

/// Shares of version 1 as weight of version 2 (KEP-2254).
fn weight(shares: u64) -> u64 {
    1 + (shares.clamp(2, 262_144) - 2) * 9999 / 262_142
}

/// A device rule as version 1 takes it: one a write.
pub fn device_line(rule: &DeviceRule) -> String {
    let number = |number: Option<u32>| number.map_or_else(|| "*".to_owned(), |number| number.to_string());
    let kind = if rule.block { 'b' } else { 'c' };
    format!("{kind} {}:{} {}", number(rule.major), number(rule.minor), rule.access)
}

/// A device rule as the program of version 2 takes it.
pub fn device_filter(rule: &DeviceRule) -> Rule {
    let bit = |letter, bit| if rule.access.contains(letter) { bit } else { 0 };
    let access = bit('m', MAKE) | bit('r', READ) | bit('w', WRITE);
    Rule { block: rule.block, major: rule.major, minor: rule.minor, access }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_limits_in_both_languages() {
        let limits = CgroupLimits {
            memory: Some(64 << 20),
            cpu_quota_us: Some(50_000),
            cpu_shares: Some(1024),
            pids: Some(100),
            huge_pages: [(2 << 20, 4 << 20), (64 << 10, 0)].into(),
            devices: Vec::new(),
        };
        let text =
            |settings: Vec<Setting>| settings.iter().map(|s| format!("{}={}", s.file, s.value)).collect::<Vec<_>>();
        assert_eq!(text(v1("memory", &limits))[0], "memory.limit_in_bytes=67108864");
        assert_eq!(text(v1("cpu", &limits)), ["cpu.shares=1024", "cpu.cfs_period_us=100000", "cpu.cfs_quota_us=50000"]);
        let all = ["cpu", "memory", "pids"].map(str::to_owned);
        let expected =
            ["cpu.weight=39", "cpu.max=50000 100000", "memory.max=67108864", "memory.swap.max=0", "pids.max=100"];
        assert_eq!(text(v2(&all, &limits)), expected);
        let pages = [
            "hugetlb.64KB.rsvd.max=0",
            "hugetlb.64KB.max=0",
            "hugetlb.2MB.rsvd.max=4194304",
            "hugetlb.2MB.max=4194304",
        ];
        assert_eq!(text(v2(&["hugetlb".to_owned()], &limits)), pages);
        let pages = pages.map(|page| page.replace(".max", ".limit_in_bytes"));
        assert_eq!(text(v1("hugetlb", &limits)), pages);
        assert_eq!(page_name(1 << 30), "1GB");
        assert_eq!(v2(&[], &limits), [], "a host without these controllers is told nothing");
        assert_eq!((weight(2), weight(262_144)), (1, 10_000));
    }

    #[test]
    fn a_limit_that_is_no_more_is_taken_away() {
        let all = ["cpu", "memory", "pids"].map(str::to_owned);
        let text =
            |settings: Vec<Setting>| settings.iter().map(|s| format!("{}={}", s.file, s.value)).collect::<Vec<_>>();
        let none = CgroupLimits::default();
        assert_eq!(text(v2_lifted(&all, &none)), ["cpu.max=max 100000", "memory.max=max"]);
        assert_eq!(text(v1_lifted("memory", &none)).last().map(String::as_str), Some("memory.limit_in_bytes=-1"));
        assert_eq!(text(v1_lifted("cpu", &none)), ["cpu.cfs_quota_us=-1"]);
        let some = CgroupLimits { memory: Some(1), cpu_quota_us: Some(1), ..none };
        assert_eq!((v2_lifted(&all, &some), v1_lifted("memory", &some)), (Vec::new(), Vec::new()), "control");
    }

    #[test]
    fn device_rules_in_both_languages() {
        let rule = DeviceRule { block: false, major: Some(136), minor: None, access: "rw".into() };
        assert_eq!(device_line(&rule), "c 136:* rw");
        assert_eq!(device_filter(&rule).access, READ | WRITE);
    }
}
