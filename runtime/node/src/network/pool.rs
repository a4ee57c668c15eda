//! Addresses by number: which hosts of the subnet are in use, and which comes next.
//!
//! A counter goes round, so what was released is used again as late as possible: the kernel removes a dead Pod's
//! network in the background, and neighbours remember it. In memory only; rebuilt from what the node wrote down.
//! Number 1 is the bridge; 0 and the last are the subnet's own.

use std::collections::BTreeSet;

const FIRST: u32 = 2;
const LAST: u32 = 1022;

/// Numbers of one subnet.
#[derive(Debug)]
pub struct Pool {
    used: BTreeSet<u32>,
    next: u32,
}

impl Pool {
    /// An empty pool that begins at a number made from `seed`.
    pub fn new(seed: u32) -> Self {
        Self { used: BTreeSet::new(), next: FIRST + seed % (LAST - FIRST + 1) }
    }

    /// Takes the next free number, or `None` when all 1021 are in use.
    pub fn take(&mut self) -> Option<u32> {
        let start = self.next;
        let mut around = (start..=LAST).chain(FIRST..start);
        let free = around.find(|number| !self.used.contains(number))?;
        self.claim(free);
        Some(free)
    }

    /// Marks a number as used, by a Pod that already has it.
    pub fn claim(&mut self, number: u32) {
        self.used.insert(number);
        self.next = if number >= LAST { FIRST } else { number + 1 };
    }

    /// Gives a number back.
    pub fn release(&mut self, number: u32) {
        self.used.remove(&number);
    }

    /// Whether no number is in use.
    pub fn is_empty(&self) -> bool {
        self.used.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_released_number_comes_last() {
        let mut pool = Pool::new(0);
        let first = pool.take().unwrap();
        pool.release(first);
        let rest: Vec<_> = (0..1020).map(|_| pool.take().unwrap()).collect();
        assert!(!rest.contains(&first));
        assert_eq!(pool.take(), Some(first), "control: it does come back");
        assert_eq!(pool.take(), None, "and then all are in use");
    }

    #[test]
    fn an_adopted_number_is_not_given_out() {
        let mut pool = Pool::new(1020);
        pool.claim(LAST);
        assert_eq!(pool.take(), Some(FIRST));
        assert!(!pool.is_empty());
    }
}
