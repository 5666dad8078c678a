//! Notices that somebody set the machine's clock, and says what follows it: the age of records. Time-outs do not.

use std::sync::atomic::{AtomicI64, Ordering};

use base::{Clock, Code, Problem, code};

/// Smaller ones come from keeping the clock right.
const JUMP_MS_MIN: i64 = 60_000;

#[derive(Debug, thiserror::Error)]
#[error("the clock went {} by {} s", direction(*.by_ms), .by_ms.unsigned_abs() / 1_000)]
pub struct ClockJumped {
    pub by_ms: i64,
}

fn direction(by_ms: i64) -> &'static str {
    if by_ms < 0 { "back" } else { "forward" }
}

impl Problem for ClockJumped {
    fn code(&self) -> Code {
        code::TM0228
    }

    fn help(&self) -> String {
        match self.by_ms < 0 {
            true => "records that producers stamp with a time too far ahead are refused (message.timestamp.after.max.ms) until the clock is right",
            false => "records older than retention.ms by this clock are deleted: set it right, or raise retention.ms while it is wrong",
        }
        .to_owned()
    }
}

/// How far the machine's clock was from the steady one when it was looked at last.
pub(crate) struct ClockWatch(AtomicI64);

impl ClockWatch {
    pub(crate) fn new(clock: &dyn Clock) -> Self {
        Self(AtomicI64::new(distance_ms(clock)))
    }

    pub(crate) fn look(&self, clock: &dyn Clock) -> Option<ClockJumped> {
        let distance_ms = distance_ms(clock);
        let by_ms = distance_ms - self.0.swap(distance_ms, Ordering::Relaxed);
        (by_ms.abs() >= JUMP_MS_MIN).then_some(ClockJumped { by_ms })
    }
}

fn distance_ms(clock: &dyn Clock) -> i64 {
    clock.now_ms().saturating_sub(clock.steady_ms())
}
