//! Dates, times and durations in templates, with the attributes and methods of Python's datetime and of pendulum that DAGs use.

use std::{cmp::Ordering, fmt};

use chrono::{
    DateTime, Datelike, FixedOffset, Months, NaiveDate, NaiveDateTime, NaiveTime, Offset, TimeDelta,
    Timelike, Utc,
};
use chrono_tz::{OffsetName, Tz};
use minijinja::{
    Error, ErrorKind, Value,
    value::{Kwargs, from_args},
};

use super::{
    format,
    object::{Thing, objects},
};
use crate::{dag::Arg, timetable::zones};

/// Where a wall clock hangs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Zone {
    Named(Tz),
    Fixed(FixedOffset),
    /// Python's naive datetime, kept as if it were UTC.
    Naive,
}

/// A time with a zone: pendulum's DateTime.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment {
    pub at: DateTime<Utc>,
    pub zone: Zone,
}

/// A date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Day(pub NaiveDate);

/// A time of day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Clock(pub NaiveTime);

/// A timedelta, or with months a relativedelta.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Delta {
    pub months: i32,
    pub duration: TimeDelta,
}

objects!(Moment, Day, Clock, Delta);

fn invalid(text: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, text.into())
}

impl Moment {
    pub(super) fn utc(at: DateTime<Utc>) -> Self {
        Self { at, zone: Zone::Named(Tz::UTC) }
    }

    pub(super) fn local(&self) -> NaiveDateTime {
        match self.zone {
            Zone::Named(zone) => zones::to_local(self.at, zone),
            Zone::Fixed(offset) => self.at.with_timezone(&offset).naive_local(),
            Zone::Naive => self.at.naive_utc(),
        }
    }

    /// The wall clock of the same zone at another time; of one that comes twice the second is meant, as in pendulum.
    fn at_local(&self, local: NaiveDateTime) -> Self {
        let at = match self.zone {
            Zone::Named(zone) => zones::to_utc(local, zone),
            Zone::Fixed(offset) => {
                (local - TimeDelta::seconds(i64::from(offset.local_minus_utc()))).and_utc()
            }
            Zone::Naive => local.and_utc(),
        };
        Self { at, zone: self.zone }
    }

    pub(super) fn offset(&self) -> FixedOffset {
        match self.zone {
            Zone::Named(zone) => self.at.with_timezone(&zone).offset().fix(),
            Zone::Fixed(offset) => offset,
            Zone::Naive => Utc.fix(),
        }
    }

    /// `+02:00`; nothing for a naive time.
    pub(super) fn offset_text(&self) -> String {
        if self.zone == Zone::Naive { String::new() } else { self.offset().to_string() }
    }

    /// `UTC`, `CEST`; an offset where there is no name.
    pub(super) fn zone_abbreviation(&self) -> String {
        match self.zone {
            Zone::Named(zone) => {
                let time = self.at.with_timezone(&zone);
                time.offset().abbreviation().map_or_else(|| time.offset().fix().to_string(), str::to_owned)
            }
            Zone::Fixed(offset) => offset.to_string(),
            Zone::Naive => String::new(),
        }
    }

    fn zone_name(&self) -> String {
        match self.zone {
            Zone::Named(zone) => zone.name().to_owned(),
            Zone::Fixed(offset) => offset.to_string(),
            Zone::Naive => String::new(),
        }
    }

    /// `isoformat(separator)`: microseconds only where there are any.
    pub(super) fn iso(&self, separator: char) -> String {
        let local = self.local();
        let micros = match local.nanosecond() / 1_000 {
            0 => String::new(),
            micros => format!(".{micros:06}"),
        };
        format!("{}{separator}{}{micros}{}", local.date(), local.format("%H:%M:%S"), self.offset_text())
    }

    pub(super) fn repr(&self) -> String {
        let local = self.local();
        let micros = match local.nanosecond() / 1_000 {
            0 => String::new(),
            micros => format!(", {micros}"),
        };
        format!(
            "DateTime({}, {}, {}, {}, {}, {}{micros}, tzinfo=Timezone('{}'))",
            local.year(),
            local.month(),
            local.day(),
            local.hour(),
            local.minute(),
            local.second(),
            self.zone_name()
        )
    }

