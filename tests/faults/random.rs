//! Numbers that look random and can be had again: xorshift64* with a seed that is printed.

/// A generator.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// From `DWELL_SEED`, else from the clock; printed, since the output of a failed test is shown.
    pub fn new(what: &str) -> Random {
        let clock = || std::time::UNIX_EPOCH.elapsed().map_or(1, |since| since.as_millis() as u64);
        let seed = std::env::var("DWELL_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(clock);
        println!("{what}: DWELL_SEED={seed}");
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A generator of its own for one thing among many.
    pub fn branch(&mut self) -> Random {
        Random(self.next() | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// From 0 to below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() >> 11) as usize % end
    }

    /// One of these.
    pub fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    /// True so many times in a hundred.
    pub fn percent(&mut self, chance: usize) -> bool {
        self.below(100) < chance
    }

    /// Waits, at most so long.
    pub fn pause(&mut self, milliseconds: usize) {
        std::thread::sleep(std::time::Duration::from_micros(self.below(milliseconds * 1000) as u64));
    }
}
