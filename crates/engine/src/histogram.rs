//! How long something took, many times: counts by size, within an eighth of it, in memory that does not grow.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// Steps within each power of two.
const STEPS: u64 = 8;
/// Up to some days, in microseconds.
const POWERS: u64 = 40;
const COUNTS: usize = (POWERS * STEPS) as usize;

/// Shared by whoever measures; a note costs three additions.
#[derive(Debug)]
pub struct Histogram {
    counts: Box<[AtomicU64]>,
    count: AtomicU64,
    max_us: AtomicU64,
}

impl Default for Histogram {
    fn default() -> Self {
        let counts = (0..COUNTS).map(|_| AtomicU64::new(0)).collect();
        Self { counts, count: AtomicU64::new(0), max_us: AtomicU64::new(0) }
    }
}

impl Histogram {
    pub fn note(&self, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.counts[place(us)].fetch_add(1, Relaxed);
        self.count.fetch_add(1, Relaxed);
        self.max_us.fetch_max(us, Relaxed);
    }

    pub fn count(&self) -> u64 {
        self.count.load(Relaxed)
    }

    pub fn max(&self) -> Duration {
        Duration::from_micros(self.max_us.load(Relaxed))
    }

    /// So many of a hundred took no longer: the upper end of their step, and no more than the longest. Zero of nothing.
    pub fn percentile(&self, percent: u64) -> Duration {
        let wanted = (self.count() * percent).div_ceil(100).max(1);
        let mut seen = 0;
        for (place, count) in self.counts.iter().enumerate() {
            seen += count.load(Relaxed);
            if seen >= wanted {
                return Duration::from_micros(upper_end(place)).min(self.max());
            }
        }
        self.max()
    }
}

/// Below 8 each number has a place of its own; above, eight share the next power of two.
fn place(us: u64) -> usize {
    if us < STEPS {
        return us as usize;
    }
    let power = u64::from(us.ilog2());
    let step = (us >> (power - 3)) - STEPS;
    usize::try_from((power - 2) * STEPS + step).map_or(COUNTS - 1, |place| place.min(COUNTS - 1))
}

/// The last number of a place.
fn upper_end(place: usize) -> u64 {
    let place = place as u64;
    if place < STEPS {
        return place;
    }
    let (power, step) = (place / STEPS + 2, place % STEPS);
    ((STEPS + step + 1) << (power - 3)) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_follow_each_other_and_hold_what_belongs_to_them() {
        let mut last = 0;
        for us in (0..5_000).chain([1 << 20, 1 << 33, (1 << 33) + 1]) {
            let at = place(us);
            assert!(at >= last && us <= upper_end(at), "{us} at {at}");
            assert!(at == 0 || us > upper_end(at - 1), "{us} at {at}");
            assert!(upper_end(at) <= us + us / 8 + 1, "{us}: {}", upper_end(at));
            last = at;
        }
        assert_eq!(place(u64::MAX), COUNTS - 1);
    }

    #[test]
    fn percentiles_are_those_of_what_was_noted() {
        let histogram = Histogram::default();
        assert_eq!((histogram.count(), histogram.percentile(50)), (0, Duration::ZERO));
        for ms in 1..=100 {
            histogram.note(Duration::from_millis(ms));
        }
        let of = |percent| histogram.percentile(percent).as_millis();
        assert!((50..=56).contains(&of(50)), "{}", of(50));
        assert!((90..=100).contains(&of(90)), "{}", of(90));
        assert_eq!((of(100), histogram.max().as_millis(), histogram.count()), (100, 100, 100));
    }
}