    /// Days and more move the wall clock, hours and less the time itself: as pendulum adds.
    fn moved(&self, units: &Units, sign: i32) -> Result<Self, Error> {
        let too_far = || invalid("a date is out of range");
        if !units.is_variable() {
            let at = self.at.checked_add_signed(units.clock()? * sign).ok_or_else(too_far)?;
            return Ok(Self { at, zone: self.zone });
        }
        let local = add_months(self.local(), units.months * sign).ok_or_else(too_far)?;
        let local =
            local.checked_add_signed((units.calendar()? + units.clock()?) * sign).ok_or_else(too_far)?;
        Ok(self.at_local(local))
    }

    pub(super) fn plus(&self, delta: &Delta, sign: i32) -> Result<Self, Error> {
        let too_far = || invalid("a date is out of range");
        let moved = match delta.months {
            0 => *self,
            months => self.at_local(add_months(self.local(), months * sign).ok_or_else(too_far)?),
        };
        let at = moved.at.checked_add_signed(delta.duration * sign).ok_or_else(too_far)?;
        Ok(Self { at, zone: self.zone })
    }

    fn replaced(&self, kwargs: &Kwargs) -> Result<Self, Error> {
        let local = self.local();
        let pick =
            |name: &str, value: u32| kwargs.get::<Option<u32>>(name).map(|given| given.unwrap_or(value));
        let year = kwargs.get::<Option<i32>>("year")?.unwrap_or(local.year());
        let date = NaiveDate::from_ymd_opt(year, pick("month", local.month())?, pick("day", local.day())?);
        let time = NaiveTime::from_hms_micro_opt(
            pick("hour", local.hour())?,
            pick("minute", local.minute())?,
            pick("second", local.second())?,
            pick("microsecond", local.nanosecond() / 1_000)?,
        );
        kwargs.assert_all_used()?;
        match (date, time) {
            (Some(date), Some(time)) => Ok(self.at_local(date.and_time(time))),
            (_, _) => Err(invalid("no such date")),
        }
    }

    fn start_of(&self, unit: &str) -> Result<Self, Error> {
        let local = self.local();
        let date = local.date();
        let date = match unit {
            "second" | "minute" | "hour" | "day" => Some(date),
            "week" => Some(date - TimeDelta::days(i64::from(date.weekday().num_days_from_monday()))),
            "month" => date.with_day(1),
            "year" => NaiveDate::from_ymd_opt(date.year(), 1, 1),
            _ => None,
        };
        let date = date.ok_or_else(|| invalid(format!("`{unit}` is no unit of time")))?;
        let time = match unit {
            "second" => local.time().with_nanosecond(0),
            "minute" => NaiveTime::from_hms_opt(local.hour(), local.minute(), 0),
            "hour" => NaiveTime::from_hms_opt(local.hour(), 0, 0),
            _ => Some(NaiveTime::MIN),
        };
        Ok(self.at_local(date.and_time(time.unwrap_or(NaiveTime::MIN))))
    }

    fn end_of(&self, unit: &str) -> Result<Self, Error> {
        let start = self.start_of(unit)?;
        let local = start.local();
        let next = match unit {
            "second" => Some(local + TimeDelta::seconds(1)),
            "minute" => Some(local + TimeDelta::minutes(1)),
            "hour" => Some(local + TimeDelta::hours(1)),
            "week" => Some(local + TimeDelta::weeks(1)),
            "month" => add_months(local, 1),
            "year" => add_months(local, 12),
            _ => Some(local + TimeDelta::days(1)),
        };
        let next = next.ok_or_else(|| invalid("a date is out of range"))?;
        Ok(self.at_local(next - TimeDelta::microseconds(1)))
    }
}

fn add_months(local: NaiveDateTime, months: i32) -> Option<NaiveDateTime> {
    let count = Months::new(months.unsigned_abs());
    if months < 0 { local.checked_sub_months(count) } else { local.checked_add_months(count) }
}

/// The arguments of `add`, `subtract` and of the constructors of durations.
#[derive(Debug, Default)]
struct Units {
    months: i32,
    days: f64,
    seconds: f64,
}

impl Units {
    fn of(kwargs: &Kwargs) -> Result<Self, Error> {
        let number = |name: &str| kwargs.get::<Option<f64>>(name).map(|value| value.unwrap_or(0.0));
        let years = kwargs.get::<Option<i32>>("years")?.unwrap_or(0).checked_mul(12);
        let months = kwargs.get::<Option<i32>>("months")?.unwrap_or(0);
        let months = years.and_then(|years| years.checked_add(months));
        let months = months.ok_or_else(|| invalid("a duration is too long"))?;
        let units = Units {
            months,
            days: number("days")? + 7.0 * number("weeks")?,
            seconds: number("seconds")?
                + 60.0 * number("minutes")?
                + 3_600.0 * number("hours")?
                + number("milliseconds")? / 1e3
                + number("microseconds")? / 1e6,
        };
        kwargs.assert_all_used()?;
        Ok(units)
    }

