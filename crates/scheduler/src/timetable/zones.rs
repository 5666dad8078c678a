//! Local time and UTC, as Airflow converts them around the change of clocks.

use chrono::{DateTime, LocalResult, NaiveDateTime, Offset, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;

/// No gap is longer: Samoa once left out a whole day.
const GAP_QUARTERS_MAX: i32 = 4 * 24 * 2;

/// A local time in UTC. Of a time that comes twice the second is meant; one that is left out moves on by the gap.
pub fn to_utc(local: NaiveDateTime, zone: Tz) -> DateTime<Utc> {
    match zone.from_local_datetime(&local) {
        LocalResult::Single(time) | LocalResult::Ambiguous(_, time) => time.to_utc(),
        LocalResult::None => {
            let before = (1..=GAP_QUARTERS_MAX)
                .find_map(|quarters| {
                    zone.from_local_datetime(&(local - TimeDelta::minutes(i64::from(15 * quarters)))).latest()
                })
                .map_or(0, |time| time.offset().fix().local_minus_utc());
            (local - TimeDelta::seconds(i64::from(before))).and_utc()
        }
    }
}

pub fn to_local(time: DateTime<Utc>, zone: Tz) -> NaiveDateTime {
    time.with_timezone(&zone).naive_local()
}
