//! How much a guest may have: linear memories and tables summed over every instance of the worker.
//!
//! A refusal is not an error: `memory.grow` gives -1 and the guest does as it likes, so the last answer is remembered
//! and told when the guest then dies. Only the cgroup bounds the process as a whole; this bound exists so that the
//! guest hears of it before the kernel's OOM killer does.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use wasmtime::ResourceLimiter;

/// Bytes counted for one table element (wasmtime: a pointer each).
const ELEMENT: u64 = 8;
/// Entries of a resource table (streams, descriptors, requests) a guest may hold.
pub const MAX_RESOURCES: usize = 16 << 10;
/// Bytes that one call of a component may lift into the host.
pub const HOSTCALL_BYTES: usize = 64 << 20;

/// What all instances of a worker hold together.
#[derive(Debug, Clone)]
pub struct Budget {
    limit: u64,
    used: Arc<AtomicU64>,
}

impl Budget {
    /// Bytes for memories and tables; none is as much as the kernel gives.
    pub fn new(limit: Option<u64>) -> Self {
        Self { limit: limit.unwrap_or(u64::MAX), used: Arc::default() }
    }

    /// A limiter for one store; what it counted is given back when it is dropped.
    pub fn limiter(&self) -> Limiter {
        Limiter { budget: self.clone(), mine: 0, refused: None }
    }

    /// Bytes allowed.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    fn take(&self, more: u64) -> bool {
        let fits = |used: u64| used.checked_add(more).filter(|&sum| sum <= self.limit);
        self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_ok()
    }
}

/// One store's share.
#[derive(Debug)]
pub struct Limiter {
    budget: Budget,
    mine: u64,
    refused: Option<u64>,
}

impl Limiter {
    /// Bytes that the last request for growth asked for in vain; `None` if it was granted.
    pub fn refused(&self) -> Option<u64> {
        self.refused
    }

    /// Bytes allowed to all stores together.
    pub fn limit(&self) -> u64 {
        self.budget.limit()
    }

    fn grow(&mut self, more: u64) -> bool {
        let granted = self.budget.take(more);
        self.refused = (!granted).then_some(more);
        self.mine += if granted { more } else { 0 };
        granted
    }
}

impl Drop for Limiter {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.mine, Ordering::Relaxed);
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(&mut self, current: usize, desired: usize, _max: Option<usize>) -> wasmtime::Result<bool> {
        Ok(self.grow(desired.saturating_sub(current) as u64))
    }

    fn table_growing(&mut self, current: usize, desired: usize, _max: Option<usize>) -> wasmtime::Result<bool> {
        Ok(self.grow((desired.saturating_sub(current) as u64).saturating_mul(ELEMENT)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stores_share_and_give_back() {
        let budget = Budget::new(Some(100));
        let mut first = budget.limiter();
        assert!(first.memory_growing(0, 60, None).unwrap());
        let mut second = budget.limiter();
        assert!(!second.memory_growing(0, 60, None).unwrap());
        assert_eq!(second.refused(), Some(60));
        drop(first);
        assert!(second.memory_growing(0, 60, None).unwrap());
        assert_eq!(second.refused(), None);
    }

    #[test]
    fn tables_count_and_overflow_is_a_refusal() {
        let mut limiter = Budget::new(Some(1000)).limiter();
        assert!(!limiter.table_growing(0, 126, None).unwrap());
        assert!(limiter.table_growing(0, 125, None).unwrap());
        assert!(!limiter.table_growing(0, usize::MAX, None).unwrap());
    }
}