    fn is_variable(&self) -> bool {
        self.months != 0 || self.days != 0.0
    }

    fn calendar(&self) -> Result<TimeDelta, Error> {
        duration(self.days * 86_400.0)
    }

    fn clock(&self) -> Result<TimeDelta, Error> {
        duration(self.seconds)
    }
}

fn duration(seconds: f64) -> Result<TimeDelta, Error> {
    // A thousand years: what is longer is a mistake, and no date could be that far away.
    if seconds.abs() > 3.2e10 {
        return Err(invalid("a duration is too long"));
    }
    Ok(TimeDelta::microseconds((seconds * 1e6).round() as i64))
}

/// `timedelta(days, seconds, …)`; by name also weeks, hours, minutes, and months and years of a relativedelta.
pub(super) fn delta(args: &[Value]) -> Result<Delta, Error> {
    let (days, seconds, micros, kwargs): (Option<f64>, Option<f64>, Option<f64>, Kwargs) = from_args(args)?;
    let units = Units::of(&kwargs)?;
    let clock = units.seconds + seconds.unwrap_or(0.0) + micros.unwrap_or(0.0) / 1e6;
    let duration = duration((units.days + days.unwrap_or(0.0)) * 86_400.0 + clock)?;
    Ok(Delta { months: units.months, duration })
}

impl Thing for Moment {
    fn attribute(&self, name: &str) -> Option<Value> {
        let local = self.local();
        Some(match name {
            "year" => local.year().into(),
            "month" => local.month().into(),
            "day" => local.day().into(),
            "hour" => local.hour().into(),
            "minute" => local.minute().into(),
            "second" => local.second().into(),
            "microsecond" => (local.nanosecond() / 1_000).into(),
            "day_of_week" => local.weekday().num_days_from_monday().into(),
            "day_of_year" => local.ordinal().into(),
            "week_of_year" => local.iso_week().week().into(),
            "days_in_month" => u32::from(local.date().num_days_in_month()).into(),
            "quarter" => (local.month0() / 3 + 1).into(),
            "int_timestamp" => self.at.timestamp().into(),
            "float_timestamp" => (self.at.timestamp_micros() as f64 / 1e6).into(),
            "timezone_name" => self.zone_name().into(),
            "offset" => self.offset().local_minus_utc().into(),
            _ => return None,
        })
    }

    fn method(&self, method: &str, args: &[Value]) -> Result<Value, Error> {
        if let Some(text) = self.as_text(method) {
            let () = from_args(args)?;
            return Ok(text.into());
        }
        match method {
            "strftime" => {
                let (form,): (&str,) = from_args(args)?;
                Ok(format::strftime(self, form).into())
            }
            "format" => {
                let (form,): (&str,) = from_args(args)?;
                Ok(format::pendulum(self, form).into())
            }
            "isoformat" => {
                let (separator,): (Option<char>,) = from_args(args)?;
                Ok(self.iso(separator.unwrap_or('T')).into())
            }
            "date" => Ok(Value::from_object(Day(self.local().date()))),
            "time" => Ok(Value::from_object(Clock(self.local().time()))),
            "timestamp" => Ok((self.at.timestamp_micros() as f64 / 1e6).into()),
            "weekday" => Ok(self.local().weekday().num_days_from_monday().into()),
            "isoweekday" => Ok(self.local().weekday().number_from_monday().into()),
            "in_timezone" | "in_tz" | "astimezone" => {
                let (name,): (&str,) = from_args(args)?;
                let zone = name.parse().map_err(|_| invalid(format!("`{name}` is no time zone")))?;
                Ok(Value::from_object(Moment { at: self.at, zone: Zone::Named(zone) }))
            }
            "add" | "subtract" => {
                let (kwargs,): (Kwargs,) = from_args(args)?;
                let sign = if method == "add" { 1 } else { -1 };
                Ok(Value::from_object(self.moved(&Units::of(&kwargs)?, sign)?))
            }
            "replace" | "set" => {
                let (kwargs,): (Kwargs,) = from_args(args)?;
                Ok(Value::from_object(self.replaced(&kwargs)?))
            }
            "start_of" | "end_of" => {
                let (unit,): (&str,) = from_args(args)?;
                let found = if method == "start_of" { self.start_of(unit)? } else { self.end_of(unit)? };
                Ok(Value::from_object(found))
            }
            "diff" => {
                let (other,): (Value,) = from_args(args)?;
                let other =
                    other.downcast_object_ref::<Moment>().ok_or_else(|| invalid("diff takes a time"))?;
                Ok(Value::from_object(Delta { months: 0, duration: (other.at - self.at).abs() }))
            }
            _ => Err(Error::from(ErrorKind::UnknownMethod)),
        }
    }

