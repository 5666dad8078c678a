//! Start and end dates in all the forms that dag-factory takes: dates, times, texts, and `2 days` before today.

use base::Clock;
use chrono::{DateTime, LocalResult, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;

use super::yaml::{Data, Node};
use crate::timetable::zones;

/// The moment at which the wall clock in `zone` shows the given time; an offset that was written is left out, as dag-factory
/// does. `None`: it is no date.
pub(crate) fn read(node: &Node, zone: Tz, clock: &dyn Clock) -> Option<DateTime<Utc>> {
    if let Data::Date(date) = node.data {
        return Some(first(date.and_time(NaiveTime::MIN), zone));
    }
    if let Data::DateTime(time, _) = node.data {
        return Some(first(time, zone));
    }
    let text = node.as_str()?;
    if let Some(time) = parse(text) {
        return Some(first(time, zone));
    }
    let now = DateTime::from_timestamp_millis(clock.now_ms())?;
    let today = zones::to_local(now, zone).date().and_time(NaiveTime::MIN);
    first(today, zone).checked_sub_signed(relative(text)?)
}

/// A local time in UTC; of one that comes twice the first.
fn first(local: NaiveDateTime, zone: Tz) -> DateTime<Utc> {
    match zone.from_local_datetime(&local) {
        LocalResult::Single(time) | LocalResult::Ambiguous(time, _) => time.to_utc(),
        LocalResult::None => zones::to_utc(local, zone),
    }
}

/// `2026-01-31`, `2026-01-31T06:00`, `20260131`, `2026-01-31 06:00:00.5+02:00`.
fn parse(text: &str) -> Option<NaiveDateTime> {
    let text = text.trim().trim_start_matches('+');
    let midnight = |date: NaiveDate| date.and_time(NaiveTime::MIN);
    for form in ["%Y-%m-%d", "%Y%m%d", "%Y/%m/%d"] {
        if let Ok(date) = NaiveDate::parse_from_str(text, form) {
            return Some(midnight(date));
        }
    }
    let split = text.find(['T', ' '])?;
    let (date, rest) = (&text[..split], &text[split + 1..]);
    let clock = rest.split(['Z', '+', '-']).next()?.trim();
    let date = ["%Y-%m-%d", "%Y%m%d", "%Y/%m/%d"]
        .iter()
        .find_map(|form| NaiveDate::parse_from_str(date, form).ok())?;
    let time = ["%H:%M:%S%.f", "%H:%M", "%H%M%S", "%H%M"]
        .iter()
        .find_map(|form| NaiveTime::parse_from_str(clock, form).ok())?;
    Some(date.and_time(time))
}

/// `2 days`, `36 hours`: one number and one unit; what follows is not read, as in dag-factory.
pub(crate) fn relative(text: &str) -> Option<TimeDelta> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let count: i64 = text[..digits].parse().ok()?;
    let unit = &text[digits..];
    let word = unit.trim_start().to_ascii_lowercase();
    if unit.trim_start().len() == unit.len() {
        return None;
    }
    let seconds = match () {
        () if word.starts_with("hour") => 3_600,
        () if word.starts_with("minute") => 60,
        () if word.starts_with("second") => 1,
        () if word.starts_with("day") => 86_400,
        () => return None,
    };
    TimeDelta::try_seconds(count.checked_mul(seconds)?)
}
