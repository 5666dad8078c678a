//! `macros`: what Airflow has there, as far as DAGs use it.

use std::{fmt, sync::Arc};

use base::Clock;
use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, Utc};
use minijinja::{
    Error, ErrorKind, Value,
    value::{Kwargs, Rest, ValueOrKwargs, from_args},
};

use super::{
    format,
    object::{Thing, objects},
    python,
    values::{Day, Moment, Zone, delta, value},
};
use crate::dag::Arg;

pub(super) fn macros(clock: Arc<dyn Clock>) -> Value {
    let relativedelta = || {
        Value::from_function(|args: Rest<ValueOrKwargs>| delta(&args.into_values()).map(Value::from_object))
    };
    let entries: [(&str, Value); 9] = [
        ("ds_add", Value::from_function(ds_add)),
        ("ds_format", Value::from_function(ds_format)),
        ("timedelta", relativedelta()),
        ("datetime", Value::from_object(DateTimeClass(clock.clone()))),
        ("time", Value::from_object(Time(clock))),
        ("uuid", Value::from_object(Uuid)),
        ("json", Value::from_object(Json)),
        ("random", Value::from_function(random)),
        ("dateutil", nested("relativedelta", nested("relativedelta", relativedelta()))),
    ];
    Value::from_pairs(entries)
}

fn nested(name: &'static str, value: Value) -> Value {
    Value::from_pairs([(name, value)])
}

fn invalid(text: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, text.into())
}

fn ds_add(ds: &Value, days: i64) -> Result<String, Error> {
    let ds = python::text(ds);
    if days == 0 {
        return Ok(ds);
    }
    let date =
        NaiveDate::parse_from_str(&ds, "%Y-%m-%d").map_err(|_| invalid(format!("`{ds}` is no date")))?;
    let moved = chrono::TimeDelta::try_days(days).and_then(|days| date.checked_add_signed(days));
    moved.map(|date| date.to_string()).ok_or_else(|| invalid("a date is out of range"))
}

fn ds_format(ds: &Value, from: &str, to: &str) -> Result<String, Error> {
    let ds = python::text(ds);
    let time =
        format::strptime(&ds, from).ok_or_else(|| invalid(format!("`{ds}` does not read as {from}")))?;
    Ok(format::strftime(&Moment::utc(time.and_utc()), to))
}

/// Between 0 and 1: the 53 bits that a float holds.
fn random() -> f64 {
    let bits = uuid::Uuid::new_v4().as_u128() as u64 >> 11;
    bits as f64 / (1_u64 << 53) as f64
}

objects!(DateTimeClass, Time, Uuid, Json);

macro_rules! shown {
    ($name:ident, $shown:literal) => {
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str($shown)
            }
        }
    };
}

/// `macros.datetime`, the class.
struct DateTimeClass(Arc<dyn Clock>);
shown!(DateTimeClass, "<class 'datetime.datetime'>");

fn now(clock: &Arc<dyn Clock>) -> Result<DateTime<Utc>, Error> {
    DateTime::from_timestamp_millis(clock.now_ms()).ok_or_else(|| invalid("the clock is out of range"))
}

fn naive(time: NaiveDateTime) -> Value {
    Value::from_object(Moment { at: time.and_utc(), zone: Zone::Naive })
}

impl Thing for DateTimeClass {
    fn called(&self, args: &[Value]) -> Result<Value, Error> {
        let (year, month, day, rest): (i32, u32, u32, Rest<ValueOrKwargs>) = from_args(args)?;
        let (hour, minute, second, kwargs): (Option<u32>, Option<u32>, Option<u32>, Kwargs) =
            from_args(&rest.into_values())?;
        let pick = |given: Option<u32>, name: &str| -> Result<u32, Error> {
            Ok(given.or(kwargs.get(name)?).unwrap_or(0))
        };
        let time =
            NaiveTime::from_hms_opt(pick(hour, "hour")?, pick(minute, "minute")?, pick(second, "second")?);
        kwargs.assert_all_used()?;
        match (NaiveDate::from_ymd_opt(year, month, day), time) {
            (Some(date), Some(time)) => Ok(naive(date.and_time(time))),
            (_, _) => Err(invalid("no such date")),
        }
    }

