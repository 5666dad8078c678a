//! Google's rule for new traffic to a collection, "500/50/5": at most 500 writes a second at first, and half as many more
//! every five minutes, so that Firestore has time to split the collection's key range.

use std::{sync::Arc, time::Duration};

use base::Clock;
use parking_lot::Mutex;

const FIRST_PER_S: f64 = 500.0;
const GROWTH: f64 = 1.5;
const STEP_MS: i64 = 5 * 60_000;
/// Steps beyond this allow more than one client can send.
const STEPS_COUNT_MAX: i64 = 20;

/// Hands out the moments at which writes may go, shared by all writers of a sink.
pub(super) struct Ramp {
    clock: Arc<dyn Clock>,
    state: Mutex<Option<State>>,
}

struct State {
    start_ms: i64,
    /// When all that was handed out will have gone.
    busy_until_ms: f64,
}

impl Ramp {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, state: Mutex::new(None) }
    }

    /// How long to wait before sending `count` writes. The first call starts the clock.
    pub(super) fn reserve(&self, count: usize) -> Duration {
        let now_ms = self.clock.now_ms();
        let mut state = self.state.lock();
        let state = state.get_or_insert(State { start_ms: now_ms, busy_until_ms: now_ms as f64 });
        let steps = ((now_ms - state.start_ms) / STEP_MS).clamp(0, STEPS_COUNT_MAX);
        let per_ms = FIRST_PER_S * GROWTH.powi(steps as i32) / 1_000.0;
        let start_ms = state.busy_until_ms.max(now_ms as f64);
        state.busy_until_ms = start_ms + count as f64 / per_ms;
        Duration::from_secs_f64((start_ms - now_ms as f64) / 1_000.0)
    }
}
