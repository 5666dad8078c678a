//! Where an extent ends: by records, bytes, record time, group, contract or wall time.

use std::{fmt, sync::Arc};

use arrow_buffer::ScalarBuffer;
use base::Batch;
use chrono::{DateTime, Days, LocalResult, NaiveTime, TimeZone};
use chrono_tz::Tz;

/// The rules by which extents end; the first that holds cuts. With none set, only the end of the split does.
///
/// All but `schedule` depend on the records alone, so a second life cuts where the first one did.
#[derive(Clone, Default)]
pub struct Cuts {
    /// After so many records; Connect's `flush.size`. Rejected records do not count.
    pub records_count_max: Option<u64>,
    /// After the record that reaches so many bytes of values.
    pub bytes_max: Option<u64>,
    /// Before the record that is so much younger than the extent's first one, or in another group than the one before
    /// it; Connect's `rotate.interval.ms`. Needs `boundary`, or else uses the records' own timestamps.
    pub interval_ms: Option<i64>,
    /// By wall time, when something is open; Connect's `rotate.schedule.interval.ms`.
    pub schedule: Option<Schedule>,
    /// Before a record whose contract is another one.
    pub on_contract_change: bool,
    pub boundary: Option<Arc<dyn Boundary>>,
}

/// What record time and group are; the sink's partitioner knows.
pub trait Boundary: Send + Sync {
    /// For each row its time in milliseconds since 1970.
    fn times_ms(&self, batch: &Batch) -> ScalarBuffer<i64>;
    /// For each row its group (a hash of the encoded partition), the same in every life; `None`: all rows are in one.
    fn group_ids(&self, batch: &Batch) -> Option<Vec<u64>>;
}

/// Multiples of `interval_ms` counted from midnight in `timezone`, and midnight itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    pub interval_ms: i64,
    pub timezone: Tz,
}

impl fmt::Debug for Cuts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cuts")
            .field("records_count_max", &self.records_count_max)
            .field("bytes_max", &self.bytes_max)
            .field("interval_ms", &self.interval_ms)
            .field("schedule", &self.schedule)
            .field("on_contract_change", &self.on_contract_change)
            .field("boundary", &self.boundary.is_some())
            .finish()
    }
}

impl Cuts {
    pub fn records(count_max: u64) -> Self {
        Self { records_count_max: Some(count_max), ..Self::default() }
    }

    pub fn interval_ms(interval_ms: i64) -> Self {
        Self { interval_ms: Some(interval_ms), ..Self::default() }
    }
}

impl Schedule {
    /// Every so many milliseconds of the day in UTC.
    pub fn every(interval_ms: i64) -> Self {
        Self { interval_ms, timezone: Tz::UTC }
    }

    /// The first moment of the schedule after `now_ms`.
    pub fn next_ms(&self, now_ms: i64) -> i64 {
        let interval_ms = self.interval_ms.max(1);
        let Some(now) = DateTime::from_timestamp_millis(now_ms).map(|utc| utc.with_timezone(&self.timezone))
        else {
            return now_ms.saturating_add(interval_ms);
        };
        let day = now.date_naive();
        let start_ms = self.midnight_ms(day).unwrap_or(now_ms).min(now_ms);
        let next = now_ms + interval_ms - (now_ms - start_ms) % interval_ms;
        match day.checked_add_days(Days::new(1)).and_then(|day| self.midnight_ms(day)) {
            Some(tomorrow_ms) if interval_ms < 86_400_000 && tomorrow_ms > now_ms => next.min(tomorrow_ms),
            _ => next,
        }
    }

    /// The first moment of a day; where the clocks jump over midnight, the first one there is.
    fn midnight_ms(&self, day: chrono::NaiveDate) -> Option<i64> {
        let midnight = day.and_time(NaiveTime::MIN);
        match self.timezone.from_local_datetime(&midnight) {
            LocalResult::Single(time) | LocalResult::Ambiguous(time, _) => Some(time.timestamp_millis()),
            LocalResult::None => {
                let later = midnight + chrono::TimeDelta::hours(1);
                self.timezone.from_local_datetime(&later).earliest().map(|time| time.timestamp_millis())
            }
        }
    }
}

#[cfg(test)]
mod tests;