    fn method(&self, method: &str, args: &[Value]) -> Result<Value, Error> {
        match method {
            "now" | "utcnow" | "today" => Ok(naive(now(&self.0)?.naive_utc())),
            "strptime" => {
                let (text, form): (&str, &str) = from_args(args)?;
                let time = format::strptime(text, form);
                time.map(naive).ok_or_else(|| invalid(format!("`{text}` does not read as {form}")))
            }
            "fromisoformat" => {
                let (text,): (&str,) = from_args(args)?;
                if let Ok(time) = DateTime::parse_from_rfc3339(text) {
                    return Ok(value(&Arg::DateTime(time)));
                }
                let forms = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f"];
                let time = forms.iter().find_map(|form| format::strptime(text, form));
                time.map(naive).ok_or_else(|| invalid(format!("`{text}` is no time in ISO 8601")))
            }
            "fromtimestamp" | "utcfromtimestamp" => {
                let (seconds,): (f64,) = from_args(args)?;
                let time = DateTime::from_timestamp_micros((seconds * 1e6).round() as i64);
                time.map(|time| naive(time.naive_utc())).ok_or_else(|| invalid("no such time"))
            }
            "date" => {
                let (moment,): (Value,) = from_args(args)?;
                let moment =
                    moment.downcast_object_ref::<Moment>().ok_or_else(|| invalid("date takes a time"))?;
                Ok(Value::from_object(Day(moment.local().date())))
            }
            _ => Err(Error::from(ErrorKind::UnknownMethod)),
        }
    }
}

/// `macros.time`, the module.
struct Time(Arc<dyn Clock>);
shown!(Time, "<module 'time'>");

impl Thing for Time {
    fn method(&self, method: &str, args: &[Value]) -> Result<Value, Error> {
        let now = now(&self.0)?;
        match method {
            "time" => Ok((now.timestamp_micros() as f64 / 1e6).into()),
            "time_ns" => Ok((i128::from(now.timestamp_micros()) * 1_000).into()),
            "strftime" => {
                let (form,): (&str,) = from_args(args)?;
                Ok(format::strftime(&Moment::utc(now), form).into())
            }
            _ => Err(Error::from(ErrorKind::UnknownMethod)),
        }
    }
}

/// `macros.uuid`, the module.
struct Uuid;
shown!(Uuid, "<module 'uuid'>");

impl Thing for Uuid {
    fn method(&self, method: &str, _: &[Value]) -> Result<Value, Error> {
        match method {
            "uuid4" => Ok(uuid::Uuid::new_v4().to_string().into()),
            _ => Err(Error::from(ErrorKind::UnknownMethod)),
        }
    }
}

/// `macros.json`, the module.
struct Json;
shown!(Json, "<module 'json'>");

impl Thing for Json {
    fn method(&self, method: &str, args: &[Value]) -> Result<Value, Error> {
        match method {
            "loads" => {
                let (text,): (&str,) = from_args(args)?;
                let json: serde_json::Value =
                    serde_json::from_str(text).map_err(|error| invalid("not JSON").with_source(error))?;
                Ok(value(&Arg::from_json(&json)))
            }
            "dumps" => {
                let (value, kwargs): (Value, Kwargs) = from_args(args)?;
                let is_sorted = kwargs.get::<Option<bool>>("sort_keys")?.unwrap_or(false);
                kwargs.assert_all_used()?;
                let mut text = String::new();
                python::json(&value, is_sorted, &mut text);
                Ok(text.into())
            }
            _ => Err(Error::from(ErrorKind::UnknownMethod)),
        }
    }
}
