//! Waiting longer after each failure, with jitter, up to a bound. Who waits and on what is the caller's.

use std::time::Duration;

/// Exponential back-off: `first_ms`, doubled at each try, at most `wait_ms_max`, for `tries_max` tries.
///
/// The jitter ("equal jitter": half fixed, half by the seed) keeps a crowd of retries from marching in step.
#[derive(Debug, Clone)]
pub struct Backoff {
    pub first_ms: u64,
    pub wait_ms_max: u64,
    pub tries_max: u32,
    tries: u32,
    seed: u64,
}

impl Backoff {
    pub fn new(first_ms: u64, wait_ms_max: u64, tries_max: u32, seed: u64) -> Self {
        Self { first_ms, wait_ms_max, tries_max, tries: 0, seed: seed | 1 }
    }

    pub fn reset(&mut self) {
        self.tries = 0;
    }

    pub fn tries(&self) -> u32 {
        self.tries
    }
}

/// Each item is how long to wait before the next try; `None` when the tries are spent.
impl Iterator for Backoff {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        if self.tries >= self.tries_max {
            return None;
        }
        let full = self.first_ms.saturating_mul(1u64 << self.tries.min(32)).min(self.wait_ms_max).max(1);
        self.tries += 1;
        // xorshift64: spreading retries needs no better chance than this.
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        Some(Duration::from_millis(full / 2 + self.seed % (full / 2 + 1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_bound_and_end() {
        let waits: Vec<u64> = Backoff::new(100, 1_000, 6, 7).map(|wait| wait.as_millis() as u64).collect();
        assert_eq!(waits.len(), 6);
        for (wait, full) in waits.iter().zip([100, 200, 400, 800, 1_000, 1_000]) {
            assert!((full / 2..=full).contains(wait), "{wait} of {full}");
        }
    }
}