    fn order(&self, other: &Moment) -> Option<Ordering> {
        Some(self.at.cmp(&other.at))
    }

    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.iso(' '))
    }
}

impl Moment {
    /// The methods without arguments that give a text.
    fn as_text(&self, method: &str) -> Option<String> {
        let local = self.local();
        Some(match method {
            "to_date_string" => local.date().to_string(),
            "to_time_string" => local.format("%H:%M:%S").to_string(),
            "to_datetime_string" => local.format("%Y-%m-%d %H:%M:%S").to_string(),
            "to_iso8601_string" => self.iso('T').replace("+00:00", "Z"),
            "to_rfc3339_string" => self.iso('T'),
            "to_atom_string" => format!("{}{}", local.format("%Y-%m-%dT%H:%M:%S"), self.offset()),
            "to_formatted_date_string" => local.format("%b %d, %Y").to_string(),
            "tzname" => self.zone_abbreviation(),
            _ => return None,
        })
    }
}

impl Day {
    pub(super) fn repr(&self) -> String {
        format!("Date({}, {}, {})", self.0.year(), self.0.month(), self.0.day())
    }
}

impl Thing for Day {
    fn attribute(&self, name: &str) -> Option<Value> {
        Some(match name {
            "year" => self.0.year().into(),
            "month" => self.0.month().into(),
            "day" => self.0.day().into(),
            _ => return None,
        })
    }

    fn method(&self, method: &str, args: &[Value]) -> Result<Value, Error> {
        match method {
            "isoformat" | "to_date_string" => Ok(self.0.to_string().into()),
            "strftime" | "format" | "weekday" | "isoweekday" => {
                Moment::utc(self.0.and_time(NaiveTime::MIN).and_utc()).method(method, args)
            }
            "add" | "subtract" => {
                let (kwargs,): (Kwargs,) = from_args(args)?;
                let sign = if method == "add" { 1 } else { -1 };
                let moment = Moment::utc(self.0.and_time(NaiveTime::MIN).and_utc());
                Ok(Value::from_object(Day(moment.moved(&Units::of(&kwargs)?, sign)?.local().date())))
            }
            _ => Err(Error::from(ErrorKind::UnknownMethod)),
        }
    }

    fn order(&self, other: &Day) -> Option<Ordering> {
        Some(self.0.cmp(&other.0))
    }

    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl Clock {
    pub(super) fn iso(&self) -> String {
        match self.0.nanosecond() / 1_000 {
            0 => self.0.format("%H:%M:%S").to_string(),
            micros => format!("{}.{micros:06}", self.0.format("%H:%M:%S")),
        }
    }
}

impl Thing for Clock {
    fn attribute(&self, name: &str) -> Option<Value> {
        Some(match name {
            "hour" => self.0.hour().into(),
            "minute" => self.0.minute().into(),
            "second" => self.0.second().into(),
            _ => return None,
        })
    }

    fn method(&self, method: &str, args: &[Value]) -> Result<Value, Error> {
        match method {
            "isoformat" => Ok(self.iso().into()),
            "strftime" => {
                let (form,): (&str,) = from_args(args)?;
                let day = NaiveDate::from_ymd_opt(1900, 1, 1).unwrap_or_default();
                Ok(format::strftime(&Moment::utc(day.and_time(self.0).and_utc()), form).into())
            }
            _ => Err(Error::from(ErrorKind::UnknownMethod)),
        }
    }

    fn order(&self, other: &Clock) -> Option<Ordering> {
        Some(self.0.cmp(&other.0))
    }

    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.iso())
    }
}

impl Delta {
    fn micros(&self) -> i64 {
        self.duration.num_microseconds().unwrap_or(i64::MAX)
    }

