//! Waiting for something that nobody announces, with a deadline. The only place of the tests that sleeps.

use std::{
    thread,
    time::{Duration, Instant},
};

/// Asks every 20 ms until there is an answer; fails with `what` after `limit_ms`.
#[track_caller]
pub fn until<T>(what: &str, limit_ms: u64, mut ask: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(start.elapsed() < Duration::from_millis(limit_ms), "after {limit_ms} ms still not: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Lets a moment pass: what a crash test does before it kills.
pub fn moment(ms: u64) {
    thread::sleep(Duration::from_millis(ms));
}
