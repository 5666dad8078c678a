//! How fast something is taken: sums of seconds, over the last eleven of them, as Kafka measures it (`quota.window.num`).

use std::collections::VecDeque;

const WINDOW_MS: u64 = 1_000;
const WINDOWS_COUNT: u64 = 11;
/// The least time that a rate is measured over, so that the first request is not taken for a flood.
pub const SPAN_MS: f64 = ((WINDOWS_COUNT - 1) * WINDOW_MS) as f64;

#[derive(Debug, Default)]
pub struct Rate {
    /// By the second, what was taken in it.
    windows: VecDeque<(u64, f64)>,
}

impl Rate {
    pub fn add(&mut self, amount: f64, now_ms: u64) {
        let window = now_ms / WINDOW_MS;
        self.forget(window);
        match self.windows.back_mut() {
            Some((last, sum)) if *last == window => *sum += amount,
            _ => self.windows.push_back((window, amount)),
        }
    }

    /// How long nothing may be taken so that the rate is within the bound again.
    pub fn throttle_ms(&self, bound: f64, now_ms: u64) -> u32 {
        let taken: f64 = self.windows.iter().map(|(_, sum)| sum).sum();
        let first_ms = self.windows.front().map_or(now_ms, |(window, _)| window * WINDOW_MS);
        let span_ms = (now_ms.saturating_sub(first_ms) as f64).max(SPAN_MS);
        let rate = taken * 1_000.0 / span_ms;
        if rate <= bound {
            0
        } else {
            ((rate - bound) / bound * span_ms).round().min(f64::from(u32::MAX)) as u32
        }
    }

    /// Whether nothing was taken lately.
    pub fn is_idle(&self, now_ms: u64) -> bool {
        let window = now_ms / WINDOW_MS;
        self.windows.back().is_none_or(|(last, _)| last + WINDOWS_COUNT <= window)
    }

    fn forget(&mut self, window: u64) {
        while self.windows.front().is_some_and(|(first, _)| first + WINDOWS_COUNT <= window) {
            self.windows.pop_front();
        }
    }
}
