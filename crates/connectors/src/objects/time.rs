//! A record's time, as `timestamp.extractor` says, in milliseconds since 1970.

use arrow_array::Array;
use base::{Batch, Body, Clock, Value};
use chrono::{DateTime, NaiveDate, NaiveDateTime};

use super::{Extractor, partitioner::raw_field};

/// The time of row `row`, or why there is none.
pub(crate) fn time_ms(
    batch: &Batch,
    row: usize,
    extractor: &Extractor,
    clock: &dyn Clock,
) -> Result<i64, String> {
    match extractor {
        Extractor::Wallclock => Ok(clock.now_ms()),
        Extractor::Record => match batch.envelope.timestamp_ms(row) {
            // -1 is Kafka's "no timestamp".
            Some(time_ms) if time_ms >= 0 => Ok(time_ms),
            Some(_) | None => Err("the record has no timestamp".to_owned()),
        },
        Extractor::RecordField(name) => match &batch.body {
            Body::Rows(rows) => match rows[row].get(name) {
                Some(value) => of_value(value).map_err(|reason| format!("{name}: {reason}")),
                None => Err(format!("there is no field {name}")),
            },
            Body::Raw(values) if values.is_valid(row) => {
                let value =
                    raw_field(values.value(row), name)?.ok_or_else(|| format!("there is no field {name}"))?;
                of_json(&value).map_err(|reason| format!("{name}: {reason}"))
            }
            Body::Raw(_) => Err("the record has no value".to_owned()),
            Body::Columns(_) => Err("the record's fields are not at hand".to_owned()),
        },
    }
}

fn of_value(value: &Value) -> Result<i64, String> {
    match value.plain() {
        Value::Int(ms) | Value::TimestampMs(ms) => Ok(*ms),
        Value::TimestampUs(us) => Ok(us.div_euclid(1_000)),
        Value::Date(days) => Ok(i64::from(*days) * 86_400_000),
        Value::String(text) => of_text(text),
        other => Err(format!("{} is no time", other.kind_name())),
    }
}

fn of_json(value: &serde_json::Value) -> Result<i64, String> {
    match value {
        serde_json::Value::Number(number) => {
            number.as_i64().ok_or_else(|| format!("{number} is no time in milliseconds"))
        }
        serde_json::Value::String(text) => of_text(text),
        other => Err(format!("{other} is no time")),
    }
}

/// ISO 8601 as Joda's `dateTimeParser` takes it: a date, perhaps a time, perhaps an offset; without one it is UTC.
fn of_text(text: &str) -> Result<i64, String> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Ok(time.timestamp_millis());
    }
    for pattern in ["%Y-%m-%dT%H:%M:%S%.f%z", "%Y-%m-%dT%H:%M%z"] {
        if let Ok(time) = DateTime::parse_from_str(text, pattern) {
            return Ok(time.timestamp_millis());
        }
    }
    let bare = text.strip_suffix('Z').unwrap_or(text);
    for pattern in ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M:%S%.f"] {
        if let Ok(time) = NaiveDateTime::parse_from_str(bare, pattern) {
            return Ok(time.and_utc().timestamp_millis());
        }
    }
    let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().and_then(|day| day.and_hms_opt(0, 0, 0));
    day.map(|time| time.and_utc().timestamp_millis()).ok_or_else(|| format!("{text:?} is no ISO 8601 time"))
}
