//! Huge pages that are set aside for a Pod, before its sandbox is made: what it asks for, of what the host has and no other
//! Pod of this node was promised. As a kubelet counts them, but asked again whenever the Pod is tried again.
//!
//! A leaf of the driver's; must never change how many the host has, which is its owner's to say.

use dwell_spec::quantity::binary;

use super::driver::Driver;
use crate::volume::huge_pages;

impl Driver {
    /// # Errors
    /// The host has too few.
    pub(super) fn take_huge_pages(&self) -> Result<(), String> {
        let wanted = self.pod.huge_pages();
        if wanted.is_empty() {
            return Ok(());
        }
        // Under the lock, so that no two count on the same.
        let pods = self.shared.pods();
        for (page, bytes) in wanted.iter().filter(|(_, bytes)| **bytes > 0) {
            let others = pods.by_key.values().filter(|pod| pod.uid != self.handle.uid);
            let promised = others.filter_map(|pod| pod.huge_pages().get(page).copied()).fold(0, u64::saturating_add);
            let capacity = huge_pages::capacity(*page);
            if promised.saturating_add(*bytes) > capacity {
                return Err(too_few(*page, *bytes, promised, capacity));
            }
        }
        self.handle.set_huge_pages(wanted);
        Ok(())
    }
}

/// The kubelet's words (OutOf…), and what helps.
fn too_few(page: u64, wanted: u64, promised: u64, capacity: u64) -> String {
    let pages = wanted.saturating_add(promised).div_ceil(page);
    format!(
        "OutOfhugepages-{size}: this host has too few huge pages of {size}: requested: {}, used by other Pods: {}, \
         capacity: {} (`{}` makes room)",
        binary(wanted),
        binary(promised),
        binary(capacity),
        huge_pages::remedy(page, pages),
        size = binary(page),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_said_in_pages_of_its_size() {
        let said = too_few(2 << 20, 4 << 20, 2 << 20, 2 << 20);
        assert!(said.contains("huge pages of 2Mi: requested: 4Mi, used by other Pods: 2Mi, capacity: 2Mi"), "{said}");
        assert!(said.contains("=3`") || said.contains("echo 3 >"), "{said}");
    }
}
