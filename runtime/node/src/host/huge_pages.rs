//! Huge pages that are there to be had, and whether what members take of them is limited.

use dwell_spec::quantity::binary;

use super::{CheckItem, State};
use crate::sandbox::cgroup::Layout;
use crate::volume::huge_pages::{capacity, sizes};

/// Nothing, on a host without such pages.
pub fn check(layout: &Layout) -> Option<CheckItem> {
    let has: Vec<_> = sizes().into_iter().map(|page| (page, capacity(page))).filter(|(_, bytes)| *bytes > 0).collect();
    judge(&has, layout.version_of("hugetlb"))
}

fn judge(has: &[(u64, u64)], version: Option<u8>) -> Option<CheckItem> {
    let found: Vec<_> = has.iter().map(|(page, bytes)| format!("{} of {}", binary(*bytes), binary(*page))).collect();
    let found = found.join(", ");
    match version {
        _ if has.is_empty() => None,
        Some(version) => Some(CheckItem::ok("huge pages", format!("{found}; hugetlb v{version}"))),
        None => Some(
            CheckItem::lacking("huge pages", State::Degraded, format!("{found}; without the hugetlb controller"))
                .costs("members may take more huge pages than their limits")
                .remedy(
                    "take a kernel with CONFIG_CGROUP_HUGETLB, without `cgroup_disable=hugetlb` on its command line",
                ),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_limited_is_told_where_there_is_something_to_limit() {
        assert_eq!(judge(&[], None), None);
        let has = [(2 << 20, 8 << 20)];
        assert_eq!(judge(&has, Some(2)).unwrap().found, "8Mi of 2Mi; hugetlb v2");
        assert_eq!(judge(&has, None).unwrap().state, State::Degraded);
    }
}
