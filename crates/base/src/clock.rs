//! Time as an argument. The one place that reads the system's clock.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicI64, Ordering},
    },
    time::{Instant, SystemTime, UNIX_EPOCH},
};

pub trait Clock: Send + Sync {
    /// Milliseconds since 1970-01-01T00:00:00Z, as the machine has it: it jumps when somebody sets it.
    fn now_ms(&self) -> i64;

    /// The same as it was when this process first asked, and what has passed since: for how long something took.
    fn steady_ms(&self) -> i64;
}

#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now_ms(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }

    fn steady_ms(&self) -> i64 {
        static BEGAN: OnceLock<(Instant, i64)> = OnceLock::new();
        let (began, at_ms) = BEGAN.get_or_init(|| (Instant::now(), self.now_ms()));
        at_ms.saturating_add(i64::try_from(began.elapsed().as_millis()).unwrap_or(i64::MAX))
    }
}

/// A clock that a test moves.
#[derive(Debug, Clone, Default)]
pub struct ManualClock {
    steady_ms: Arc<AtomicI64>,
    jumped_ms: Arc<AtomicI64>,
}

impl ManualClock {
    pub fn at(now_ms: i64) -> Self {
        Self { steady_ms: Arc::new(AtomicI64::new(now_ms)), ..Self::default() }
    }

    pub fn advance_ms(&self, by_ms: i64) {
        self.steady_ms.fetch_add(by_ms, Ordering::SeqCst);
    }

    /// Somebody sets it: no time has passed.
    pub fn jump_ms(&self, by_ms: i64) {
        self.jumped_ms.fetch_add(by_ms, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now_ms(&self) -> i64 {
        self.steady_ms() + self.jumped_ms.load(Ordering::SeqCst)
    }

    fn steady_ms(&self) -> i64 {
        self.steady_ms.load(Ordering::SeqCst)
    }
}