    pub(super) fn repr(&self) -> String {
        let (micros, days) =
            (self.micros().rem_euclid(86_400_000_000), self.micros().div_euclid(86_400_000_000));
        let parts = [("days", days), ("seconds", micros / 1_000_000), ("microseconds", micros % 1_000_000)];
        let shown = parts.iter().filter(|(_, value)| *value != 0);
        let shown: Vec<String> = shown.map(|(name, value)| format!("{name}={value}")).collect();
        format!("datetime.timedelta({})", if shown.is_empty() { "0".to_owned() } else { shown.join(", ") })
    }
}

impl Thing for Delta {
    fn attribute(&self, name: &str) -> Option<Value> {
        let micros = self.micros().rem_euclid(86_400_000_000);
        Some(match name {
            "days" => self.micros().div_euclid(86_400_000_000).into(),
            "seconds" => (micros / 1_000_000).into(),
            "microseconds" => (micros % 1_000_000).into(),
            "months" => self.months.into(),
            _ => return None,
        })
    }

    fn method(&self, method: &str, args: &[Value]) -> Result<Value, Error> {
        let () = from_args(args)?;
        let seconds = self.micros() / 1_000_000;
        match method {
            "total_seconds" => Ok((self.micros() as f64 / 1e6).into()),
            "in_seconds" => Ok(seconds.into()),
            "in_minutes" => Ok((seconds / 60).into()),
            "in_hours" => Ok((seconds / 3_600).into()),
            "in_days" => Ok((seconds / 86_400).into()),
            "in_weeks" => Ok((seconds / 604_800).into()),
            _ => Err(Error::from(ErrorKind::UnknownMethod)),
        }
    }

    fn order(&self, other: &Delta) -> Option<Ordering> {
        Some(self.duration.cmp(&other.duration))
    }

    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&crate::timetable::python_delta(self.duration))
    }
}

/// An argument as templates see it. `XCom` has been resolved before.
pub(super) fn value(arg: &Arg) -> Value {
    match arg {
        Arg::Null => Value::from(()),
        Arg::Boolean(value) => Value::from(*value),
        Arg::Int(value) => Value::from(*value),
        Arg::Float(value) => Value::from(*value),
        Arg::String(text) => Value::from(text.as_str()),
        Arg::Date(date) => Value::from_object(Day(*date)),
        Arg::DateTime(time) => {
            let zone = match time.offset().local_minus_utc() {
                0 => Zone::Named(Tz::UTC),
                _ => Zone::Fixed(*time.offset()),
            };
            Value::from_object(Moment { at: time.to_utc(), zone })
        }
        Arg::Time(time) => Value::from_object(Clock(*time)),
        Arg::Duration(duration) => Value::from_object(Delta { months: 0, duration: *duration }),
        Arg::List(items) => Value::from(items.iter().map(value).collect::<Vec<_>>()),
        Arg::Map(entries) => Value::from_pairs(entries.iter().map(|(key, arg)| (key.clone(), value(arg)))),
        Arg::XCom { .. } => Value::from(()),
    }
}

/// What a native template gives, as an argument.
pub(super) fn arg(value: &Value) -> Arg {
    use minijinja::value::ValueKind;
    if let Some(moment) = value.downcast_object_ref::<Moment>() {
        return Arg::DateTime(moment.at.with_timezone(&moment.offset()));
    }
    if let Some(day) = value.downcast_object_ref::<Day>() {
        return Arg::Date(day.0);
    }
    if let Some(clock) = value.downcast_object_ref::<Clock>() {
        return Arg::Time(clock.0);
    }
    if let Some(delta) = value.downcast_object_ref::<Delta>() {
        return Arg::Duration(delta.duration);
    }
    match value.kind() {
        ValueKind::Undefined | ValueKind::None => Arg::Null,
        ValueKind::Bool => Arg::Boolean(value.is_true()),
        ValueKind::Number => match i64::try_from(value.clone()) {
            Ok(number) if value.is_integer() => Arg::Int(number),
            Ok(_) | Err(_) => Arg::Float(f64::try_from(value.clone()).unwrap_or(f64::NAN)),
        },
        ValueKind::Seq | ValueKind::Iterable => {
            Arg::List(value.try_iter().into_iter().flatten().map(|item| arg(&item)).collect())
        }
        ValueKind::Map => {
            let entries = super::python::entries(value).into_iter();
            Arg::Map(entries.map(|(key, value)| (super::python::text(&key), arg(&value))).collect())
        }
        _ => Arg::String(super::python::text(value)),
    }
}
